/* SPDX-License-Identifier: GPL-2.0 */
/*
 * confine: what regiond gives up once it has what it needs, so that whoever takes it over through a source, a peer or a request gets little with it.
 * The spawner, which runs the user's commands, is forked before and keeps its rights.
 */
#ifndef REGIONFS_CONFINE_H
#define REGIONFS_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* Before any secret is read: no core dump, and other processes of the same user do not look into this one. */
void confine_hide(void);
/*
 * For good: no capabilities (any_file: but CAP_DAC_OVERRIDE), no new ones by exec, and only the system calls of confine-calls.c. While there is one
 * thread, since capabilities are each thread's own: -EBUSY. A kernel without system call filters is told of, and served.
 */
int confine(bool any_file);
/* What confine() does last: 0 or a negative errno. */
int confine_calls(void);
/* To be said after an open, connect or bind that has failed: "", or what may be in the way. */
const char *confine_hint(int error);

#endif

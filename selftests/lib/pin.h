/* SPDX-License-Identifier: GPL-2.0 */
/* Pages that are pinned by a direct I/O, for as long as a test wants. */
#ifndef SELFTESTS_PIN_H
#define SELFTESTS_PIN_H

#include "env.h"

/*
 * A direct READ or WRITE (@op) of the first 4096 bytes of another instance's region "r", in a child, to or from a mapped page of ours at @page; its helper
 * holds it, so that the page is pinned. No other rule may be set there.
 */
pid_t pin(struct env *other, uint8_t op, char *page);
/* It may end. What it came to, as reap() has it; 0 when all was read or written. */
int unpin(struct env *other, pid_t pid);

#endif

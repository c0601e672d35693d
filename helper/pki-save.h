/* SPDX-License-Identifier: GPL-2.0 */
/* pki-save: files that are there whole or not at all. */
#ifndef REGIONFS_PKI_SAVE_H
#define REGIONFS_PKI_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Synced, and of that mode whatever the umask. -EEXIST, unless replace: there is one of that name. The directory is not synced. */
int pki_save(int dir_fd, const char *name, mode_t mode, const void *data, size_t len, bool replace);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* memory: the tmpfs of an instance's memory regions. */
#ifndef REGIONFS_BACKENDS_MEMORY_H
#define REGIONFS_BACKENDS_MEMORY_H

/* Unmounts it if nothing is in it; 0, or -ENOTEMPTY and the like. */
int memory_unmount(const char *dir);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memory-dir: the tmpfs of an instance, RUN_DIR/memory, for the bytes of memory regions and of local stores in memory. Its own, since that of
 * /run is small; the first helper mounts it, the end of the instance unmounts it.
 */
#ifndef REGIONFS_MEMORY_DIR_H
#define REGIONFS_MEMORY_DIR_H

/*
 * Makes the directory and mounts the tmpfs, if that isn't done. Any thread; blocks. Where mounting isn't allowed (tests) the
 * directory is taken as it is; with any other failure it is not, as the next mount would hide it.
 */
int memory_dir_mount(const char *dir);

#endif

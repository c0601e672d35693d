/* SPDX-License-Identifier: GPL-2.0 */
/*
 * run-dir: /run/regionfs/NAME: the control socket, the limit for unmounting (drain), and the tmpfs of the memory regions. Whoever
 * serves the instance has it locked; it goes with the instance, but for bytes of regions. These block.
 */
#ifndef REGIONFS_RUN_DIR_H
#define REGIONFS_RUN_DIR_H

/* Makes it and its parent, and locks it: a descriptor to hold for as long. -EBUSY while another process has it. */
int run_dir_take(const char *path);
/*
 * The instance is gone: removes what has no meaning without it, and the directory unless bytes of memory regions, or what is known
 * of a region that was being leeched, are in it. Gives the lock up.
 */
void run_dir_clear(const char *path, int lock);

#endif

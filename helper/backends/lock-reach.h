/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lock-reach: does a lock (lock.h) exclude every host that reaches the same bytes, and not this one's processes alone? A local file system's does, as
 * nobody else reaches what it has while it is mounted here. A network's does where the server hears of it.
 */
#ifndef REGIONFS_LOCK_REACH_H
#define REGIONFS_LOCK_REACH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * type: statfs(2)'s f_type. options: the mount's and the file system's, separated by commas or spaces, as /proc/self/mountinfo has them. A file
 * system that is not known here is said to be none of them.
 */
bool lock_reach(uint64_t type, const char *options);

/*
 * The same of an open file or directory, where locks have been tried, beside whoever has one: what is not a file system's (a block device) has none. It may
 * block; in the pool.
 */
bool lock_reaches_all(int fd);

#endif

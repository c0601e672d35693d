/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hold: a store's file is one helper's alone. A dead helper's writes that are still on their way to the disk hold its lock (flock(2) is of
 * open file descriptions, and they have theirs): who gets it finds them landed.
 */
#ifndef REGIONFS_STORES_HOLD_H
#define REGIONFS_STORES_HOLD_H

/* Blocks, for a worker; until the file is closed. -EBUSY: somebody kept it. A file system without locks has none. */
int hold_file(int fd);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* resident: what this process asks of the kernel to go on when memory is short, and to have files enough. Before any thread, and with capabilities. */
#ifndef REGIONFS_RESIDENT_H
#define REGIONFS_RESIDENT_H

#include <stdbool.h>

/*
 * Memory may be short just when our answer would free some. So our threads don't wait for writeback in
 * allocations, and code and buffers stay in memory: what there is now, and later what has been touched once.
 * to_drop: capabilities are dropped later, so that from then on limits hold.
 */
void resident_start(bool to_drop);

#endif

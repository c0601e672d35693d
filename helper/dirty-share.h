/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dirty-share: what an instance may have of the system's dirty memory before its writers are slowed, at the least. The most is its share (--dirty-ratio), which is
 * strict: it grows and shrinks by what the instance has written of late beside others, and where that is little, older kernels let it be nothing.
 * Then a program's first stores sleep for 200 ms, whatever the source can take.
 */
#ifndef REGIONFS_DIRTY_SHARE_H
#define REGIONFS_DIRTY_SHARE_H

#include <stdint.h>

/*
 * Lets instance @name with @id have a quarter of its share at least. What is kept for one is taken from all others: together the instances have
 * 20 percent, and each one percent, where other devices leave room for that. Where it fails all is slower, not wrong.
 */
void dirty_share_keep(const char *name, uint64_t id);
/* Before a share is set: the kernel refuses one that is less than what is kept. */
void dirty_share_yield(const char *name, uint64_t id);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dirty-share: what an instance may have of the system's dirty memory before its writers are slowed, at the least. The most is its share (--dirty-ratio), which is
 * strict: it grows and shrinks by what the instance has written of late beside others, and where that is little, older kernels let it be nothing.
 * Then a program's first stores sleep for 200 ms, whatever the source can take.
 */
#ifndef REGIONFS_DIRTY_SHARE_H
#define REGIONFS_DIRTY_SHARE_H

#include <stdint.h>

#define DIRTY_SHARE 20u		/* an instance's at first, percent */

/*
 * Lets instance @name with @id have a quarter of @share (percent) at least, or one percent where other devices leave no room for more. The kernel
 * refuses a share that is less than what is set here: before it is lowered this is. Where it fails all is slower, not wrong.
 */
void dirty_share_least(const char *name, uint64_t id, uint32_t share);

#endif

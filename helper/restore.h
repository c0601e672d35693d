/* SPDX-License-Identifier: GPL-2.0 */
/* restore: what the kernel must be told when an instance begins: the mirrored regions, and those declared in /etc. */
#ifndef REGIONFS_RESTORE_H
#define REGIONFS_RESTORE_H

struct regiond;

/*
 * Adds the mirrored regions where the instance is another than the mirror's, then the declared ones that are missing,
 * then learns all that the kernel has. done(regiond, error). A region that can't be added is logged, not an error.
 */
void restore_start(struct regiond *regiond, void (*done)(struct regiond *regiond, int error));

#endif

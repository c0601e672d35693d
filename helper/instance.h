/* SPDX-License-Identifier: GPL-2.0 */
/*
 * instance: notices that the kernel has ended the instance (the last mount with "release" went), which is this helper's end, too.
 * The event that says so is a hint, so the kernel is asked as well: after a gap in the events, when it does not know what it is
 * asked about, when the channel broke, and now and then. Main loop only.
 */
#ifndef REGIONFS_INSTANCE_H
#define REGIONFS_INSTANCE_H

struct netlink_attrs;
struct regiond;

/* Once attached: begins to ask now and then. */
void instance_watch(struct regiond *regiond);
/* An event of the instance's own. */
void instance_event(struct regiond *regiond, const struct netlink_attrs *attrs);
/* Is it still there? Then there(regiond) is called, if given; else regiond_gone(). */
void instance_check(struct regiond *regiond, void (*there)(struct regiond *regiond));
/* A call to the kernel has failed: checks, where that may be because the instance is gone. */
void instance_suspect(struct regiond *regiond, int error);
/* The channel can't be used any more: checks, and calls regiond_broken() where the instance is still there. */
void instance_broken(struct regiond *regiond, int error);

#endif

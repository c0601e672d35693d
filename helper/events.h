/* SPDX-License-Identifier: GPL-2.0 */
/* events: what the kernel tells of regions, kept in the registry and handed on to whoever watches. */
#ifndef REGIONFS_EVENTS_H
#define REGIONFS_EVENTS_H

#include "list.h"
#include "netlink.h"

/* arg: struct regiond; netlink_open()'s callbacks. */
void events_take(void *arg, const struct netlink_attrs *attrs);
void events_gap(void *arg);

struct region;

/* One of the helper's own, see managed-event.h. */
struct events_own {
	struct region *region;
	const char *what;
	const char *detail;	/* or NULL */
};

struct events_watch {
	/* attrs NULL: some events were lost */
	void (*event)(struct events_watch *watch, const struct netlink_attrs *attrs);
	/* optional */
	void (*own)(struct events_watch *watch, const struct events_own *own);
	struct list list;
};

void events_watch(struct events_watch *watch);
void events_unwatch(struct events_watch *watch);
void events_tell(const struct events_own *own);

#endif

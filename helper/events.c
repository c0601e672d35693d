// SPDX-License-Identifier: GPL-2.0
/* events: see events.h. Main loop only. */
#include <string.h>

#include "config.h"
#include "events.h"
#include "log.h"
#include "region.h"
#include "regiond.h"

static struct list watches = LIST_INIT(watches);

void events_watch(struct events_watch *watch)
{
	list_add(&watches, &watch->list);
}

void events_unwatch(struct events_watch *watch)
{
	list_del(&watch->list);
}

static void tell(const struct netlink_attrs *attrs)
{
	struct list *entry, *next;

	list_for_each_safe(entry, next, &watches) {
		struct events_watch *watch = list_entry(entry, struct events_watch, list);

		watch->event(watch, attrs);
	}
}

static void unlinked(struct regiond *regiond, uint64_t id)
{
	struct region *region = region_find(regiond->regions, id);

	if (!region)
		return;
	region_unlinked(region);
	region_put(region);
}

/* One that nobody has heard of is learned when it is created, or when it is first used. */
static void changed(struct regiond *regiond, const struct netlink_attrs *attrs)
{
	struct region *region = region_find(regiond->regions, attrs->region);

	if (region || attrs->event == REGIONFS_EVENT_CREATED)
		region_update(regiond->regions, attrs);
	if (region)
		region_put(region);
}

static bool is_ours(const struct regiond *regiond, const struct netlink_attrs *attrs)
{
	return !netlink_has(attrs, INSTANCE) || !strcmp(attrs->instance, regiond->config->name);
}

void events_take(void *arg, const struct netlink_attrs *attrs)
{
	struct regiond *regiond = arg;

	tell(attrs);
	/* until the regions were restored, the mirror is an older life's: what happens now is seen by the dump */
	if (!regiond->mirror_ready || !netlink_has(attrs, EVENT) || !netlink_has(attrs, REGION) || !is_ours(regiond, attrs))
		return;
	if (attrs->event == REGIONFS_EVENT_UNLINKED)
		unlinked(regiond, attrs->region);
	else
		changed(regiond, attrs);
}

void events_gap(void *arg)
{
	struct regiond *regiond = arg;

	log_warning("events of the kernel were lost: the regions are listed again");
	tell(NULL);
	if (regiond->mirror_ready)
		regions_dump(regiond->regions, NULL, NULL);
}

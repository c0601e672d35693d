// SPDX-License-Identifier: GPL-2.0
/* events: see events.h. Main loop only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "instance.h"
#include "log.h"
#include "region-private.h"
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

void events_tell(const struct events_own *own)
{
	struct list *entry, *next;

	list_for_each_safe(entry, next, &watches) {
		struct events_watch *watch = list_entry(entry, struct events_watch, list);

		if (watch->own)
			watch->own(watch, own);
	}
}

/* ---- an event only says which region: the kernel is asked for the rest ---- */

struct refresh {
	struct netlink_call call;
	struct region *region;
};

static void refresh(struct region *region);

static void refresh_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct refresh *refresh = container_of(call, struct refresh, call);

	region_update(refresh->region->regiond->regions, attrs);
}

static void refresh_done(struct netlink_call *call, int error, const char *why)
{
	struct refresh *this = container_of(call, struct refresh, call);
	struct region *region = this->region;
	bool again = region->refresh_again;

	free(this);
	instance_suspect(region->regiond, error);
	region->refreshing = false;
	region->refresh_again = false;
	/* gone before anything was known of it; else its DESTROY is on the way, and ends it */
	if (error == -ENOENT && !region->mirrored && atomic_load(&region->state) == REGION_NEW)
		region_forget(region);
	else if (again)
		refresh(region);
	region_put(region);
}

static void refresh(struct region *region)
{
	struct refresh *this;

	if (region->refreshing) {
		region->refresh_again = true;
		return;
	}
	this = calloc(1, sizeof(*this));
	if (!this)
		return;
	region->refreshing = true;
	this->region = region_get(region);
	this->call.cmd = REGIONFS_CMD_REGION_GET;
	netlink_set(&this->call.attrs, REGION, region, region->info.id);
	this->call.item = refresh_item;
	this->call.done = refresh_done;
	netlink_call(region->regiond->netlink, &this->call);
}

/* One that nobody has heard of is learned when it is created, or when it is first used. */
static void changed(struct regiond *regiond, const struct netlink_attrs *attrs)
{
	struct region *region = region_find(regiond->regions, attrs->region);

	if (!region && attrs->event == REGIONFS_EVENT_CREATED)
		region = region_know(regiond->regions, attrs->region);
	if (!region)
		return;
	if (attrs->event == REGIONFS_EVENT_UNLINKED)
		region_unlinked(region);
	else
		refresh(region);
	region_put(region);
}

/* Who writes it matters to a managed one alone. */
static void used(struct regiond *regiond, const struct netlink_attrs *attrs)
{
	struct region *region = region_find(regiond->regions, attrs->region);

	if (region && region->info.policy)
		refresh(region);
	if (region)
		region_put(region);
}

/* Not by its name: that may be another's by now. */
static bool is_ours(const struct regiond *regiond, const struct netlink_attrs *attrs)
{
	return netlink_has(attrs, INSTANCE_ID) && attrs->instance_id == regiond->instance_id;
}

void events_take(void *arg, const struct netlink_attrs *attrs)
{
	struct regiond *regiond = arg;

	tell(attrs);
	if (netlink_has(attrs, EVENT) && !netlink_has(attrs, REGION))
		instance_event(regiond, attrs);
	/* until the regions were restored, the mirror is an older life's: what happens now is seen by the dump */
	if (!regiond->mirror_ready || !netlink_has(attrs, EVENT) || !netlink_has(attrs, REGION) || !is_ours(regiond, attrs))
		return;
	switch (attrs->event) {
	case REGIONFS_EVENT_OPENED:
	case REGIONFS_EVENT_CLOSED:
		used(regiond, attrs);
		break;
	case REGIONFS_EVENT_CREATED:
	case REGIONFS_EVENT_RESIZED:
	case REGIONFS_EVENT_CHANGED:
	case REGIONFS_EVENT_RENAMED:
	case REGIONFS_EVENT_UNLINKED:
		changed(regiond, attrs);
		break;
	default:
		break;
	}
}

static void list_again(struct regiond *regiond)
{
	if (regiond->mirror_ready)
		regions_dump(regiond->regions, NULL, NULL);
}

/* What was lost may have been the end of the instance; the regions of another one of its name are none of ours. */
void events_gap(void *arg)
{
	log_warning("events of the kernel were lost: the regions are listed again");
	tell(NULL);
	instance_check(arg, list_again);
}

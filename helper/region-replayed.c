// SPDX-License-Identifier: GPL-2.0
/*
 * region-replayed: what the kernel has to hear of a source that was just opened, since it is not what it was before. It has done a batch that an earlier helper had decided (journal.h): a peer's, who may never come
 * back. Or that helper has done it, and was killed before the kernel heard of it. The kernel may have cached what was there before, and another size. It hears of both after the region is ready: what it
 * drops may be pages that wait for a READ. Or others have written it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "managed.h"
#include "region-private.h"
#include "regiond.h"

struct replayed {
	struct netlink_call call;
	struct region *region;
};

static void replayed_end(struct netlink_call *call, int error, const char *why)
{
	struct replayed *replayed = container_of(call, struct replayed, call);

	if (error)
		log_warning("programs here may not see yet what was published, or written before a power cut, to %s: %s",
			    replayed->region->info.path ? replayed->region->info.path : "?", *why ? why : strerror(-error));
	region_put(replayed->region);
	free(replayed);
}

static void tell(struct region *region, uint8_t cmd)
{
	struct replayed *replayed = calloc(1, sizeof(*replayed));

	if (!replayed)
		return;
	replayed->region = region_get(region);
	replayed->call.cmd = cmd;
	replayed->call.done = replayed_end;
	netlink_set(&replayed->call.attrs, REGION, region, region->info.id);
	if (cmd == REGIONFS_CMD_REGION_SET)
		netlink_set(&replayed->call.attrs, SIZE, size, atomic_load(&region->size));
	netlink_call(region->regiond->netlink, &replayed->call);
}

static void tell_both(struct region *region, const struct backend_published *published)
{
	const struct backend_req req = { .op = BACKEND_PUBLISH, .published = *published };
	uint64_t size = atomic_load(&region->size);

	if (!(region->info.flags & REGIONFS_REGION_FIXED_SIZE))
		region_size_note(region, &req);
	if (atomic_load(&region->size) != size)
		tell(region, REGIONFS_CMD_REGION_SET);
	tell(region, REGIONFS_CMD_INVALIDATE);
}

/* Where programs have cut it meanwhile, that is newer than what the store had. */
void region_tell_grown(struct region *region, uint64_t opened)
{
	const struct backend_req grown = { .op = BACKEND_WRITE, .length = backend_size(region->backend) };
	const struct managed *managed = managed_of(region->backend);
	uint64_t size = atomic_load(&region->size);

	if (!managed || !managed_has_grown(managed) || region->destroy || size < opened || grown.length <= size)
		return;
	log_info("region #%" PRIu64 ": its store has %" PRIu64 " bytes, and it %" PRIu64 ": it is longer now", region->info.id, grown.length, size);
	region_size_note(region, &grown);
	tell(region, REGIONFS_CMD_REGION_SET);
}

/* ---- it was done before ---- */

static bool may_be_news(const struct region *region)
{
	return atomic_load(&region->state) == REGION_READY && region->backend->replayed_before && region->info.claimed;
}

void region_tell_replayed_before(struct region *region)
{
	struct backend_published published;

	if (!may_be_news(region))
		return;
	published = region->backend->replayed;
	published.size = backend_size(region->backend);
	tell_both(region, &published);
}

static void written(struct netlink_call *call, int error, const char *why)
{
	struct replayed *replayed = container_of(call, struct replayed, call);

	if (!error)
		region_tell_replayed_before(replayed->region);
	replayed_end(call, error, why);
}

/*
 * As long as a peer has it; after that, all had been told. What programs here have changed before it came may not be written yet, and what the
 * kernel knows of that is newer than the source.
 */
static void tell_before(struct region *region)
{
	struct replayed *replayed = may_be_news(region) ? calloc(1, sizeof(*replayed)) : NULL;

	if (!replayed)
		return;
	replayed->region = region_get(region);
	replayed->call.cmd = REGIONFS_CMD_WRITEBACK;
	replayed->call.done = written;
	netlink_set(&replayed->call.attrs, REGION, region, region->info.id);
	netlink_flag(&replayed->call.attrs, SYNC);
	netlink_call(region->regiond->netlink, &replayed->call);
}

void region_tell_changed(struct region *region)
{
	region->changed = atomic_load(&region->state) != REGION_READY;
	if (!region->changed && region->regiond->netlink)
		tell(region, REGIONFS_CMD_INVALIDATE);
}

void region_tell_replayed(struct region *region)
{
	if (region->changed)
		region_tell_changed(region);
	if (!region->backend->replayed.length)
		return;
	if (region->backend->replayed_before) {
		tell_before(region);
		return;
	}
	log_info("region #%" PRIu64 ": what a peer had published when the helper ended was done to its source", region->info.id);
	tell_both(region, &region->backend->replayed);
}

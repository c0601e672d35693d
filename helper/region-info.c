// SPDX-License-Identifier: GPL-2.0
/* region-info: what is known of a region: as the kernel tells it, and as the state directory is told. Main loop only. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "followed.h"
#include "log.h"
#include "moved.h"
#include "region-private.h"
#include "regiond.h"
#include "state.h"
#include "tracker.h"

static bool set_string(char **to, const char *from)
{
	char *copy;

	if (*to && !strcmp(*to, from))
		return false;
	copy = strdup(from);
	if (!copy)
		return false;
	free(*to);
	*to = copy;
	return true;
}

#define SET(ATTR, field)								\
	if (netlink_has(attrs, ATTR) && info->field != attrs->field) {			\
		info->field = attrs->field;						\
		changed = true;								\
	}

static bool info_update(struct region_info *info, const struct netlink_attrs *attrs)
{
	bool changed = false;

	/* the size is region-size.c's */
	if (netlink_has(attrs, PATH) && *attrs->path)
		changed |= set_string(&info->path, attrs->path);
	if (netlink_has(attrs, SOURCE) && *attrs->source)
		changed |= set_string(&info->source, attrs->source);
	SET(MODE, mode);
	SET(UID, uid);
	SET(GID, gid);
	SET(EPOCH, epoch);
	SET(LINEAGE, lineage);
	SET(FLAGS, flags);
	SET(TIMEOUT, timeout);
	return changed;
}

/* What an earlier helper has noted of changes; before the first request is carried out. */
static void tracker_recall(struct region *region)
{
	struct tracker *tracker = NULL;
	char path[4096];

	region_tracker_path(region, path, sizeof(path));
	if (!atomic_load(&region->tracker) && !tracker_adopt(&tracker, path))
		atomic_store(&region->tracker, tracker);
	/* nobody follows what is not seeded */
	if (region->info.handover)
		followed_recall(region);
}

void region_tracker_path(const struct region *region, char *path, size_t len)
{
	snprintf(path, len, "%s/track-%016" PRIx64 "-%" PRIu64, region->regiond->config->run_dir, region->regiond->instance_id,
		 region->info.id);
}

/* What the kernel doesn't know, the state directory does. One that isn't known there either has just been made. */
static void recall(struct region *region)
{
	const struct region_info *info = state_find(region->regiond->state, region->info.id);

	free(region->info.policy);
	region->info.policy = info && info->policy ? strdup(info->policy) : NULL;
	if (!info && !region->unlinked)
		region->info.policy = region_usual_policy(region->regiond);
	if (!info)
		return;
	region->info.chunk = info->chunk;
	region->info.claimed = info->claimed;
	region->info.given = info->given;
	if (info->seed)
		set_string(&region->info.seed, info->seed);
	if (info->resume)
		set_string(&region->info.resume, info->resume);
	if (info->handover)
		set_string(&region->info.handover, info->handover);
	if (info->behind)
		set_string(&region->info.behind, info->behind);
	tracker_recall(region);
	/* of a region that was to be removed, and is there nevertheless, it was not meant in the end */
	region->info.purge = info->purge && region->unlinked;
	region->info.discard = info->discard && region->unlinked;
}

void region_set_handover(struct region *region, char *text)
{
	free(region->info.handover);
	region->info.handover = text;
	region_mirror(region);
}

void region_set_claimed(struct region *region, bool claimed)
{
	if (region->info.claimed == claimed)
		return;
	region->info.claimed = claimed;
	region_mirror(region);
}

/* As an earlier helper left it. The peer may come back as soon as the region is exported again, and nobody else writes until then. */
static void check_claimed(struct region *region)
{
	if (region->info.claimed && !(region->info.flags & REGIONFS_REGION_READ_ONLY))
		region->info.claimed = false;
	if (region->info.claimed)
		log_warning("%s stays read-only, since a peer was writing it: export it again, or regionctl set --read-write",
			    region->info.path ? region->info.path : "a region");
}

struct region *region_update(struct regions *regions, const struct netlink_attrs *attrs)
{
	struct region *region = netlink_has(attrs, REGION) ? region_know(regions, attrs->region) : NULL;
	bool news;

	if (!region)
		return NULL;
	/* with no name left there is nothing to restore; what it needs to be deleted stays known */
	if (netlink_has(attrs, NLINK) && !attrs->nlink)
		region->unlinked = true;
	if (!region->mirrored)
		recall(region);
	news = info_update(&region->info, attrs);
	if (!region->mirrored && netlink_has(attrs, FLAGS))
		check_claimed(region);
	/* just made, by whoever's word; what is made locked is another host's as yet, and may stay that */
	if (!region->mirrored && !region->unlinked &&
	    !(region->info.flags & (REGIONFS_REGION_MOVED | REGIONFS_REGION_LOCKED)) && !state_find(region->regiond->state, region->info.id))
		moved_forget(region->regiond->config, region->info.path);
	if (netlink_has(attrs, SIZE))
		news |= region_size_heard(region, attrs->size, attrs->asked_ns);
	if (news || !region->mirrored)
		region_mirror(region);
	if (netlink_has(attrs, WRITERS))
		region->writers = attrs->writers;
	region_tell_writable(region);
	region_put(region);
	return region;
}

/* What has neither a name nor bytes is nothing to keep. */
void region_mirror(struct region *region)
{
	if ((!region->info.path && !region->info.source) || atomic_load(&region->forgotten))
		return;
	region->mirrored = true;
	state_put(region->regiond->state, &region->info, region->unlinked);
}

void region_unlinked(struct region *region)
{
	region->unlinked = true;
	/* nothing else knows of it from here on */
	if (region->info.flags & REGIONFS_REGION_MOVED && moved_note(region->regiond->config, region->info.path))
		log_error("that region %s has moved could not be written down: should it be declared, the next regiond makes it again", region->info.path);
	free(region->info.path);
	region->info.path = NULL;
	if (region->info.source)
		region_mirror(region);
	else if (region->mirrored)
		state_forget(region->regiond->state, region->info.id);
}

void region_forget(struct region *region)
{
	struct regions *regions = region->regiond->regions;

	if (atomic_exchange(&region->forgotten, true))
		return;
	if (region->mirrored || state_find(region->regiond->state, region->info.id))
		state_forget(region->regiond->state, region->info.id);
	pthread_rwlock_wrlock(&regions->lock);
	list_del(&region->hash);
	regions->nr_regions--;
	pthread_rwlock_unlock(&regions->lock);
	region_put(region);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: what an earlier helper has left, or the host's earlier life. The record and the map tell whether the region is owned here. If so there is no
 * way but forward, from wherever that one died: the kernel is told again, as long as it has the region locked; the leech backend is
 * opened, though nobody may ask for it, since it tells the other side and fetches the rest; and when all is here the local
 * store becomes the source. If not, pulling goes on where it was, as soon as the other side is there.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "dirs.h"
#include "hash-file.h"
#include "leecher-private.h"
#include "log.h"
#include "notice.h"
#include "regiond.h"

#define AGAIN_MS 1000u

/* What the map knows is newer than the record, but for the decision. */
static void look_at_map(const struct regiond *regiond, const char *token, struct leech_record_head *head)
{
	struct chunkmap *map;
	char path[4096];

	leech_map_path(path, sizeof(path), regiond->config->run_dir, token);
	if (chunkmap_open(&map, path, regiond->instance_id))
		return;
	if (chunkmap_state(map) != CHUNKMAP_PULLING && head->state != LEECH_RECORD_DIVERGED) {
		if (head->state != LEECH_RECORD_LOST)
			head->state = chunkmap_state(map) == CHUNKMAP_OWNED ? LEECH_RECORD_OWNED : LEECH_RECORD_COMPLETE;
		head->owner = *chunkmap_owner(map);
		head->size = chunkmap_size(map);
	}
	chunkmap_close(map);
}

int leecher_left(const struct regiond *regiond, const char *source, struct leech_record_head *head)
{
	char path[4096];
	struct uri uri;
	int ret;

	if (!source || strncmp(source, "leech:", 6))
		return -ENOENT;
	ret = uri_parse(&uri, source, NULL, 0);
	if (ret)
		return ret;
	memset(head, 0, sizeof(*head));
	head->state = LEECH_RECORD_PULLING;
	if (regiond->config->state_dir) {
		leech_record_path(path, sizeof(path), regiond->config->state_dir, uri.path);
		ret = leech_record_peek(path, head);
		/* whatever it says: nobody is let in before it can be read */
		if (ret && ret != -ENOENT && ret != -ENODATA)
			log_error("%s cannot be read: %s", path, strerror(-ret));
	}
	look_at_map(regiond, uri.path, head);
	uri_free(&uri);
	return 0;
}

/* The hashes are of what the host before has: nothing is to be taken for right by them. */
int leecher_lose_left(const struct regiond *regiond, const char *source)
{
	const char *state_dir = regiond->config->state_dir;
	char path[4096];
	struct uri uri;
	int ret = uri_parse(&uri, source, NULL, 0);

	if (ret)
		return ret;
	hash_file_path(path, sizeof(path), state_dir ? state_dir : regiond->config->run_dir, uri.path);
	ret = unlink(path) && errno != ENOENT ? -errno : dirs_sync_parent(path);
	if (!ret && state_dir) {
		leech_record_path(path, sizeof(path), state_dir, uri.path);
		ret = leech_record_lose(path);
	}
	uri_free(&uri);
	return ret;
}

/* ---- the backend ---- */

static void again_later(struct loop_timer *timer)
{
	leecher_open_again(container_of(timer, struct leecher, limit));
}

/* The other side may be away: its bytes are waited for as long as it takes. */
static void opened_again(struct region *region, int error, void *arg)
{
	struct leecher *leecher = arg;

	if (handover_in(region, HANDOVER_LEECHER) != &leecher->handover || leecher->leech)
		return;
	leecher->leech = error ? NULL : leech_of(region->backend);
	if (leecher->leech) {
		leecher_opened_again(leecher);
		return;
	}
	snprintf(leecher->why, sizeof(leecher->why), "%s", *region->why ? region->why : "its source was changed");
	/* somebody else is being given it */
	if (error == -EBUSY && leecher->was_follower && leecher->state == LEECHER_CONNECTING) {
		leecher_fail(leecher, error, *region->why ? region->why : strerror(-error));
		return;
	}
	leecher->limit.fire = again_later;
	loop_timer_set(leecher->regiond->loop, &leecher->limit, AGAIN_MS);
}

void leecher_open_again(struct leecher *leecher)
{
	struct region *region = leecher->handover.region;

	if (leecher->regiond->stopping)
		return;
	if (!atomic_load(&region->forgotten)) {
		region_open(region, opened_again, leecher);
		return;
	}
	leecher->giving_up = true;
	leecher->error = -ECANCELED;
	if (!leecher->stepping)
		leecher_stepped(leecher);
}

/* ---- at start ---- */

static void resume(struct handover *handover)
{
	struct leecher *leecher = leecher_of(handover);

	if (leecher_group_stops(leecher, false))
		return;
	if (leecher->resumed)
		leecher_stepped(leecher);
	else
		leecher_resume(leecher);
}

/* The others are unlocked meanwhile. */
static void is_unlocked(struct handover *handover)
{
	group_meet(handover, resume);
}

void leecher_go_on(struct leecher *leecher)
{
	const struct region_info *info = &leecher->handover.region->info;
	const uint32_t flags = info->flags;
	/* programs were let in here long ago; whether they are now is the seeder's business */
	bool passed_on = info->seed;

	/* Which ranges are to be dropped went with that helper; a locked region has no pages that matter. */
	if (passed_on && leecher->handover.group)
		group_meet(&leecher->handover, is_unlocked);
	else if (passed_on)
		return;
	else if (leecher->state == LEECHER_OWNED && flags & REGIONFS_REGION_LOCKED && !leecher_add_range(leecher, 0, INT64_MAX))
		leecher_tell_kernel(leecher);
	else if (leecher->state == LEECHER_OWNED && (!leecher->resumed || leecher->handover.group))
		group_meet(&leecher->handover, is_unlocked);
	else if (leecher->handover.group && leecher->state == LEECHER_DIVERGED && flags & REGIONFS_REGION_LOCKED && info->epoch < leecher->final.epoch)
		leecher_tell_kernel(leecher);	/* it is not let in by that, but may be by its operator */
	else if (leecher->stepping)
		leecher_stepped(leecher);
	else if (leecher->state == LEECHER_DIVERGED && !(flags & (REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED)))
		leecher_diverge_again(leecher);
}

static void go_on(struct region *region, const struct uri *uri, const struct leech_record_head *head)
{
	struct leecher *leecher = leecher_again(region, uri, head);

	if (!leecher) {
		log_error("%s is on its way here, but does not go on: out of memory", region->info.path);
		return;
	}
	if (head->state == LEECH_RECORD_PULLING)
		log_info("%s is on its way here since an earlier helper, which goes on", leecher->path);
	else
		log_info("%s is owned here since an earlier helper; the rest of it is fetched", leecher->path);
	if (leecher->handover.group)
		return;		/* when the others are there, too */
	leecher_go_on(leecher);
	leecher_open_again(leecher);
}

struct leecher *leecher_adopt(struct region *region)
{
	struct leech_record_head head = { .state = LEECH_RECORD_PULLING };
	struct leecher *leecher = NULL;
	struct uri uri;

	if (uri_parse(&uri, region->info.source, NULL, 0))
		return NULL;
	leecher = leecher_again(region, &uri, &head);
	uri_free(&uri);
	if (leecher)
		leecher_open_again(leecher);
	return leecher;
}

/* What was given up, but is there still: its helper died between the record and the kernel. The other side hears of it once it is gone. */
static void removed(void *arg, int error, const char *why)
{
	struct region *region = arg;

	if (error)
		log_warning("%s was given up, and could not be removed: %s", region->info.path ? region->info.path : "a region", why);
	region_put(region);
}

static int restart(struct region *region, void *arg)
{
	struct leech_record_head head;
	struct uri uri;

	if (handover_in(region, HANDOVER_LEECHER) || leecher_left(region->regiond, region->info.source, &head) ||
	    uri_parse(&uri, region->info.source, NULL, 0))
		return 0;
	/* what is locked is unlinked by who gives it up alone: it is open still, and that is all */
	if (region->unlinked && head.state == LEECH_RECORD_PULLING) {
		uri_free(&uri);
		return 0;
	}
	if (head.state == LEECH_RECORD_REFUSED) {
		struct notice_words words = { .kind = NOTICE_REFUSED, .token = uri.path, .from = uri_option(&uri, "from") };

		notice_start(region->regiond, &words, NULL, NULL);
		handover_remove(region, removed, region_get(region));
	} else {
		go_on(region, &uri, &head);
	}
	uri_free(&uri);
	return 0;
}

static int restart_group(struct region *region, void *arg)
{
	struct handover *handover = handover_of(region);

	if (handover && handover->group && handover->role == HANDOVER_LEECHER)
		leecher_group_restart(leecher_of(handover));
	return 0;
}

void leecher_restart(struct regiond *regiond)
{
	region_each(regiond->regions, restart, NULL);
	region_each(regiond->regions, restart_group, NULL);
	notice_restart(regiond);
}

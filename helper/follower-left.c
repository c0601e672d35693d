// SPDX-License-Identifier: GPL-2.0
/*
 * follower: what an earlier helper has left, or the host's earlier life. What was shown is shown still; what was on its way to the local store is brought there
 * again before programs are let in. After a reboot nothing of that is known: the region is locked, and compared with what is there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "follower-private.h"
#include "log.h"
#include "probe.h"
#include "regiond.h"

bool follower_is(const struct region_info *info)
{
	json_t *args = info->handover ? json_loads(info->handover, 0, NULL) : NULL;
	const char *role = json_string_value(json_object_get(args, "role"));
	bool is = role && !strcmp(role, "follower") && !json_object_get(args, "promoted");

	json_decref(args);
	return is;
}

/* ---- nothing is whole: as at first ---- */

/* A store in memory went with the host. */
static void made(struct probe *probe, void *arg, int error, const char *why)
{
	struct follower *follower = arg;

	follower->stepping = false;
	if (error)
		follower_note_why(follower, why);
	probe_free(probe);
	if (follower_leaves(follower))
		follower_check_leave(follower);
	else
		follower_open(follower);
}

static void locked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;

	if (error)
		log_error("%s may show a mixture of states: it could not be locked: %s", follower->path, why);
	else
		follower->handover.region->info.flags |= REGIONFS_REGION_LOCKED;
	probe_start(follower->regiond, follower->local, 0, 0, made, follower);
}

static void begin_anew(struct follower *follower)
{
	struct region *region = follower->handover.region;
	struct handover_ask *ask = NULL;

	follower->compare = true;
	follower->stepping = true;
	if (!(region->info.flags & REGIONFS_REGION_LOCKED))
		ask = handover_ask_new(region, REGIONFS_CMD_LOCK, locked, follower);
	if (ask)
		handover_ask(ask, region);
	else
		locked(follower, 0, "", NULL);
}

/* ---- at start ---- */

static void go_on(struct follower *follower, const json_t *args)
{
	uint32_t phase = follower_head(&follower->record)->phase;

	follower->ever = json_is_true(json_object_get(args, "ever"));
	if (json_object_get(args, "promoted")) {
		follower_promoted_again(follower, args);
		return;
	}
	if (phase == FOLLOWER_PARTIAL) {
		begin_anew(follower);
		return;
	}
	follower->shown = true;
	follower->state = FOLLOWER_IDLE;
	/* maybe it was about to be promoted: what of a round had not come was taken for a leecher's, and with the round that is asked for again */
	if (phase == FOLLOWER_WHOLE && (follower->handover.region->info.flags & REGIONFS_REGION_LOCKED || chunkmap_missing(follower->map))) {
		chunkmap_set(follower->map, 0, UINT64_MAX, true);
		chunkmap_set_round(follower->map, UINT32_MAX);
	}
	follower->round = chunkmap_round(follower->map) == UINT32_MAX ? 0 : chunkmap_round(follower->map);
	if (phase == FOLLOWER_APPLYING)
		follower_apply_again(follower);
	else
		follower_open(follower);
}

static int restart(struct region *region, void *arg)
{
	json_t *args = region->info.handover && !region->handover ? json_loads(region->info.handover, 0, NULL) : NULL;
	const char *role = json_string_value(json_object_get(args, "role"));
	struct follower *follower;
	int error = -ENOMEM;

	if (!role || strcmp(role, "follower") || region->unlinked) {
		json_decref(args);
		return 0;
	}
	follower = follower_new(region->regiond, strdup(region->info.handover));
	if (follower)
		error = follower_take_region(follower, region);
	if (error) {
		log_error("%s does not follow its source any more: %s", region->info.path, strerror(-error));
		if (follower)
			follower_free(follower);
	} else {
		log_info("%s follows %s", follower->path, follower->from);
		go_on(follower, args);
	}
	json_decref(args);
	return 0;
}

void follower_resume(struct region *region)
{
	restart(region, NULL);
}

void follower_restart(struct regiond *regiond)
{
	region_each(regiond->regions, restart, NULL);
}

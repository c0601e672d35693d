// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: what of a hand-over outlives the helper. The region's record in the state directory has seed=freezing from before the suspend
 * hook on, and seed=NONCE,CLIENT in hex from before the answer to FINALIZE on, until the region is back in service or COMPLETE;
 * and resume=, the hook that lets the program go on.
 *
 * So the next helper knows whether the other side can have heard of it. If not, the program goes on here. If so, nobody
 * here may decide anything: "seed" takes the hand-over up where it was, "abort" with force ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-private.h"

#define FREEZING "freezing"
#define KEY 16u			/* bytes of a nonce, and of a client */

/* ---- the record ---- */

static void note(struct seeder *seeder, const char *text, void (*done)(struct state_waiter *waiter, int error))
{
	struct region *region = seeder->handover.region;
	char *seed = strdup(text), *resume = seeder->resume ? strdup(seeder->resume) : NULL;

	seeder->written.done = done;
	if (!seed || (seeder->resume && !resume)) {
		free(seed);
		free(resume);
		done(&seeder->written, -ENOMEM);
		return;
	}
	free(region->info.seed);
	free(region->info.resume);
	region->info.seed = seed;
	region->info.resume = resume;
	region_mirror(region);
	state_sync(region->regiond->state, &seeder->written);
}

void seeder_note_freezing(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	note(seeder, FREEZING, done);
}

static void put_hex(char *to, const uint8_t *key)
{
	for (unsigned int i = 0; i < KEY; i++)
		sprintf(to + 2 * i, "%02x", key[i]);
}

void seeder_note_handed(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	char text[4 * KEY + 2];

	put_hex(text, seeder->nonce);
	text[2 * KEY] = ',';
	put_hex(text + 2 * KEY + 1, seeder->client);
	note(seeder, text, done);
}

void seeder_note_moved(struct seeder *seeder)
{
	struct region *region = seeder->handover.region;

	region->info.flags |= REGIONFS_REGION_MOVED;
	region->info.epoch = seeder->epoch;
	region_mirror(region);
}

void seeder_note_over(struct region *region)
{
	if (!region->info.seed)
		return;
	free(region->info.seed);
	free(region->info.resume);
	region->info.seed = region->info.resume = NULL;
	region_mirror(region);
}

bool seeder_is_left(const struct region_info *info)
{
	return info->seed && strcmp(info->seed, FREEZING);
}

/* ---- "seed" again ---- */

static bool take_hex(const char *text, uint8_t *key)
{
	for (unsigned int i = 0; i < KEY; i++)
		if (sscanf(text + 2 * i, "%2hhx", &key[i]) != 1)
			return false;
	return true;
}

void seeder_take_up(struct seeder *seeder)
{
	struct region *region = seeder->handover.region;
	const struct region_info *info = &region->info;
	bool moved = info->flags & REGIONFS_REGION_MOVED;

	/* who has thawed it by hand has decided */
	if (!moved && !(info->flags & REGIONFS_REGION_FROZEN))
		seeder_note_over(region);
	if (!seeder_is_left(info))
		return;
	if (strlen(info->seed) != 4 * KEY + 1 || !take_hex(info->seed, seeder->nonce) ||
	    !take_hex(info->seed + 2 * KEY + 1, seeder->client))
		memset(seeder->nonce, 0, sizeof(seeder->nonce));
	seeder->state = moved ? WIRE_SEED_MOVED : WIRE_SEED_HANDED_OFF;
	seeder->epoch = moved ? info->epoch : info->epoch + 1;
	seeder->size = info->size;
	seeder->frozen = seeder->suspended = seeder->taken_up = true;
	if (!seeder->resume && info->resume)
		seeder->resume = strdup(info->resume);
	snprintf(seeder->peer, sizeof(seeder->peer), "another host");
}

/* ---- back to service, without a seeder ---- */

struct left {
	struct hook hook;
	struct region *region;
	struct control_call *call;	/* "abort", or NULL */
};

static void left_resumed(struct hook *hook, int error, const char *why)
{
	struct left *left = container_of(hook, struct left, hook);
	struct region *region = left->region;

	if (error)
		log_warning("%s: %s", region->info.path ? region->info.path : "?", why);
	seeder_note_over(region);
	if (left->call)
		control_ok(left->call, NULL);
	region_put(region);
	free(left);
}

static void left_thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct left *left = arg;
	struct region *region = left->region;

	if (error)
		log_warning("%s stays frozen: %s", region->info.path ? region->info.path : "?", why);
	hook_run(&left->hook, region, region->info.flags & REGIONFS_REGION_MOVED ? NULL : region->info.resume, "resume",
		 left_resumed);
}

static int left_back(struct region *region, struct control_call *call)
{
	struct left *left = calloc(1, sizeof(*left));
	struct handover_ask *ask = left ? handover_ask_new(region, REGIONFS_CMD_THAW, left_thawed, left) : NULL;

	if (!ask) {
		free(left);
		return -ENOMEM;
	}
	left->region = region_get(region);
	left->call = call;
	handover_ask(ask, region);
	return 0;
}

void seeder_abort_left(struct control_call *call, struct region *region)
{
	bool force = false;

	if (control_bool(call, "force", &force))
		return;
	if (!force)
		control_fail(call, -EBUSY, "%s was handed to another host, which may own it by now: seed it again, so that it can "
			     "say so; if it is sure that the other side does not have it, and never will, abort it with --force",
			     region->info.path);
	else if (left_back(region, call))
		control_fail(call, -ENOMEM, "out of memory");
}

static int restart(struct region *region, void *arg)
{
	if (seeder_is_left(&region->info)) {
		log_warning("%s was handed to another host when an earlier helper ended: seed it again, to go on with that",
			    region->info.path ? region->info.path : "?");
	} else if (region->info.seed) {
		log_info("%s was being frozen when an earlier helper ended: its program goes on", region->info.path);
		if (left_back(region, NULL))
			log_error("%s stays frozen: out of memory", region->info.path);
	}
	return 0;
}

void seeder_restart(struct regiond *regiond)
{
	region_each(regiond->regions, restart, NULL);
}

/* ---- an orderly stop ---- */

static int leave(struct region *region, void *arg)
{
	struct handover *handover = handover_of(region);
	struct seeder *seeder;

	if (!handover || handover->role != HANDOVER_SEEDER)
		return 0;
	seeder = container_of(handover, struct seeder, handover);
	if (seeder->state != WIRE_SEED_FROZEN)
		return 0;
	if (!seeder->give_up)
		seeder_back(seeder, "regiond is stopping");
	*(bool *)arg = true;
	return 0;
}

bool seeder_leave(struct regiond *regiond)
{
	bool any = false;

	region_each(regiond->regions, leave, &any);
	return any;
}

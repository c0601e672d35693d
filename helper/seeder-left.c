// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: what of a hand-over outlives the helper, and the host. The region's record in the state directory has the command as handover=; seed=freezing
 * from before the program is stopped on; seed=NONCE,CLIENT,EPOCH,LINEAGE from before the answer to FINALIZE on; with moved: before it from before
 * OWNED is answered on; neither once the region is back in service. And resume=, what stops the program and lets it go on, as suspend.h has it.
 *
 * So the next helper knows whether the other side can have heard of it. If not, the program goes on here. If so, nobody
 * here may decide anything: the hand-over is taken up where it was. In each case the command is begun again, so that the other side finds
 * us where we were. What has been tracked is in files of its own (tracker.h); after a reboot all counts as changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key16.h"
#include "leecher.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-private.h"

#define PROMISE_MAX (16 + 4 * KEY16 + 2 + 2 * 21)

/* ---- the record ---- */

/* What of this region is given with it. */
static uint32_t given_by(const struct seeder *seeder)
{
	return (seeder->adopted ? REGION_GIVEN_SOURCE : 0) | (region_is_behind_in_memory(seeder->handover.region) ? REGION_GIVEN_MEMORY : 0);
}

static void note(struct seeder *seeder, const char *text, void (*done)(struct state_waiter *waiter, int error))
{
	struct region *region = seeder->handover.region;
	char *seed = strdup(text), *resume = NULL;

	seeder->written.done = done;
	if (!seed || suspend_text(&seeder->suspend, &resume)) {
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
	region_tell_handed(region);
	state_sync(region->regiond->state, &seeder->written);
}

void seeder_note_freezing(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	note(seeder, SEEDER_FREEZING, done);
}

void seeder_note_promise(struct seeder *seeder, const char *what, void (*done)(struct state_waiter *waiter, int error))
{
	char text[PROMISE_MAX];
	int n = snprintf(text, sizeof(text), "%s", what);

	key16_text(text + n, seeder->nonce);
	text[n + 2 * KEY16] = ',';
	key16_text(text + n + 2 * KEY16 + 1, seeder->client);
	n += 4 * KEY16 + 1;
	snprintf(text + n, sizeof(text) - (size_t)n, ",%" PRIu64 ",%" PRIu64, seeder->epoch, seeder->lineage);
	note(seeder, text, done);
}

void seeder_note_handed(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	seeder->handover.region->info.given = given_by(seeder);
	seeder_note_promise(seeder, "", done);
}

void seeder_note_moved(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	seeder_note_promise(seeder, SEEDER_MOVED, done);
}

void seeder_note_service(struct region *region)
{
	if (!region->info.seed)
		return;
	free(region->info.seed);
	free(region->info.resume);
	region->info.seed = region->info.resume = NULL;
	/* who has it keeps what was given */
	if (!(region->info.flags & REGIONFS_REGION_MOVED))
		region->info.given = 0;
	region_mirror(region);
	region_tell_handed(region);
}

void seeder_note_over(struct region *region)
{
	if (control_again_is(region->info.handover, "seeder"))
		region_set_handover(region, NULL);
	seeder_note_service(region);
}

void seeder_note_undone(struct region *region)
{
	char *seed = strdup(SEEDER_FREEZING);

	if (!seed)
		return;
	free(region->info.seed);
	region->info.seed = seed;
	region_mirror(region);
	region_tell_handed(region);
}

bool seeder_is_handed(const struct region_info *info)
{
	return info->seed && strcmp(info->seed, SEEDER_FREEZING);
}

static bool says(const struct region_info *info, const char *what)
{
	return info->seed && !strncmp(info->seed, what, strlen(what));
}

bool seeder_says_moved(const struct region_info *info)
{
	return info->flags & REGIONFS_REGION_MOVED || says(info, SEEDER_MOVED);
}

/* One that is being let in is seeded again before anything else is done. */
bool seeder_is_pending(const struct region *region)
{
	if (handover_in(region, HANDOVER_SEEDER))
		return false;
	return region->undoing || seeder_is_left(&region->info) || seeder_is_resolved(&region->info) ||
	       (!region->info.seed && control_again_is(region->info.handover, "seeder"));
}

/* ---- "seed" again ---- */

static bool take_promise(struct seeder *seeder, const char *text)
{
	return strlen(text) > 4 * KEY16 + 1 && key16_take(text, seeder->nonce) && key16_take(text + 2 * KEY16 + 1, seeder->client) &&
	       sscanf(text + 4 * KEY16 + 1, ",%" SCNu64 ",%" SCNu64, &seeder->epoch, &seeder->lineage) == 2;
}

/* The final list; the host may have been booted since, and then it is everything. */
int seeder_take_list(struct seeder *seeder)
{
	uint64_t size = seeder->size;
	int ret;

	if (tracker_is_for(seeder->tracker, seeder->client))
		return 0;
	ret = tracker_start(seeder->tracker, WIRE_SEED_CHUNK, size, seeder->client);
	if (ret)
		return ret;
	tracker_note_all(seeder->tracker, size);
	seeder->final_dirty = tracker_close_round(seeder->tracker);
	seeder->chunk = WIRE_SEED_CHUNK;
	seeder->round = tracker_round(seeder->tracker);
	return 0;
}

static void take_tracking(struct seeder *seeder)
{
	if (!tracker_active(seeder->tracker))
		return;
	seeder->state = WIRE_SEED_TRACKING;
	seeder->began = loop_now_ns();		/* of what is dirty it knows since then how fast it grows */
	seeder->chunk = tracker_chunk(seeder->tracker);
	seeder->round = tracker_round(seeder->tracker);
	seeder->final_dirty = tracker_closed(seeder->tracker);
	snprintf(seeder->peer, sizeof(seeder->peer), "another host");
}

/* After a reboot the kernel does not know it any more, or its helper died before it was written down. */
static void moved_again(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	seeder->stepping = false;
	if (error)
		log_warning("%s has moved, which could not be written down", seeder_name(seeder));
}

static void told_moved(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	/* it stays locked, or frozen */
	if (error)
		log_warning("%s has moved, which the kernel did not take: %s", seeder_name(seeder), why);
	else
		seeder->handover.region->info.flags |= REGIONFS_REGION_MOVED;
	seeder_note_moved(seeder, moved_again);
}

static void tell_moved(struct seeder *seeder)
{
	struct region *region = seeder->handover.region;
	struct handover_ask *ask = NULL;

	seeder->stepping = true;
	if (!(region->info.flags & REGIONFS_REGION_MOVED))
		ask = handover_ask_new(region, REGIONFS_CMD_MOVED, told_moved, seeder);
	if (!ask) {
		seeder_note_moved(seeder, moved_again);
		return;
	}
	netlink_set(&ask->call.attrs, EPOCH, epoch, seeder->epoch);
	handover_ask(ask, region);
}

static void take_state(struct seeder *seeder, const struct region_info *info)
{
	if (says(info, SEEDER_RESOLVED))
		seeder->state = WIRE_SEED_RESOLVED;
	else if (says(info, SEEDER_DIVERGED))
		seeder->state = WIRE_SEED_DIVERGED;
	else if (seeder_says_moved(info))
		seeder->state = WIRE_SEED_MOVED;
	else
		seeder->state = WIRE_SEED_HANDED_OFF;
	if (seeder->state == WIRE_SEED_MOVED)
		seeder_group_moved(seeder);
}

static void go_on(struct seeder *seeder)
{
	if (seeder->state == WIRE_SEED_MOVED)
		tell_moved(seeder);
	else if (seeder->state == WIRE_SEED_RESOLVED)
		seeder_resolve_again(seeder);
	else if (seeder->state == WIRE_SEED_DIVERGED)
		seeder_diverge_again(seeder);
}

/* Who has thawed it by hand has decided, where that was the user's to decide. */
static void forget_thawed(struct region *region)
{
	const struct region_info *info = &region->info;
	const uint32_t kept_out = REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED | REGIONFS_REGION_MOVED;

	if (seeder_is_left(info) && !strchr(info->seed, ':') && !(info->flags & kept_out))
		seeder_note_service(region);
}

void seeder_take_up(struct seeder *seeder)
{
	const struct region_info *info = &seeder->handover.region->info;
	const char *promise;

	/* of a group one alone is not decided about */
	if (!seeder->handover.group)
		forget_thawed(seeder->handover.region);
	if (!info->seed || !strcmp(info->seed, SEEDER_FREEZING)) {
		take_tracking(seeder);
		return;
	}
	promise = strchr(info->seed, ':');
	if (!take_promise(seeder, promise ? promise + 1 : info->seed))
		memset(seeder->nonce, 0, sizeof(seeder->nonce));
	take_tracking(seeder);
	take_state(seeder, info);
	seeder->size = info->size;
	seeder->frozen = true;
	/* else FINALIZE tries again */
	if (!says(info, SEEDER_RESOLVED) && !says(info, SEEDER_DIVERGED) && seeder_take_list(seeder))
		log_warning("%s: out of memory for the list of what is to be handed over", seeder_name(seeder));
	suspend_recall(&seeder->suspend, info->resume);
	snprintf(seeder->peer, sizeof(seeder->peer), "another host");
	go_on(seeder);
}

/* ---- letting programs in ---- */

struct let_in {
	struct region *region;
	void (*then)(void *arg, int error, const char *why, const struct netlink_attrs *got);
	void *arg;
	struct loop_task task;
};

static void let_in_end(struct let_in *let_in, int error, const char *why)
{
	let_in->then(let_in->arg, error, why, NULL);
	region_put(let_in->region);
	free(let_in);
}

/* Its event comes later, and until then whoever looks at the flags would take it for frozen. */
static void unlocked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct let_in *let_in = arg;

	if (!error)
		let_in->region->info.flags &= ~REGIONFS_REGION_LOCKED;
	let_in_end(let_in, error, why);
}

static void unlock(struct let_in *let_in, int error, const char *why)
{
	struct handover_ask *ask = NULL;

	if (let_in->region->info.flags & REGIONFS_REGION_LOCKED)
		ask = handover_ask_new(let_in->region, REGIONFS_CMD_UNLOCK, unlocked, let_in);
	if (ask)
		handover_ask(ask, let_in->region);
	else
		let_in_end(let_in, error, why);
}

static void thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct let_in *let_in = arg;

	if (!error)
		let_in->region->info.flags &= ~REGIONFS_REGION_FROZEN;
	unlock(let_in, error, why);
}

void seeder_let_in(struct region *region, void (*then)(void *arg, int error, const char *why, const struct netlink_attrs *got),
		   void *arg)
{
	struct let_in *let_in = calloc(1, sizeof(*let_in));
	struct handover_ask *ask = let_in ? handover_ask_new(region, REGIONFS_CMD_THAW, thawed, let_in) : NULL;

	if (!ask) {
		free(let_in);
		then(arg, -ENOMEM, "out of memory", NULL);
		return;
	}
	let_in->region = region_get(region);
	let_in->then = then;
	let_in->arg = arg;
	handover_ask(ask, region);
}

/* ---- the command again ---- */

#define AGAIN_MS 1000u

struct again {
	struct region *region;
	struct loop_timer timer;
};

static void try_again(struct loop_timer *timer)
{
	struct again *again = container_of(timer, struct again, timer);
	struct region *region = again->region;
	struct regiond *regiond = region->regiond;
	struct control_call *call = NULL;

	if (regiond->stopping)
		return;
	if (region->state == REGION_OPENING) {
		loop_timer_set(regiond->loop, timer, AGAIN_MS);
		return;
	}
	if (!handover_in(region, HANDOVER_SEEDER) && !atomic_load(&region->forgotten) && control_again_is(region->info.handover, "seeder"))
		call = control_again(regiond, region->info.handover, region);
	if (!call) {
		region_put(region);
		free(again);
		return;
	}
	json_object_set_new(call->args, "detach", json_true());
	seeder_run(call);
	/* the address may be taken for a moment, or the source away; the other side waits for us */
	loop_timer_set(regiond->loop, timer, AGAIN_MS);
}

static void begin_again(struct region *region)
{
	struct again *again;

	if (!control_again_is(region->info.handover, "seeder"))
		return;
	again = calloc(1, sizeof(*again));
	if (!again) {
		log_error("%s is not seeded again: out of memory", region->info.path ? region->info.path : "?");
		return;
	}
	again->region = region_get(region);
	again->timer.fire = try_again;
	try_again(&again->timer);
}

void seeder_drop_tracking(struct region *region)
{
	if (atomic_load(&region->tracker))
		tracker_stop(atomic_load(&region->tracker));
	followed_drop_all(region);
}

/* ---- back to service, without a seeder ---- */

struct left {
	struct suspend suspend;
	struct state_waiter noted;
	struct region *region;
	struct control_call *call;	/* "abort", or NULL */
	char *seed;			/* as it was noted before */
};

static void left_free(struct left *left)
{
	left->region->undoing = false;
	region_put(left->region);
	suspend_free(&left->suspend);
	free(left->seed);
	free(left);
}

static void left_told(void *arg)
{
	struct left *left = arg;
	struct region *region = left->region;

	region->undoing = false;
	seeder_note_service(region);
	if (left->call) {
		/* unless a seeder has come meanwhile, whose it is */
		if (!handover_in(region, HANDOVER_SEEDER))
			seeder_drop_tracking(region);
		seeder_note_over(region);
		control_ok(left->call, NULL);
	} else {
		begin_again(region);
	}
	left_free(left);
}

static void left_resumed(struct suspend *suspend, int error, const char *why)
{
	struct left *left = container_of(suspend, struct left, suspend);
	struct region *region = left->region;

	if (error)
		log_warning("%s: %s", region->info.path ? region->info.path : "?", why);
	suspend_abort(suspend, region, left->call ? "aborted by the user" : "regiond has ended while it was being frozen", left_told,
		      left);
}

static void left_thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct left *left = arg;
	struct region *region = left->region;

	if (error)
		log_warning("%s stays frozen: %s", region->info.path ? region->info.path : "?", why);
	if (!(region->info.flags & REGIONFS_REGION_MOVED))
		suspend_recall(&left->suspend, region->info.resume);
	suspend_start(&left->suspend, region, left_resumed);
}

/* Nobody was let in: it is as it was, for whoever asks next; the disk may have either. */
static void left_unnoted(struct left *left)
{
	struct region *region = left->region;

	free(region->info.seed);
	region->info.seed = left->seed;
	left->seed = NULL;
	region_mirror(region);
	region_tell_handed(region);
	control_fail(left->call, -EIO, "the state directory could not be written: %s stays as it was", region->info.path);
	left_free(left);
}

static void left_noted(struct state_waiter *waiter, int error)
{
	struct left *left = container_of(waiter, struct left, noted);

	if (error && left->call)
		left_unnoted(left);
	else
		seeder_let_in(left->region, left_thawed, left);
}

/*
 * Whoever comes after us goes on with this, and never answers FINALIZE for a region that is in service; and what is managed takes changes again
 * before a program can make any.
 */
static int left_back(struct region *region, struct control_call *call)
{
	struct left *left = calloc(1, sizeof(*left));

	if (!left)
		return -ENOMEM;
	left->region = region_get(region);
	left->call = call;
	left->seed = region->info.seed ? strdup(region->info.seed) : NULL;
	if (left->seed)
		seeder_note_undone(region);
	if (!left->seed || strcmp(region->info.seed, SEEDER_FREEZING)) {
		left_free(left);
		return -ENOMEM;
	}
	region->undoing = true;
	left->noted.done = left_noted;
	state_sync(region->regiond->state, &left->noted);
	return 0;
}

static bool seeder_is_grouped(const struct region *region)
{
	json_t *args = region->info.handover ? json_loads(region->info.handover, 0, NULL) : NULL;
	bool grouped = group_of_args(args);

	json_decref(args);
	return grouped;
}

void seeder_tell_aborted(struct region *region)
{
	struct suspend suspend = { 0 };

	suspend_recall(&suspend, region->info.handover);
	suspend_abort(&suspend, region, "aborted by the user", NULL, NULL);
	suspend_free(&suspend);
}

/* In service: its program was not stopped. */
static void abort_tracked(struct control_call *call, struct region *region)
{
	seeder_tell_aborted(region);
	seeder_drop_tracking(region);
	seeder_note_over(region);
	control_ok(call, NULL);
}

void seeder_fail_handed(struct control_call *call, const struct region *region)
{
	if (seeder_says_moved(&region->info))
		control_fail(call, -EBUSY, "%s has moved: it is no longer this host's; if it is sure that the other host does not need the rest of its "
			     "bytes, --force gives them up: nobody is let in here", region->info.path);
	else
		control_fail(call, -EBUSY, "%s was handed to another host, which may own it by now: seed it again, so that it can "
			     "say so; if it is sure that the other side does not have it, and never will, abort it with --force",
			     region->info.path);
}

static void given_up(void *arg, int error, const char *why)
{
	struct control_call *call = arg;

	call->region->undoing = false;
	if (error)
		control_fail(call, error, "%s", why);
	else
		control_ok(call, NULL);
}

/* The host before it has been told that nothing more is needed. */
static void let_go(void *arg, int error)
{
	struct control_call *call = arg;
	struct region *region = call->region;

	if (!error) {
		seeder_give_up_moved(&region, 1, given_up, call);
		return;
	}
	region->undoing = false;
	control_fail(call, -EBUSY, "%s is changing its state just now", region->info.path);
}

static void give_up_moved(struct control_call *call, struct region *region)
{
	region->undoing = true;
	leecher_let_go(region, let_go, call);
}

void seeder_fail_resolved(struct control_call *call, const struct region *region)
{
	control_fail(call, -EBUSY, "%s was resolved: when it is seeded again, 'regionctl resolve' with --keep or --discard ends that", region->info.path);
}

void seeder_abort_left(struct control_call *call, struct region *region)
{
	bool force = false;

	if (control_bool(call, "force", &force))
		return;
	if (region->undoing)
		control_fail(call, -EBUSY, "%s is changing its state just now: say it again", region->info.path);
	else if (seeder_is_grouped(region))
		seeder_group_abort_left(call, region, force);
	else if (seeder_is_resolved(&region->info))
		seeder_fail_resolved(call, region);
	else if (!seeder_is_left(&region->info))
		abort_tracked(call, region);
	else if (!force)
		seeder_fail_handed(call, region);
	else if (seeder_says_moved(&region->info))
		give_up_moved(call, region);
	else if (left_back(region, call))
		control_fail(call, -ENOMEM, "out of memory");
}

static int restart(struct region *region, void *arg)
{
	if (seeder_is_grouped(region))
		return 0;	/* seeder_group_restart() */
	if (seeder_is_left(&region->info) && !control_again_is(region->info.handover, "seeder")) {
		log_warning("%s was handed to another host when an earlier helper ended: seed it again, to go on with that",
			    region->info.path ? region->info.path : "?");
	} else if (!region->info.seed || strcmp(region->info.seed, SEEDER_FREEZING)) {
		begin_again(region);
	} else {
		log_info("%s was being frozen when an earlier helper ended: its program goes on", region->info.path);
		if (left_back(region, NULL))
			log_error("%s stays frozen: out of memory", region->info.path);
	}
	return 0;
}

void seeder_restart(struct regiond *regiond)
{
	region_each(regiond->regions, restart, NULL);
	seeder_group_restart(regiond);
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

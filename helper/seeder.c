// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: the machine. Each step is a hook or a netlink call, one at a time; what is asked for meanwhile (the
 * leecher or the user gives up) is looked at when it has ended.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "config.h"
#include "group.h"
#include "leecher.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-private.h"

static struct region *region_of(struct seeder *seeder)
{
	return seeder->handover.region;
}

static void note_why(struct seeder *seeder, const char *why)
{
	snprintf(seeder->why, sizeof(seeder->why), "%s", why);
	log_warning("seeding %s: %s", seeder_name(seeder), why);
}

/* ---- writes after the freeze: what the kernel could not see coming, and the final list does not name ---- */

static void late_event(struct events_watch *watch, const struct netlink_attrs *attrs)
{
	struct seeder *seeder = container_of(watch, struct seeder, late);
	const struct regiond *regiond = region_of(seeder)->regiond;

	if (attrs && (attrs->event != REGIONFS_EVENT_LATE_DIRTY || attrs->region != region_of(seeder)->info.id ||
		      (netlink_has(attrs, INSTANCE) && strcmp(attrs->instance, regiond->config->name))))
		return;
	note_why(seeder, attrs ? "it was written to after the freeze" : "whether it was written to after the freeze is unknown");
	seeder->give_up = true;
}

static void watch_late(struct seeder *seeder, bool on)
{
	if (on == seeder->watching)
		return;
	seeder->watching = on;
	seeder->late.event = late_event;
	if (on)
		events_watch(&seeder->late);
	else
		events_unwatch(&seeder->late);
}

/* ---- back to service ---- */

/* Those who wait for it hear, once the state is what they will find. */
static void answer_both(struct seeder *seeder, int error)
{
	struct serve_req *giving_back = seeder->giving_back, *finalizing = seeder->finalizing;

	seeder->giving_back = seeder->finalizing = NULL;
	if (giving_back && error)
		serve_fail(giving_back, -EAGAIN, "%s", seeder->why);
	else if (giving_back)
		serve_reply(giving_back, 0, NULL, 0);
	if (finalizing)
		serve_fail(finalizing, -ECANCELED, "%s", seeder->why);
	seeder_fail_lasts(seeder);
}

/* Whatever dies from here on, it is in service. */
static void in_service(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);
	bool tracks = tracker_active(seeder->tracker) && !seeder->forget;

	seeder->stepping = seeder->give_up = seeder->forget = false;
	if (handover->group)
		handover->group->back = false;
	if (!tracks)
		tracker_stop(seeder->tracker);
	seeder->state = tracks ? WIRE_SEED_TRACKING : WIRE_SEED_SERVING;
	answer_both(seeder, seeder->unwritten);
	if (seeder_group_ends(seeder))
		seeder_end(seeder);
}

static void noted_service(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	seeder->unwritten = error;
	if (error)
		note_why(seeder, "the state directory could not be written");
	group_meet(&seeder->handover, in_service);
}

static void note_service(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);

	seeder_note_service(region_of(seeder));
	seeder->written.done = noted_service;
	state_sync(region_of(seeder)->regiond->state, &seeder->written);
}

static void told_abort(void *arg)
{
	struct seeder *seeder = arg;

	group_meet(&seeder->handover, note_service);
}

/* Why it was given up is still what the other side, and the abort hook, have to know. */
static void resumed(struct suspend *suspend, int error, const char *why)
{
	struct seeder *seeder = container_of(suspend, struct seeder, suspend);
	size_t len = strlen(seeder->why);

	if (error) {
		log_warning("seeding %s: the program does not go on: %s", seeder_name(seeder), why);
		snprintf(seeder->why + len, sizeof(seeder->why) - len, "%s%s", len ? "; " : "", why);
	}
	suspend_abort(suspend, region_of(seeder), seeder->why, told_abort, seeder);
}

/* What stops a group is the first member's. */
static void resume(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);

	suspend_start(&seeder->suspend, region_of(seeder), resumed);
}

static void thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	if (error)
		note_why(seeder, why);
	seeder->frozen = false;
	group_meet(&seeder->handover, resume);
}

static void thaw(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);

	if (seeder->frozen)
		seeder_let_in(region_of(seeder), thawed, seeder);
	else
		thawed(seeder, 0, "", NULL);
}

static void noted_back(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	if (error)
		log_warning("seeding %s: the state directory could not be written", seeder_name(seeder));
	group_meet(&seeder->handover, thaw);
}

/*
 * That it was handed over is noted, or about to be, but nobody has it, which is sure now: whoever comes after us shall go on with this, and
 * never answer FINALIZE for a region that is in service, nor leave its program stopped. Of a group that is noted for all before any is let go.
 */
static void go_back_now(struct seeder *seeder)
{
	watch_late(seeder, false);
	seeder_unthrottle(seeder);
	seeder->stepping = true;
	if (seeder_is_left(&region_of(seeder)->info)) {
		seeder->state = WIRE_SEED_FROZEN;
		seeder_note_freezing(seeder, noted_back);
	} else {
		group_meet(&seeder->handover, thaw);
	}
}

static void go_back(struct seeder *seeder)
{
	seeder_group_back(seeder, go_back_now);
}

void seeder_back(struct seeder *seeder, const char *why)
{
	note_why(seeder, why);
	if (!seeder->stepping) {
		go_back(seeder);
		return;
	}
	seeder->give_up = true;
	leecher_pass_cancel(region_of(seeder));
}

/* ---- FINALIZE: suspend, freeze, look, hand over ---- */

static bool step_failed(struct seeder *seeder, int error, const char *why)
{
	seeder->stepping = false;
	if (!error && !seeder->give_up && seeder->session)
		return false;
	if (error)
		note_why(seeder, why);
	go_back(seeder);
	return true;
}

/* From here on the other side decides. Nobody is answered unless all are. */
static void answer(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover), *failed = seeder_group_failed(seeder);
	struct serve_req *req = seeder->finalizing;

	if (failed) {
		go_back(failed);
		return;
	}
	watch_late(seeder, false);
	seeder->state = WIRE_SEED_HANDED_OFF;
	seeder->finalizing = NULL;
	seeder_reply_final(seeder, req);
	seeder_answer_lasts(seeder);
}

static void handed(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	if (!step_failed(seeder, error, "the state directory could not be written"))
		group_meet(&seeder->handover, answer);
}

/* The next helper must not undo it, so that is on the disk before the other side hears of it. */
static void hand_over(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);

	if (step_failed(seeder, 0, ""))
		return;
	seeder->final_dirty = tracker_close_round(seeder->tracker);
	seeder->round = tracker_round(seeder->tracker);
	if (getrandom(seeder->nonce, sizeof(seeder->nonce), 0) != sizeof(seeder->nonce)) {
		step_failed(seeder, -EIO, "no random numbers");
		return;
	}
	seeder->stepping = true;
	seeder_note_handed(seeder, handed);
}

static void looked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	/* Its event may still be on the way. */
	if (!error && got->stats[REGIONFS_STAT_DIRTY_BYTES]) {
		error = -EAGAIN;
		why = "it was written to after the freeze";
	}
	if (step_failed(seeder, error, why))
		return;
	seeder->size = got->size;
	seeder->epoch = got->epoch + 1;
	group_meet(&seeder->handover, hand_over);
}

/* The kernel's size is the one that counts: the registry's follows by events, a little later. */
static void look(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);
	struct handover_ask *ask;

	if (step_failed(seeder, 0, ""))
		return;
	ask = handover_ask_new(region_of(seeder), REGIONFS_CMD_REGION_GET, looked, seeder);
	if (!ask) {
		step_failed(seeder, -ENOMEM, "out of memory");
		return;
	}
	seeder->stepping = true;
	handover_ask(ask, region_of(seeder));
}

static void froze(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	seeder->froze = loop_now_ns();
	seeder_unthrottle(seeder);
	seeder->frozen = !error;
	watch_late(seeder, true);
	if (!step_failed(seeder, error, why))
		group_meet(&seeder->handover, look);
}

static void freeze(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);
	struct handover_ask *ask;

	if (step_failed(seeder, 0, ""))
		return;
	seeder->stopped = loop_now_ns();
	ask = handover_ask_new(region_of(seeder), REGIONFS_CMD_FREEZE, froze, seeder);
	if (!ask) {
		step_failed(seeder, -ENOMEM, "out of memory");
		return;
	}
	netlink_set(&ask->call.attrs, DEADLINE, deadline, SEEDER_FREEZE_MS);
	seeder->stepping = true;
	handover_ask(ask, region_of(seeder));
}

static void suspended(struct suspend *suspend, int error, const char *why)
{
	struct seeder *seeder = container_of(suspend, struct seeder, suspend);

	if (!step_failed(seeder, error, why))
		group_meet(&seeder->handover, freeze);
}

/* A group is stopped by what its first member has; the others wait for that. */
static void stop(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);

	if (step_failed(seeder, 0, ""))
		return;
	seeder->stepping = true;
	suspend_stop(&seeder->suspend, region_of(seeder), suspended);
}

/* If we die from here on, the next helper lets the program go on. */
static void noted(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	if (!step_failed(seeder, error, "the state directory could not be written"))
		group_meet(&seeder->handover, stop);
}

static void may_pass(void *arg, int error, const char *why)
{
	struct seeder *seeder = arg;

	if (step_failed(seeder, error, why))
		return;
	seeder_note_asked(seeder);
	seeder->stepping = true;
	seeder_note_freezing(seeder, noted);
}

void seeder_finalize(struct seeder *seeder)
{
	seeder->state = WIRE_SEED_FROZEN;
	seeder->stepping = true;
	seeder_follow_freeze(seeder);
	leecher_pass_on(region_of(seeder), may_pass, seeder);
}

/* ---- OWNED ---- */

static void unfrozen(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct region *region = arg;

	if (error)
		log_warning("region #%llu stays frozen after its move: %s", (unsigned long long)region->info.id, why);
	region_put(region);
}

/* Whom the kernel does not keep out as moved is not let in: what is here is not what it was any more. */
static void looked_moved(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct region *region = arg;

	if (!error && !(got->flags & REGIONFS_REGION_MOVED)) {
		error = -EBUSY;
		why = "the kernel does not know that it has moved";
	}
	if (error)
		unfrozen(region, error, why, got);
	else
		seeder_let_in(region, unfrozen, region);
}

/* It may have it from before, and then refuses it. */
static void told_again(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct region *region = arg;
	struct handover_ask *ask = handover_ask_new(region, REGIONFS_CMD_REGION_GET, looked_moved, region);

	if (ask)
		handover_ask(ask, region);
	else
		unfrozen(region, -ENOMEM, "out of memory", NULL);
}

void seeder_unfreeze_region(struct region *region, uint64_t epoch)
{
	struct handover_ask *ask = handover_ask_new(region, REGIONFS_CMD_MOVED, told_again, region);

	region_get(region);
	if (!ask) {
		unfrozen(region, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, EPOCH, epoch, epoch);
	handover_ask(ask, region);
}

void seeder_unfreeze(struct seeder *seeder)
{
	seeder_unfreeze_region(region_of(seeder), seeder->epoch);
}

/* Not told that, the other side says it again. */
static void moved_noted(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);
	struct serve_req *req = seeder->finalizing;

	seeder->stepping = false;
	seeder->state = WIRE_SEED_MOVED;
	seeder->finalizing = NULL;
	if (error)
		note_why(seeder, "the state directory could not be written");
	if (req && error)
		serve_fail(req, -EAGAIN, "%s", seeder->why);
	else if (req)
		serve_reply(req, 0, NULL, 0);
	if (seeder->aborting)
		control_fail(seeder->aborting, -EBUSY, "%s has just moved", seeder_name(seeder));
	seeder->aborting = NULL;
	if (seeder->giving_back)
		serve_fail(seeder->giving_back, -EINVAL, "it has moved");
	seeder->giving_back = NULL;
	/* it is too late for that abort, but not for the next one */
	seeder->leaving = seeder->give_up = seeder->forget = false;
}

static void kernel_moved(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	/* It is the other side's all the same, and stays frozen here. */
	if (error)
		note_why(seeder, why);
	else
		region_of(seeder)->info.flags |= REGIONFS_REGION_MOVED;
	if (!error && netlink_has(got, COUNT) && got->count)
		log_warning("seeding %s: %llu bytes were dirtied after the freeze, and are lost",
			    seeder_name(seeder), (unsigned long long)got->count);
	seeder_note_moved(seeder, moved_noted);
}

void seeder_moved(struct seeder *seeder, struct serve_req *req)
{
	struct handover_ask *ask;

	if (seeder->finalizing)
		serve_fail(seeder->finalizing, -EAGAIN, "asked again");
	seeder->finalizing = req;
	if (seeder->stepping)
		return;
	seeder_note_owned(seeder);
	seeder_group_moved(seeder);
	seeder->stepping = true;
	ask = handover_ask_new(region_of(seeder), REGIONFS_CMD_MOVED, kernel_moved, seeder);
	if (!ask) {
		kernel_moved(seeder, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, EPOCH, epoch, seeder->epoch);
	handover_ask(ask, region_of(seeder));
}

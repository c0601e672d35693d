// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: when the other side does not come back after the hand-over, an operator who knows better than any of us may say that the region is this
 * host's ("resolve --i-own-it"). It gets an epoch beyond the one that was promised, and a lineage of its own, and goes back to service; the
 * promise is kept in the record, so that the other side, should it have taken the region after all, is told when it comes. Then there are
 * two of it: both freeze, and nothing is done until the operator says which one is to be kept.
 *
 * Threads: the main loop's alone.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-private.h"

/* One that has two owners is tried to be frozen so often, and for so long. */
#define FREEZE_AGAIN_MS 2000u

static struct region *region_of(struct seeder *seeder)
{
	return seeder->handover.region;
}

static void answer(struct seeder *seeder, int error, const char *why)
{
	struct control_call *call = seeder->resolving;

	seeder->resolving = NULL;
	/* of a group nobody waits for the others' answers */
	if (error)
		log_error("seeding %s: it was not resolved: %s", seeder_name(seeder), why);
	if (call && error)
		control_fail(call, error, "%s", why);
	else if (call)
		control_ok(call, seeder->handover.show(&seeder->handover));
}

/* ---- it is this host's ---- */

static bool is_diverged(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_DIVERGED;
}

static void resumed(struct suspend *suspend, int error, const char *why)
{
	struct seeder *seeder = container_of(suspend, struct seeder, suspend);
	struct serve_req *owned = seeder->finalizing;

	if (error)
		log_warning("seeding %s: %s", seeder_name(seeder), why);
	seeder->stepping = seeder->frozen = false;
	seeder->state = WIRE_SEED_RESOLVED;
	tracker_stop(seeder->tracker);
	log_warning("%s is this host's, as its operator says, in epoch %llu", seeder_name(seeder),
		    (unsigned long long)seeder->epoch + 1);
	answer(seeder, 0, "");
	/* the program goes on: it is not started again by the next helper */
	free(region_of(seeder)->info.resume);
	region_of(seeder)->info.resume = NULL;
	region_mirror(region_of(seeder));
	seeder->finalizing = NULL;
	if (owned || seeder_group_any(seeder, is_diverged))
		seeder_diverge(seeder, owned);
}

static void let_in(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	if (error && seeder->suspend.begun)
		log_warning("seeding %s: %s", seeder_name(seeder), why);
	suspend_start(&seeder->suspend, region_of(seeder), resumed);
}

static void epoch_set(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	if (error && region_of(seeder)->info.epoch <= seeder->epoch)
		log_warning("seeding %s: the kernel did not take the new epoch: %s", seeder_name(seeder), why);
	seeder_let_in(region_of(seeder), let_in, seeder);
}

static void unnoted(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	seeder->stepping = false;
	answer(seeder, -EIO, "the state directory could not be written: it stays in doubt");
}

static void noted(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);
	struct handover_ask *ask;

	if (error) {
		/* nobody was let in; what the next helper finds is the promise, or this */
		seeder_note_promise(seeder, "", unnoted);
		return;
	}
	ask = handover_ask_new(region_of(seeder), REGIONFS_CMD_REGION_SET, epoch_set, seeder);
	if (!ask) {
		epoch_set(seeder, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, EPOCH, epoch, seeder->epoch + 1);
	netlink_set(&ask->call.attrs, LINEAGE, lineage, seeder->lineage);
	handover_ask(ask, region_of(seeder));
}

static void own(struct seeder *seeder, struct control_call *call)
{
	if (getrandom(&seeder->lineage, sizeof(seeder->lineage), 0) != sizeof(seeder->lineage)) {
		control_fail(call, -EIO, "no random numbers");
		return;
	}
	seeder->lineage |= 1;
	seeder->resolving = call;
	seeder->stepping = true;
	seeder_note_promise(seeder, SEEDER_RESOLVED, noted);
}

/* The next helper; the last one may have died in between. The kernel refuses what it has already. */
void seeder_resolve_again(struct seeder *seeder)
{
	if (!region_of(seeder)->info.resume)
		seeder->suspend.begun = 0;
	seeder->stepping = true;
	noted(&seeder->written, 0);
}

/* ---- the other side has it as well ---- */

static void tell_diverged(struct seeder *seeder)
{
	struct serve_req *req = seeder->finalizing;

	seeder->stepping = false;
	seeder->state = WIRE_SEED_DIVERGED;
	seeder->finalizing = NULL;
	if (req)
		serve_fail(req, -ESTALE, "%s: an operator has resolved it for the other host, which has it in service since; both are frozen, until one says "
			   "'regionctl resolve --keep' and the other '--discard'", seeder_name(seeder));
}

static void froze(void *arg, int error, const char *why, const struct netlink_attrs *got);

static void ask_freeze(struct seeder *seeder, uint32_t ms)
{
	struct handover_ask *ask = handover_ask_new(region_of(seeder), REGIONFS_CMD_FREEZE, froze, seeder);

	if (!ask) {
		froze(seeder, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, DEADLINE, deadline, ms);
	handover_ask(ask, region_of(seeder));
}

/* What is dirty may have had nowhere to go, as its source is the other host's. Whoever resolves it meanwhile is told to wait a moment. */
static void freeze_again(struct loop_timer *timer)
{
	struct seeder *seeder = container_of(timer, struct seeder, freezing);

	if (seeder->state != WIRE_SEED_DIVERGED || seeder->frozen || seeder->handover.over)
		return;
	if (seeder->stepping || seeder->resolving) {
		loop_timer_set(region_of(seeder)->regiond->loop, timer, FREEZE_AGAIN_MS);
		return;
	}
	seeder->stepping = true;
	ask_freeze(seeder, FREEZE_AGAIN_MS);
}

static void froze(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	if (!error)
		region_of(seeder)->info.flags |= REGIONFS_REGION_FROZEN;
	region_tell_handed(region_of(seeder));
	seeder->frozen = !error || region_of(seeder)->info.flags & (REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED);
	if (!seeder->frozen && seeder->state != WIRE_SEED_DIVERGED)
		log_error("%s has two owners, and could not be frozen, which is tried again: %s", seeder_name(seeder), why);
	tell_diverged(seeder);
	if (seeder->frozen)
		return;
	seeder->freezing.fire = freeze_again;
	loop_timer_set(region_of(seeder)->regiond->loop, &seeder->freezing, FREEZE_AGAIN_MS);
}

static void diverged_noted(struct state_waiter *waiter, int error)
{
	ask_freeze(container_of(waiter, struct seeder, written), SEEDER_FREEZE_MS);
}

/* The next helper: the last one may have died before it was frozen. */
void seeder_diverge_again(struct seeder *seeder)
{
	seeder->stepping = true;
	diverged_noted(&seeder->written, 0);
}

void seeder_diverge(struct seeder *seeder, struct serve_req *req)
{
	if (seeder->finalizing)
		serve_fail(seeder->finalizing, -EAGAIN, "asked again");
	seeder->finalizing = req;
	if (seeder->stepping)
		return;
	if (seeder->state == WIRE_SEED_DIVERGED) {
		tell_diverged(seeder);
		return;
	}
	log_error("%s has two owners: it was resolved here, and %s has taken it as well; it is frozen until 'regionctl resolve --keep' or '--discard'",
		  seeder_name(seeder), seeder->peer);
	seeder->stepping = true;
	seeder_note_promise(seeder, SEEDER_DIVERGED, diverged_noted);
	seeder_group_diverge(seeder);
}

/* ---- which one is kept ---- */

static void kept(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	seeder->stepping = false;
	if (error)
		log_warning("seeding %s: %s", seeder_name(seeder), why);
	answer(seeder, error, why);
	if (!error) {
		/* what is let in by MOVED is nobody */
		region_mirror(region_of(seeder));
		seeder_end(seeder);
	}
}

static void keep(struct seeder *seeder, struct control_call *call)
{
	seeder->resolving = call;
	seeder->stepping = true;
	if (seeder->frozen || region_of(seeder)->info.flags & (REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED))
		seeder_let_in(region_of(seeder), kept, seeder);
	else
		kept(seeder, 0, "", NULL);
}

/* A reboot does not bring it back from here on. */
static void discard_noted(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);

	if (error)
		log_warning("that %s was discarded could not be written down", seeder_name(seeder));
	seeder_let_in(region_of(seeder), kept, seeder);
}

/* What is open is of no use from now on; then it can be removed. */
static void discarded(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder *seeder = arg;

	if (error) {
		seeder->stepping = false;
		answer(seeder, error, why);
		return;
	}
	region_of(seeder)->info.flags |= REGIONFS_REGION_MOVED;
	seeder_note_moved(seeder, discard_noted);
}

static void discard(struct seeder *seeder, struct control_call *call)
{
	struct handover_ask *ask = NULL;
	bool moved = region_of(seeder)->info.flags & REGIONFS_REGION_MOVED;

	if (!moved)
		ask = handover_ask_new(region_of(seeder), REGIONFS_CMD_MOVED, discarded, seeder);
	if (!moved && !ask) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	seeder->resolving = call;
	seeder->stepping = true;
	if (moved) {
		discarded(seeder, 0, "", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, EPOCH, epoch, seeder->epoch + 2);
	handover_ask(ask, region_of(seeder));
}

/* ---- the command ---- */

static void refuse(struct seeder *seeder, struct control_call *call)
{
	if (seeder->state == WIRE_SEED_HANDED_OFF)
		control_fail(call, -EINVAL, "%s is in doubt: if it is sure that %s does not have it, and never will, say --i-own-it",
			     seeder_name(seeder), seeder->peer);
	else if (seeder->state == WIRE_SEED_RESOLVED || seeder->state == WIRE_SEED_DIVERGED)
		control_fail(call, -EINVAL, "%s was resolved: say --keep, which ends seeding it, or --discard", seeder_name(seeder));
	else
		control_fail(call, -EINVAL, "%s is %s: there is nothing to resolve", seeder_name(seeder),
			     wire_seed_state_name(seeder->state));
}

static bool is_busy(const struct seeder *seeder)
{
	return seeder->stepping || seeder->resolving || seeder->aborting || seeder->leaving;
}

static void resolve_one(struct control_call *call, struct seeder *seeder, enum resolution resolution)
{
	bool resolved = seeder->state == WIRE_SEED_RESOLVED || seeder->state == WIRE_SEED_DIVERGED;

	if (is_busy(seeder) || seeder->handover.over)
		control_fail(call, -EBUSY, "%s is changing its state just now", seeder_name(seeder));
	else if (resolution == RESOLVE_OWN && seeder->state == WIRE_SEED_HANDED_OFF)
		own(seeder, call);
	else if (resolution == RESOLVE_KEEP && resolved)
		keep(seeder, call);
	else if (resolution == RESOLVE_DISCARD && resolved)
		discard(seeder, call);
	else
		refuse(seeder, call);
}

/* ---- the command, on a group ---- */

struct asked {
	struct control_call *call;
	const struct seeder *named;
	enum resolution resolution;
};

static bool is_resolved(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_RESOLVED || seeder->state == WIRE_SEED_DIVERGED;
}

static bool is_in_doubt(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_HANDED_OFF;
}

/* Said again, it is about those for which it could not be written down. */
static bool is_done(const struct seeder *seeder, enum resolution resolution)
{
	return seeder->handover.over || (resolution == RESOLVE_OWN && is_resolved(seeder));
}

static bool may_resolve(struct handover *handover, void *arg)
{
	struct seeder *seeder = seeder_of(handover);
	const struct asked *asked = arg;
	bool may = asked->resolution == RESOLVE_OWN ? is_in_doubt(seeder) :
		   is_resolved(seeder) && (asked->resolution == RESOLVE_KEEP || asked->resolution == RESOLVE_DISCARD);

	if (!may && !is_done(seeder, asked->resolution))
		refuse(seeder, asked->call);
	return may || is_done(seeder, asked->resolution);
}

static bool resolve_each(struct handover *handover, void *arg)
{
	struct seeder *seeder = seeder_of(handover);
	const struct asked *asked = arg;
	struct control_failure failure;
	struct control_call *call = NULL;

	if (seeder != asked->named && !is_done(seeder, asked->resolution))
		call = control_part(handover->region->regiond, json_object(), handover->region, &failure);
	if (!call)
		return true;
	resolve_one(call, seeder, asked->resolution);
	/* what it ends with is not waited for */
	if (seeder->resolving == call)
		call->failure = NULL;
	else if (failure.error)
		log_warning("seeding %s: %s", seeder_name(seeder), failure.why);
	return true;
}

/* false: the call has been failed, and nothing has been done to any. */
static bool may_resolve_all(struct seeder *seeder, struct asked *asked)
{
	if (seeder_group_any(seeder, is_busy)) {
		control_fail(asked->call, -EBUSY, "the group of %s is changing its state just now", seeder_name(seeder));
		return false;
	}
	if (asked->resolution == RESOLVE_OWN && seeder_group_has_moved(seeder)) {
		control_fail(asked->call, -EINVAL, "one of the group of %s has moved: who owns that owns all of them", seeder_name(seeder));
		return false;
	}
	return group_each(&seeder->handover, may_resolve, asked);
}

void seeder_resolve(struct control_call *call, struct region *region, enum resolution resolution)
{
	struct seeder *seeder = seeder_of(handover_of(region));
	struct asked asked = { .call = call, .named = seeder, .resolution = resolution };
	bool whole = seeder->handover.group && !call->failure, rest = whole && is_resolved(seeder) && resolution == RESOLVE_OWN &&
		     seeder_group_any(seeder, is_in_doubt);

	if (whole && !may_resolve_all(seeder, &asked))
		return;
	if (whole)
		group_each(&seeder->handover, resolve_each, &asked);
	if (rest)
		control_ok(call, seeder->handover.show(&seeder->handover));
	else
		resolve_one(call, seeder, resolution);
}

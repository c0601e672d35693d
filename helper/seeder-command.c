// SPDX-License-Identifier: GPL-2.0
/* seeder: how it begins, what it shows, how it ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control-peer.h"
#include "follower.h"
#include "leecher.h"
#include "listener.h"
#include "log.h"
#include "regiond.h"
#include "seeder-private.h"
#include "target.h"

#define PROGRESS_MS	500u
/* An aborted seeder stays for so long, so that the other side hears why. */
#define FAREWELL_MS	1500u
/* One that is complete, for followers that have not heard it. */
#define FOLLOWERS_NS	(10 * 1000000000ULL)

/* ---- what it looks like ---- */

static const char *state_text(const struct seeder *seeder)
{
	if (seeder->complete)
		return "complete";
	if (seeder->state == WIRE_SEED_HANDED_OFF && !(seeder->session && export_connected(seeder->session)))
		return "in doubt";
	return wire_seed_state_name(seeder->state);
}

static json_t *seeder_show(const struct handover *handover)
{
	const struct seeder *seeder = container_of(handover, struct seeder, handover);
	json_t *export = control_export_show(seeder->export);
	json_t *show = json_pack("{s:o, s:s, s:s, s:I, s:I}",
				 "region", control_text(seeder_name(seeder)), "role", "seeder",
				 "state", state_text(seeder), "done", (json_int_t)seeder->export->read_bytes,
				 "total", (json_int_t)atomic_load(&handover->region->size));

	json_object_set(show, "listen", json_object_get(export, "listen"));
	if (json_object_get(export, "allow"))
		json_object_set(show, "allow", json_object_get(export, "allow"));
	json_decref(export);
	json_object_set_new(show, "bytes", json_integer((json_int_t)seeder->export->read_bytes));
	json_object_set_new(show, "wire_bytes", json_integer((json_int_t)seeder->export->wire_bytes));
	json_object_set_new(show, "rounds", json_integer(seeder->round));
	if (*seeder->peer)
		json_object_set_new(show, "peer", control_text(seeder->peer));
	if (seeder->state == WIRE_SEED_HANDED_OFF || seeder->state == WIRE_SEED_MOVED) {
		json_object_set_new(show, "epoch", json_integer((json_int_t)seeder->epoch));
		json_object_set_new(show, "dirty_bytes",
				    json_integer((json_int_t)(seeder->final_dirty * seeder->chunk)));
	}
	seeder_show_gauge(seeder, show);
	seeder_follow_show(seeder, show);
	if (*seeder->why)
		json_object_set_new(show, "error", control_text(seeder->why));
	return show;
}

static void seeder_progress(struct loop_timer *timer)
{
	struct seeder *seeder = container_of(timer, struct seeder, timer);

	seeder_check_throttle(seeder);
	group_progress(&seeder->handover);
	if (seeder->call)
		control_progress(seeder->call, seeder->export->read_bytes, 0, "bytes", state_text(seeder));
	loop_timer_set(seeder->handover.region->regiond->loop, timer, PROGRESS_MS);
}

/* ---- the end ---- */

static void seeder_free(struct seeder *seeder)
{
	seeder_forget(seeder);
	seeder_follow_forget(seeder);
	suspend_free(&seeder->suspend);
	free(seeder);
}

static void export_closed(void *arg)
{
	struct seeder *seeder = arg;

	group_leave(&seeder->handover, seeder->complete ? 0 : -ECANCELED, *seeder->why ? seeder->why : "it was aborted");
	if (seeder->aborting)
		control_ok(seeder->aborting, NULL);
	seeder_free(seeder);
}

static void seeder_close(struct seeder *seeder)
{
	struct region *region = seeder->handover.region;
	struct loop *loop = region->regiond->loop;

	loop_timer_cancel(loop, &seeder->timer);
	loop_timer_cancel(loop, &seeder->freezing);
	if (tracker_active(seeder->tracker))
		tracker_stop(seeder->tracker);
	region_get(region);
	followed_drop_all(region);
	handover_end(&seeder->handover);
	seeder->export->group = NULL;
	export_close(seeder->export, export_closed, seeder);
	seeder_drop_reads(region, NULL, 0);
	region_put(region);
}

/* A follower asks now and then: it hears that the region has moved as long as somebody is here to say so. */
static void farewell(struct loop_timer *timer)
{
	struct seeder *seeder = container_of(timer, struct seeder, timer);

	if (seeder->complete && seeder_follow_owes(seeder) && loop_now_ns() - seeder->ended < FOLLOWERS_NS)
		loop_timer_set(seeder->handover.region->regiond->loop, timer, PROGRESS_MS);
	else
		seeder_close(seeder);
}

static void answer(struct seeder *seeder)
{
	struct control_call *call = seeder->call;

	seeder->call = NULL;
	if (!call)
		return;
	if (seeder->complete)
		control_ok(call, seeder_show(&seeder->handover));
	else
		control_fail(call, -ECANCELED, "seeding %s was aborted", seeder_name(seeder));
}

void seeder_end(struct seeder *seeder)
{
	if (!seeder->complete)
		seeder->state = WIRE_SEED_ABORTED;
	seeder->handover.over = true;
	loop_timer_cancel(seeder->handover.region->regiond->loop, &seeder->freezing);
	seeder->ended = loop_now_ns();
	/* the name is for the next one, be it of the same regions, that have come back */
	if (seeder->complete)
		seeder->export->group = NULL;
	seeder_unthrottle(seeder);
	seeder_fail_lasts(seeder);
	seeder_note_over(seeder->handover.region);
	answer(seeder);
	log_info("seeding %s has ended: %s", seeder_name(seeder), state_text(seeder));
	/* The last answer has to get out in either case. */
	seeder->timer.fire = farewell;
	loop_timer_set(seeder->handover.region->regiond->loop, &seeder->timer,
		       seeder->complete ? PROGRESS_MS : FAREWELL_MS);
}

/* ---- abort ---- */

/* The program was not stopped. What has moved is not given up, but the rest of its bytes. */
static void give_up_one(struct seeder *seeder, const char *why)
{
	if (seeder->handover.over)
		return;
	if (seeder->state <= WIRE_SEED_TRACKING)
		suspend_abort(&seeder->suspend, seeder->handover.region, why, NULL, NULL);
	seeder_end(seeder);
}

static bool give_up(struct handover *handover, void *why)
{
	give_up_one(container_of(handover, struct seeder, handover), why);
	return true;
}

void seeder_give_up(struct seeder *seeder, const char *why)
{
	seeder_ungate(seeder, why);
	group_each(&seeder->handover, give_up, (void *)why);
}

static bool is_resolved(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_RESOLVED || seeder->state == WIRE_SEED_DIVERGED;
}

static bool is_handed_off(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_HANDED_OFF;
}

static bool is_frozen(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_FROZEN || seeder->state == WIRE_SEED_HANDED_OFF;
}

static bool is_moving(const struct seeder *seeder)
{
	return seeder->state >= WIRE_SEED_HANDED_OFF && seeder->stepping && !seeder->give_up;
}

static bool is_aborting(const struct seeder *seeder)
{
	return seeder->aborting || seeder->resolving || seeder->leaving;
}

/* Negative: the call has been failed. Whoever is asked, it is said of all of a group. */
static int may_abort(struct control_call *call, struct seeder *seeder, bool force)
{
	const char *name = seeder_name(seeder);

	if (seeder_group_has_moved(seeder) && !force)
		control_fail(call, -EBUSY, "%s has moved: it is no longer this host's; if it is sure that %s does not need "
			     "the rest of its bytes, --force ends seeding it", name, seeder->peer);
	else if (seeder_group_any(seeder, is_resolved))
		control_fail(call, -EBUSY, "%s was resolved: 'regionctl resolve' with --keep or --discard ends that", name);
	else if ((seeder->handover.group || seeder_group_has_moved(seeder)) && seeder_group_any(seeder, is_moving))
		control_fail(call, -EBUSY, "%s is changing its state just now", name);
	else if (seeder_group_any(seeder, is_aborting) || seeder->handover.over)
		control_fail(call, -EALREADY, "seeding %s is being aborted", name);
	else if (seeder_group_any(seeder, is_handed_off) && !force)
		control_fail(call, -EBUSY, "%s was handed to %s, which may own it by now: abort it there; if it is sure "
			     "that the other side does not have it, and never will, abort it here with --force", name, seeder->peer);
	else
		return 0;
	return -EBUSY;
}

static bool leave(struct handover *handover, void *arg)
{
	container_of(handover, struct seeder, handover)->leaving = true;
	return true;
}

/* Alone it is asked for again when it cannot be; what is left behind of a group is told by hand. */
static void gone_on(void *arg, int error)
{
	struct seeder *seeder = arg;

	seeder->stepping = false;
	if (error && seeder->aborting) {
		control_fail(seeder->aborting, -EBUSY, "%s is changing its state just now", seeder_name(seeder));
		seeder->aborting = NULL;
		return;
	}
	if (error)
		log_warning("seeding %s: the host that it came from is not told that nothing more is needed", seeder_name(seeder));
	seeder_note_given_up(seeder->handover.region);
	seeder_unfreeze(seeder);
	seeder_end(seeder);
}

/*
 * Who owns one of a group owns all, so what was handed over has moved where one has. Nobody needs its bytes from here any more, nor from the host
 * before: that is written down first, since a reboot does not bring back what has moved, nor who would tell that host.
 */
static bool let_go(struct handover *handover, void *why)
{
	struct seeder *seeder = seeder_of(handover);

	if (handover->over)
		return true;
	handover->region->info.flags |= REGIONFS_REGION_MOVED;
	seeder->stepping = true;
	leecher_let_go(handover->region, gone_on, seeder);
	return true;
}

void seeder_abort(struct control_call *call, struct region *region)
{
	struct seeder *seeder = seeder_of(handover_of(region));
	bool force = false;

	if (control_bool(call, "force", &force) || may_abort(call, seeder, force))
		return;
	if (seeder->handover.group)
		seeder->handover.group->aborting = call;
	else
		seeder->aborting = call;
	if (seeder_group_has_moved(seeder)) {
		group_each(&seeder->handover, let_go, NULL);
	} else if (seeder_group_any(seeder, is_frozen)) {
		group_each(&seeder->handover, leave, NULL);
		seeder_back(seeder, "aborted by the user");
	} else {
		seeder_give_up(seeder, "aborted by the user");
	}
}

/* The leecher may need them; without one there is nothing to be seeded any more. */
static bool seeder_keeps(struct handover *handover)
{
	struct seeder *seeder = seeder_of(handover);

	if (seeder->state <= WIRE_SEED_TRACKING && !handover->over) {
		seeder_give_up(seeder, "it was removed");
	} else if (seeder->state == WIRE_SEED_FROZEN) {
		group_each(handover, leave, NULL);
		seeder_back(seeder, "it was removed");
	}
	return true;
}

/* ---- the beginning ---- */

static int take_tracker(struct control_call *call, struct region *region, struct seeder *seeder)
{
	struct tracker *tracker = atomic_load(&region->tracker);
	char path[4096];

	region_tracker_path(region, path, sizeof(path));
	if (!tracker && tracker_new(&tracker, path)) {
		control_fail(call, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	atomic_store(&region->tracker, tracker);
	seeder->tracker = tracker;
	return 0;
}

/* One that has ended, and only stays for its last answer, is in nobody's way: a region that has come back goes on at once. */
static void free_name(const struct regiond *regiond, const char *name)
{
	struct export *export = control_export(regiond->server, name);
	const struct seeder *seeder = export && export->seed == &seeder_ops ? export->seed_arg : NULL;
	char *other;

	if (!seeder || !seeder->complete || asprintf(&other, "%s (moved)", name) < 0)
		return;
	free(export->name);
	export->name = other;
}

static int take_export(struct control_call *call, struct region *region, struct seeder *seeder)
{
	const char *name = region->info.path;
	struct target *target;
	int ret;

	/* the other side knows it by the name that it had when seeding began */
	if (call->again && control_string(call, "name", &name))
		return -EINVAL;
	if (!name) {
		control_fail(call, -ENOENT, "it has no name any more");
		return -ENOENT;
	}
	ret = target_region_plain(&target, region);
	if (ret) {
		control_fail(call, ret, "out of memory");
		return ret;
	}
	free_name(call->regiond, name);
	ret = control_publish(call, name, target, ACCESS_READ | ACCESS_FOLLOW | ACCESS_LEECH, &seeder->export);
	if (ret)
		target->ops->close(target);
	return ret;
}

/* The next helper listens where this one did, also on a port that was found for it: the other side comes back there. */
static void note_command(struct control_call *call, struct seeder *seeder)
{
	if (strncmp(seeder->export->listener->text, "unix:", 5))
		json_object_set_new(call->args, "listen", json_string(seeder->export->listener->address));
	json_object_set_new(call->args, "name", control_text(seeder->export->name));
	handover_note(&seeder->handover, control_again_text(call, "seeder"));
}

/* "seed", detached: answered once the next helper would know of it. */
struct begun {
	struct state_waiter noted;
	struct control_call *call;
	struct region *region;
};

static void begun(struct state_waiter *waiter, int error)
{
	struct begun *begun = container_of(waiter, struct begun, noted);

	if (error)
		log_warning("seeding %s: the state directory could not be written: %s",
			    begun->region->info.path ? begun->region->info.path : "?", strerror(-error));
	control_ok(begun->call, handover_show(begun->region));
	region_put(begun->region);
	free(begun);
}

static void answer_begun(struct control_call *call, struct region *region)
{
	struct begun *begin = calloc(1, sizeof(*begin));

	if (!begin) {
		control_ok(call, handover_show(region));
		return;
	}
	begin->noted.done = begun;
	begin->call = call;
	begin->region = region_get(region);
	state_sync(region->regiond->state, &begin->noted);
}

void seeder_start(struct control_call *call, struct region *region, struct group *group, unsigned int nth)
{
	struct seeder *seeder = calloc(1, sizeof(*seeder));
	bool detach = false;

	if (!seeder) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	if (control_bool(call, "detach", &detach) || suspend_take(&seeder->suspend, call) || seeder_follow_args(seeder, call) ||
	    take_tracker(call, region, seeder) || take_export(call, region, seeder)) {
		seeder_free(seeder);
		return;
	}
	seeder->handover = (struct handover){
		.role = HANDOVER_SEEDER, .region = region_get(region), .show = seeder_show, .keeps = seeder_keeps,
	};
	handover_begin(&seeder->handover);
	seeder->export->seed = &seeder_ops;
	seeder->export->seed_arg = seeder;
	if (group) {
		group_join(group, &seeder->handover, nth);
		seeder->export->group = group->name;
		seeder->export->leads = !nth;
	}
	seeder_take_up(seeder);
	note_command(call, seeder);
	seeder->timer.fire = seeder_progress;
	loop_timer_set(call->regiond->loop, &seeder->timer, 1);
	log_info("seeding %s on %s", seeder_name(seeder), seeder->export->listener->address);
	if (group)
		control_ok(call, NULL);
	else if (detach)
		answer_begun(call, region);
	else
		seeder->call = call;
}

int seeder_check(const struct region *region, int error, char *why, size_t why_len)
{
	const char *name = region->info.path ? region->info.path : "a region";

	if (error) {
		snprintf(why, why_len, "%s", *region->why ? region->why : strerror(-error));
	} else if (handover_in(region, HANDOVER_SEEDER)) {
		snprintf(why, why_len, "%s is being seeded already", name);
		error = -EBUSY;
	} else if (region->undoing) {
		snprintf(why, why_len, "%s is changing its state just now: say it again", name);
		error = -EBUSY;
	} else if (handover_in(region, HANDOVER_FOLLOWER) || follower_is(&region->info)) {
		snprintf(why, why_len, "%s follows another host's region: others can follow that, where it is seeded", name);
		error = -EBUSY;
	} else if (region->info.flags & REGIONFS_REGION_MOVED && !seeder_is_left(&region->info)) {
		snprintf(why, why_len, "%s has moved to another host", name);
		error = -ESTALE;
	}
	return error;
}

static void seeder_ready(struct region *region, int error, void *arg)
{
	struct control_call *call = arg;
	char why[512];

	error = seeder_check(region, error, why, sizeof(why));
	if (error)
		control_fail(call, error, "%s", why);
	else if (call->again && !control_again_is(region->info.handover, "seeder"))
		control_fail(call, -ECANCELED, "seeding %s was aborted", region->info.path ? region->info.path : "it");
	else if (!leecher_takes_seed(call, region))
		seeder_start(call, region, NULL, 0);
	region_put(region);
}

void seeder_run(struct control_call *call)
{
	struct region *region;

	if (control_has(call, "group") || control_has(call, "more")) {
		seeder_group_run(call);
		return;
	}
	region = control_region(call);
	if (region)
		region_open(region, seeder_ready, call);
}

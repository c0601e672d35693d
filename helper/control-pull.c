// SPDX-License-Identifier: GPL-2.0
/* control-pull: pull, for a managed region: its puller does it anyway, so here it is waited for, paused, or limited. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control-managed.h"
#include "managed-json.h"
#include "region.h"
#include "regiond.h"

#define STEP_MS 200

struct waiting {
	struct control_call *call;
	struct region *region;		/* a reference */
	struct loop_timer timer;
	uint64_t before;		/* what had been pulled when it began */
};

/* The call has been answered, and is no more. */
static void waiting_end(struct waiting *waiting)
{
	region_put(waiting->region);
	free(waiting);
}

static void waiting_fail(struct waiting *waiting, int error, const char *why)
{
	control_fail(waiting->call, error, "%s: %s", waiting->region->info.path ? waiting->region->info.path : "the region", why);
	waiting_end(waiting);
}

static void waiting_complete(struct waiting *waiting, const struct puller_stats *puller)
{
	control_ok(waiting->call, json_pack("{s:o}", "bytes", control_id(puller->pulled - waiting->before)));
	waiting_end(waiting);
}

/* Of a region that may give up what it has again, only what was brought can be counted. */
static void waiting_progress(struct waiting *waiting, const struct managed_stats *stats)
{
	uint64_t size = atomic_load(&waiting->region->size);
	uint64_t done = stats->has_store ? stats->store.present : stats->puller.pulled;

	control_progress(waiting->call, done < size ? done : size, size, "bytes",
			 stats->remote == REMOTE_UP ? "pulling" : "waiting for the source of");
}

static void waiting_look(struct loop_timer *timer)
{
	struct waiting *waiting = container_of(timer, struct waiting, timer);
	struct managed *managed = control_managed(waiting->region);
	struct managed_stats stats;

	if (!managed) {
		waiting_fail(waiting, -ECANCELED, "it was closed, or its source was changed, while it was pulled");
		return;
	}
	managed_stats(managed, &stats);
	if (stats.puller.complete) {
		waiting_complete(waiting, &stats.puller);
	} else if (stats.puller.paused) {
		waiting_fail(waiting, -EBUSY, "pulling is paused: go on with --resume");
	} else {
		waiting_progress(waiting, &stats);
		loop_timer_set(waiting->region->regiond->loop, timer, STEP_MS);
	}
}

static void waiting_gone(struct control_call *call)
{
	struct waiting *waiting = call->arg;

	loop_timer_cancel(waiting->region->regiond->loop, &waiting->timer);
	waiting_fail(waiting, -ECANCELED, "nobody waits for it any more");
}

static void wait_start(struct control_call *call, struct region *region, struct managed *managed)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct managed_stats stats;

	if (!waiting) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	managed_stats(managed, &stats);
	waiting->call = call;
	waiting->region = region_get(region);
	waiting->before = stats.puller.pulled;
	waiting->timer.fire = waiting_look;
	call->arg = waiting;
	call->gone = waiting_gone;
	waiting_look(&waiting->timer);
}

/* ---- pause, resume, rate: done at once ---- */

static int set_rate(struct control_call *call, struct region *region)
{
	uint64_t rate = 0;
	struct policy policy;
	char why[256], value[32];
	char *text = NULL;
	int err = control_u64(call, "rate", &rate);

	if (err || !control_has(call, "rate"))
		return err;
	snprintf(value, sizeof(value), "%" PRIu64, rate);
	err = policy_parse(&policy, region->info.policy, why, sizeof(why));
	if (!err) {
		err = policy_set(&policy, "pull-rate", value, why, sizeof(why));
		text = err ? NULL : policy_text(&policy);
		policy_free(&policy);
	}
	if (err) {
		control_fail(call, err, "%s", why);
		return err;
	}
	err = text ? region_set_policy(region, text, false) : -ENOMEM;
	free(text);
	if (!err)
		err = control_managed_set(region);
	if (err)
		control_fail(call, err, "the rate could not be changed: %s", strerror(-err));
	return err;
}

/* Is there something that can be paused? Else the call has been failed. */
static bool can_pause(struct control_call *call, const struct region *region, struct managed *managed)
{
	if (managed_puller(managed))
		return true;
	if (managed_is_pulled(managed))
		control_fail(call, -EAGAIN, "%s is not pulled yet: try again", region->info.path);
	else
		control_fail(call, -EINVAL, "nothing pulls %s in the background", region->info.path);
	return false;
}

static void set_now(struct control_call *call, struct region *region, struct managed *managed)
{
	bool pause = false, resume = false;
	struct managed_stats stats;

	if (control_bool(call, "pause", &pause) || control_bool(call, "resume", &resume))
		return;
	if (pause && resume) {
		control_fail(call, -EINVAL, "it can't be paused and go on");
		return;
	}
	if ((pause || resume) && !can_pause(call, region, managed))
		return;
	if (set_rate(call, region))
		return;
	if (pause || resume)
		puller_pause(managed_puller(managed), pause);
	managed_stats(managed, &stats);
	control_ok(call, json_pack("{s:s,s:o}", "state", json_puller_state(&stats.puller), "rate", control_id(stats.puller.rate)));
}

static void pull_open(struct region *region, int error, void *arg)
{
	struct control_call *call = arg;
	struct managed *managed = error ? NULL : control_managed(region);

	if (error)
		control_fail(call, error, "%s can't be opened: %s", region->info.path, region->why);
	else if (!managed)
		control_fail(call, -EAGAIN, "%s has just been changed: try again", region->info.path);
	else if (control_has(call, "pause") || control_has(call, "resume") || control_has(call, "rate"))
		set_now(call, region, managed);
	else if (!call->client)
		control_fail(call, -ECANCELED, "nobody waits for it any more");
	else if (!managed_is_pulled(managed))
		control_pull_range(call, region);
	else
		wait_start(call, region, managed);
	region_put(region);
}

void control_pull_managed(struct control_call *call, struct region *region)
{
	region_open(region_get(region), pull_open, call);
}

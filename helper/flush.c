// SPDX-License-Identifier: GPL-2.0
/* flush: see flush.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flush.h"
#include "managed.h"
#include "region.h"
#include "regiond.h"
#include "units.h"

#define PARALLEL 8
#define STEP_MS 200

struct slot {
	struct netlink_call call;
	struct flush *flush;
	struct region *region;		/* being pushed: a reference */
	struct pusher_wait wait;
	bool waits, opens;		/* for the pusher, for the backend */
};

struct flush {
	struct flush_options options;
	uint64_t *id;
	size_t nr, max, next, done;
	unsigned int running;
	uint64_t end_ns;		/* 0: none */
	uint64_t most;			/* bytes unpushed, when they were most */
	struct loop_timer timer;	/* while something is being pushed */
	int error;
	char why[256];
	struct { int error; char why[256]; } refused;	/* the first region that must not be pushed: the others are nevertheless */
	struct slot slot[PARALLEL];
};

static void flush_end(struct flush *flush)
{
	bool failed = flush->error != 0;

	loop_timer_cancel(flush->options.regiond->loop, &flush->timer);
	flush->options.done(flush->options.arg, failed ? flush->error : flush->refused.error, failed ? flush->why : flush->refused.why);
	free(flush->id);
	free(flush);
}

static void flush_fail(struct flush *flush, int error, const char *why)
{
	if (flush->error)
		return;
	flush->error = error;
	snprintf(flush->why, sizeof(flush->why), "%s", *why ? why : strerror(-error));
}

/* Is this region to be pushed by now? One that is refused is told of when all others have been. */
static bool may_push(struct flush *flush, struct region *region)
{
	char why[256];
	int may = region_may_push(region, why, sizeof(why));

	if (may < 0 && !flush->refused.error) {
		flush->refused.error = may;
		snprintf(flush->refused.why, sizeof(flush->refused.why), "%s", why);
	}
	return may > 0;
}

static void slot_next(struct slot *slot);

static void slot_end(struct slot *slot)
{
	struct flush *flush = slot->flush;

	if (slot->region)
		region_put(slot->region);
	slot->region = NULL;
	flush->running--;
	flush->done++;
	if (flush->options.progress)
		flush->options.progress(flush->options.arg, flush->done, flush->nr);
	slot_next(slot);
	if (!flush->running)
		flush_end(flush);
}

/* ---- what the source has not got ---- */

static uint64_t left_to_push(const struct flush *flush, unsigned int *nr)
{
	*nr = 1;
	return flush->options.region ? region_unpushed(flush->options.region) : regions_unpushed(flush->options.regiond->regions, nr);
}

static void slot_open(struct region *region, int error, void *arg);

static void push_late(struct flush *flush)
{
	char why[256], size[REGIONFS_UNITS_TEXT];
	unsigned int nr;
	uint64_t left = left_to_push(flush, &nr);

	snprintf(why, sizeof(why), "the time-out was over before all was at its source: %s (%llu bytes) of %u region%s stay in the local store",
		 regionfs_size_format(left, size), (unsigned long long)left, nr, nr == 1 ? "" : "s");
	flush_fail(flush, -ETIMEDOUT, why);
	/* with the last one flush is freed; calls to the kernel have a deadline of their own */
	flush->running++;
	for (size_t i = 0; i < PARALLEL; i++) {
		struct slot *slot = &flush->slot[i];

		if (slot->waits)
			pusher_unwait(&slot->wait);
		else if (!slot->opens || !region_open_cancel(slot->region, slot_open, slot))
			continue;
		slot->waits = slot->opens = false;
		slot_end(slot);
	}
	if (!--flush->running)
		flush_end(flush);
}

static void push_look(struct loop_timer *timer)
{
	struct flush *flush = container_of(timer, struct flush, timer);
	unsigned int nr;
	uint64_t left = left_to_push(flush, &nr);

	if (flush->end_ns && loop_now_ns() >= flush->end_ns) {
		push_late(flush);
		return;
	}
	flush->most = left > flush->most ? left : flush->most;
	if (flush->options.pushing && flush->most)
		flush->options.pushing(flush->options.arg, flush->most - left, flush->most);
	loop_timer_set(flush->options.regiond->loop, timer, STEP_MS);
}

static void slot_pushed(struct pusher_wait *wait, int error)
{
	struct slot *slot = container_of(wait, struct slot, wait);
	struct managed *managed = region_managed(slot->region);
	struct pusher *pusher = managed ? managed_pusher(managed) : NULL;

	slot->waits = false;
	/* one that was handed to another host meanwhile is that one's to push */
	if (error && (error != -ESHUTDOWN || !managed || may_push(slot->flush, slot->region)))
		flush_fail(slot->flush, error, pusher ? pusher_stats(pusher)->why : "");
	slot_end(slot);
}

static void slot_open(struct region *region, int error, void *arg)
{
	struct slot *slot = arg;
	struct flush *flush = slot->flush;
	struct managed *managed = error ? NULL : region_managed(region);
	struct pusher *pusher = managed ? managed_pusher(managed) : NULL;
	bool may = managed && may_push(flush, region);

	slot->opens = false;
	/* one that is gone by now has nothing to push */
	if (error && atomic_load(&region->state) != REGION_GONE)
		flush_fail(flush, error, region->why);
	/* another one has failed meanwhile, or there is nothing that could be pushed */
	if (error || flush->error || !pusher || !may) {
		slot_end(slot);
		return;
	}
	slot->waits = true;
	slot->wait = (struct pusher_wait){ .done = slot_pushed };
	pusher_flush(pusher, &slot->wait);
}

static void slot_push(struct slot *slot)
{
	struct flush *flush = slot->flush;

	if (!flush->timer.slot) {
		flush->timer.fire = push_look;
		loop_timer_set(flush->options.regiond->loop, &flush->timer, 0);
	}
	slot->region = region_find(slot->flush->options.regiond->regions, slot->call.attrs.region);
	if (!slot->region || !may_push(flush, slot->region)) {
		slot_end(slot);
		return;
	}
	slot->opens = true;
	region_open(slot->region, slot_open, slot);
}

/* ---- what the kernel has ---- */

static void slot_written(struct netlink_call *call, int error, const char *why)
{
	struct slot *slot = container_of(call, struct slot, call);

	/* one that is gone by now has nothing to write */
	if (error && error != -ENOENT)
		flush_fail(slot->flush, error, why);
	if (error || slot->flush->options.here_only)
		slot_end(slot);
	else
		slot_push(slot);
}

/* What remains of the whole time-out, in ms; 0: it is over. */
static uint32_t time_left(const struct flush *flush)
{
	uint64_t now = loop_now_ns();

	return flush->end_ns > now ? (uint32_t)((flush->end_ns - now) / 1000000) : 0;
}

static void slot_next(struct slot *slot)
{
	struct flush *flush = slot->flush;
	uint32_t left = flush->end_ns ? time_left(flush) : 1;

	if (flush->next < flush->nr && !left)
		flush_fail(flush, -ETIMEDOUT, "the time-out was over before all regions were written");
	if (flush->next >= flush->nr || flush->error)
		return;
	memset(&slot->call, 0, sizeof(slot->call));
	slot->call.cmd = REGIONFS_CMD_WRITEBACK;
	netlink_set(&slot->call.attrs, REGION, region, flush->id[flush->next++]);
	netlink_flag(&slot->call.attrs, SYNC);
	if (flush->end_ns)
		netlink_set(&slot->call.attrs, DEADLINE, deadline, left);
	slot->call.done = slot_written;
	flush->running++;
	netlink_call(flush->options.regiond->netlink, &slot->call);
}

static int add_id(struct region *region, void *arg)
{
	struct flush *flush = arg;
	uint64_t *id = flush->id;

	if (flush->nr == flush->max) {
		flush->max = flush->max ? flush->max * 2 : 64;
		id = realloc(flush->id, flush->max * sizeof(*id));
		if (!id)
			return -ENOMEM;
		flush->id = id;
	}
	id[flush->nr++] = region->info.id;
	return 0;
}

void flush_start(const struct flush_options *options)
{
	struct flush *flush = calloc(1, sizeof(*flush));
	int err;

	if (!flush) {
		options->done(options->arg, -ENOMEM, "out of memory");
		return;
	}
	flush->options = *options;
	if (options->timeout_ms)
		flush->end_ns = loop_now_ns() + options->timeout_ms * 1000000ULL;
	err = options->region ? add_id(options->region, flush) : region_each(options->regiond->regions, add_id, flush);
	if (err)
		flush_fail(flush, err, "out of memory");
	for (size_t i = 0; i < PARALLEL; i++) {
		flush->slot[i].flush = flush;
		slot_next(&flush->slot[i]);
	}
	if (!flush->running)
		flush_end(flush);
}

// SPDX-License-Identifier: GPL-2.0
/* flush: see flush.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flush.h"
#include "region.h"
#include "regiond.h"

#define PARALLEL 8

struct slot {
	struct netlink_call call;
	struct flush *flush;
};

struct flush {
	struct flush_options options;
	uint64_t *id;
	size_t nr, max, next, done;
	unsigned int running;
	uint64_t end_ns;		/* 0: none */
	int error;
	char why[256];
	struct slot slot[PARALLEL];
};

static void flush_end(struct flush *flush)
{
	flush->options.done(flush->options.arg, flush->error, flush->why);
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

static void slot_next(struct slot *slot);

static void slot_done(struct netlink_call *call, int error, const char *why)
{
	struct slot *slot = container_of(call, struct slot, call);
	struct flush *flush = slot->flush;

	/* one that is gone by now has nothing to write */
	if (error && error != -ENOENT)
		flush_fail(flush, error, why);
	flush->running--;
	flush->done++;
	if (flush->options.progress)
		flush->options.progress(flush->options.arg, flush->done, flush->nr);
	slot_next(slot);
	if (!flush->running)
		flush_end(flush);
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
	slot->call.done = slot_done;
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

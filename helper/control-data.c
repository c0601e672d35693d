// SPDX-License-Identifier: GPL-2.0
/* control-data: sync, drain, pull, drop: moving a region's bytes between the page cache and its source. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control-kernel.h"
#include "control-managed.h"
#include "flush.h"
#include "pull.h"
#include "region.h"
#include "regiond.h"

#define PROGRESS_NS 100000000ULL

/* Not for each little step. */
static bool progress_due(uint64_t *last, uint64_t done, uint64_t total)
{
	uint64_t now = loop_now_ns();

	if (done < total && now - *last < PROGRESS_NS)
		return false;
	*last = now;
	return true;
}

/* ---- sync, drain ---- */

struct sync {
	struct control_call *call;
	uint64_t last_progress;
};

static void sync_progress(void *arg, uint64_t done, uint64_t total)
{
	struct sync *sync = arg;

	if (total > 1 && progress_due(&sync->last_progress, done, total))
		control_progress(sync->call, done, total, "regions", "writing");
}

static void sync_pushing(void *arg, uint64_t done, uint64_t total)
{
	struct sync *sync = arg;

	if (progress_due(&sync->last_progress, done, total))
		control_progress(sync->call, done, total, "bytes", "pushing");
}

static void drain_counted(struct control_call *call, const struct netlink_attrs *instance, uint64_t dirty)
{
	control_ok(call, json_pack("{s:o,s:o}", "dirty_bytes", control_id(dirty), "unpushed_bytes",
				   control_id(regions_unpushed(call->regiond->regions, NULL))));
}

static void sync_done(void *arg, int error, const char *why)
{
	struct sync *sync = arg;
	struct control_call *call = sync->call;

	free(sync);
	if (error)
		control_fail(call, error, "%s", why);
	else
		control_ok(call, NULL);
}

static void drain_done(void *arg, int error, const char *why)
{
	struct sync *sync = arg;
	struct control_call *call = sync->call;

	free(sync);
	if (error)
		control_fail(call, error, "%s", why);
	else
		control_count(call, drain_counted);
}

static void start_flush(struct control_call *call, void (*done)(void *arg, int error, const char *why))
{
	struct flush_options options = { .regiond = call->regiond, .progress = sync_progress, .pushing = sync_pushing, .done = done };

	if (control_u32(call, "timeout", &options.timeout_ms))
		return;
	options.arg = calloc(1, sizeof(struct sync));
	if (!options.arg) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	((struct sync *)options.arg)->call = call;
	options.region = call->region;
	flush_start(&options);
}

static void run_sync(struct control_call *call)
{
	struct region *region = control_has(call, "region") ? control_region(call) : NULL;

	if (control_has(call, "region") && !region)
		return;
	if (region)
		region_put(region);
	start_flush(call, sync_done);
}

static void run_drain(struct control_call *call)
{
	start_flush(call, drain_done);
}

/* ---- pull ---- */

struct pulling {
	struct control_call *call;
	struct pull *pull;
	uint64_t last_progress;
};

static void pull_progress(void *arg, uint64_t done, uint64_t total)
{
	struct pulling *pulling = arg;

	if (progress_due(&pulling->last_progress, done, total))
		control_progress(pulling->call, done, total, "bytes", "pulling");
}

static void pull_done(void *arg, int error, const char *why, uint64_t stored)
{
	struct pulling *pulling = arg;
	struct control_call *call = pulling->call;

	free(pulling);
	call->gone = NULL;
	if (error)
		control_fail(call, error, "%s", why);
	else
		control_ok(call, json_pack("{s:o}", "bytes", control_id(stored)));
}

static void pull_gone(struct control_call *call)
{
	struct pulling *pulling = call->arg;

	if (pulling->pull)
		pull_stop(pulling->pull);
}

void control_pull_range(struct control_call *call, struct region *region)
{
	struct pull_options options = { .region = region, .length = UINT64_MAX };
	struct pulling *pulling;

	if (control_u64(call, "offset", &options.offset) || control_u64(call, "length", &options.length))
		return;
	if (options.offset > region->info.size) {
		control_fail(call, -EINVAL, "%s has %" PRIu64 " bytes", region->info.path, region->info.size);
		return;
	}
	pulling = calloc(1, sizeof(*pulling));
	if (!pulling) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	pulling->call = call;
	call->arg = pulling;
	call->gone = pull_gone;
	options.progress = pull_progress;
	options.done = pull_done;
	options.arg = pulling;
	pulling->pull = pull_start(&options);
	if (pulling->pull)
		return;
	free(pulling);
	control_fail(call, -ENOMEM, "out of memory");
}

static void run_pull(struct control_call *call)
{
	struct region *region = control_region(call);
	bool range = control_has(call, "offset") || control_has(call, "length");
	bool steer = control_has(call, "pause") || control_has(call, "resume") || control_has(call, "rate");

	if (!region)
		return;
	if (steer && range)
		control_fail(call, -EINVAL, "a range is pulled at once and at full speed");
	else if (steer && !region->info.policy)
		control_fail(call, -EINVAL, "%s is a direct region: nothing pulls it in the background", region->info.path);
	else if (region->info.policy && !range)
		control_pull_managed(call, region);
	else
		control_pull_range(call, region);
	region_put(region);
}

/* ---- drop ---- */

static void run_drop(struct control_call *call)
{
	struct region *region = control_region(call);
	struct control_ask *ask;
	bool discard = false;

	if (!region)
		return;
	ask = control_ask_new(call, REGIONFS_CMD_INVALIDATE);
	if (!ask || control_u64(call, "offset", &ask->call.attrs.offset) || control_u64(call, "length", &ask->call.attrs.length) ||
	    control_bool(call, "discard", &discard)) {
		region_put(region);
		control_ask_free(ask);
		return;
	}
	region_source_changed(region, ask->call.attrs.offset, ask->call.attrs.length ? ask->call.attrs.length : UINT64_MAX);
	region_put(region);
	ask->call.attrs.have |= NETLINK_BIT(REGIONFS_A_OFFSET) | NETLINK_BIT(REGIONFS_A_LENGTH);
	if (discard)
		netlink_flag(&ask->call.attrs, DISCARD);
	control_ask(ask);
}

extern const struct control_cmd control_data_cmds[];

const struct control_cmd control_data_cmds[] = {
	{ "sync", CONTROL_DETACHES, "region timeout", run_sync },
	{ "drain", CONTROL_DETACHES, "timeout", run_drain },
	{ "pull", 0, "region offset length pause resume rate", run_pull },
	{ "drop", 0, "region offset length discard", run_drop },
	{ NULL, 0, NULL, NULL },
};

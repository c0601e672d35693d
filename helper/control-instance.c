// SPDX-License-Identifier: GPL-2.0
/* control-instance: ping, version, and what concerns the instance as a whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control-json.h"
#include "control-kernel.h"
#include "dirty-share.h"
#include "flush.h"
#include "instance.h"
#include "log.h"
#include "region.h"
#include "regiond.h"
#include "version.h"

static void run_ping(struct control_call *call)
{
	control_ok(call, NULL);
}

static void run_version(struct control_call *call)
{
	control_ok(call, json_pack("{s:s,s:i,s:i}", "version", regionfs_version, "abi", REGIONFS_ABI, "protocol", 1));
}

/* ---- stat, set ---- */

static void stat_done(struct control_call *call, const struct netlink_attrs *instance, uint64_t dirty)
{
	control_ok(call, json_instance(call->regiond, instance, dirty));
}

static void run_stat(struct control_call *call)
{
	control_count(call, stat_done);
}

static void keep_share(struct control_ask *ask)
{
	struct regiond *regiond = ask->control->regiond;

	dirty_share_keep(regiond->config->name, regiond->instance_id);
}

static void set_done(struct control_ask *ask)
{
	keep_share(ask);
	run_stat(ask->control);
}

static void run_set(struct control_call *call)
{
	struct control_ask *ask = control_ask_new(call, REGIONFS_CMD_INSTANCE_SET);
	struct netlink_attrs *attrs;

	if (!ask)
		return;
	attrs = &ask->call.attrs;
	if (control_u32(call, "takeback", &attrs->takeback) || control_u32(call, "dirty_ratio", &attrs->dirty_ratio)) {
		control_ask_free(ask);
		return;
	}
	if (control_has(call, "takeback"))
		attrs->have |= NETLINK_BIT(REGIONFS_A_TAKEBACK);
	if (control_has(call, "dirty_ratio")) {
		attrs->have |= NETLINK_BIT(REGIONFS_A_DIRTY_RATIO);
		dirty_share_yield(call->regiond->config->name, call->regiond->instance_id);
	}
	ask->then = set_done;
	ask->undo = keep_share;
	control_ask(ask);
}

/* ---- the end ---- */

#define STOP_MS 30000u

static void stop_done(struct control_ask *ask)
{
	struct control_call *call = ask->control;
	struct regiond *regiond = call->regiond;
	/* with the instance end the stores, too */
	uint64_t discarded = ask->got.count + regions_unpushed(regiond->regions, NULL);

	log_info("instance stopped, %llu bytes discarded", (unsigned long long)discarded);
	control_ok(call, json_pack("{s:o}", "discarded", control_id(discarded)));
	regiond_stop(regiond);
}

/* Where its answer was lost it may have happened all the same. */
static void stop_refused(struct control_ask *ask)
{
	ask->control->regiond->instance_ending = false;
	instance_check(ask->control->regiond, NULL);
}

/* The arguments were looked at. */
static void stop_now(struct control_call *call)
{
	struct control_ask *ask = control_ask_new(call, REGIONFS_CMD_INSTANCE_STOP);

	if (!ask)
		return;
	if (control_has(call, "timeout")) {
		ask->call.attrs.have |= NETLINK_BIT(REGIONFS_A_DEADLINE);
		control_u32(call, "timeout", &ask->call.attrs.deadline);
	}
	if (json_is_true(json_object_get(call->args, "discard")))
		netlink_flag(&ask->call.attrs, DISCARD);
	/* the channel ends with the instance, which is no accident then */
	call->regiond->instance_ending = true;
	call->ends_regiond = true;
	ask->then = stop_done;
	ask->undo = stop_refused;
	control_ask(ask);
}

static void stop_flushed(void *arg, int error, const char *why)
{
	struct control_call *call = arg;

	if (error)
		control_fail(call, error, "%s", why);
	else
		stop_now(call);
}

static int is_managed(struct region *region, void *arg)
{
	(void)arg;
	return region->info.policy || region_managed(region);
}

/* The kernel knows of what is dirty, not of what is unpushed. */
static void run_stop(struct control_call *call)
{
	struct flush_options flush = { .regiond = call->regiond, .timeout_ms = STOP_MS, .done = stop_flushed, .arg = call };
	bool discard = false;

	if (control_bool(call, "discard", &discard) || control_u32(call, "timeout", &flush.timeout_ms))
		return;
	if (discard || !region_each(call->regiond->regions, is_managed, NULL))
		stop_now(call);
	else
		flush_start(&flush);
}

static void run_detach(struct control_call *call)
{
	struct regiond *regiond = call->regiond;

	call->ends_regiond = true;
	control_ok(call, NULL);
	regiond_stop(regiond);
}

extern const struct control_cmd control_instance_cmds[];

const struct control_cmd control_instance_cmds[] = {
	{ "ping", CONTROL_READ_ONLY, "", run_ping },
	{ "version", CONTROL_READ_ONLY, "", run_version },
	{ "instance.stat", CONTROL_READ_ONLY, "", run_stat },
	{ "instance.set", 0, "takeback dirty_ratio", run_set },
	{ "instance.stop", 0, "discard timeout", run_stop },
	{ "detach", 0, "", run_detach },
	{ NULL, 0, NULL, NULL },
};

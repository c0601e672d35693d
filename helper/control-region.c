// SPDX-License-Identifier: GPL-2.0
/* control-region: stat, rm, set; add is in control-add.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control-json.h"
#include "control-kernel.h"
#include "control-managed.h"
#include "control-peer.h"
#include "control-policy.h"
#include "control-region.h"
#include "flush.h"
#include "follower.h"
#include "export.h"
#include "handover.h"
#include "leecher.h"
#include "netlink.h"
#include "region.h"
#include "regiond.h"
#include "state.h"

/* ---- a region, as an answer ---- */

struct answer {
	struct netlink_call call;
	struct control_call *control;
	json_t *json;
	bool stat;
	struct state_waiter written;
};

static void answer_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct answer *answer = container_of(call, struct answer, call);
	struct region *region = region_update(answer->control->regiond->regions, attrs);
	json_t *handover, *managed;
	const struct export *export;

	if (answer->json)
		return;
	answer->json = json_region(answer->control->regiond, attrs);
	/* of one that was just added the source and the size are known from here on: it is pulled before anybody opens the file */
	if (!answer->stat && region)
		region_open_managed(region);
	if (!answer->stat)
		return;
	json_object_set_new(answer->json, "stats", json_stats(attrs));
	if (netlink_has(attrs, WRITE_RATE))
		json_object_set_new(answer->json, "write_rate", control_id(attrs->write_rate));
	json_object_set_new(answer->json, "backend",
			    region && region->backend ? json_backend(region->backend) : json_null());
	managed = region ? control_managed_json(region) : NULL;
	if (managed)
		json_object_set_new(answer->json, "managed", managed);
	export = region && region->info.path ? control_export(region->regiond->server, region->info.path) : NULL;
	/* a seeder tells of its own */
	if (export && !export->seed)
		json_object_set_new(answer->json, "export", control_export_show(export));
	handover = region ? handover_show(region) : NULL;
	if (handover)
		json_object_set_new(answer->json, "handover", handover);
}

static void answer_end(struct state_waiter *waiter, int error)
{
	struct answer *answer = container_of(waiter, struct answer, written);

	if (error)
		control_fail(answer->control, error, "it was done, but the state directory can't be written: %s",
			     strerror(-error));
	else
		control_ok(answer->control, answer->json);
	if (error)
		json_decref(answer->json);
	free(answer);
}

/* What was changed outlives a reboot from the moment on that it is answered. */
static void answer_done(struct netlink_call *call, int error, const char *why)
{
	struct answer *answer = container_of(call, struct answer, call);

	if (!error && answer->stat) {
		answer_end(&answer->written, 0);
	} else if (!error) {
		answer->written.done = answer_end;
		state_sync(answer->control->regiond->state, &answer->written);
	} else {
		control_fail(answer->control, error, "%s", *why ? why : strerror(-error));
		json_decref(answer->json);
		free(answer);
	}
}

static void answer_region(struct control_call *control, uint64_t id, bool stat)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer) {
		control_fail(control, -ENOMEM, "out of memory");
		return;
	}
	answer->control = control;
	answer->stat = stat;
	answer->call.cmd = REGIONFS_CMD_REGION_GET;
	netlink_set(&answer->call.attrs, REGION, region, id);
	answer->call.item = answer_item;
	answer->call.done = answer_done;
	netlink_call(control->regiond->netlink, &answer->call);
}

void control_answer_region(struct control_call *call, uint64_t id)
{
	answer_region(call, id, false);
}

static void run_stat(struct control_call *call)
{
	struct region *region = control_region(call);

	if (!region)
		return;
	answer_region(call, region->info.id, true);
	region_put(region);
}

/* ---- rm ---- */

/* A migration needs the bytes where they are, also on the side that has given the region away. */
static bool is_held(struct control_call *call, const struct region *region)
{
	if (!handover_holds(region))
		return false;
	control_fail(call, -EBUSY, "%s is being migrated: wait for the end of that, or abort it", region->info.path);
	return true;
}

/* What is missing of one that has lost its source will not come, so nobody needs what is here but its user. */
static bool rm_is_held(struct control_call *call, const struct region *region, bool discard)
{
	enum leecher_rest rest = leecher_rest(region);

	if (rest == LEECHER_REST_NONE)
		return is_held(call, region);
	if (rest == LEECHER_REST_COMES)
		control_fail(call, -EBUSY, "%s has not all come yet: wait for that; if the host that it came from will not be back, say 'regionctl resolve "
			     "--source-lost' first", region->info.path);
	else if (!discard && leecher_has_policy(region))
		control_fail(call, -EBUSY, "%s has bytes that the source that came with it has not got: --discard drops them", region->info.path);
	else
		return false;
	return true;
}

/* What is shown is another host's, and nobody else's to change. */
static bool is_followed(struct control_call *call, const struct region *region)
{
	static const char *const keys[] = { "read_only", "size", "source", "fixed_size" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!control_has(call, keys[i]) || !follower_is(&region->info))
			continue;
		control_fail(call, -EBUSY, "%s follows another host's region: 'regionctl promote' makes it this host's", region->info.path);
		return true;
	}
	return false;
}

static void keep_bytes(struct control_ask *ask)
{
	ask->control->region->info.purge = false;
	ask->control->region->info.discard = false;
}

/* The arguments were looked at. */
static void rm_now(struct control_call *call)
{
	struct control_ask *ask = control_ask_new(call, REGIONFS_CMD_REGION_DEL);

	if (!ask)
		return;
	call->region->info.discard = json_is_true(json_object_get(call->args, "discard"));
	if (call->region->info.discard)
		netlink_flag(&ask->call.attrs, DISCARD);
	/* before the kernel's answer, since its DESTROY may overtake that */
	call->region->info.purge = json_is_true(json_object_get(call->args, "purge"));
	ask->undo = keep_bytes;
	control_ask(ask);
}

static void run_rm(struct control_call *call)
{
	struct region *region = control_region(call);
	bool discard = false, purge = false;

	if (!region)
		return;
	region_put(region);
	if (control_bool(call, "discard", &discard) || control_bool(call, "purge", &purge) || rm_is_held(call, region, discard))
		return;
	if (discard)
		rm_now(call);
	else
		control_managed_check(call, rm_now);
}

/* ---- set ---- */

static void set_flushed(void *arg, int error, const char *why)
{
	struct control_call *call = arg;

	if (error)
		control_fail(call, error, "it is read-only now, but what was dirty could not be written: %s", why);
	else
		answer_region(call, call->region->info.id, false);
}

/* What the kernel doesn't know of. The backend, where it need not be another one, takes it as it runs. */
static int set_policy(struct control_call *call)
{
	char *policy;
	bool again;
	int err = control_policy_set(call, call->region, &policy, &again);

	if (err || !policy)
		return err;
	err = region_set_policy(call->region, policy, again);
	free(policy);
	if (!err && again)
		region_open_managed(call->region);
	else if (!err)
		err = control_managed_set(call->region);
	if (err)
		control_fail(call, err, "the policy could not be changed: %s", strerror(-err));
	return err;
}

static void set_done(struct control_ask *ask)
{
	struct control_call *call = ask->control;
	struct flush_options flush = {
		.regiond = call->regiond, .region = call->region, .here_only = true, .done = set_flushed, .arg = call,
	};
	const char *source = json_string_value(json_object_get(call->args, "source"));

	if (set_policy(call))
		return;
	if (source)
		region_set_source(call->region, source);
	/* from now on it is as the user has said, whoever else has made it so before */
	if (json_object_get(call->args, "read_only"))
		region_set_claimed(call->region, false);
	if (json_is_true(json_object_get(call->args, "read_only")))
		flush_start(&flush);
	else
		answer_region(call, call->region->info.id, false);
}

static int set_flag(struct control_call *call, struct netlink_attrs *attrs, const char *key, uint32_t flag)
{
	bool on = false;

	if (!control_has(call, key))
		return 0;
	if (control_bool(call, key, &on))
		return -EINVAL;
	attrs->flags |= on ? flag : 0;
	attrs->flags_mask |= flag;
	attrs->have |= NETLINK_BIT(REGIONFS_A_FLAGS) | NETLINK_BIT(REGIONFS_A_FLAGS_MASK);
	return 0;
}

static int set_u32(struct control_call *call, struct netlink_attrs *attrs, const char *key, uint32_t *field, int attr)
{
	if (!control_has(call, key))
		return 0;
	attrs->have |= NETLINK_BIT(attr);
	return control_u32(call, key, field);
}

static int set_args(struct control_call *call, struct netlink_attrs *attrs)
{
	int err = set_u32(call, attrs, "mode", &attrs->mode, REGIONFS_A_MODE);

	if (!err)
		err = set_u32(call, attrs, "uid", &attrs->uid, REGIONFS_A_UID);
	if (!err)
		err = set_u32(call, attrs, "gid", &attrs->gid, REGIONFS_A_GID);
	if (!err)
		err = set_u32(call, attrs, "timeout", &attrs->timeout, REGIONFS_A_TIMEOUT);
	if (!err)
		err = set_flag(call, attrs, "read_only", REGIONFS_REGION_READ_ONLY);
	if (!err)
		err = set_flag(call, attrs, "fixed_size", REGIONFS_REGION_FIXED_SIZE);
	if (!err && control_has(call, "size")) {
		attrs->have |= NETLINK_BIT(REGIONFS_A_SIZE);
		err = control_u64(call, "size", &attrs->size);
	}
	if (!err && control_has(call, "source")) {
		attrs->have |= NETLINK_BIT(REGIONFS_A_SOURCE);
		err = control_string(call, "source", &attrs->source);
	}
	return err;
}

static bool set_check(struct control_call *call, const struct netlink_attrs *attrs)
{
	char why[256];
	int err = netlink_has(attrs, SOURCE) ? backend_check(attrs->source, why, sizeof(why)) : 0;

	if (err)
		control_fail(call, err, "%s", why);
	else if ((netlink_has(attrs, UID) && attrs->uid == UINT32_MAX) || (netlink_has(attrs, GID) && attrs->gid == UINT32_MAX))
		control_fail(call, -EINVAL, "-1 is nobody's id");
	else if (netlink_has(attrs, SOURCE) && backend_generic(attrs->source))
		control_fail(call, -EINVAL, "%s names no bytes that exist", attrs->source);
	else
		return true;
	return false;
}

/* What the source has not got belongs to that one: another need not have what it was written over. */
static bool is_behind(struct control_call *call, struct region *region)
{
	uint64_t unpushed = region_unpushed(region);

	if (unpushed)
		control_fail(call, -EBUSY, "%s has %" PRIu64 " bytes that its source has not got: 'regionctl sync %s' first", region->info.path,
			     unpushed, region->info.path);
	return unpushed != 0;
}

static bool policy_ok(struct control_call *call, const struct region *region)
{
	char *policy;
	bool again;
	int err = control_policy_set(call, region, &policy, &again);

	if (!err)
		free(policy);
	return !err;
}

static void run_set(struct control_call *call)
{
	struct region *region = control_region(call);
	struct control_ask *ask;

	if (!region)
		return;
	region_put(region);
	if (is_followed(call, region))
		return;
	if ((control_has(call, "source") && (is_held(call, region) || is_behind(call, region))) || !policy_ok(call, region))
		return;
	ask = control_ask_new(call, REGIONFS_CMD_REGION_SET);
	if (!ask)
		return;
	if (set_args(call, &ask->call.attrs) || !set_check(call, &ask->call.attrs)) {
		control_ask_free(ask);
		return;
	}
	if (control_has(call, "size"))
		region_source_changed(region, 0, UINT64_MAX);
	ask->then = set_done;
	control_ask(ask);
}

extern const struct control_cmd control_region_cmds[];

const struct control_cmd control_region_cmds[] = {
	{ "add", 0, "region source size chunk mode uid gid timeout read_only fixed_size exclusive managed direct "
	  CONTROL_POLICY_ARGS, control_run_add },
	{ "stat", CONTROL_READ_ONLY, "region", run_stat },
	{ "rm", 0, "region discard purge", run_rm },
	{ "set", 0, "region mode uid gid read_only fixed_size timeout source size "
	  CONTROL_POLICY_ARGS, run_set },
	{ NULL, 0, NULL, NULL },
};

// SPDX-License-Identifier: GPL-2.0
/* control-region: add, stat, rm, set. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control-json.h"
#include "control-kernel.h"
#include "handover.h"
#include "flush.h"
#include "netlink.h"
#include "probe.h"
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
	json_t *handover;

	if (answer->json)
		return;
	answer->json = json_region(answer->control->regiond, attrs);
	if (!answer->stat)
		return;
	json_object_set_new(answer->json, "stats", json_stats(attrs->stats));
	json_object_set_new(answer->json, "backend",
			    region && region->backend ? json_backend(region->backend) : json_null());
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

static void run_stat(struct control_call *call)
{
	struct region *region = control_region(call);

	if (!region)
		return;
	answer_region(call, region->info.id, true);
	region_put(region);
}

/* ---- add ---- */

struct add {
	struct control_call *control;
	const char *path, *source;	/* in the call's args */
	char *resolved;
	uint64_t size;
	uint32_t chunk, mode, uid, gid, timeout;
	bool have_size, read_only, fixed_size, exclusive;
};

static void add_free(void *arg)
{
	struct add *add = arg;

	free(add->resolved);
	free(add);
}

static void add_done(struct control_ask *ask)
{
	struct add *add = ask->arg;
	struct regiond *regiond = ask->control->regiond;
	struct netlink_attrs attrs = ask->got;
	struct region *region;

	attrs.path = add->path;
	attrs.have |= NETLINK_BIT(REGIONFS_A_PATH);
	region = region_update(regiond->regions, &attrs);
	if (region && add->chunk)
		region_set_chunk(region, add->chunk);
	answer_region(ask->control, attrs.region, false);
}

static void add_refused(struct control_ask *ask)
{
	struct add *add = ask->arg;

	if (add->resolved)
		probe_undo(ask->control->regiond, add->resolved);
}

static void ask_add(struct add *add)
{
	struct control_ask *ask = control_ask_new(add->control, REGIONFS_CMD_REGION_ADD);
	struct netlink_attrs *attrs;

	if (!ask) {
		add_free(add);
		return;
	}
	attrs = &ask->call.attrs;
	netlink_set(attrs, PATH, path, add->path);
	if (add->resolved)
		netlink_set(attrs, SOURCE, source, add->resolved);
	netlink_set(attrs, SIZE, size, add->size);
	netlink_set(attrs, MODE, mode, add->mode & 07777);
	netlink_set(attrs, UID, uid, add->uid);
	netlink_set(attrs, GID, gid, add->gid);
	netlink_set(attrs, TIMEOUT, timeout, add->timeout);
	netlink_set(attrs, FLAGS, flags, (add->read_only ? REGIONFS_REGION_READ_ONLY : 0) |
					 (add->fixed_size ? REGIONFS_REGION_FIXED_SIZE : 0));
	netlink_set(attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_FIXED_SIZE);
	ask->then = add_done;
	ask->undo = add_refused;
	ask->arg = add;
	ask->free_arg = add_free;
	control_ask(ask);
}

static void add_probed(struct probe *probe, void *arg, int error, const char *why)
{
	struct add *add = arg;

	if (error) {
		control_fail(add->control, error, "%s", why);
		add_free(add);
	} else {
		add->resolved = probe->source;
		probe->source = NULL;
		if (!add->have_size)
			add->size = probe->size;
		add->read_only |= probe->read_only;
		add->fixed_size |= probe->fixed_size;
		ask_add(add);
	}
	probe_free(probe);
}

/* The same path and source: adding it again is no error, so that scripts can be run twice. */
static bool is_equal(const struct add *add, const struct region *region)
{
	const char *have = region->info.source;
	size_t len;

	if (!add->source || !have)
		return !add->source && !have;
	len = strlen(add->source);
	return !strncmp(have, add->source, len) && (!have[len] || (backend_generic(add->source) && have[len] == '?'));
}

static int add_args(struct control_call *call, struct add *add)
{
	int err = control_string(call, "region", &add->path);

	if (!err)
		err = control_string(call, "source", &add->source);
	if (!err)
		err = control_u64(call, "size", &add->size);
	if (!err)
		err = control_u32(call, "chunk", &add->chunk);
	if (!err)
		err = control_u32(call, "mode", &add->mode);
	if (!err)
		err = control_u32(call, "uid", &add->uid);
	if (!err)
		err = control_u32(call, "gid", &add->gid);
	if (!err)
		err = control_u32(call, "timeout", &add->timeout);
	if (!err)
		err = control_bool(call, "read_only", &add->read_only);
	if (!err)
		err = control_bool(call, "fixed_size", &add->fixed_size);
	return err ? err : control_bool(call, "exclusive", &add->exclusive);
}

static bool add_check(struct control_call *call, struct add *add)
{
	if (add->path && *add->path == '/')
		add->path++;
	if (!add->path || !*add->path || *add->path == '#')
		control_fail(call, -EINVAL, "a region is named by its path below the mount");
	else if (add->chunk && (add->chunk & (add->chunk - 1) || add->chunk < 4096 || add->chunk > 16 << 20))
		control_fail(call, -EINVAL, "a chunk is a power of two from 4K to 16M");
	else if (call->region && (add->exclusive || !is_equal(add, call->region)))
		control_fail(call, -EEXIST, "there is a region %s already%s%s", add->path,
			     call->region->info.source ? ", of " : "", call->region->info.source ? call->region->info.source : "");
	else
		return true;
	return false;
}

static void run_add(struct control_call *call)
{
	struct add *add = calloc(1, sizeof(*add));

	if (!add) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	add->control = call;
	add->mode = 0644;
	add->have_size = control_has(call, "size");
	if (add_args(call, add) || !add_check(call, add)) {
		add_free(add);
	} else if (call->region) {
		answer_region(call, call->region->info.id, false);
		add_free(add);
	} else if (add->source) {
		probe_start(call->regiond, add->source, add->size, add->chunk, add_probed, add);
	} else {
		ask_add(add);
	}
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

static void keep_bytes(struct control_ask *ask)
{
	ask->control->region->info.purge = false;
}

static void run_rm(struct control_call *call)
{
	struct region *region = control_region(call);
	bool discard = false, purge = false;
	struct control_ask *ask;

	if (!region)
		return;
	region_put(region);
	if (is_held(call, region) || control_bool(call, "discard", &discard) || control_bool(call, "purge", &purge))
		return;
	ask = control_ask_new(call, REGIONFS_CMD_REGION_DEL);
	if (!ask)
		return;
	if (discard)
		netlink_flag(&ask->call.attrs, DISCARD);
	/* before the kernel's answer, since its DESTROY may overtake that */
	call->region->info.purge = purge;
	ask->undo = keep_bytes;
	control_ask(ask);
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

static void set_done(struct control_ask *ask)
{
	struct control_call *call = ask->control;
	struct flush_options flush = {
		.regiond = call->regiond, .region = call->region, .done = set_flushed, .arg = call,
	};
	const char *source = json_string_value(json_object_get(call->args, "source"));

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

static void run_set(struct control_call *call)
{
	struct region *region = control_region(call);
	struct control_ask *ask;

	if (!region)
		return;
	region_put(region);
	if (control_has(call, "source") && is_held(call, region))
		return;
	ask = control_ask_new(call, REGIONFS_CMD_REGION_SET);
	if (!ask)
		return;
	if (set_args(call, &ask->call.attrs) || !set_check(call, &ask->call.attrs)) {
		control_ask_free(ask);
		return;
	}
	ask->then = set_done;
	control_ask(ask);
}

extern const struct control_cmd control_region_cmds[];

const struct control_cmd control_region_cmds[] = {
	{ "add", 0, "region source size chunk mode uid gid timeout read_only fixed_size exclusive", run_add },
	{ "stat", CONTROL_READ_ONLY, "region", run_stat },
	{ "rm", 0, "region discard purge", run_rm },
	{ "set", 0, "region mode uid gid read_only fixed_size timeout source size", run_set },
	{ NULL, 0, NULL, NULL },
};

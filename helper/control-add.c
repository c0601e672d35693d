// SPDX-License-Identifier: GPL-2.0
/* control-add: add: the source is probed, then the kernel is told, then what it doesn't keep is noted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control-kernel.h"
#include "control-policy.h"
#include "control-region.h"
#include "netlink.h"
#include "probe.h"
#include "region.h"
#include "regiond.h"

struct add {
	struct control_call *control;
	const char *path, *source;	/* in the call's args */
	char *resolved;
	char *policy;			/* NULL: a direct region */
	uint64_t size;
	uint32_t chunk, mode, uid, gid, timeout;
	bool have_size, read_only, fixed_size, exclusive;
};

static void add_free(void *arg)
{
	struct add *add = arg;

	free(add->resolved);
	free(add->policy);
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
	if (region && region_set_policy(region, add->policy, true)) {
		control_fail(ask->control, -ENOMEM, "it was added, but there was no memory for its policy: remove it, and add it again");
		return;
	}
	control_answer_region(ask->control, attrs.region);
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

static bool has_policy(const struct region *region, const char *policy)
{
	return policy && region->info.policy ? !strcmp(policy, region->info.policy) : policy == region->info.policy;
}

/* The same path and source: adding it again is no error, so that scripts can be run twice. */
static bool has_source(const struct add *add, const struct region *region)
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
	if (!err)
		err = control_bool(call, "exclusive", &add->exclusive);
	return err ? err : control_policy_add(call, &add->policy);
}

static bool add_check(struct control_call *call, struct add *add)
{
	if (add->path && *add->path == '/')
		add->path++;
	if (!add->path || !*add->path || *add->path == '#')
		control_fail(call, -EINVAL, "a region is named by its path below the mount");
	else if (add->chunk && (add->chunk & (add->chunk - 1) || add->chunk < 4096 || add->chunk > 16 << 20))
		control_fail(call, -EINVAL, "a chunk is a power of two from 4K to 16M");
	else if (call->region && (add->exclusive || !has_source(add, call->region)))
		control_fail(call, -EEXIST, "there is a region %s already%s%s", add->path,
			     call->region->info.source ? ", of " : "", call->region->info.source ? call->region->info.source : "");
	else if (call->region && !has_policy(call->region, add->policy))
		control_fail(call, -EEXIST, "there is a region %s already, and it is managed otherwise: 'regionctl set' changes that, or "
			     "'regionctl rm' it first", add->path);
	else
		return true;
	return false;
}

void control_run_add(struct control_call *call)
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
		control_answer_region(call, call->region->info.id);
		add_free(add);
	} else if (add->source) {
		probe_start(call->regiond, add->source, add->size, add->chunk, add_probed, add);
	} else {
		ask_add(add);
	}
}

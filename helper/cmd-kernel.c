// SPDX-License-Identifier: GPL-2.0
/* What the instance commands ask the kernel themselves, since an instance outlives its regiond. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd-kernel.h"

static void put_stats(json_t *to, const uint64_t *values)
{
	static const struct {
		enum regionfs_stat stat;
		const char *key;
	} names[] = {
		{ REGIONFS_STAT_READS, "reads" },
		{ REGIONFS_STAT_READ_BYTES, "read_bytes" },
		{ REGIONFS_STAT_DEMAND_READS, "demand_reads" },
		{ REGIONFS_STAT_WRITES, "writes" },
		{ REGIONFS_STAT_WRITE_BYTES, "write_bytes" },
		{ REGIONFS_STAT_SYNCS, "syncs" },
		{ REGIONFS_STAT_DISCARDS, "discards" },
		{ REGIONFS_STAT_STORED_BYTES, "stored_bytes" },
		{ REGIONFS_STAT_STORE_SHORT, "store_short" },
		{ REGIONFS_STAT_LOCAL_BYTES, "local_bytes" },
		{ REGIONFS_STAT_ERRORS, "errors" },
		{ REGIONFS_STAT_TAKEN_BACK, "taken_back" },
		{ REGIONFS_STAT_LATE_COMMITS, "late_commits" },
		{ REGIONFS_STAT_OUTSTANDING, "outstanding" },
		{ REGIONFS_STAT_WAITS, "wait_count" },
		{ REGIONFS_STAT_WAIT_NS, "wait_ns" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_object_set_new(to, names[i].key,
				    json_integer((json_int_t)values[names[i].stat]));
}

static void put_number(json_t *to, const struct netlink_attrs *attrs, enum regionfs_attr attr,
		       const char *key, uint64_t value)
{
	if (attrs->have & NETLINK_BIT(attr))
		json_object_set_new(to, key, json_integer((json_int_t)value));
}

/* The same keys as regiond's own answer has. */
static json_t *instance_json(const struct netlink_attrs *attrs)
{
	json_t *instance = json_object(), *stats;

	json_object_set_new(instance, "name", json_string(attrs->instance ? attrs->instance : "?"));
	if (netlink_has(attrs, INSTANCE_ID))
		json_object_set_new(instance, "id", json_sprintf("0x%" PRIx64, attrs->instance_id));
	put_number(instance, attrs, REGIONFS_A_ATTACHED, "attach_gen", attrs->attached);
	put_number(instance, attrs, REGIONFS_A_PID, "pid", attrs->pid);
	put_number(instance, attrs, REGIONFS_A_MOUNTS, "mounts", attrs->mounts);
	put_number(instance, attrs, REGIONFS_A_REGIONS, "regions", attrs->regions);
	put_number(instance, attrs, REGIONFS_A_TAKEBACK, "takeback", attrs->takeback);
	put_number(instance, attrs, REGIONFS_A_DIRTY_RATIO, "dirty_ratio", attrs->dirty_ratio);
	if (netlink_has(attrs, STATS)) {
		stats = json_object();
		put_stats(stats, attrs->stats);
		json_object_set_new(instance, "stats", stats);
	}
	return instance;
}

static void take_instance(void *context, const struct netlink_attrs *attrs)
{
	json_array_append_new(context, instance_json(attrs));
}

int kernel_instances(struct cmd_context *ctx, json_t **instances)
{
	struct kernel_call call = {
		.cmd = REGIONFS_CMD_INSTANCE_GET,
		.dump = true,
		.item = take_instance,
	};
	int err;

	*instances = json_array();
	call.context = *instances;
	err = kernel_call(&call);
	if (!err)
		return CMD_OK;
	json_decref(*instances);
	*instances = NULL;
	return cmd_fail(ctx, err, "%s", call.why);
}

const json_t *kernel_find(const json_t *instances, const char *name)
{
	const json_t *instance;
	size_t i;

	json_array_foreach(instances, i, instance)
		if (!strcmp(json_string_value(json_object_get(instance, "name")) ?: "", name))
			return instance;
	return NULL;
}

static int pick_only(struct cmd_context *ctx, char name[REGIONFS_CLIENT_NAME])
{
	const char *found;
	json_t *instances;
	int code = kernel_instances(ctx, &instances);

	if (code)
		return code;
	if (json_array_size(instances) == 1) {
		found = json_string_value(json_object_get(json_array_get(instances, 0), "name"));
		snprintf(name, REGIONFS_CLIENT_NAME, "%s", found);
	} else if (json_array_size(instances)) {
		code = cmd_fail(ctx, -ENOTUNIQ, "there are several instances; name one "
				"('regionctl instance ls' lists them)");
	} else {
		code = cmd_fail(ctx, -ENOENT, "there is no instance");
	}
	json_decref(instances);
	return code;
}

int kernel_pick(struct cmd_context *ctx, char name[REGIONFS_CLIENT_NAME])
{
	const char *operand = cmd_text(ctx, "name");
	int err;

	if (!operand && !ctx->instance)
		return pick_only(ctx, name);
	err = regionfs_client_pick(operand ? operand : ctx->instance, name, ctx->message,
				   sizeof(ctx->message));
	json_object_del(ctx->args, "name");
	if (!err)
		return CMD_OK;
	cmd_fail(ctx, err, "%s", ctx->message);
	return CMD_USAGE;
}

bool kernel_helper_runs(const char *name)
{
	struct regionfs_client client;
	bool runs = !regionfs_client_open(&client, name);

	regionfs_client_close(&client);
	return runs;
}

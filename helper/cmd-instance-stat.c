// SPDX-License-Identifier: GPL-2.0
/* regionctl instance stat: one instance, from its regiond or, without one, from the kernel. */
#include <errno.h>

#include "cmd-kernel.h"

static const struct show_field fields[] = {
	{ SHOW_TEXT, "name", "instance" },
	{ SHOW_TEXT, "id", "id" },
	{ SHOW_TEXT, "version", "regiond" },
	{ SHOW_NUMBER, "pid", "pid" },
	{ SHOW_NUMBER, "attach_gen", "helpers so far" },
	{ SHOW_NUMBER, "mounts", "mounts" },
	{ SHOW_NUMBER, "regions", "regions" },
	{ SHOW_SIZE, "dirty_bytes", "dirty" },
	{ SHOW_SIZE, "unpushed_bytes", "not at sources" },
	{ SHOW_TEXT, "policy", "managed" },
	{ SHOW_TEXT, "default_source", "default source" },
	{ SHOW_TEXT, "state_dir", "state directory" },
	{ SHOW_MS, "takeback", "take-back limit" },
	{ SHOW_NUMBER, "dirty_ratio", "dirty share (%)" },
	{ SHOW_NUMBER, "queues", "queues" },
	{ SHOW_NUMBER, "depth", "requests per queue" },
	{ SHOW_SIZE, "max_request", "largest request" },
	{ SHOW_END, NULL, NULL },
};

static void show(const struct cmd_context *ctx, const json_t *instance)
{
	json_t *stats = json_object_get(instance, "stats");

	if (ctx->json) {
		show_json(instance, true);
		return;
	}
	/* What the kernel counts by region alone; it gives zeroes here. */
	json_object_del(stats, "cached_pages");
	json_object_del(stats, "dirty_bytes");
	show_fields(instance, fields, NULL);
	if (json_is_object(stats))
		show_fields(stats, show_stats_fields, "counters");
}

static int from_kernel(struct cmd_context *ctx, const char *name)
{
	const json_t *instance;
	json_t *instances;
	int code = kernel_instances(ctx, &instances);

	if (code)
		return code;
	instance = kernel_find(instances, name);
	if (instance)
		show(ctx, instance);
	else
		code = cmd_fail(ctx, -ENOENT, "there is no instance '%s' "
				"('regionctl instance ls' lists them)", name);
	json_decref(instances);
	return code;
}

static int run(struct cmd_context *ctx)
{
	char name[REGIONFS_CLIENT_NAME];
	json_t *instance;
	int code = kernel_pick(ctx, name);

	if (code)
		return code;
	if (!kernel_helper_runs(name))
		return from_kernel(ctx, name);
	ctx->instance = name;
	code = cmd_call(ctx, "instance.stat", &instance);
	if (!code)
		show(ctx, instance);
	json_decref(instance);
	return code;
}

const struct cmd cmd_instance_stat = {
	.name = "instance stat",
	.summary = "show an instance: helper, settings, counters",
	.details = "Without a running regiond, what the kernel knows.\n",
	.operands = CMD_MAYBE_NAME,
	.run = run,
};

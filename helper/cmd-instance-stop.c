// SPDX-License-Identifier: GPL-2.0
/* regionctl instance stop: end an instance, with its regiond or after it. */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "cmd-kernel.h"
#include "run-dir.h"
#include "units.h"

static void take_discarded(void *context, const struct netlink_attrs *attrs)
{
	if (netlink_has(attrs, COUNT))
		*(uint64_t *)context = attrs->count;
}

/* What a regiond that was killed has left. One that serves an instance of this name elsewhere has it locked. */
static void clear_run_dir(const char *name)
{
	char path[PATH_MAX];
	int lock;

	snprintf(path, sizeof(path), "%s/%s", regionfs_client_run_dir(), name);
	if (access(path, F_OK))
		return;
	lock = run_dir_take(path);
	if (lock >= 0)
		run_dir_clear(path, lock);
}

/* No regiond: nobody can write what is dirty, so the kernel refuses unless it may drop it. */
static int by_kernel(struct cmd_context *ctx, const char *name, json_t **result)
{
	json_int_t timeout = json_integer_value(json_object_get(ctx->args, "timeout"));
	uint64_t discarded = 0;
	struct kernel_call call = {
		.instance = name,
		.cmd = REGIONFS_CMD_INSTANCE_STOP,
		.item = take_discarded,
		.context = &discarded,
	};
	int err;

	if (json_is_true(json_object_get(ctx->args, "discard")))
		netlink_flag(&call.attrs, DISCARD);
	if (timeout > 0)
		netlink_set(&call.attrs, DEADLINE, deadline,
			    timeout > UINT32_MAX ? UINT32_MAX : (uint32_t)timeout);
	err = kernel_call(&call);
	if (err)
		return cmd_fail(ctx, err, "%s", call.why);
	clear_run_dir(name);
	*result = json_pack("{s:I}", "discarded", (json_int_t)discarded);
	return CMD_OK;
}

static void show(const struct cmd_context *ctx, const json_t *result)
{
	json_int_t discarded = json_integer_value(json_object_get(result, "discarded"));
	char text[REGIONFS_UNITS_TEXT];

	if (ctx->json)
		show_json(result, true);
	else if (discarded > 0)
		printf("discarded %s that were not written\n",
		       regionfs_size_format((uint64_t)discarded, text));
}

static int run(struct cmd_context *ctx)
{
	char name[REGIONFS_CLIENT_NAME];
	json_t *result = NULL;
	int code = kernel_pick(ctx, name);

	if (code)
		return code;
	ctx->instance = name;
	if (kernel_helper_runs(name))
		code = cmd_call(ctx, "instance.stop", &result);
	else
		code = by_kernel(ctx, name, &result);
	if (!code)
		show(ctx, result);
	json_decref(result);
	return code;
}

const struct cmd cmd_instance_stop = {
	.name = "instance stop",
	.summary = "write what is dirty, then end the instance and its regiond",
	.details =
		"Refused while it is mounted, and while bytes can't be written: start regiond\n"
		"('regionctl instance start NAME'), or give them up with --discard. Sources keep their\n"
		"bytes. Works without a running regiond, too.\n",
	.operands = CMD_MAYBE_NAME,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "discard", NULL, NULL, "drop bytes that are not written, and say how many" },
		{ CMD_DURATION, "timeout", NULL, "TIME", "how long writing may take (default: 30s)" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

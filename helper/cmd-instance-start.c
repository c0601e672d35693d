// SPDX-License-Identifier: GPL-2.0
/* regionctl instance start: a regiond for an instance. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "start.h"

/* "--source=URI" and so on, for what was given. The caller frees each. */
static int build_args(const struct cmd_context *ctx, char *args[], int room)
{
	static const char *const keys[] = { "source", "state", "queues", "depth" };
	const json_t *value;
	int n = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && n + 1 < room; i++) {
		value = json_object_get(ctx->args, keys[i]);
		if (json_is_string(value) &&
		    asprintf(&args[n], "--%s=%s", keys[i], json_string_value(value)) >= 0)
			n++;
		else if (json_is_integer(value) &&
			 asprintf(&args[n], "--%s=%lld", keys[i], json_integer_value(value)) >= 0)
			n++;
	}
	args[n] = NULL;
	return n;
}

static int run(struct cmd_context *ctx)
{
	struct regionfs_start start = {
		.instance = cmd_text(ctx, "name"),
		.helper = cmd_text(ctx, "helper"),
		.limit_ms = REGIONFS_START_LIMIT_MS,
	};
	char *args[8];
	int n, err;

	n = build_args(ctx, args, 8);
	start.args = args;
	err = regionfs_start(&start);
	while (n > 0)
		free(args[--n]);
	if (err)
		return cmd_fail(ctx, err, "cannot start regiond for instance '%s': %s",
				start.instance, start.message);
	if (ctx->json)
		puts("{}");
	return CMD_OK;
}

const struct cmd cmd_instance_start = {
	.name = "instance start",
	.summary = "start a regiond for an instance; makes it when there is none",
	.details =
		"Returns when regiond serves it. Where systemd runs regiond, 'systemctl start\n"
		"regiond@NAME' does the same under its supervision.\n",
	.operands = (const struct cmd_operand[]) {
		{ CMD_TEXT, "name", "NAME", false },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_SOURCE, "source", NULL, "URI", "for files that are made in the mount" },
		{ CMD_PATH, "state", NULL, "DIR", "state directory (default: /var/lib/regionfs/NAME)" },
		{ CMD_NUMBER, "queues", NULL, "N", "queues of the data channel" },
		{ CMD_NUMBER, "depth", NULL, "N", "requests at once per queue" },
		{ CMD_PATH, "helper", NULL, "PATH", "the regiond to start (default: the installed one)" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

// SPDX-License-Identifier: GPL-2.0
/* regionctl instance set: what the kernel may do with an instance. */
#include <errno.h>

#include "cmd.h"

static const struct show_field fields[] = {
	{ SHOW_TEXT, "name", "instance" },
	{ SHOW_MS, "takeback", "take-back limit" },
	{ SHOW_NUMBER, "dirty_ratio", "dirty share (%)" },
	{ SHOW_END, NULL, NULL },
};

static int run(struct cmd_context *ctx)
{
	json_t *instance;
	int code;

	if (!json_object_size(ctx->args)) {
		cmd_fail(ctx, -EINVAL, "nothing to set; see 'regionctl instance set --help'");
		return CMD_USAGE;
	}
	code = cmd_call(ctx, "instance.set", &instance);
	return code ? code : show_result(ctx, instance, fields);
}

const struct cmd cmd_instance_set = {
	.name = "instance set",
	.summary = "change an instance's limits",
	.options = (const struct cmd_option[]) {
		{ CMD_DURATION, "takeback", NULL, "TIME",
		  "how long a request may stay unanswered (default: 10s)" },
		{ CMD_NUMBER, "dirty-ratio", NULL, "PERCENT",
		  "its share of the system's dirty limit (default: 20)" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

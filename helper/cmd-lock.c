// SPDX-License-Identifier: GPL-2.0
/* regionctl lock: nobody reads, writes or maps. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "lock");
}

const struct cmd cmd_lock = {
	.name = "lock",
	.summary = "keep programs from reading and writing",
	.details = "They wait until 'regionctl unlock REGION'.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_DURATION, "timeout", NULL, "TIME", "give up after it (default: 30s)" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

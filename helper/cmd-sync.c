// SPDX-License-Identifier: GPL-2.0
/* regionctl sync: written and durable. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "sync");
}

const struct cmd cmd_sync = {
	.name = "sync",
	.summary = "write what is dirty and make it durable",
	.details =
		"Without REGION, all regions of the instance. Of managed regions all is at the source\n"
		"afterwards, whatever --durability an fsync has.\n",
	.operands = (const struct cmd_operand[]) {
		{ CMD_REGION, "region", "REGION", true },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_DURATION, "timeout", NULL, "TIME", "wait no longer; nothing is lost then" },
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

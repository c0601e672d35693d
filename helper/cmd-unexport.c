// SPDX-License-Identifier: GPL-2.0
/* regionctl unexport. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "unexport");
}

const struct cmd cmd_unexport = {
	.name = "unexport",
	.summary = "end an export",
	.details = "Connections of that region are closed; other exports go on.\n",
	.operands = CMD_ONE_REGION,
	.run = run,
};

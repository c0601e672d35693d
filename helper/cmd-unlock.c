// SPDX-License-Identifier: GPL-2.0
/* regionctl unlock: undo lock. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "unlock");
}

const struct cmd cmd_unlock = {
	.name = "unlock",
	.summary = "let programs read and write again",
	.operands = CMD_ONE_REGION,
	.run = run,
};

// SPDX-License-Identifier: GPL-2.0
/* regionctl thaw. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "thaw");
}

const struct cmd cmd_thaw = {
	.name = "thaw",
	.summary = "let programs write again",
	.operands = CMD_ONE_REGION,
	.run = run,
};

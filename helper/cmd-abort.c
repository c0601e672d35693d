// SPDX-License-Identifier: GPL-2.0
/* regionctl abort: undo a seed or leech. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "abort");
}

const struct cmd cmd_abort = {
	.name = "abort",
	.summary = "undo a seed or leech that is not handed over yet",
	.details = "Refused once the region has changed its owner.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "force", NULL, NULL, "also where the other side can't be asked" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

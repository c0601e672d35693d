// SPDX-License-Identifier: GPL-2.0
/* regionctl rm: forget a region. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "rm");
}

const struct cmd cmd_rm = {
	.name = "rm",
	.summary = "forget a region; its source keeps the bytes",
	.details =
		"Programs that have it open go on with it. Refused while it has bytes that are not\n"
		"written yet, or not at the source: 'regionctl sync REGION' brings them there, --discard\n"
		"drops them.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "discard", NULL, NULL, "drop bytes that are not written yet" },
		{ CMD_TRUE, "purge", NULL, NULL, "delete the source's bytes as well" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

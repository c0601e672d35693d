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
	.details =
		"Refused once the region has changed its owner. Where nobody can tell whether it has,\n"
		"since the other side is away, only --force ends it; then two hosts may own it. Where it has\n"
		"moved and the other side will never have the rest of it, --force lets go of that.\n"
		"What follows its source is removed here; what is just being promoted follows again, but is\n"
		"removed with --force.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "force", NULL, NULL, "the other side does not have it, and never will" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

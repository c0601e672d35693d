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
		"Any region of a group means all of it. Refused once the region has changed its owner, and\n"
		"where it was resolved: 'regionctl resolve' ends that. Where nobody can tell whether it has\n"
		"changed its owner, since the other side is away, only --force ends it: the program goes on\n"
		"here, and if the other side has it after all, two hosts own it. Where it has moved and the\n"
		"other side will never have the rest of it, --force gives that up: nobody is let in here, and\n"
		"what is here, maybe the last of it, stays until you remove it, or leech it by its name.\n"
		"What follows its source is removed here; what is just being promoted follows again, but is\n"
		"removed with --force.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "force", NULL, NULL, "the other side does not have it, or not all of it, and never will" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

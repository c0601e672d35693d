// SPDX-License-Identifier: GPL-2.0
/* regionctl freeze: nobody writes, everything is written. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "freeze");
}

const struct cmd cmd_freeze = {
	.name = "freeze",
	.summary = "stop all writers and write what is dirty",
	.details =
		"When it returns, every byte has been written, and whoever writes waits until\n"
		"'regionctl thaw REGION'. Fails, and thaws, where pages are pinned for long (by direct I/O,\n"
		"or a device): --force freezes all the same.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_DURATION, "timeout", NULL, "TIME", "give up and thaw after it (default: 30s)" },
		{ CMD_TRUE, "force", NULL, NULL, "in spite of pinned pages" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

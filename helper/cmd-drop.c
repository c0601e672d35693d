// SPDX-License-Identifier: GPL-2.0
/* regionctl drop: forget what is cached here. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "drop");
}

const struct cmd cmd_drop = {
	.name = "drop",
	.summary = "drop a region's bytes from the page cache",
	.details = "What is dirty is written first, so nothing is lost; --discard drops that, too.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_SIZE, "offset", NULL, "SIZE", "from here" },
		{ CMD_SIZE, "length", NULL, "SIZE", "so many bytes (default: to the end)" },
		{ CMD_TRUE, "discard", NULL, NULL, "without writing what is dirty" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

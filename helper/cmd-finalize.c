// SPDX-License-Identifier: GPL-2.0
/* regionctl finalize: the hand-over itself. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code = cmd_call(ctx, "finalize", &result);

	return code ? code : show_handover(ctx, result);
}

const struct cmd cmd_finalize = {
	.name = "finalize",
	.summary = "move a region that is being leeched to this host",
	.details =
		"The other host stops its program, freezes the region and says what it changed last;\n"
		"from then on it is this host's, and what is missing is fetched on demand and behind.\n"
		"--handover complete: not before all is here but what the last list names, and that is little.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "handover", NULL, "HOW", "complete or early (default: as 'leech' was told, else early)" },
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

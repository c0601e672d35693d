// SPDX-License-Identifier: GPL-2.0
/* regionctl promote: a region that follows another host's becomes this host's. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code = cmd_call(ctx, "promote", &result);

	return code ? code : show_handover(ctx, result);
}

const struct cmd cmd_promote = {
	.name = "promote",
	.summary = "make a region that follows another host's this host's",
	.details =
		"With its owner there it is moved here, as by 'leech' and 'finalize': nothing that was\n"
		"written is lost, and little is still to be sent. Programs that read it here wait meanwhile.\n"
		"Without, it is refused; --source-lost makes it this host's as it is shown, in a new epoch: what\n"
		"was written since then is lost here. Who can be heard is not lost; who has moved the region has\n"
		"made it another host's, which is to be followed, unless --force says that that is lost, too.\n"
		"Its owner of before cannot know that it was promoted. If it comes back, and is met, both are\n"
		"frozen until 'regionctl resolve' says --keep on one side and --discard on the other;\n"
		"'regionctl resolve --keep' before that ends looking for it.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "source-lost", NULL, NULL, "its owner is off, and will not be back" },
		{ CMD_TRUE, "force", NULL, NULL, "with --source-lost: so is the host that it has moved to" },
		{ CMD_TEXT, "on-resume", NULL, "COMMAND", "starts the program here, after the hand-over" },
		{ CMD_TEXT, "resume-unit", NULL, "NAME", "a systemd unit, started before --on-resume is run" },
		{ CMD_DURATION, "hook-timeout", NULL, "TIME", "for each of them (30s)" },
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

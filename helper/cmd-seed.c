// SPDX-License-Identifier: GPL-2.0
/* regionctl seed: offer a region to the host that takes it over. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code = cmd_call(ctx, "seed", &result);

	return code ? code : show_handover(ctx, result);
}

const struct cmd cmd_seed = {
	.name = "seed",
	.summary = "offer a region to another host that takes it over",
	.details =
		"Programs here go on reading and writing until the other host finalizes. Then they are\n"
		"stopped, by --on-suspend, --suspend-unit and --suspend-cgroup in this order, the region\n"
		"is frozen and handed over, and what is still missing there is fetched from here. Where\n"
		"that fails they go on, in the reverse order. Returns when the other side has everything;\n"
		"with --detach, at once. Ctrl-C detaches. Until the hand-over, 'regionctl abort REGION'\n"
		"undoes it.\n"
		"More than one REGION, or --group, makes a group: they are frozen together, and handed over\n"
		"together or not at all. What is to be stopped is stopped once, for all of them. 'wait', 'abort'\n"
		"and 'resolve' with any of them mean them all.\n"
		"Where an earlier regiond has handed it over, that is taken up: use the same address.\n"
		"Other hosts may follow it meanwhile: 'regionctl leech --follow' there.\n"
		"Off loopback it needs --tls-psk, --tls-cert or the word --insecure. Who gets in may do all of it,\n"
		"but where there is --allow, only what that says.\n",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_REGION_LIST, "more", "REGION...", true },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "listen", NULL, "ADDR:PORT", "where to listen" },
		{ CMD_TEXT, "group", NULL, "NAME", "what the group is called (default: as its first region)" },
		{ CMD_TEXT, "on-suspend", NULL, "COMMAND", "stops the program, before the freeze" },
		{ CMD_TEXT, "on-resume", NULL, "COMMAND", "starts it again, when the hand-over fails" },
		{ CMD_TEXT, "on-abort", NULL, "COMMAND", "when the hand-over has been given up here" },
		{ CMD_TEXT, "suspend-unit", NULL, "NAME", "a systemd unit: stopped, and started again likewise" },
		{ CMD_TEXT, "suspend-cgroup", NULL, "PATH",
		  "a cgroup, below /sys/fs/cgroup: frozen, and thawed likewise" },
		{ CMD_DURATION, "hook-timeout", NULL, "TIME",
		  "for each of them (30s); then the hand-over is given up" },
		{ CMD_TEXT, "suspend", "on_suspend", "COMMAND", "the same as --on-suspend" },
		{ CMD_TEXT, "resume", "on_resume", "COMMAND", "the same as --on-resume" },
		{ CMD_SIZE, "follow-copies", NULL, "SIZE",
		  "kept for each follower of what it fetches and programs change (a quarter of the region)" },
		{ CMD_TRUE, "detach", NULL, NULL, "return at once; see 'regionctl wait'" },
		CMD_ALLOW_OPTION("read, follow, leech or all"),
		CMD_TLS_OPTIONS,
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

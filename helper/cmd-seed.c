// SPDX-License-Identifier: GPL-2.0
/* regionctl seed: offer a region to the host that takes it over. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code = cmd_call(ctx, "seed", &result);

	return code ? code : show_result(ctx, result, show_handover_fields);
}

const struct cmd cmd_seed = {
	.name = "seed",
	.summary = "offer a region to another host that takes it over",
	.details =
		"Programs here go on reading and writing until the other host finalizes. Then --suspend\n"
		"is run, the region is frozen and handed over, and what is still missing there is fetched\n"
		"from here. Returns when the other side has everything; with --detach, at once. Ctrl-C\n"
		"detaches. Until the hand-over, 'regionctl abort REGION' undoes it.\n"
		"Where an earlier regiond has handed it over, that is taken up: use the same address.\n"
		"Off loopback it needs --tls-psk, --tls-cert or the word --insecure.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "listen", NULL, "ADDR:PORT", "where to listen" },
		{ CMD_TEXT, "suspend", NULL, "COMMAND", "stops the program, before the freeze" },
		{ CMD_TEXT, "resume", NULL, "COMMAND", "starts it again, when the hand-over fails" },
		{ CMD_TRUE, "detach", NULL, NULL, "return at once; see 'regionctl wait'" },
		CMD_TLS_OPTIONS,
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

// SPDX-License-Identifier: GPL-2.0
/* regionctl leech: take a region over from the host that seeds it. */
#include "cmd.h"

/* It goes on until somebody finalizes, which whoever watches a bar at 100% may not know. */
static void tell_next(const struct cmd_context *ctx)
{
	const char *region = cmd_text(ctx, "region");

	if (!ctx->json && !json_object_get(ctx->args, "finalize") &&
	    !json_object_get(ctx->args, "detach"))
		fprintf(stderr, "'regionctl finalize %s' moves it here at any time, 'regionctl abort "
			"%s' undoes it\n", region, region);
}

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code;

	tell_next(ctx);
	code = cmd_call(ctx, "leech", &result);
	return code ? code : show_result(ctx, result, show_handover_fields);
}

const struct cmd cmd_leech = {
	.name = "leech",
	.summary = "take a region over from the host that seeds it",
	.details =
		"Makes REGION here, locked, and pulls its bytes while programs on the other host go on\n"
		"writing. 'regionctl finalize REGION' then moves it: programs here that wait for it go on.\n"
		"Ctrl-C detaches; until it is finalized, 'regionctl abort REGION' undoes it.\n",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_SOURCE, "source", "peer://HOST:PORT/REGION", false },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_SOURCE, "local-source", NULL, "URI",
		  "where its bytes live from now on (default: the instance's)" },
		{ CMD_TRUE, "finalize", NULL, NULL, "finalize as soon as all is pulled" },
		{ CMD_TEXT, "on-resume", NULL, "COMMAND", "starts the program here, after the hand-over" },
		{ CMD_TEXT, "on-abort", NULL, "COMMAND",
		  "when the hand-over is given up, before the region here is removed" },
		{ CMD_TEXT, "resume-unit", NULL, "NAME", "a systemd unit, started before --on-resume is run" },
		{ CMD_DURATION, "hook-timeout", NULL, "TIME", "for each of them (30s)" },
		{ CMD_TEXT, "resume", "on_resume", "COMMAND", "the same as --on-resume" },
		{ CMD_TRUE, "reuse", NULL, NULL,
		  "what --local-source has of it already, from an earlier stay, is compared and not sent" },
		{ CMD_TRUE, "detach", NULL, NULL, "return at once; see 'regionctl wait'" },
		CMD_TLS_OPTIONS,
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

// SPDX-License-Identifier: GPL-2.0
/* regionctl leech: take a region over from the host that seeds it. */
#include <string.h>

#include "cmd.h"

/* It goes on until somebody finalizes, which whoever watches a bar at 100% may not know. */
static void tell_next(const struct cmd_context *ctx)
{
	const char *region = cmd_text(ctx, "region"), *finalize = cmd_text(ctx, "finalize");
	bool decides = json_object_get(ctx->args, "max_downtime") || json_object_get(ctx->args, "on_stall");

	if (!ctx->json && !json_object_get(ctx->args, "detach") && !(finalize ? !strcmp(finalize, "auto") : decides))
		fprintf(stderr, "'regionctl finalize %s' moves it here at any time, 'regionctl abort "
			"%s' undoes it\n", region, region);
}

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code;

	tell_next(ctx);
	code = cmd_call(ctx, "leech", &result);
	return code ? code : show_handover(ctx, result);
}

const struct cmd cmd_leech = {
	.name = "leech",
	.summary = "take a region over from the host that seeds it",
	.details =
		"Makes REGION here, locked, and pulls its bytes while programs on the other host go on\n"
		"writing. 'regionctl finalize REGION' then moves it: programs here that wait for it go on.\n"
		"With --max-downtime or --on-stall it is finalized by itself, as soon as programs would\n"
		"stand still, and wait for what is missing then, for no longer than that.\n"
		"Programs that change as much as the link carries are said to stall it. Then:\n"
		"  --on-stall postcopy   it is handed over, and the rest is fetched behind (usual)\n"
		"  --on-stall throttle   they are slowed over there, until what is left is little\n"
		"  --on-stall wait       it goes on until they write less, or you finalize\n"
		"Ctrl-C detaches; until it is finalized, 'regionctl abort REGION' undoes it.\n",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_SOURCE, "source", "peer://HOST:PORT/REGION", false },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_SOURCE, "local-source", NULL, "URI",
		  "where its bytes live from now on (default: the instance's)" },
		{ CMD_TEXT, "finalize", NULL, "WHEN",
		  "auto: when it costs little; manual: when told to (default without the next two)" },
		{ CMD_DURATION, "max-downtime", NULL, "TIME", "what it may cost (default: 300ms)" },
		{ CMD_TEXT, "on-stall", NULL, "WAY", "postcopy, throttle or wait" },
		{ CMD_TEXT, "on-resume", NULL, "COMMAND", "starts the program here, after the hand-over" },
		{ CMD_TEXT, "on-abort", NULL, "COMMAND",
		  "when the hand-over is given up, before the region here is removed" },
		{ CMD_TEXT, "resume-unit", NULL, "NAME", "a systemd unit, started before --on-resume is run" },
		{ CMD_DURATION, "hook-timeout", NULL, "TIME", "for each of them (30s)" },
		{ CMD_TEXT, "resume", "on_resume", "COMMAND", "the same as --on-resume" },
		{ CMD_TRUE, "reuse", NULL, NULL,
		  "what --local-source has of it already, from an earlier stay, is compared and not sent" },
		{ CMD_TRUE, "managed", NULL, NULL, "it will be a managed region, and --local-source, which moves with it, its source" },
		CMD_POLICY_OPTIONS,
		{ CMD_TRUE, "unfenced", NULL, NULL,
		  "also where --local-source can't keep the other host's late writes away" },
		{ CMD_TRUE, "detach", NULL, NULL, "return at once; see 'regionctl wait'" },
		CMD_TLS_OPTIONS,
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};

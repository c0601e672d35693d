// SPDX-License-Identifier: GPL-2.0
/* regionctl leech: take a region over from the host that seeds it. */
#include <string.h>

#include "cmd.h"

/* It goes on until somebody finalizes, which whoever watches a bar at 100% may not know. */
static void tell_next(const struct cmd_context *ctx)
{
	const char *region = cmd_text(ctx, "group") ? "REGION" : cmd_text(ctx, "region"), *finalize = cmd_text(ctx, "finalize");
	bool decides = json_object_get(ctx->args, "max_downtime") || json_object_get(ctx->args, "on_stall") ||
		       json_object_get(ctx->args, "handover");
	bool follow = json_object_get(ctx->args, "follow");

	if (!ctx->json && follow)
		fprintf(stderr, "'regionctl promote %s' makes it this host's at any time, 'regionctl abort "
			"%s' ends it\n", region, region);
	else if (!ctx->json && !json_object_get(ctx->args, "detach") && !(finalize ? !strcmp(finalize, "auto") : decides))
		fprintf(stderr, "'regionctl finalize %s' moves it here at any time, 'regionctl abort "
			"%s' undoes it\n", region, region);
}

/* With --group the only operand is where from; else there are two. */
static int take_source(struct cmd_context *ctx)
{
	json_t *region = json_object_get(ctx->args, "region");

	if (!json_object_get(ctx->args, "group") && json_object_get(ctx->args, "source"))
		return 0;
	if (!json_object_get(ctx->args, "group") || json_object_get(ctx->args, "source")) {
		fprintf(stderr, "regionctl leech: %s\n", json_object_get(ctx->args, "group") ?
			"--group takes all of a group: leave out REGION" : "peer://HOST:PORT/REGION is missing");
		return -1;
	}
	json_object_set(ctx->args, "source", region);
	json_object_del(ctx->args, "region");
	return 0;
}

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code;

	if (take_source(ctx))
		return CMD_USAGE;
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
		"With --max-downtime, --on-stall or --handover it is finalized by itself, as soon as programs\n"
		"would stand still, and wait for what is missing then, for no longer than --max-downtime.\n"
		"Programs that change as much as the link carries are said to stall it. Then:\n"
		"  --on-stall postcopy   it is handed over, and the rest is fetched behind (usual, but\n"
		"                        for --handover complete)\n"
		"  --on-stall throttle   they are slowed over there, until what is left is little\n"
		"  --on-stall wait       it goes on until they write less, or you finalize\n"
		"--handover complete: not before all is here but what the last list names, and that comes\n"
		"within --max-downtime; --handover early: at once, or when told, whatever is missing. What\n"
		"only the other host has then is lost if that is: 'regionctl stat' says how much is at risk.\n"
		"A region that has moved away from here, and is complete there, is replaced.\n"
		"Ctrl-C detaches; until it is finalized, 'regionctl abort REGION' undoes it.\n"
		"leech --group NAME peer://HOST:PORT takes over all regions of a group that are seeded together\n"
		"there, by their names. They become this host's at once, or none does; 'finalize', 'wait', 'abort'\n"
		"and 'resolve' with any of them mean them all, and --max-downtime is what they may cost together.\n"
		"Those of them that have moved away from here are replaced, if what is seeded there is what has\n"
		"moved, and was not given up here. All are looked at before the first is removed; should one\n"
		"not be removable then, others may be gone. Their owner keeps all.\n"
		"With --follow it is not moved: once all has come it can be read here, and stays up to date:\n"
		"each new state of it appears whole. It returns then. 'regionctl promote' makes it this\n"
		"host's. Once its source has moved, the same command with the new owner's address follows that.\n",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_SOURCE, "source", "peer://HOST:PORT/REGION", true },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "group", NULL, "NAME", "take over all regions of this group" },
		{ CMD_SOURCE, "local-source", NULL, "URI",
		  "where its bytes live from now on (default: the instance's); a group's, as that: below it, or with {region} in it" },
		{ CMD_TEXT, "finalize", NULL, "WHEN",
		  "auto: when it costs little; manual: when told to (default without the next three)" },
		{ CMD_DURATION, "max-downtime", NULL, "TIME", "what it may cost: 300ms (default), 2s; a bare number is seconds, as everywhere" },
		{ CMD_TEXT, "on-stall", NULL, "WAY", "postcopy, throttle or wait" },
		{ CMD_TEXT, "handover", NULL, "HOW", "complete or early (default: complete, unless told, or on --on-stall postcopy)" },
		{ CMD_TEXT, "on-resume", NULL, "COMMAND", "starts the program here, after the hand-over" },
		{ CMD_TEXT, "on-abort", NULL, "COMMAND",
		  "when the hand-over is given up, before the region here is removed" },
		{ CMD_TEXT, "resume-unit", NULL, "NAME", "a systemd unit, started before --on-resume is run" },
		{ CMD_DURATION, "hook-timeout", NULL, "TIME", "for each of them (30s)" },
		{ CMD_TEXT, "resume", "on_resume", "COMMAND", "the same as --on-resume" },
		{ CMD_TRUE, "reuse", NULL, NULL,
		  "what --local-source has of it already, from an earlier stay, is compared and not sent" },
		{ CMD_REGIONS, "reuse-from", NULL, "REGION,...", "what these regions here have of it is compared and not sent; may be repeated" },
		{ CMD_TEXT, "compress", NULL, "WAY", "zstd: what comes is shrunk on its way, where that pays" },
		{ CMD_SOURCES, "also", NULL, "URI",
		  "has older bytes of it, perhaps: asked after the hand-over, when the other host is gone; may be repeated" },
		{ CMD_TRUE, "follow", NULL, NULL, "stay up to date, to be read" },
		{ CMD_DURATION, "max-age", NULL, "TIME", "with --follow: how old a state may get (default: 1s)" },
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

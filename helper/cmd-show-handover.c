// SPDX-License-Identifier: GPL-2.0
/* How a migration looks: how far it is and what a hand-over would cost; in the end, what it has cost. */
#include <stdio.h>

#include "cmd.h"
#include "text.h"
#include "watch-draw.h"

#define COLUMNS 80u

static const struct show_field handover_fields[] = {
	{ SHOW_TEXT, "region", "region" },
	{ SHOW_TEXT, "role", "role" },
	{ SHOW_TEXT, "state", "state" },
	{ SHOW_TEXT, "listen", "listening on" },
	{ SHOW_TEXT, "source", "source" },
	{ SHOW_TEXT, "peer", "peer" },
	{ SHOW_TEXT, "adopts", "source that moves with it" },
	{ SHOW_TEXT, "adoption", "it is pushed to" },
	{ SHOW_TEXT, "adoption_error", "it is not yet, since" },
	{ SHOW_NUMBER, "epoch", "epoch" },
	/* on its way */
	{ SHOW_TEXT, "finalize", "finalize" },
	{ SHOW_MS, "max_downtime", "downtime wanted" },
	{ SHOW_MS, "estimate_ms", "downtime now" },
	{ SHOW_MS, "behind_ms", "then waits, at most" },
	{ SHOW_SIZE, "remaining", "remaining" },
	{ SHOW_SIZE, "unflushed", "of it, dirty there" },
	{ SHOW_SIZE, "last_round_bytes", "last round" },
	{ SHOW_SIZE, "fetch_rate", "fetched a second" },
	{ SHOW_SIZE, "dirty_rate", "dirtied a second" },
	{ SHOW_SIZE, "flush_rate", "written a second" },
	{ SHOW_BOOL, "stalled", "stalled" },
	{ SHOW_TEXT, "on_stall", "if it stalls" },
	{ SHOW_SIZE, "throttle", "writers slowed to" },
	/* the summary */
	{ SHOW_MS, "total_ms", "all in all" },
	{ SHOW_MS, "downtime", "downtime" },
	{ SHOW_MS, "suspend_ms", "of it, suspending" },
	{ SHOW_MS, "freeze_ms", "of it, freezing" },
	{ SHOW_MS, "handover_ms", "of it, handing over" },
	{ SHOW_SIZE, "bytes", "moved" },
	{ SHOW_SIZE, "pull_bytes", "of it, first pull" },
	{ SHOW_SIZE, "round_bytes", "of it, rounds" },
	{ SHOW_SIZE, "final_bytes", "of it, meanwhile" },
	{ SHOW_SIZE, "behind_bytes", "of it, behind" },
	{ SHOW_NUMBER, "rounds", "rounds" },
	{ SHOW_SIZE, "dirty_bytes", "dirty at the hand-over" },
	{ SHOW_NUMBER, "faults", "faults after it" },
	{ SHOW_TEXT, "error", "error" },
	{ SHOW_END, NULL, NULL },
};

/* A histogram, if there is anything in it. */
static void show_waits(const json_t *handover)
{
	const json_t *waits = json_object_get(handover, "fault_waits");
	struct text text = { 0 };

	watch_waits(&text, waits, COLUMNS);
	if (text.data && *text.data && !text.failed)
		printf("how long programs waited in these faults\n%s", text.data);
	text_free(&text);
}

void show_handover_parts(const json_t *handover, const char *title)
{
	show_fields(handover, handover_fields, title);
	show_waits(handover);
}

int show_handover(const struct cmd_context *ctx, json_t *result)
{
	if (ctx->json)
		show_json(result, true);
	else
		show_handover_parts(result, NULL);
	json_decref(result);
	return CMD_OK;
}

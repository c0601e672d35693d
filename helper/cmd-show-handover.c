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
	{ SHOW_LIST, "allow", "allowed" },
	{ SHOW_TEXT, "source", "source" },
	{ SHOW_TEXT, "peer", "peer" },
	{ SHOW_TEXT, "adopts", "source that moves with it" },
	{ SHOW_TEXT, "adoption", "it is pushed to" },
	{ SHOW_TEXT, "adoption_error", "it is not yet, since" },
	{ SHOW_NUMBER, "epoch", "epoch" },
	/* of one that follows */
	{ SHOW_MS, "age_ms", "age" },
	{ SHOW_MS, "max_age", "age wanted" },
	{ SHOW_BOOL, "connected", "source is there" },
	{ SHOW_NUMBER, "states", "states shown" },
	{ SHOW_MS, "lock_ms", "readers waited last" },
	{ SHOW_MS, "lock_most_ms", "at most" },
	{ SHOW_NUMBER, "nr_followers", "followers" },
	/* on its way */
	{ SHOW_TEXT, "finalize", "finalize" },
	{ SHOW_TEXT, "handover", "hand over" },
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
	/* since the hand-over, and the summary */
	{ SHOW_SIZE, "at_risk", "at risk now" },
	{ SHOW_SIZE, "risked", "at risk when moved" },
	{ SHOW_MS, "total_ms", "all in all" },
	{ SHOW_MS, "downtime", "downtime" },
	{ SHOW_MS, "suspend_ms", "of it, suspending" },
	{ SHOW_MS, "freeze_ms", "of it, freezing" },
	{ SHOW_MS, "handover_ms", "of it, handing over" },
	{ SHOW_MS, "resume_ms", "after it, resuming" },
	{ SHOW_SIZE, "bytes", "moved" },
	{ SHOW_SIZE, "wire_bytes", "on the wire" },
	{ SHOW_SIZE, "reused_bytes", "found here" },
	{ SHOW_SIZE, "pull_bytes", "of it, first pull" },
	{ SHOW_SIZE, "round_bytes", "of it, rounds" },
	{ SHOW_SIZE, "final_bytes", "of it, meanwhile" },
	{ SHOW_SIZE, "behind_bytes", "of it, behind" },
	{ SHOW_LIST, "also", "looked for at" },
	{ SHOW_SIZE, "elsewhere_bytes", "come from elsewhere" },
	{ SHOW_SIZE, "hashed_bytes", "known by hash" },
	{ SHOW_SIZE, "lost_bytes", "lost" },
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

/* A group's: what it has in all, and how far each of it is. */
static const struct show_field group_fields[] = {
	{ SHOW_TEXT, "name", "group" },
	{ SHOW_TEXT, "state", "group's state" },
	{ SHOW_SIZE, "done", "done" },
	{ SHOW_SIZE, "total", "of" },
	{ SHOW_MS, "estimate_ms", "downtime now" },
	{ SHOW_MS, "behind_ms", "then waits, at most" },
	{ SHOW_SIZE, "remaining", "remaining" },
	{ SHOW_MS, "total_ms", "all in all" },
	{ SHOW_MS, "downtime", "downtime" },
	{ SHOW_MS, "suspend_ms", "of it, suspending" },
	{ SHOW_MS, "freeze_ms", "of it, freezing" },
	{ SHOW_MS, "handover_ms", "of it, handing over" },
	{ SHOW_MS, "resume_ms", "after it, resuming" },
	{ SHOW_SIZE, "at_risk", "at risk now" },
	{ SHOW_SIZE, "risked", "at risk when moved" },
	{ SHOW_SIZE, "bytes", "moved" },
	{ SHOW_SIZE, "wire_bytes", "on the wire" },
	{ SHOW_SIZE, "reused_bytes", "found here" },
	{ SHOW_SIZE, "elsewhere_bytes", "come from elsewhere" },
	{ SHOW_SIZE, "lost_bytes", "lost" },
	{ SHOW_NUMBER, "faults", "faults after it" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field brief_fields[] = {
	{ SHOW_TEXT, "region", "member" },
	{ SHOW_TEXT, "state", "state" },
	{ SHOW_SIZE, "done", ">done" },
	{ SHOW_SIZE, "total", ">of" },
	{ SHOW_TEXT, "error", "error" },
	{ SHOW_END, NULL, NULL },
};

static void show_group(const json_t *group)
{
	show_fields(group, group_fields, NULL);
	show_table(json_object_get(group, "members"), brief_fields);
}

/* The result of a command on a group: each of it, and all. */
static void show_members(const json_t *result)
{
	json_t *member;
	size_t i;

	json_array_foreach(json_object_get(result, "members"), i, member)
		show_handover_parts(member, json_string_value(json_object_get(member, "region")));
}

void show_handover_parts(const json_t *handover, const char *title)
{
	const json_t *behind = json_object_get(handover, "behind");

	if (json_object_get(handover, "members")) {
		show_members(handover);
		show_group(json_object_get(handover, "group"));
		return;
	}
	show_fields(handover, handover_fields, title);
	show_waits(handover);
	if (json_object_get(handover, "group"))
		show_group(json_object_get(handover, "group"));
	/* it comes from another host, while it goes to the next one */
	if (behind)
		show_handover_parts(behind, "behind");
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

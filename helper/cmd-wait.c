// SPDX-License-Identifier: GPL-2.0
/* regionctl wait: until a seed or leech has ended that was detached. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "progress.h"

#define STEP_MS	300

/* All of it can be read, and it goes on. */
static bool is_following(const char *state)
{
	return !strcmp(state, "following") || !strcmp(state, "promoted");
}

/* "complete", "aborted", "failed": what follows is nothing. No hand-over at all has ended, too. */
static bool has_ended(const json_t *handover)
{
	const char *state = json_string_value(json_object_get(handover, "state"));

	return !state || !strcmp(state, "complete") || is_following(state) || !strcmp(state, "aborted") ||
	       !strcmp(state, "failed") || !strcmp(state, "resolved") || !strcmp(state, "diverged");
}

static uint64_t member(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

/* Of a group, the whole is waited for. */
static const json_t *whole_of(const json_t *handover)
{
	const json_t *group = json_object_get(handover, "group");

	return group ? group : handover;
}

/* Success is "complete", or that there is nothing to wait for. */
static int show_end(const struct cmd_context *ctx, const json_t *handover)
{
	const char *state = json_string_value(json_object_get(whole_of(handover), "state"));
	const char *error = json_string_value(json_object_get(handover, "error"));

	if (state && strcmp(state, "complete") && !is_following(state))
		return cmd_fail(ctx, -EIO, "%s ended as '%s'%s%s", cmd_text(ctx, "region"), state,
				error ? ": " : "", error ? error : "");
	if (ctx->json)
		show_json(handover, true);
	else if (state)
		show_handover_parts(handover, NULL);
	return CMD_OK;
}

/* What it is doing, where that says more than its state. */
static void set_label(struct regionfs_progress *progress, const json_t *handover, const char *region)
{
	const char *doing = json_string_value(json_object_get(handover, "doing"));
	static char label[256];

	snprintf(label, sizeof(label), "%s%s%s", doing ? doing : "", doing ? " " : "", region);
	progress->label = label;
}

/* One look: CMD_OK and *ended, or why not. */
static int look(struct cmd_context *ctx, struct regionfs_progress *progress, bool *ended)
{
	const json_t *handover;
	json_t *region;
	int code = cmd_call(ctx, "stat", &region);

	if (code)
		return code;
	handover = json_object_get(region, "handover");
	*ended = has_ended(whole_of(handover));
	if (*ended) {
		regionfs_progress_end(progress);
		code = show_end(ctx, handover);
	} else {
		set_label(progress, handover, cmd_text(ctx, "region"));
		regionfs_progress_update(progress, member(whole_of(handover), "done"),
					 member(whole_of(handover), "total"), NULL, regionfs_progress_now());
	}
	json_decref(region);
	return code;
}

static bool is_late(uint64_t started_ms, uint64_t limit_ms)
{
	return limit_ms && regionfs_progress_now() - started_ms >= limit_ms;
}

static int run(struct cmd_context *ctx)
{
	uint64_t limit_ms = member(ctx->args, "timeout"), started_ms = regionfs_progress_now();
	struct regionfs_progress progress;
	struct pollfd stop = { .fd = cmd_stop_fd(), .events = POLLIN };
	bool ended = false;
	int code;

	json_object_del(ctx->args, "timeout");
	regionfs_progress_init(&progress, stderr, cmd_text(ctx, "region"));
	while (!(code = look(ctx, &progress, &ended)) && !ended) {
		if (is_late(started_ms, limit_ms))
			code = cmd_fail(ctx, -ETIMEDOUT, "%s is not done yet; it goes on in "
					"regiond", cmd_text(ctx, "region"));
		else if (poll(&stop, 1, STEP_MS) > 0)
			code = cmd_fail(ctx, -EINTR, "interrupted; %s goes on in regiond",
					cmd_text(ctx, "region"));
		if (code)
			break;
	}
	regionfs_progress_end(&progress);
	close(stop.fd);
	return code;
}

const struct cmd cmd_wait = {
	.name = "wait",
	.summary = "wait until a seed or leech has ended",
	.details = "At once when there is none. Fails when it was aborted or has failed. With 'leech --follow'\n"
		   "until the first state is shown.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_DURATION, "timeout", NULL, "TIME", "wait no longer (exit status 4)" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

// SPDX-License-Identifier: GPL-2.0
/* handover: see handover.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "region-private.h"
#include "regiond.h"

struct handover *handover_in(const struct region *region, enum handover_role role)
{
	struct handover *front = handover_of(region), *behind = handover_behind(region);

	if (front && front->role == role)
		return front;
	return behind && behind->role == role ? behind : NULL;
}

/* ---- what it looks like ---- */

static json_t *show(const struct handover *handover)
{
	return handover->group ? handover->show_member(handover) : handover->show(handover);
}

static json_t *show_behind(const struct region *region)
{
	const struct handover *behind = handover_behind(region);

	if (behind)
		return show(behind);
	return region->last_behind ? json_incref(region->last_behind) : NULL;
}

json_t *handover_show(const struct region *region)
{
	const struct handover *handover = region->handover;
	json_t *shown, *behind;

	if (!handover)
		return region->last_handover ? json_incref(region->last_handover) : NULL;
	shown = show(handover);
	behind = show_behind(region);
	if (behind)
		json_object_set_new(shown, "behind", behind);
	return shown;
}

/* ---- beginning and end ---- */

static void forget_behind(struct region *region)
{
	json_decref(region->last_behind);
	region->last_behind = NULL;
}

void handover_begin(struct handover *handover)
{
	struct region *region = handover->region;

	forget_behind(region);
	if (region->handover && handover->role == HANDOVER_LEECHER) {
		region->behind = handover;
		return;
	}
	region->behind = region->handover;
	region->handover = handover;
	if (!region->behind || region->info.behind)
		return;
	region->info.behind = region->info.handover;
	region->info.handover = NULL;
}

/* One that has moved on from here has ended as its seeder did. */
static bool has_moved_on(const struct region *region, const struct handover *handover)
{
	const char *role = json_string_value(json_object_get(region->last_handover, "role"));

	return handover->role == HANDOVER_LEECHER && region->info.flags & REGIONFS_REGION_MOVED && role && !strcmp(role, "seeder");
}

static void keep_show(struct region *region, struct handover *handover)
{
	if (region->behind == handover) {
		forget_behind(region);
		region->last_behind = show(handover);
	} else if (has_moved_on(region, handover)) {
		json_object_set_new(region->last_handover, "behind", show(handover));
	} else {
		json_decref(region->last_handover);
		region->last_handover = handover_show(region);
	}
}

void handover_end(struct handover *handover)
{
	struct region *region = handover->region;

	keep_show(region, handover);
	if (region->handover == handover)
		region->handover = region->behind;
	region->behind = NULL;
	handover->region = NULL;
	if (region->destroy)
		region_advance(region);
	region_put(region);
}

/* ---- what the next helper is to know ---- */

/* A leecher's stays where a seeder in front has left it. */
void handover_note(struct handover *handover, char *text)
{
	struct region *region = handover->region;

	if (region->behind != handover && !(handover->role == HANDOVER_LEECHER && region->info.behind)) {
		region_set_handover(region, text);
		return;
	}
	free(region->info.behind);
	region->info.behind = text;
	region_mirror(region);
}

/* ---- hooks ---- */

int hook_outcome(char *why, size_t len, const char *what, const struct spawner_job *job, int status, const char *output)
{
	size_t said = strlen(output);

	while (said && output[said - 1] == '\n')
		said--;
	if (status == -ETIMEDOUT)
		snprintf(why, len, "%s was not done within %u ms", what, job->timeout_ms);
	else if (status < 0)
		snprintf(why, len, "%s: %s", what, strerror(-status));
	else if (status)
		snprintf(why, len, "%s ended with status %d%s%.*s", what, status, said ? ": " : "", (int)said, output);
	else
		*why = 0;
	return status > 0 ? -ECANCELED : status;
}

static void hook_ended(struct spawner_job *job, int status, const char *output)
{
	struct hook *hook = container_of(job, struct hook, job);
	char what[80], why[256];
	int error;

	snprintf(what, sizeof(what), "the %s hook", hook->moment + strlen("REGIONFS_MOMENT="));
	error = hook_outcome(why, sizeof(why), what, job, status, output);
	hook->done(hook, error, why);
}

static void hook_none(struct loop_task *task)
{
	struct hook *hook = container_of(task, struct hook, task);

	hook->done(hook, 0, "");
}

void hook_run(struct hook *hook, struct region *region, const char *command, const char *moment, char *const *env,
	      uint32_t timeout_ms, void (*done)(struct hook *hook, int error, const char *why))
{
	memset(hook, 0, sizeof(*hook));
	hook->done = done;
	if (!command || !*command) {
		hook->task.run = hook_none;
		loop_post(region->regiond->loop, &hook->task);
		return;
	}
	snprintf(hook->text, sizeof(hook->text), "REGIONFS_REGION=%s", region->info.path ? region->info.path : "");
	snprintf(hook->moment, sizeof(hook->moment), "REGIONFS_MOMENT=%s", moment);
	hook->list[0] = hook->text;
	hook->list[1] = hook->moment;
	for (size_t i = 0; i < sizeof(hook->list) / sizeof(hook->list[0]) - 3 && env && env[i]; i++)
		hook->list[2 + i] = env[i];
	hook->job.command = command;
	hook->job.env = hook->list;
	hook->job.timeout_ms = timeout_ms;
	hook->job.stdio = -1;
	hook->job.done = hook_ended;
	spawner_run(region->regiond->spawner, &hook->job);
}

/* ---- the kernel ---- */

static void ask_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct handover_ask *ask = container_of(call, struct handover_ask, call);

	ask->got = *attrs;
	ask->got.instance = ask->got.path = ask->got.source = ask->got.message = NULL;
}

static void ask_done(struct netlink_call *call, int error, const char *why)
{
	struct handover_ask *ask = container_of(call, struct handover_ask, call);

	ask->then(ask->arg, error, error && !*why ? strerror(-error) : why, &ask->got);
	free(ask);
}

struct handover_ask *handover_ask_new(struct region *region, uint8_t cmd,
				      void (*then)(void *arg, int error, const char *why,
						   const struct netlink_attrs *got), void *arg)
{
	struct handover_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	ask->call.cmd = cmd;
	ask->call.item = ask_item;
	ask->call.done = ask_done;
	netlink_set(&ask->call.attrs, REGION, region, region->info.id);
	ask->then = then;
	ask->arg = arg;
	return ask;
}

void handover_ask(struct handover_ask *ask, struct region *region)
{
	netlink_call(region->regiond->netlink, &ask->call);
}

/* ---- removing what is locked, or frozen ---- */

struct removal {
	struct region *region;
	unsigned int step;
	void (*done)(void *arg, int error, const char *why);
	void *arg;
};

static const uint8_t removal_steps[] = { REGIONFS_CMD_MOVED, REGIONFS_CMD_THAW, REGIONFS_CMD_UNLOCK,
					 REGIONFS_CMD_REGION_DEL };

static void removal_end(struct removal *removal, int error, const char *why)
{
	removal->done(removal->arg, error, why);
	region_put(removal->region);
	free(removal);
}

/* Only the last step's error counts: an earlier helper may have got as far as any of them. */
static void removal_next(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct removal *removal = arg;
	struct handover_ask *ask;
	uint8_t cmd;

	if (removal->step == sizeof(removal_steps)) {
		removal_end(removal, error, why);
		return;
	}
	cmd = removal_steps[removal->step++];
	ask = handover_ask_new(removal->region, cmd, removal_next, removal);
	if (!ask) {
		removal_end(removal, -ENOMEM, "out of memory");
		return;
	}
	if (cmd == REGIONFS_CMD_MOVED)
		netlink_set(&ask->call.attrs, EPOCH, epoch, removal->region->info.epoch + 1);
	if (cmd == REGIONFS_CMD_REGION_DEL)
		netlink_flag(&ask->call.attrs, DISCARD);
	handover_ask(ask, removal->region);
}

void handover_remove(struct region *region, void (*done)(void *arg, int error, const char *why), void *arg)
{
	struct removal *removal = calloc(1, sizeof(*removal));

	if (!removal) {
		done(arg, -ENOMEM, "out of memory");
		return;
	}
	removal->region = region_get(region);
	removal->done = done;
	removal->arg = arg;
	removal_next(removal, 0, "", NULL);
}

// SPDX-License-Identifier: GPL-2.0
/* suspend: see suspend.h. One part after the other; suspend-args.c has where they come from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "regiond.h"
#include "suspend.h"

enum part {
	COMMAND,
	UNIT,
	CGROUP,
	PARTS,
};

_Static_assert(SUSPEND_ALL == (1u << PARTS) - 1, "a bit each");

static uint32_t timeout_of(const struct suspend *suspend)
{
	return suspend->timeout_ms ? suspend->timeout_ms : HOOK_TIMEOUT_MS;
}

/* ---- from one part to the next ---- */

static void run_part(struct suspend *suspend);

/* The command is always there, if only to end out of the loop. */
static bool has_part(const struct suspend *suspend)
{
	if (suspend->part == COMMAND)
		return true;
	if (!suspend->stopping && !(suspend->begun & 1u << suspend->part))
		return false;
	return suspend->part == UNIT ? suspend->unit != NULL : suspend->cgroup != NULL;
}

static void next_part(struct suspend *suspend)
{
	do {
		suspend->part += suspend->stopping ? 1 : -1;
	} while (suspend->part >= 0 && suspend->part < PARTS && !has_part(suspend));
	if (suspend->part >= 0 && suspend->part < PARTS) {
		run_part(suspend);
		return;
	}
	if (!suspend->stopping)
		suspend->begun = 0;
	suspend->done(suspend, suspend->error, suspend->why);
}

static void part_ended(struct suspend *suspend, int error, const char *why)
{
	if (error && suspend->error)
		log_warning("%s: %s", suspend->region->info.path ? suspend->region->info.path : "?", why);
	if (error && !suspend->error) {
		suspend->error = error;
		snprintf(suspend->why, sizeof(suspend->why), "%s", why);
	}
	if (error && suspend->stopping)
		suspend->done(suspend, suspend->error, suspend->why);
	else
		next_part(suspend);
}

/* ---- the command ---- */

static void command_ended(struct hook *hook, int error, const char *why)
{
	part_ended(container_of(hook, struct suspend, hook), error, why);
}

static void run_command(struct suspend *suspend)
{
	const char *command = suspend->stopping ? suspend->on_suspend :
			      suspend->begun & 1u << COMMAND ? suspend->on_resume : NULL;

	hook_run(&suspend->hook, suspend->region, command, suspend->stopping ? "suspend" : "resume", NULL, timeout_of(suspend),
		 command_ended);
}

/* ---- the unit ---- */

static void unit_ended(struct spawner_job *job, int status, const char *output)
{
	struct suspend *suspend = container_of(job, struct suspend, unit_job);
	char what[300], why[512];

	snprintf(what, sizeof(what), "systemctl %s %s", suspend->stopping ? "stop" : "start", suspend->unit);
	part_ended(suspend, hook_outcome(why, sizeof(why), what, job, status, output), why);
}

static void run_unit(struct suspend *suspend)
{
	snprintf(suspend->unit_env, sizeof(suspend->unit_env), "UNIT=%s", suspend->unit);
	suspend->unit_list[0] = suspend->unit_env;
	suspend->unit_list[1] = NULL;
	suspend->unit_job = (struct spawner_job){
		.command = suspend->stopping ? "exec systemctl stop -- \"$UNIT\"" : "exec systemctl start -- \"$UNIT\"",
		.env = suspend->unit_list, .timeout_ms = timeout_of(suspend), .stdio = -1, .done = unit_ended,
	};
	spawner_run(suspend->region->regiond->spawner, &suspend->unit_job);
}

/* ---- the cgroup ---- */

static void cgroup_ended(struct cgroup_job *job, int error, const char *why)
{
	part_ended(container_of(job, struct suspend, freezer), error, why);
}

static void run_cgroup(struct suspend *suspend)
{
	suspend->freezer.path = suspend->cgroup;
	suspend->freezer.freeze = suspend->stopping;
	suspend->freezer.timeout_ms = timeout_of(suspend);
	suspend->freezer.done = cgroup_ended;
	cgroup_run(suspend->region->regiond->loop, &suspend->freezer);
}

/* Also one that fails may have stopped something before that. */
static void run_part(struct suspend *suspend)
{
	if (suspend->stopping)
		suspend->begun |= 1u << suspend->part;
	if (suspend->part == COMMAND)
		run_command(suspend);
	else if (suspend->part == UNIT)
		run_unit(suspend);
	else
		run_cgroup(suspend);
}

/* ---- all of it ---- */

static void begin(struct suspend *suspend, struct region *region, bool stopping,
		  void (*done)(struct suspend *suspend, int error, const char *why))
{
	suspend->region = region;
	suspend->stopping = stopping;
	suspend->done = done;
	suspend->error = 0;
	*suspend->why = '\0';
	suspend->part = stopping ? -1 : PARTS;
	next_part(suspend);
}

void suspend_stop(struct suspend *suspend, struct region *region,
		  void (*done)(struct suspend *suspend, int error, const char *why))
{
	begin(suspend, region, true, done);
}

void suspend_start(struct suspend *suspend, struct region *region,
		   void (*done)(struct suspend *suspend, int error, const char *why))
{
	begin(suspend, region, false, done);
}

/* ---- a hand-over that was given up ---- */

struct abort_run {
	struct hook hook;
	struct region *region;
	char *command;
	char reason[512];
	char *env[2];
	void (*done)(void *arg);
	void *arg;
};

static void abort_ended(struct hook *hook, int error, const char *why)
{
	struct abort_run *run = container_of(hook, struct abort_run, hook);

	if (error)
		log_warning("%s: %s", run->region->info.path ? run->region->info.path : "?", why);
	if (run->done)
		run->done(run->arg);
	region_put(run->region);
	free(run->command);
	free(run);
}

static void abort_begin(struct abort_run *run, struct region *region, const char *reason, uint32_t timeout_ms)
{
	run->region = region_get(region);
	snprintf(run->reason, sizeof(run->reason), "REGIONFS_REASON=%s", reason);
	run->env[0] = run->reason;
	hook_run(&run->hook, region, run->command, "abort", run->env, timeout_ms, abort_ended);
}

void suspend_abort(const struct suspend *suspend, struct region *region, const char *reason, void (*done)(void *arg), void *arg)
{
	struct abort_run *run = suspend->on_abort ? calloc(1, sizeof(*run)) : NULL;

	if (run)
		run->command = strdup(suspend->on_abort);
	if (run && run->command) {
		run->done = done;
		run->arg = arg;
		abort_begin(run, region, reason, timeout_of(suspend));
		return;
	}
	if (suspend->on_abort)
		log_warning("%s: the abort hook was not run: out of memory", region->info.path ? region->info.path : "?");
	free(run);
	if (done)
		done(arg);
}

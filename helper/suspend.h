/* SPDX-License-Identifier: GPL-2.0 */
/*
 * suspend: what stops the application for a hand-over, and lets it go on: a command, a systemd unit and a cgroup, in this order;
 * they are let go on in the reverse one. And a command that is told of a hand-over that was given up.
 *
 * None of them is what keeps the region's bytes safe: that is its freeze, or its lock, alone.
 *
 * Threads: the main loop's alone. One of suspend_stop() and suspend_start() at a time.
 */
#ifndef REGIONFS_SUSPEND_H
#define REGIONFS_SUSPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup.h"
#include "handover.h"

struct control_call;

/* All zero: nothing is to be done, and that is done. */
struct suspend {
	/* each NULL: none */
	char *on_suspend, *on_resume, *on_abort;
	char *unit, *cgroup;
	uint32_t timeout_ms;		/* of each of them; 0: HOOK_TIMEOUT_MS */
	unsigned int begun;		/* those that have been stopped, or may have been: what suspend_start() starts */
	/* suspend.c's */
	struct region *region;
	bool stopping;
	int part;
	int error;
	char why[256];
	struct hook hook;
	struct spawner_job unit_job;
	char unit_env[300];
	char *unit_list[2];
	struct cgroup_job freezer;
	void (*done)(struct suspend *suspend, int error, const char *why);
};

#define SUSPEND_ALL 7u			/* for begun, where nobody can tell */

/* ---- what is to be done ---- */

/* on_suspend, on_resume, on_abort, suspend_unit or resume_unit, suspend_cgroup, hook_timeout. Negative: the call has been failed. */
int suspend_take(struct suspend *suspend, struct control_call *call);
/* It as one line of text, malloc'ed, for a record that outlives the helper; NULL: there is nothing. -ENOMEM. */
int suspend_text(const struct suspend *suspend, char **text);
/*
 * What an earlier helper may have stopped, from its text or NULL. The unit and the cgroup are those of the text, since they
 * are stopped; other things only where they have not been named anew.
 */
void suspend_recall(struct suspend *suspend, const char *text);
void suspend_free(struct suspend *suspend);

/* ---- doing it; done: error 0, or negative with a sentence, never from within ---- */

/* Ends at the first that fails. What has been begun until then is suspend_start()'s. */
void suspend_stop(struct suspend *suspend, struct region *region,
		  void (*done)(struct suspend *suspend, int error, const char *why));
/* Whatever has been begun; all of them, also when one fails. */
void suspend_start(struct suspend *suspend, struct region *region,
		   void (*done)(struct suspend *suspend, int error, const char *why));
/*
 * A hand-over was given up: runs on_abort; that it fails is logged alone. suspend may be freed meanwhile. done, which may be NULL,
 * comes from within where there is no command.
 */
void suspend_abort(const struct suspend *suspend, struct region *region, const char *reason, void (*done)(void *arg), void *arg);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * handover: what the two sides of a migration have in common: that a region is in one, what it looks like
 * from outside, and the hooks that stop and start the application. docs/protocol.md has the state machines.
 *
 * Threads: the main loop's alone.
 */
#ifndef REGIONFS_HANDOVER_H
#define REGIONFS_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "netlink.h"
#include "region.h"
#include "spawner.h"

#define HOOK_TIMEOUT_MS 30000u		/* where nothing else was said */

enum handover_role {
	HANDOVER_SEEDER,
	HANDOVER_LEECHER,
	HANDOVER_FOLLOWER,
};

/* What an operator says of a region that two hosts may have: "resolve". */
enum resolution {
	RESOLVE_OWN,
	RESOLVE_KEEP,
	RESOLVE_DISCARD,
	RESOLVE_LOST,		/* the other side is gone for good, with what had not come yet */
};

/*
 * The first member of struct seeder and struct leecher; region->handover points to it. A region that is owned here, and has not come whole yet, may
 * be seeded on: then the seeder is region->handover, the one in front, whom the user's commands mean, and the leecher is region->behind.
 */
struct handover {
	enum handover_role role;
	struct region *region;		/* a reference */
	bool over;			/* nobody needs the region's bytes or source for it any more */
	/* For stat and wait: region, role, state and so on; see cmd-wait.c. */
	json_t *(*show)(const struct handover *handover);
	/* The region has been removed here: do its bytes have to stay until handover_end()? Optional. */
	bool (*keeps)(struct handover *handover);
	/* group.h's */
	struct group *group;		/* NULL: it moves alone */
	json_t *(*show_member)(const struct handover *handover);
	struct list members;		/* in the group's */
	unsigned int nth;		/* of those that the group began with */
	bool apart;			/* the others do not wait for it */
	void (*met)(struct handover *handover), (*due)(struct handover *handover);
};

static inline struct handover *handover_of(const struct region *region)
{
	return region->handover;
}

static inline struct handover *handover_behind(const struct region *region)
{
	return region->behind;
}

/* The one of that role, wherever it is, or NULL. */
struct handover *handover_in(const struct region *region, enum handover_role role);

/* Is it in one that needs its source as it is? */
static inline bool handover_holds(const struct region *region)
{
	return (region->handover && !handover_of(region)->over) || (region->behind && !handover_behind(region)->over);
}

/* NULL when the region is in none and was in none; the result of the last one is kept. New reference. */
json_t *handover_show(const struct region *region);
/* It begins, in front; a leecher that is there goes behind. */
void handover_begin(struct handover *handover);
/* The region is in one no longer; what show() says now is kept. */
void handover_end(struct handover *handover);
/* What the next helper is to know of it: the arguments of its command, or NULL; taken. The state log is told. */
void handover_note(struct handover *handover, char *text);

/* A command of the user's, at a moment of the migration. */
struct hook {
	struct spawner_job job;
	char text[4096 + 64];		/* REGIONFS_REGION=... */
	/* error 0, or negative with a sentence; never from within */
	void (*done)(struct hook *hook, int error, const char *why);
	struct loop_task task;
	char *list[8];
	char moment[64];
};

/*
 * command NULL: done at once, out of the loop. moment: "suspend" and the like, for REGIONFS_MOMENT. env: more of its environment, at most
 * 4 of "KEY=VALUE", then NULL, valid until done; or NULL.
 */
void hook_run(struct hook *hook, struct region *region, const char *command, const char *moment, char *const *env,
	      uint32_t timeout_ms, void (*done)(struct hook *hook, int error, const char *why));

/* What has become of a command, as a negative error and a sentence about what; 0 and "" when it did what it should. */
int hook_outcome(char *why, size_t len, const char *what, const struct spawner_job *job, int status, const char *output);

/*
 * A netlink command on a region, that is freed after it. then: error 0 or negative, why "" or a sentence; got: what the answer
 * held.
 */
struct handover_ask {
	struct netlink_call call;
	void (*then)(void *arg, int error, const char *why, const struct netlink_attrs *got);
	void *arg;
	struct netlink_attrs got;
};

/* NULL: no memory. Fill in more attributes, then handover_ask(). */
struct handover_ask *handover_ask_new(struct region *region, uint8_t cmd,
				      void (*then)(void *arg, int error, const char *why,
						   const struct netlink_attrs *got), void *arg);
void handover_ask(struct handover_ask *ask, struct region *region);

/*
 * Removes a region that is locked or frozen: it is made to have moved, so that who waits for it gets an error and never
 * a byte, then thawed, unlocked and unlinked. done(arg, error, why), from within only when there is no memory.
 */
void handover_remove(struct region *region, void (*done)(void *arg, int error, const char *why), void *arg);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * group: regions that migrate as one: frozen together, handed over together. Each has its own seeder or leecher, which meets the others' at those
 * steps that none of them may be the only one to have taken; seeder-group.c and leecher-group.c know which. Here is what both sides have in
 * common: who is in it, the meeting, and what users are told.
 *
 * Threads: the main loop's alone. Life: a reference for each member, and for who is making one.
 */
#ifndef REGIONFS_GROUP_H
#define REGIONFS_GROUP_H

#include "control.h"
#include "handover.h"
#include "key16.h"
#include "list.h"

/* As many as are known of by all sides before memory is taken for more. */
#define GROUP_MOST 256u

struct group {
	struct regiond *regiond;
	enum handover_role role;
	char *name;
	char id[2 * KEY16 + 1];		/* random: tells it from another one of that name */
	json_t *names;			/* of all that it began with, in order: the first one leads */
	struct list members;		/* struct handover: those that have not ended */
	unsigned int nr, refs;
	json_t *shown;			/* for stat; the same object in what is kept of each member that has ended */
	json_t **last;			/* what each one has shown last */
	/* the user's commands; each NULL, or to be answered when that is so of all */
	struct control_call *call, *finalizing, *aborting;
	bool detach;			/* call is answered once all have begun */
	unsigned int farewells;		/* members that have left, but whose other side has not heard of it yet */
	int error;			/* of the first one that failed */
	char why[512];
	/* seeder-group.c's */
	struct loop_timer gate;		/* for the last of them to be asked for */
	bool back;			/* all of them are on their way back to service */
	bool moved;			/* the other side owns one, so all; stays so when that one has ended */
	/* leecher-group.c's */
	unsigned int attempt;		/* counts those answers to FINALIZE that hold no more */
	bool decided;			/* the first one's record says that it is owned here */
	bool refused;			/* or never will */
	bool restarted;			/* what the next helper makes of it has been seen to */
	bool diverged;			/* the other side has one of them, so all, in service: none is let in any more */
	unsigned int looking;		/* at sources that are to move with them */
};

/* names: an array of strings, of which a reference is taken. id NULL: a new one. NULL: no memory, or no random numbers. */
struct group *group_new(struct regiond *regiond, enum handover_role role, const char *name, const char *id, json_t *names);
struct group *group_get(struct group *group);
void group_put(struct group *group);
void group_join(struct group *group, struct handover *handover, unsigned int nth);
/* It has ended; error 0, or why. With the last one the user's command is answered. */
void group_leave(struct handover *handover, int error, const char *why);

/* The commands wait for one more, which has left; not any more. */
void group_farewell(struct group *group);
void group_farewell_end(struct group *group);

static inline bool group_leads(const struct handover *handover)
{
	return !handover->group || !handover->nth;
}

/* The member that leads; NULL: it has ended. */
struct handover *group_lead(const struct group *group);
/* Are all here that it began with? */
bool group_is_whole(const struct group *group);

/* fn for each member, which may leave meanwhile; alone: for that. fn returns false to stop; so does this then. */
bool group_each(struct handover *handover, bool (*fn)(struct handover *handover, void *arg), void *arg);

/*
 * A member has come to where it needs all the others to be: when they are, then(handover) comes for each, from within; alone: at once. A member
 * that ends is not waited for.
 */
void group_meet(struct handover *handover, void (*then)(struct handover *handover));
/* After somebody was set apart: those who wait for nobody else go on. */
void group_release(struct group *group);
/* Nobody is waited for any more. */
void group_disperse(struct group *group);

/* ---- what outlives the helper: of a member's command ---- */

/* The arguments of a member: those of the whole, without what is the first one's business alone (without: keys, then NULL). NULL: no memory. */
json_t *group_args(const struct group *group, const json_t *args, unsigned int nth, const char *const *without);
/* Of a command of an earlier helper's: the id of its group in its arguments; NULL: none. The string lives as long as args. */
const char *group_of_args(const json_t *args);
/* That group, with a reference; it is made if it is not in the list (of struct group, by pointer). nth: whose arguments these are. NULL: no memory, or they make no sense. */
struct group *group_again(struct regiond *regiond, enum handover_role role, const json_t *args, unsigned int *nth);

/* ---- for people ---- */

/* What the member shows, and with it how the group is. New reference. */
json_t *group_show_member(const struct handover *handover);
/* The result of a command on all of them: the group's, and each member's. New reference. */
json_t *group_show(struct group *group);
/* To who waits for the user's command, if this is the first of those that are left. */
void group_progress(const struct handover *handover);

#endif

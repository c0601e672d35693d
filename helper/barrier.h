/* SPDX-License-Identifier: GPL-2.0 */
/*
 * barrier: the domain in which an fsync puts writes in order: the instance. A database and its log are two regions, so what one of
 * them was given after the other's fsync must not be seen at the source before what came before it.
 *
 * A generation is what was written between two barriers, in all regions of the domain. A change belongs to the one that is open
 * when the store takes it. Pushers bring them to the source in this order:
 *
 *   The invariant. At every instant there is a G so that the sources of all members together show every change of the generations
 *   below G, some of the changes of G, and none of a later one. That is what a disk is after a power cut, with any number of
 *   barriers before it: within a generation the order is free.
 *
 *   The rule. A member may make its oldest generation visible, or at one instant (PUBLISH) all of its own from its oldest up to
 *   upto, if
 *     (1) upto is closed, and
 *     (2) no other member has an oldest generation below upto.
 *   A member's oldest() goes up only when what it was is at the source durably, and the store has noted that durably.
 *
 *   Why it is enough. oldest() of a member only rises, except from "none" to the open generation, which by (1) is above every upto that
 *   is on its way. So (2) still holds when the push becomes visible, if it held when it was asked for. Let m be the least oldest() of
 *   all members.
 *     - One generation g, bit by bit: by (2) the others have everything below g at the source, and the pusher itself has, as
 *       g is its oldest; so m >= g, and while its push is on its way m = g. Whoever else pushes meanwhile needs upto <= g by (2), and
 *       has nothing below: it pushes its share of g as well. So G = g.
 *     - Several, g1 to upto, at one instant: until then the pusher's oldest() is g1, so by (2) no other member can have begun anything
 *       above g1, and G <= g1. After it all changes below upto are there: the others' by (2), its own as they were
 *       in the run; nothing above upto is. So G = upto: it has passed through the generations between, in which nobody else had
 *       anything left, at one instant.
 *   After a restart the stores give back at least what was not noted, and what was published but not noted is published again. That
 *   is harmless where it comes in the same run or a longer one: a pusher merges all that the rule allows of what it has recovered, and
 *   doesn't begin before it is allowed anything. The rule allows no less than before the restart, for the others' oldest() had been
 *   noted durably when leave was given. (What a store finds noted when it is opened it makes durable first; until then its oldest() is 0. If it is closed
 *   before, what it leaves behind is what it has found: the one case in which a power cut may bring something older again, and only where
 *   its store could not be synced.)
 *
 *   Why nobody waits for ever. The member with the least oldest() may always push that.
 *
 *   Who isn't there counts, too. A store with changes that has not been opened yet is a member that nobody knows: hence barriers_hold() at
 *   start. One that was closed with changes in it holds the others back at its oldest, until it is opened again or forgotten.
 *
 *   A change may get into its store's list a little late, after the end of its generation: it had not been answered when the barrier
 *   came, so nothing that was written since depends on it, and it may as well be seen later. So leave that was given for upto
 *   is not taken back by it ("granted").
 *
 * Threads: the main loop's alone, except barriers_gen().
 */
#ifndef REGIONFS_BARRIER_H
#define REGIONFS_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

/* Least first: the oldest() of the members and of those that left, and what the waiting ones wait to push. */
struct barrier_node {
	uint64_t key;
	size_t at;			/* its place, from 1; 0: in no heap */
	struct barrier_member *member;	/* NULL: of one that left */
};

struct barrier_heap {
	struct barrier_node **nodes;
	size_t nr, max;
};

struct barriers {
	_Atomic uint64_t gen;		/* the open one; from 1 */
	uint64_t wanted;		/* whoever has something older should push it: another one waits to push this one */
	unsigned int held;		/* nobody may push */
	struct barrier_heap oldest, waiting;
	struct list left;		/* struct barrier_left: closed with changes in them */
};

/* One region's part in it; embedded in its pusher. */
struct barrier_member {
	/* its owner's; go must be callable from within any function here: it does nothing but ask
	   its own loop for a look later */
	uint64_t (*oldest)(struct barrier_member *member);	/* that the source has not got, or the store has not noted; UINT64_MAX: none */
	void (*go)(struct barrier_member *member);		/* it may be that it can go on, or should begin to push, now */
	uint64_t key;						/* which region it is, after it was closed and opened again, too; not 0 */
	/* barrier.c's */
	struct barriers *barriers;	/* NULL: in none */
	struct barrier_node node, wait;	/* by oldest(), as it was told last; by what it waits to push */
	uint64_t granted;
};

void barriers_init(struct barriers *barriers);
/* The generation that a write of now belongs to. Any thread. */
uint64_t barriers_gen(struct barriers *barriers);
/* A barrier: what comes from now on is of a new generation. Returns the one that was closed. */
uint64_t barriers_close(struct barriers *barriers);
/* At start: these exist already, and are closed. */
void barriers_recovered(struct barriers *barriers, uint64_t gen);

/* -ENOMEM. Not after barriers_reserve(). */
int barriers_reserve(struct barriers *barriers);
int barriers_join(struct barriers *barriers, struct barrier_member *member);
/* If it has something to push, the others wait for it at that point, until a member with the same key joins. */
void barriers_leave(struct barrier_member *member);
/* A member whose store can't be opened: it may have anything, so the others wait until it joins, or is forgotten. */
void barriers_missing(struct barriers *barriers, uint64_t key);
/* Nobody waits for it any more, whatever it has. */
void barriers_quit(struct barrier_member *member);
/* The region of a member that left is gone for good: nobody waits for it any more. */
void barriers_forget(struct barriers *barriers, uint64_t key);
/* From hold to release nobody may begin to push: stores are still to be opened. They count. */
void barriers_hold(struct barriers *barriers);
void barriers_release(struct barriers *barriers);
/* The newest generation up to which the member may push now; it may be below its oldest. */
uint64_t barriers_limit(struct barrier_member *member);
/*
 * May the member publish its generations up to and with upto now? If more than its oldest: at one instant, and after it asked barriers_limit().
 * true stays true. After false, go() is called when the answer may be another one.
 */
bool barriers_may_push(struct barrier_member *member, uint64_t upto);
/* The member would push up to upto: whoever has something older should push that first. Theirs are told. */
void barriers_want(struct barrier_member *member, uint64_t upto);
/*
 * The member's oldest() may be another one: told before a change that made it one is answered, and when it went up. Then those who may push
 * now are told. Costs O(log members), and who is told. Not from within go().
 */
void barriers_changed(struct barrier_member *member);
/* If the member waits: the key of one that it waits for, be that a member or one that left; 0: it doesn't, or stores are still to be opened. */
uint64_t barriers_holder(const struct barrier_member *member);

#endif

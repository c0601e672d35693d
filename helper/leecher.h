/* SPDX-License-Identifier: GPL-2.0 */
/*
 * leecher: the side of a migration that takes a region over. PULLING (locked) -> FINALIZING -> OWNED -> COMPLETE;
 * docs/protocol.md has the machine. The bytes are the leech backend's business; here is when what happens.
 *
 * Threads: the main loop's alone. Life: from "leech" to COMPLETE or abort.
 */
#ifndef REGIONFS_LEECHER_H
#define REGIONFS_LEECHER_H

#include "control.h"
#include "handover.h"

/* The command "leech"; its call ends with the migration, or at once with "detach". */
void leecher_run(struct control_call *call);
/* "finalize": ends when the region is owned here. */
void leecher_finalize(struct control_call *call, struct region *region);
/* "abort", on a region that is being leeched. */
void leecher_abort(struct control_call *call, struct region *region);
/* "resolve", likewise; leecher-resolve.c. */
void leecher_resolve(struct control_call *call, struct region *region, enum resolution resolution);
/* "abort" on one that was being leeched by an earlier helper; others are refused. */
void leecher_clean(struct control_call *call, struct region *region);

/* Of a region that is owned here, and that nobody takes over from here: is some of it still on its way? */
enum leecher_rest {
	LEECHER_REST_NONE,	/* it is not leeched, or not owned, or has all come, or is seeded on */
	LEECHER_REST_COMES,
	LEECHER_REST_LOST,	/* its operator has said that the host that it came from is lost */
};
enum leecher_rest leecher_rest(const struct region *region);
/* Has it a source that moves with it? Of one with a rest. */
bool leecher_has_policy(const struct region *region);

/* ---- a region that is seeded on before all of it has come; leecher-chain.c ---- */

/* "seed": true when it cannot be as it is: the call has been failed, or is run again when what is under way has ended. */
bool leecher_takes_seed(struct control_call *call, struct region *region);
/* Would it be true now? */
bool leecher_bars_seed(const struct region *region);
/* Its host before has taken it back, by its operator's word. */
bool leecher_is_diverged(const struct region *region);
/*
 * then(arg, error, why), maybe from within: the region may be handed on, or why not. Only one waits for it. As long as the host before has not
 * heard that it is owned here, its operator may take it back, and two hosts are enough to have a quarrel.
 */
void leecher_pass_on(struct region *region, void (*then)(void *arg, int error, const char *why), void *arg);
/* Who waits for that need not any more: then() comes, from within. */
void leecher_pass_cancel(struct region *region);
/*
 * The next host has all of it: what has not come need not. then(arg, error), maybe from within: that is on stable storage; -EAGAIN: not just now. The
 * host before hears of it after that.
 */
void leecher_let_go(struct region *region, void (*then)(void *arg, int error), void *arg);
/*
 * Source with the keys of the command line; if local isn't NULL, local_source, or one named by the token. malloc'ed. Negative: the
 * call has been failed, and what is there is the caller's to free.
 */
int leecher_take_places(struct control_call *call, const char *token, char **from, char **local);

struct leech_record_head;
struct leecher;
struct regiond;
/*
 * A region that is here, locked, and followed another host's until now, is leeched from there from now on. Its source is a leech's, which has a chunkmap; its
 * arguments are in region->info.handover. NULL: no memory.
 */
struct leecher *leecher_adopt(struct region *region);
/* How far the leech of a source had come: of the record, and the map; blocks, but briefly. -ENOENT: the source is no leech. */
int leecher_left(const struct regiond *regiond, const char *source, struct leech_record_head *head);
/*
 * At start: what was fetched and written here went with the host's memory, and the region is another host's by now. What the host before has of it may be
 * older, so that counts as lost: what is not here anymore fails, there and here. Blocks, briefly; on error it may be so or not.
 */
int leecher_lose_left(const struct regiond *regiond, const char *source);
/* At start: what an earlier helper was taking over, or has got to own and has not all of yet, goes on. */
void leecher_restart(struct regiond *regiond);

#endif

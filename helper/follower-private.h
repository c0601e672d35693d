/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What follower.c (the machine), follower-command.c (begin, end, stat), follower-fetch.c (fetching), follower-compare.c (hashes), follower-apply.c
 * (from what is staged to what is shown), follower-left.c (an earlier helper's) and follower-promote.c share.
 *
 * Chunks go through these sets: missing from the local store (the chunkmap's), as long as nothing is shown; need, listed and not yet fetched; staged.
 */
#ifndef REGIONFS_FOLLOWER_PRIVATE_H
#define REGIONFS_FOLLOWER_PRIVATE_H

#include "backend.h"
#include "chunkmap.h"
#include "follower.h"
#include "follower-record.h"
#include "session.h"
#include "state.h"
#include "wire.h"

#define FOLLOWER_CHUNK	WIRE_SEED_CHUNK
#define FOLLOWER_REPLY	(256u + WIRE_RANGES_MAX * 12u)
#define FOLLOWER_FETCH	(256u << 10)	/* bytes of one */
#define FOLLOWER_AGAIN_MS 1000u
#define FOLLOWER_NO_ROOM "the next state has no room in the state directory, of which some is left to others: what is shown gets older until there is"

enum follower_state {
	FOLLOWER_CONNECTING,
	FOLLOWER_COMPARING,	/* what is here with what is there */
	FOLLOWER_PULLING,	/* nothing is shown yet: into the local store */
	FOLLOWER_IDLE,		/* what is shown is what is there, or it is not time yet to ask */
	FOLLOWER_FETCHING,	/* a round, beside the local store */
	FOLLOWER_SHOWING,	/* it, whole */
	FOLLOWER_LEAVING,	/* what is under way ends; then leave() */
	FOLLOWER_PROMOTED,	/* it is this host's; the owner of before is to hear that */
	FOLLOWER_DIVERGED,	/* and has come back */
	FOLLOWER_ENDED,
};

struct follower {
	struct handover handover;	/* first */
	enum follower_state state;
	struct regiond *regiond;
	struct control_call *call;	/* "leech", until something is shown */
	struct control_call *leaving;	/* "abort", "promote" or "leech" again, for which it leaves */
	struct control_call *resolving;
	char *path, *local, *from, *again;
	char *source, *text;		/* of the leecher that it is about to become */
	char token[33];
	bool detach, reuse;
	bool shown;			/* programs read it */
	bool moved;			/* the source has moved */
	bool connected, ever;		/* with the other side: now; and TRACK was answered once, by whichever helper */
	bool lost;			/* the round that is fetched is not to be had any more */
	bool compare;			/* what the local store has may be right */
	bool removed;			/* by a program here */
	bool turning;			/* to another source, of which nothing was heard yet: its failure is the command's alone */
	uint8_t word;			/* a last message to the other side before we leave, WIRE_...; 0: none */
	int word_error;			/* what came of it; -ETIMEDOUT: nothing */
	bool word_over;			/* it is not waited for any more */
	bool word_mute;			/* though the link was up: it is there, but did not answer */
	bool unknown;			/* of what the local store has nothing is known */
	uint32_t max_age;		/* ms */
	struct backend *peer;
	struct backend_open open;
	bool dialling, hanging_up;
	struct link_req message;
	uint8_t *body, *reply;		/* FOLLOWER_REPLY bytes each */
	bool asking;
	bool noting;			/* that it has moved is being written, whatever is done meanwhile */
	bool stepping;			/* the kernel is being asked, or the state directory written */
	unsigned int nr_local;		/* requests of the local store, and work of the pool, that are under way */
	unsigned int nr_fetches;
	struct follower_record record;
	struct chunkmap *map;
	uint64_t *need, need_bits, nr_need;
	uint64_t cursor;		/* the next chunk of need to be fetched; want or apply: to be told, to be written */
	uint32_t round;			/* closed last there, whose list we have taken */
	uint64_t size;			/* of the round */
	uint64_t epoch, lineage;	/* of the region there, as it told */
	uint32_t mode;
	int failed;			/* of the local store, while a state is brought there */
	struct backend_req resize;
	uint64_t sent_at;		/* when the message that may tell a moment was sent */
	struct wire_status status;
	uint64_t status_at;
	struct compare *comparing;
	uint64_t locked_at, lock_ms, lock_most_ms, nr_shown;	/* how long programs wait while a state is brought in */
	uint64_t fetched, applied, reused;	/* bytes */
	uint64_t lost_rounds;
	uint64_t began;
	void (*leave)(struct follower *follower);
	struct loop_task removal;
	struct loop_timer timer, progress;
	struct state_waiter noted;
	uint64_t promoted;		/* epoch, once it is this host's by its operator's word; 0: it is not */
	uint8_t nonce[16];		/* of that */
	uint64_t pause_ms;		/* until the owner of before is looked for again */
	struct backend_req sync;
	char why[WIRE_TEXT_MAX + 128], word_why[WIRE_TEXT_MAX + 1];
};

static inline struct follower *follower_of(const struct region *region)
{
	return container_of(handover_of(region), struct follower, handover);
}

static inline uint64_t follower_chunks(uint64_t size)
{
	return (size + FOLLOWER_CHUNK - 1) / FOLLOWER_CHUNK;
}

/* Is the other side there, for all that is known? */
bool follower_hears(const struct follower *follower);

/* Nothing more is to be begun. */
static inline bool follower_leaves(const struct follower *follower)
{
	return follower->state >= FOLLOWER_LEAVING;
}

/* follower.c */
void follower_dial(struct follower *follower);
/* The connection alone. */
void follower_call(struct follower *follower, void (*done)(struct backend_open *open, struct backend *backend, int error));
/* Sends a message; done comes with the reply in follower->reply. */
void follower_send(struct follower *follower, uint8_t type, uint32_t len, void (*done)(struct link_req *req, int error));
/* The other side is let go of, and called again in a while; error 0: there was none. */
void follower_hang_up(struct follower *follower, int error, const char *why);
/* All that was listed has come, or can't; or what was missing has. */
void follower_fetched(struct follower *follower);
/* What has come whole is shown. */
void follower_shown(struct follower *follower);
/* It is tracked for us, and what we are is written down: all is had once. */
void follower_tracked(struct follower *follower);
/* What differs is needed now. */
void follower_compared(struct follower *follower, int error);
/* What of the local store is missing is needed. */
void follower_need_missing(struct follower *follower);
/* Before anything was heard of the other side: the command fails, and nothing is left of the region. */
void follower_give_up(struct follower *follower, int error, const char *why);
/* Stops what can be stopped; leave() when nothing is under way. word: a message that the other side gets before, if it is there; or 0. */
void follower_leave(struct follower *follower, uint8_t word, void (*leave)(struct follower *follower));
/* Something has ended: maybe we can leave. */
void follower_check_leave(struct follower *follower);
void follower_note_why(struct follower *follower, const char *why);

/* follower-fetch.c */
int follower_fit(struct follower *follower, uint64_t chunks);
void follower_need(struct follower *follower, uint64_t first, uint64_t end);
void follower_need_none(struct follower *follower);
/* The region has that size there, in the round that is listed. */
void follower_note_size(struct follower *follower, uint64_t size);
/* Of these sizes and of what is shown, the least: what is beyond it may have been cut off, and have come back as zeroes of which no list tells. */
uint64_t follower_least(const struct follower *follower);
/* What is needed, to where it belongs. Ends in follower_fetched(). */
void follower_fetch(struct follower *follower);
/* Is there room beside what is shown for more of the next state, and for others? */
bool follower_has_room(const struct follower *follower);

/* follower-compare.c */
void follower_compare(struct follower *follower);

/* follower-apply.c */
/* What is staged is whole. */
void follower_apply(struct follower *follower);
/* The next helper: an earlier one was in the middle of it, or the region is locked and need not be. */
void follower_apply_again(struct follower *follower);

/* follower-command.c */
/* A follower of that region; what it is is in again's JSON text, which is taken. NULL: no memory, or it makes no sense. */
struct follower *follower_new(struct regiond *regiond, char *again);
/* TRACK was answered: what it is is written down, and then it goes on from here, whatever happens. */
void follower_begun(struct follower *follower);
/* Its region is known. -ENOMEM and so on: its files can't be had. */
int follower_take_region(struct follower *follower, struct region *region);
void follower_free(struct follower *follower);
void follower_answer(struct follower *follower, int error, const char *why);
json_t *follower_show(const struct handover *handover);
/* What the next helper is to know; with the key replaced first, if there is one; value is taken, NULL: without it. */
void follower_set_again(struct follower *follower, const char *key, json_t *value);
void follower_note_again(struct follower *follower);
/* Nothing is left of it but the region; how it looks now is kept for stat. keep_map: the files are a leecher's now, which may come to nothing. */
void follower_end(struct follower *follower, bool keep_map);
/* With the region; leave() of follower_leave(). */
void follower_remove(struct follower *follower);
/* A region has come of the source, or there is one: its backend. */
void follower_open(struct follower *follower);

/* follower-promote.c */
/* The next helper: args are the arguments that say so. */
void follower_promoted_again(struct follower *follower, const json_t *args);

#endif

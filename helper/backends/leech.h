/* SPDX-License-Identifier: GPL-2.0 */
/*
 * leech: a region that comes from another host: a local store, a map of what is in it, and the peer that has
 * the rest. leecher.c steers it until the region is owned here; from there on it goes on by itself, also in the next
 * helper: it serves, fetches what is missing, tells the other side when that is done.
 *
 * Threads: the home loop, but for submit.
 */
#ifndef REGIONFS_BACKENDS_LEECH_H
#define REGIONFS_BACKENDS_LEECH_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "chunkmap.h"
#include "session.h"

#define LEECH_CHUNK	WIRE_SEED_CHUNK	/* what one fault fetches */
#define LEECH_LASTS	4u		/* chunks that come with the hand-over; more would stand in the way of what programs ask for */
#define LEECH_HISTOGRAM	24u

struct leech;

struct leech_stats {
	uint64_t fetched;	/* bytes that came, zeroes not counted */
	uint64_t fetched_owned;	/* of these, since it is owned here */
	uint64_t reused;	/* bytes that were in the local store before */
	uint64_t demand;	/* requests of programs that had to wait for chunks */
	uint64_t demand_ns;	/* how long, summed */
	uint64_t demand_max_ns;
	uint64_t wait[LEECH_HISTOGRAM];	/* of these, those that waited less than 2, 4, 8 ... us; the last: longer */
};

/* What the leecher is told. Out of the loop, except where said. */
struct leech_watch {
	/* nothing is missing, and nothing under way; maybe from within leech_pull() */
	void (*settled)(struct leech_watch *watch);
	/* the other side knows that it is owned here; or it said no */
	void (*owned)(struct leech_watch *watch, int error, const char *why);
	/* all is here, and the other side knows */
	void (*complete)(struct leech_watch *watch);
	/* the backend is being closed: the struct leech is not to be used again, and nothing more is told */
	void (*gone)(struct leech_watch *watch);
};

/* The path of the map of leech:TOKEN. */
void leech_map_path(char *path, size_t len, const char *run_dir, const char *token);
/* NULL: the backend is none of these. */
struct leech *leech_of(struct backend *backend);
struct session *leech_session(struct leech *leech);
struct chunkmap *leech_map(struct leech *leech);
const struct leech_stats *leech_stats(const struct leech *leech);
/* Its local part; NULL: it is not open. */
struct backend *leech_local(struct leech *leech);
/* Has the other side it, too? */
bool leech_is_diverged(struct leech *leech);
/* Of managed_let_go(): as there. */
void leech_let_go(struct leech *leech);
/* NULL: nobody. */
void leech_set_watch(struct leech *leech, struct leech_watch *watch);

/* These chunks are newer on the other side. */
void leech_forget(struct leech *leech, uint64_t first, uint64_t count);
/* Fetches these at once, whether or not it pulls, as if a program waited. */
void leech_hurry(struct leech *leech, uint64_t first, uint64_t count);
/* FINALIZE is about to be asked: the chunks that it will say were changed last shall come beside its answer, if they are few. */
void leech_ask_lasts(struct leech *leech);
/* It has been answered: the list is short, and this is its index'th chunk; owner: what it said, nonce included. */
void leech_expect_last(struct leech *leech, const struct chunkmap_owner *owner, uint32_t index, uint64_t chunk);
/* Fetch what is missing, or pause doing so. */
void leech_pull(struct leech *leech, bool on);
/* The size that the other side has; done(arg, error), maybe from within. Pauses pulling. */
void leech_set_size(struct leech *leech, uint64_t size, void (*done)(void *arg, int error), void *arg);
/* Lets go of the other side: what is under way with it fails, and nothing more comes. Before the decision. */
void leech_part(struct leech *leech);
/*
 * The decision: when done(arg, 0) comes the region is owned here, whatever happens, and the other side is being told. On error it may be so
 * or not, until notice.h's record says that it is not, or this succeeds.
 */
void leech_own(struct leech *leech, const struct chunkmap_owner *owner, void (*done)(void *arg, int error), void *arg);
/* The other side has it as well; written down. After leech_part(). */
void leech_note_diverged(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* Is something of the kind being written down, or about to be? Then it cannot be asked for. */
bool leech_is_noting(const struct leech *leech);
/* The other side is gone for good, as its operator says: what is missing is not to be had. After leech_part(). */
void leech_note_lost(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* What is here is all there is. */
void leech_keep(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* What is known so far is put on stable storage, where it has its room from then on. */
void leech_reserve(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* What the local store has of it already is compared with what the other side has, and what is equal need not come; done(arg), maybe from within. */
void leech_reuse(struct leech *leech, void (*done)(void *arg), void *arg);
/* All that is here is forgotten: the other side has lost track of what it has changed. */
void leech_forget_all(struct leech *leech);

#endif

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
	uint64_t wire;		/* what of that was on the wire, of sessions that are over; see leech_wire_bytes() */
	uint64_t reused;	/* bytes that were in the local store, or in other regions here, before */
	uint64_t elsewhere;	/* bytes that came from elsewhere, since the other side was away */
	uint64_t hashed;	/* chunks whose hashes the other side has told, for that */
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
	/* the other side is lost, and all places that could be asked have been: what is still missing nobody has */
	void (*nowhere)(struct leech_watch *watch);
	/* the backend is being closed: the struct leech is not to be used again, and nothing more is told */
	void (*gone)(struct leech_watch *watch);
};

/* The path of the map of leech:TOKEN. */
void leech_map_path(char *path, size_t len, const char *run_dir, const char *token);
/* NULL: the backend is none of these. */
struct leech *leech_of(struct backend *backend);
struct session *leech_session(const struct leech *leech);
struct chunkmap *leech_map(struct leech *leech);
const struct leech_stats *leech_stats(const struct leech *leech);
/* Bytes that answers to READs had on the wire. */
uint64_t leech_wire_bytes(const struct leech *leech);
/* Its local part; NULL: it is not open. */
struct backend *leech_local(struct leech *leech);
/* Has the other side it, too? */
bool leech_is_diverged(struct leech *leech);
/* Of managed_let_go(): as there. */
void leech_let_go_source(struct leech *leech);
/* NULL: nobody. */
void leech_set_watch(struct leech *leech, struct leech_watch *watch);

/* Of READs of peers that wait for chunks, those for which drop(req, arg) says so are failed (ECANCELED). */
void leech_drop(struct leech *leech, bool (*drop)(const struct backend_req *req, const void *arg), const void *arg);
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
/*
 * Where chunks may be had from when the other side is away: a reference is taken; or NULL. Again when one is added. Only once it is owned here, and what that side has told the
 * hashes of.
 */
struct places;
void leech_set_places(struct leech *leech, struct places *places);
/* The other side is gone for good, as its operator says: it is let go of, and what is missing is not to be had from there. */
void leech_lose(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* Does the other side know that it is owned here? */
bool leech_is_heard(const struct leech *leech);
/* Somebody else has all of it: what is missing is not fetched. done(arg, error): that is written down. Not while leech_is_noting(). */
void leech_let_go(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* Is it in memory alone, with its source to follow? Until that has had all that is here. */
bool leech_is_volatile(const struct leech *leech);
/* Is the other side gone for good? */
bool leech_is_lost(struct leech *leech);
/* What is here is all there is. One that leech_is_volatile() is LOST from then on, as with leech_lose(). */
void leech_keep(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/* What is known so far is put on stable storage, where it has its room from then on. */
void leech_reserve(struct leech *leech, void (*done)(void *arg, int error), void *arg);
/*
 * What is here already need not come: own: what the local store has of it is compared with what the other side has; others, or NULL: what that does not have is looked for
 * there, and copied. done(arg), maybe from within.
 */
struct places;
void leech_reuse(struct leech *leech, bool own, struct places *others, void (*done)(void *arg), void *arg);
/* All that is here is forgotten: the other side has lost track of what it has changed. */
void leech_forget_all(struct leech *leech);

#endif

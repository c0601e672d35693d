/* SPDX-License-Identifier: GPL-2.0 */
/*
 * managed: the backend of a region that has a policy (policy.h): a store in front of a source, a puller, a pusher. It stands where
 * the source's own backend stands for a direct region.
 *
 * Threads: requests come from any loop; what is present in memory, or on a disk, is answered there, all else goes to the home loop.
 */
#ifndef REGIONFS_MANAGED_H
#define REGIONFS_MANAGED_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "policy.h"
#include "profile.h"
#include "puller.h"
#include "pusher.h"
#include "remote.h"
#include "store.h"

struct managed;
struct region;

#define MANAGED_HISTOGRAM 24

struct managed_stats {
	uint64_t hits, misses;		/* READs from the kernel that were answered from here, and those that had to wait for the source */
	uint64_t hit_bytes, miss_bytes;
	/* how long READs with a program waiting took, in 2^n us: [0] is below 2 us, [1] below 4, ... the last has all above */
	uint64_t wait[MANAGED_HISTOGRAM];
	uint64_t fetched;		/* bytes that came from the source */
	bool bypassed;			/* the store is slower than the source: reads go past it */
	bool has_store;
	bool owes;			/* it has come here with its source, which has never had all of it yet: managed-adopt.c */
	enum remote_state remote;
	uint64_t away_ns;		/* how long the source has been away; 0: it is there */
	struct store_stats store;	/* if has_store */
	struct puller_stats puller;
	struct pusher_stats pusher;	/* if has_store */
};

/* As backend_open(), for a region with a policy (copied): open->uri is the source's. */
void managed_open(struct backend_open *open, const struct policy *policy, struct region *region);
/* How far a region is that comes from another host, together with its source. */
struct managed_adoption {
	bool fresh;		/* nothing in the store counts: what an earlier leech has left goes. -EEXIST where it has what the source has not got */
	bool owned;		/* managed_adopt() was called by an earlier helper */
	bool pushed;		/* which may have pushed, and dropped what was pushed */
};

/*
 * For a region on its way here (backends/leech.c), whose source is another host's as yet: open->uri. It is open without the source. All that it is asked
 * to read was written into it before; nothing is pulled, pushed or asked of the source before managed_adopt_push(). A RESIZE before managed_adopt() tells
 * what the region is, and cuts nothing off. Its changes are in no order with those of other regions.
 */
void managed_adopt_open(struct backend_open *open, const struct policy *policy, struct region *region, const struct managed_adoption *adoption);
/* The region is this host's, durably. */
void managed_adopt(struct managed *managed);
/* And all that the store has is the region's: the source is opened for writing as soon as its last writer lets go of it, and pushed to. */
void managed_adopt_push(struct managed *managed);
/* For stat: a word, and what keeps it from going on, "" where nothing does. The text is good until the next call. */
const char *managed_adopt_state(const struct managed *managed, const char **why);
/*
 * handed: the region may be another host's, who pushes to the source: nothing is pushed from here any more, and the source is opened for reading alone.
 * Until that is taken back.
 */
void managed_hand_over(struct managed *managed, bool handed);
/*
 * It is this host's, and another one's too: nothing is pushed, but the source stays open for writing, so that the other one, which may be about to write what
 * is dirty there, does not get it before somebody has decided.
 */
void managed_diverge(struct managed *managed, bool diverged);
/* Had its store more of it than whoever opened it knew? */
bool managed_has_grown(const struct managed *managed);
bool managed_is_handed(const struct managed *managed);
/* Is it another host's as yet? What is in its store counts for nothing then. */
bool managed_is_coming(const struct managed *managed);
/* Is nothing to be pushed, as things are? */
bool managed_is_held(const struct managed *managed);
/* What a store in memory had, and nobody else needs any more, is not looked for: REGION_GIVEN_MEMORY. */
void managed_found(struct managed *managed);
/* It has been handed over for good, and all of it is there: what the source has not got is that host's to push. */
void managed_forgo(struct managed *managed);
/* NULL: the backend is another one. */
struct managed *managed_of(struct backend *backend);
const struct policy *managed_policy(const struct managed *managed);
/* Main loop. */
void managed_stats(struct managed *managed, struct managed_stats *stats);
/* For n buckets of the region: bytes present, on their way here, unpushed, being pushed. */
struct managed_bucket {
	uint64_t present, coming, unpushed, going;
};
uint64_t managed_map(struct managed *managed, unsigned int n, struct managed_bucket *buckets);	/* returns a bucket's bytes */
/* Does the background pull it? Not where that is to pull nothing, nor where all is near as it is. */
bool managed_is_pulled(const struct managed *managed);
/* NULL: nothing is pulled, or not yet. */
struct puller *managed_puller(struct managed *managed);
struct pusher *managed_pusher(struct managed *managed);	/* NULL: no store, writes go through */
struct profile *managed_profile(struct managed *managed);
/* What the kernel has read itself comes to the profile, in no order, behind what is there. */
void managed_note_touched(struct managed *managed);
void managed_profile_reset(struct managed *managed);
/* New values for what can change while it runs: pull_rate, push_interval, max_unpushed, local_size, push_order, hooks. */
int managed_set_policy(struct managed *managed, const struct policy *policy);
/* The region is gone for good: its local store goes when it is closed, after what the source has not got yet went there (or with it: discard). */
void managed_forget(struct managed *managed, bool discard);
/*
 * The region is about to close it, after its last request, and asks so that this comes: nobody waits for a source that is away any more. Of a region that
 * is removed what waits fails; else the backend is dead for it, so that the region gives it to the next one. Again whenever it likes.
 */
void managed_let_go(struct managed *managed);
/*
 * Somebody else may have changed these bytes of the source, and the kernel is about to be told to forget them: nobody waits for what is on its way
 * any more. UINT64_MAX: up to the end. With a local store that is what counts, as ever.
 */
void managed_source_changed(struct managed *managed, uint64_t offset, uint64_t length);
/* The region's mode, flags or open files have changed: may it still be written? */
void managed_writable(struct managed *managed, bool writable);

#endif

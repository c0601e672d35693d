/* SPDX-License-Identifier: GPL-2.0 */
/*
 * leecher-estimate: what a hand-over would cost if it came now, whether rounds get anywhere, and how slow a program would have to be
 * so that they do.
 *
 * Pure: told of everything, remembers nothing but what it is given. Rates are in bytes a second, 0: not known.
 */
#ifndef REGIONFS_LEECHER_ESTIMATE_H
#define REGIONFS_LEECHER_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* What is assumed of what is not known yet. */
#define ESTIMATE_FETCH_RATE	(4ULL << 20)
#define ESTIMATE_FLUSH_RATE	(64ULL << 20)
/* The least that writers are slowed to: 0 would be no limit. */
#define ESTIMATE_RATE_LEAST	4096u

struct estimate_figures {
	uint64_t rtt;		/* ns, of the connection that messages go by */
	uint64_t hook;		/* ns that the suspend hook took before; 0: there is none, or it was never run */
	uint64_t unflushed;	/* bytes in the other side's page cache that have to be written first */
	uint64_t dirty;		/* bytes that were changed since the last round, and are not in it */
	uint64_t missing;	/* bytes of earlier rounds that are not here yet */
	uint64_t fetch_rate, flush_rate;
	uint32_t chunk;
};

/*
 * ns. Programs stand still from the suspend hook's begin until the region is unlocked here. Assumed is: the hook takes what it took; FINALIZE and its
 * answer are one round trip, the first access that finds something missing is another; each further part of a long list is one more;
 * the kernel writes as fast as it did; no byte has to come before programs go on. What they may have to wait for after
 * that, at worst, is behind: all that is missing then.
 */
struct estimate {
	uint64_t fixed;		/* what no waiting makes shorter: hook and round trips */
	uint64_t downtime;	/* all in all */
	uint64_t behind;
	uint64_t room;		/* a few chunks: less is never left while anybody writes */
};

void estimate_make(const struct estimate_figures *figures, struct estimate *estimate);
/*
 * Do programs stand still, or wait for what is behind, for no longer than most ns together? Where the fixed part alone is about as long as that, it is
 * enough that hardly anything is added to it: it gets no better.
 */
bool estimate_is_worth(const struct estimate *estimate, uint64_t most);

/* A rate was measured: old figures count half. */
void estimate_rate_note(uint64_t *rate, uint64_t bytes, uint64_t ns);
/* How much comes in so many ns. */
uint64_t estimate_bytes(uint64_t fetch_rate, uint64_t ns);

/* Rounds so far; all 0: none. */
struct estimate_trend {
	uint64_t last;		/* bytes of the last one */
	unsigned int stalls;	/* rounds in a row that were hardly smaller than the one before */
	unsigned int rounds;
};

/* A round of so many bytes has been closed; enough: that many, or less, are fine whatever came before. true: they don't get smaller. */
bool estimate_stalls(struct estimate_trend *trend, uint64_t bytes, uint64_t enough);

#define ESTIMATE_SAMPLES 32u

/* How the bytes grew that were changed during the first pull: each counts once, however often. All 0: nothing is known. */
struct estimate_curve {
	uint64_t ns[ESTIMATE_SAMPLES], bytes[ESTIMATE_SAMPLES];	/* since it began, ascending */
	unsigned int nr;
	uint64_t apart;		/* ns that samples are apart, at least */
};

/* So many there were by then. Of a long pull some are forgotten. */
void estimate_curve_note(struct estimate_curve *curve, uint64_t ns, uint64_t bytes);
/* How many were changed within so many ns; no more than were ever seen, 0 if nothing is known. */
uint64_t estimate_curve_at(const struct estimate_curve *curve, uint64_t ns);
/*
 * After the first round, of so many bytes, has been closed: again: how many were changed in as long as these take to come. If that is as much, the next
 * round will hardly be smaller, and counts as one that was not.
 */
void estimate_foresee(struct estimate_trend *trend, uint64_t bytes, uint64_t enough, uint64_t again);

/*
 * In the round after that, which has run for so many ns since and in which so many bytes were changed anew: do they come as they did during the first pull, and as
 * fast as the link carries? Then what was foreseen is so, and there is no need to wait for the round's end. false as long as it is too early to tell.
 */
bool estimate_confirms(const struct estimate_trend *trend, const struct estimate_curve *curve, uint64_t fetch_rate, uint64_t ns, uint64_t bytes);

/*
 * What writers have to be slowed to, so that each round is half of the one before. now: what they are slowed to, 0: nothing yet. A program that
 * touches chunks here and there dirties many bytes with each that it writes, so what is known is what the last rate has brought.
 * stalls: rounds have not got smaller with it.
 */
uint64_t estimate_throttle(uint64_t now, uint64_t fetch_rate, uint64_t dirty_rate, bool stalls);

#endif

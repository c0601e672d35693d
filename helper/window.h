/* SPDX-License-Identifier: GPL-2.0 */
/*
 * window: how many bytes the background should have in flight, found from what the path rewards: its delivery rate times its shortest
 * round trip, and a quarter more, so that the queue on the way stays short and a demand miss does not wait behind it. While programs wait for
 * misses it is smaller: what is in flight then may delay a miss by no more than a quarter of what it takes alone.
 * The idea is BBR's (Cardwell et al., 2016); the unit here is a request. Unlike there, the quarter may become more: a store whose
 * answers take now long, now short, and that has no queue, is asked more at once when that proves to bring more.
 *
 * Pure: it is told of the time, and starts nothing. Threads: the owner's.
 */
#ifndef REGIONFS_WINDOW_H
#define REGIONFS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_MAX	(24u << 20)	/* bytes in flight, whatever the path: the bound of the puller's memory */
#define WINDOW_UNIT_MIN	(16u << 10)
#define WINDOW_UNIT_MAX	(1u << 20)
#define WINDOW_ROUNDS	10u		/* round trips that a rate is remembered for */

#define WINDOW_MEAN	4u		/* and that it is measured over */

/* Of a request that is under way. */
struct window_mark {
	uint64_t at;			/* when it was sent, */
	uint64_t first;			/* and the one that had come last by then */
	uint64_t total;			/* what had come by then */
	uint32_t bytes;
	bool limited;			/* what was in flight did not fill the path */
};

/* of trials */
enum window_phase { WINDOW_REST, WINDOW_BASE, WINDOW_SETTLE, WINDOW_TRIAL, WINDOW_RETURN, WINDOW_CHECK };

struct window {
	uint64_t in_flight;		/* bytes */
	uint64_t delivered;		/* bytes, in all */
	uint64_t rate;			/* bytes a second: the best of late */
	uint64_t trip;			/* ns: the shortest of late, without the time that the bytes themselves take */
	/* window.c's */
	uint32_t unit_max;
	uint64_t total;			/* bytes that came by the path, those of misses too */
	uint64_t limited_until;		/* total: samples of what is sent before show less than the path can */
	/* rounds: one ends when something comes that was sent after the last one's end */
	uint64_t round_start;		/* total */
	bool round_counts;		/* it had a sample of a filled path */
	uint64_t rates[WINDOW_ROUNDS];	/* each round's best, [0] is the present one's */
	struct {
		uint64_t at, total;
	} ends[WINDOW_MEAN];		/* of the last rounds */
	uint64_t shortest;		/* the present round's shortest trip; 0: none yet */
	bool congested;			/* in the last round all were twice as long as they need be */
	/* start-up: until the rate does not grow any more */
	bool starting;
	unsigned int rounds;		/* of start-up, those that show nothing too */
	unsigned int still;		/* rounds that it has not grown */
	uint64_t full;			/* the rate that it is compared with */
	/* the shortest request, whose trip is what is left when its bytes' own time is taken off */
	uint64_t min_took, min_at;
	uint32_t min_bytes;
	unsigned int probing;		/* rounds with little in flight, to see the path's own time again */
	/* how much more than rate x trip, in 1/16, and whether less or more would do better */
	unsigned int gain, trial;	/* trial: the gain while one is made, else 0 */
	enum window_phase phase;
	uint64_t phase_at, phase_total, phase_end;	/* its begin, and total then and at its end */
	uint64_t base, result;		/* the rate without the trial, before and after, and with it */
	unsigned int tried;		/* its gain, once it is over */
	uint64_t base_limit, trial_limit;
	unsigned int patience;		/* windows' worth of bytes between trials */
	bool down;			/* the last trial was of less */
	/* misses */
	unsigned int waiting;
	uint64_t demand_ended, demand_bytes;
	uint64_t demand_min[2], demand_turned;	/* ns: the shortest of this half of the memory and of the last */
	uint64_t last_sent, last_done;	/* the latter: when it was sent */
};

/* unit_max: the longest request that the backend takes. */
void window_init(struct window *window, uint32_t unit_max, uint64_t now);
/* The next request's length; 0: none may be sent now. */
uint32_t window_room(const struct window *window, uint64_t now);
/* How many bytes may be in flight now. */
uint64_t window_limit(const struct window *window, uint64_t now);
/* A request goes out; mark is for its end. */
void window_sent(struct window *window, uint64_t now, uint32_t bytes, struct window_mark *mark);
void window_done(struct window *window, uint64_t now, const struct window_mark *mark, bool failed);
/* A program begins, or ends, to wait for a miss that goes the same way. */
void window_demand_begin(struct window *window, uint64_t now);
void window_demand_end(struct window *window, uint64_t now, uint32_t bytes, uint64_t took);
/* Others have got so many bytes by the same path, for which nothing has given way. */
void window_others(struct window *window, uint32_t bytes);
/* When window_room() may change by itself, as loop_now_ns(); 0: only with the next event. */
uint64_t window_wake(const struct window *window, uint64_t now);

#endif

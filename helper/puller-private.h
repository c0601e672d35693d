/* SPDX-License-Identifier: GPL-2.0 */
/* puller: what puller.c (life and calls) and puller-pump.c (what is fetched when) share. */
#ifndef REGIONFS_PULLER_PRIVATE_H
#define REGIONFS_PULLER_PRIVATE_H

#include "pressure.h"
#include "pull-order.h"
#include "puller.h"
#include "window.h"

#define PULLER_SECONDS	4u

struct puller {
	struct puller_host host;
	struct puller_stats stats;
	struct pull_order order;
	struct window window;
	struct pressure_watch pressure;
	bool started, paused, closing;
	bool named_any;			/* the order is not "none" */
	struct list flying;		/* pull_io, under way */
	struct list again;		/* pull_io, failed: what is absent of them comes before all else */
	/* the pump: out of the loop, so that all answers of a turn make one step */
	struct loop_task pump;
	bool pumping, posted;
	struct loop_timer wake;
	/* a source that is away, or an unreadable range */
	uint32_t backoff_ms;
	uint64_t backoff_until;
	bool unreadable;		/* something of this pass was refused for good: another pass shall try it */
	/* passes */
	bool over;			/* the pass is, and all of it has come */
	bool pulled_any;		/* this pass has had something to do */
	bool kicked;			/* another pass is wanted */
	bool tight;			/* there was no room once: what is absent may have been evicted, and is not pulled again */
	unsigned int passes;
	uint32_t rest_ms;		/* between two passes */
	uint64_t rest_until;
	/* the limit */
	uint64_t limit;			/* bytes a second; 0: none */
	int64_t tokens;
	uint64_t tokens_at;
	struct {
		uint64_t second, bytes;
	} recent[PULLER_SECONDS];
	uint64_t began;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* What can be done now, out of the loop. */
void puller_pump(struct puller *puller);
void puller_pump_init(struct puller *puller);
/* Once nothing is under way. */
void puller_settle(struct puller *puller);
void puller_set_limit(struct puller *puller, uint64_t bytes_per_second);
/* Whatever it waits for is tried at once; then everything once more. */
void puller_look(struct puller *puller, bool again);

#endif

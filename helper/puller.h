/* SPDX-License-Identifier: GPL-2.0 */
/*
 * puller: brings what is absent before it is asked for, in an order (pull-order.h), as much at once as the path rewards
 * (window.h). It has no bytes and no store of its own: its host says what is absent and fetches it.
 *
 * Threads: the home loop alone.
 */
#ifndef REGIONFS_PULLER_H
#define REGIONFS_PULLER_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"
#include "policy.h"
#include "window.h"

struct puller;

struct pull_io {
	uint64_t offset;
	uint32_t length;
	/*
	 * error -EAGAIN: the source is away, or there is no room: tried again, soon or later. Any other: those bytes are not to be had now, and tried
	 * again when all else is here. Out of the loop, or from within fetch(). io is the puller's again.
	 */
	void (*done)(struct pull_io *io, int error);
	/* the puller's */
	struct puller *puller;
	struct list list;
	struct window_mark mark;
	/* the host's */
	_Alignas(16) uint8_t private[2048];
};

struct puller_host {
	struct loop *loop;
	void *arg;
	/* the first bytes from from on, below limit, that are neither here nor on their way; false: none. Page-aligned. */
	bool (*absent)(void *arg, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length);
	/* Fetch them in the background. */
	void (*fetch)(void *arg, struct pull_io *io);
	/* Is there room for more (budget, memory)? Asked before each. A store that is full says no, and does not evict for the background. */
	bool (*room)(void *arg);
	/* All that the order names is here, or was. Once for each time that it was not; with the order "none" never. */
	void (*complete)(void *arg);
	/* Where memory pressure is read; NULL: the kernel's files. For tests. */
	const char *psi, *meminfo;
};

/* Bytes that all pullers of a process have in flight; beyond it each has one short request. */
#define PULLERS_MAX	(40u << 20)

struct puller_stats {
	bool running, paused, complete, yielding;	/* yielding: to memory pressure, or a full budget */
	uint64_t pulled;		/* bytes, by the background alone */
	uint64_t in_flight, window;	/* bytes */
	uint64_t rate;			/* bytes a second, of the last seconds */
	uint64_t trip;			/* ns */
};

/* policy: pull, pull_file, pull_only, pull_rate; the file is read at once. On error a sentence in why. */
int puller_open(struct puller **puller, const struct puller_host *host, const struct policy *policy, uint64_t size,
		uint32_t max_request, char *why, size_t why_len);
/* Nothing new is fetched. closed when nothing is under way, maybe from within; it is freed. */
void puller_close(struct puller *puller, void (*closed)(void *arg), void *arg);
/*
 * It begins with puller_start(), and when something may have become absent, the source is back, or there is room again, puller_kick() has it look.
 * Where room() has said no once, bytes may have been evicted for want of room: then a kick lets it go on, but not over everything
 * once more. puller_pause(false) and puller_resize() do.
 */
void puller_start(struct puller *puller);
void puller_kick(struct puller *puller);
void puller_pause(struct puller *puller, bool pause);
void puller_set_rate(struct puller *puller, uint64_t bytes_per_second);
void puller_resize(struct puller *puller, uint64_t size);
/* A program waits for a miss: the background gives way, and goes on from there. */
void puller_demand_begin(struct puller *puller, uint64_t offset, uint32_t length);
void puller_demand_end(struct puller *puller, uint32_t length, uint64_t took_ns);
/*
 * The kernel reads ahead of a program, of what the puller has not asked for yet: nobody waits for it, so nothing gives way. The puller goes on behind it,
 * and what the path has brought that way counts for what it can do.
 */
void puller_passed_begin(struct puller *puller, uint64_t offset, uint32_t length);
void puller_passed_end(struct puller *puller, uint32_t length);
const struct puller_stats *puller_stats(struct puller *puller);

#endif

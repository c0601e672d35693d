/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pull-order: which bytes the puller takes next. First what is named (a list, a profile, the edges), in its order; then the rest, from where
 * a program looked last, and around. One pass goes over everything once: what was here, or was pulled, and is evicted meanwhile is not
 * looked for again before the next pass, or a store smaller than its region would be filled and emptied for ever.
 *
 * Pure. Threads: the owner's.
 */
#ifndef REGIONFS_PULL_ORDER_H
#define REGIONFS_PULL_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "profile.h"

/* As puller_host's. */
typedef bool pull_absent(void *arg, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length);

struct pull_order {
	uint64_t size;
	bool edges, rest;
	struct profile_range *named;
	size_t nr_named;
	/* the pass */
	size_t at;			/* named range */
	uint64_t within;		/* bytes of it that are behind us */
	uint64_t cursor, jumped;	/* in the rest, and where it last jumped to */
	uint64_t *swept;		/* a bit per granule that is behind us in the rest */
	uint64_t granule, granules;
};

int pull_order_open(struct pull_order *order, const struct policy *policy, uint64_t size, char *why, size_t why_len);
void pull_order_close(struct pull_order *order);
/* A pass from the start on. */
void pull_order_again(struct pull_order *order);
/* The next absent range, not longer than most; false: the pass is over. Until pull_order_took() it stays the next one. */
bool pull_order_next(struct pull_order *order, pull_absent *absent, void *arg, uint64_t most, uint64_t *offset, uint64_t *length);
void pull_order_took(struct pull_order *order, uint64_t offset, uint64_t length);
/* A program has looked there: the rest goes on behind it. */
void pull_order_demand(struct pull_order *order, uint64_t offset, uint64_t length);
/* -ENOMEM leaves it as it was. */
int pull_order_resize(struct pull_order *order, uint64_t size);

#endif

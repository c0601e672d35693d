// SPDX-License-Identifier: GPL-2.0
/* pull-order: see pull-order.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap.h"
#include "pull-order.h"

#define EDGE		(1u << 20)
/* Of the map of what is behind us: so fine, unless that made it longer than 128 KiB. */
#define GRANULE_MIN	(1u << 20)
#define GRANULES_MAX	(1u << 20)
#define PAGE		4096u

/* ---- what is named ---- */

static size_t nr_named(const struct pull_order *order)
{
	return order->edges ? 2 : order->nr_named;
}

/* Its end may be before its begin, where the region is shorter than the list has it. */
static void named_range(const struct pull_order *order, uint64_t *begin, uint64_t *end)
{
	if (!order->edges) {
		*begin = order->named[order->at].offset;
		*end = *begin + order->named[order->at].length;
	} else {
		*begin = order->at && order->size > EDGE ? (order->size - EDGE) & ~(uint64_t)(PAGE - 1) : 0;
		*end = order->at ? order->size : EDGE;
	}
	if (*end > order->size)
		*end = order->size;
}

static bool next_named(struct pull_order *order, pull_absent *absent, void *arg, uint64_t *offset, uint64_t *length)
{
	for (; order->at < nr_named(order); order->at++, order->within = 0) {
		uint64_t begin, end;

		named_range(order, &begin, &end);
		begin += order->within;
		if (begin < end && absent(arg, begin, end, offset, length))
			return true;
	}
	return false;
}

/* ---- the rest ---- */

static uint64_t granule_end(const struct pull_order *order, uint64_t granule)
{
	uint64_t end = (granule + 1) * order->granule;

	return end < order->size ? end : order->size;
}

/* What lies whole between the last jump and the cursor is behind us; what the jump cut in two is come back to. */
static void sweep(struct pull_order *order, uint64_t to)
{
	uint64_t whole = (order->jumped + order->granule - 1) / order->granule, at = order->cursor / order->granule;

	for (at = at > whole ? at : whole; at < order->granules && granule_end(order, at) <= to; at++)
		bitmap_put(order->swept, at);
	order->cursor = to;
}

static void jump(struct pull_order *order, uint64_t to)
{
	order->cursor = order->jumped = to;
}

/* To the next granule that is not behind us, around the end if need be. false: all are. */
static bool seek(struct pull_order *order)
{
	uint64_t at = order->cursor / order->granule, next = order->granules;

	if (order->cursor < order->size && !bitmap_get(order->swept, at))
		return true;
	if (order->cursor < order->size)
		next = bitmap_next(order->swept, at, order->granules, false);
	if (next == order->granules)
		next = bitmap_next(order->swept, 0, order->granules, false);
	if (next == order->granules)
		return false;
	jump(order, next * order->granule);
	return true;
}

static bool next_rest(struct pull_order *order, pull_absent *absent, void *arg, uint64_t *offset, uint64_t *length)
{
	while (order->rest && seek(order)) {
		uint64_t at = order->cursor / order->granule;
		uint64_t limit = granule_end(order, bitmap_next(order->swept, at, order->granules, true) - 1);

		if (order->cursor < limit && absent(arg, order->cursor, limit, offset, length)) {
			sweep(order, *offset);
			return true;
		}
		sweep(order, limit);
	}
	return false;
}

/* ---- the calls ---- */

bool pull_order_next(struct pull_order *order, pull_absent *absent, void *arg, uint64_t most, uint64_t *offset, uint64_t *length)
{
	if (!next_named(order, absent, arg, offset, length) && !next_rest(order, absent, arg, offset, length))
		return false;
	if (*length > most)
		*length = most;
	return true;
}

void pull_order_took(struct pull_order *order, uint64_t offset, uint64_t length)
{
	uint64_t begin, end;

	if (order->at < nr_named(order)) {
		named_range(order, &begin, &end);
		order->within = offset + length - begin;
	} else {
		sweep(order, offset + length);
	}
}

void pull_order_demand(struct pull_order *order, uint64_t offset, uint64_t length)
{
	uint64_t end = (offset + length) & ~(uint64_t)(PAGE - 1);

	if (!order->rest || end < offset || end >= order->size || end == order->cursor)
		return;
	jump(order, end);
}

void pull_order_again(struct pull_order *order)
{
	order->at = 0;
	order->within = 0;
	order->jumped = order->cursor;
	if (order->swept)
		memset(order->swept, 0, BITMAP_WORDS(order->granules) * sizeof(*order->swept));
}

int pull_order_resize(struct pull_order *order, uint64_t size)
{
	uint64_t granule = GRANULE_MIN, granules, *swept;

	while (size / granule >= GRANULES_MAX)
		granule *= 2;
	granules = (size + granule - 1) / granule;
	swept = calloc(BITMAP_WORDS(granules) + 1, sizeof(*swept));
	if (!swept)
		return -ENOMEM;
	free(order->swept);
	order->swept = swept;
	order->granule = granule;
	order->granules = granules;
	order->size = size;
	if (order->cursor >= size)
		order->cursor = 0;
	pull_order_again(order);
	return 0;
}

int pull_order_open(struct pull_order *order, const struct policy *policy, uint64_t size, char *why, size_t why_len)
{
	bool list = policy->pull == PULL_LIST, file = list || policy->pull == PULL_PROFILE;
	int ret = 0;

	memset(order, 0, sizeof(*order));
	order->edges = policy->pull == PULL_EDGES;
	order->rest = policy->pull != PULL_NONE && !(file && policy->pull_only);
	if (file)
		ret = profile_read(policy->pull_file, list, &order->named, &order->nr_named, why, why_len);
	if (ret)
		return ret;
	ret = pull_order_resize(order, size);
	if (ret) {
		snprintf(why, why_len, "no memory");
		pull_order_close(order);
	}
	return ret;
}

void pull_order_close(struct pull_order *order)
{
	free(order->named);
	free(order->swept);
	memset(order, 0, sizeof(*order));
}

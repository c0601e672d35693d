// SPDX-License-Identifier: GPL-2.0
/* tracker: a bitmap that is noted in, and one of the round that was closed last. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap.h"
#include "tracker.h"

struct tracker {
	atomic_bool active;
	pthread_mutex_t lock;		/* of running */
	uint64_t *running;
	uint64_t bits;			/* of both maps; grows */
	uint64_t rest;			/* all chunks from here on are dirty: there was no memory for their bits */
	uint64_t *closed;		/* the main loop's */
	uint64_t closed_bits, closed_rest, closed_count;
	uint64_t end;			/* chunks that the region had at its largest */
	uint32_t chunk;
};

int tracker_new(struct tracker **result)
{
	struct tracker *tracker = calloc(1, sizeof(*tracker));

	if (!tracker)
		return -ENOMEM;
	pthread_mutex_init(&tracker->lock, NULL);
	*result = tracker;
	return 0;
}

static void drop_maps(struct tracker *tracker)
{
	free(tracker->running);
	free(tracker->closed);
	tracker->running = tracker->closed = NULL;
	tracker->bits = tracker->closed_bits = tracker->closed_count = 0;
	tracker->rest = tracker->closed_rest = UINT64_MAX;
	tracker->end = 0;
}

void tracker_free(struct tracker *tracker)
{
	if (!tracker)
		return;
	drop_maps(tracker);
	pthread_mutex_destroy(&tracker->lock);
	free(tracker);
}

/* Under the lock. -ENOMEM: what has no bit is told by rest. */
static int grow(struct tracker *tracker, uint64_t chunks)
{
	uint64_t bits = BITMAP_WORDS(chunks + chunks / 8 + 64) * 64;
	uint64_t *bigger;

	if (chunks <= tracker->bits)
		return 0;
	bigger = realloc(tracker->running, bits / 8);
	if (!bigger)
		return -ENOMEM;
	memset((char *)bigger + tracker->bits / 8, 0, (bits - tracker->bits) / 8);
	tracker->running = bigger;
	tracker->bits = bits;
	return 0;
}

int tracker_start(struct tracker *tracker, uint32_t chunk, uint64_t size)
{
	int ret;

	pthread_mutex_lock(&tracker->lock);
	drop_maps(tracker);
	tracker->chunk = chunk;
	tracker->end = (size + chunk - 1) / chunk;
	ret = grow(tracker, tracker->end);
	if (!ret)
		atomic_store(&tracker->active, true);
	pthread_mutex_unlock(&tracker->lock);
	return ret;
}

void tracker_stop(struct tracker *tracker)
{
	pthread_mutex_lock(&tracker->lock);
	atomic_store(&tracker->active, false);
	drop_maps(tracker);
	pthread_mutex_unlock(&tracker->lock);
}

bool tracker_active(const struct tracker *tracker)
{
	return atomic_load(&tracker->active);
}

/* Under the lock. */
static void note_range(struct tracker *tracker, uint64_t offset, uint64_t length)
{
	uint64_t first = offset / tracker->chunk, end = (offset + length + tracker->chunk - 1) / tracker->chunk;

	if (!length)
		return;
	tracker->end = end > tracker->end ? end : tracker->end;
	if (grow(tracker, end)) {
		tracker->rest = first < tracker->rest ? first : tracker->rest;
		return;
	}
	for (uint64_t i = first; i < end; i++)
		bitmap_put(tracker->running, i);
}

/*
 * What was cut off reads zero, if it comes back: by a WRITE far beyond the new end, say, of which no RESIZE tells. So it is
 * dirty up to where the region once ended, even if nothing was added.
 */
static void note_resize(struct tracker *tracker, uint64_t size, uint64_t low)
{
	uint64_t end = tracker->end * tracker->chunk;

	end = end > size ? end : size;
	if (end > low)
		note_range(tracker, low, end - low);
}

/* One that failed, and does not know what it has changed, has changed all. */
static void note_published(struct tracker *tracker, const struct backend_published *published)
{
	if (!published->length)
		note_resize(tracker, 0, 0);
	else if (published->resized)
		note_resize(tracker, published->size, published->offset);
	else
		note_range(tracker, published->offset, published->length);
}

/* A request that failed may have been done in part, so it counts as well; a staged one does when it is published. */
void tracker_note(struct tracker *tracker, const struct backend_req *req)
{
	if (!atomic_load_explicit(&tracker->active, memory_order_acquire) || req->flags & BACKEND_STAGED)
		return;
	pthread_mutex_lock(&tracker->lock);
	if (!atomic_load(&tracker->active))
		;
	else if (req->op == BACKEND_WRITE || req->op == BACKEND_DISCARD)
		note_range(tracker, req->offset, req->length);
	else if (req->op == BACKEND_RESIZE)
		note_resize(tracker, req->length, req->arg);
	else if (req->op == BACKEND_PUBLISH)
		note_published(tracker, &req->published);
	pthread_mutex_unlock(&tracker->lock);
}

/* ---- rounds ---- */

static uint64_t count(const uint64_t *map, uint64_t bits, uint64_t rest, uint64_t end)
{
	uint64_t limit = bits < rest ? bits : rest;
	uint64_t n = map ? bitmap_count(map, limit) : 0;

	return rest < end ? n + end - rest : n;
}

uint64_t tracker_close_round(struct tracker *tracker)
{
	pthread_mutex_lock(&tracker->lock);
	free(tracker->closed);
	tracker->closed = tracker->running;
	tracker->closed_bits = tracker->bits;
	tracker->closed_rest = tracker->rest;
	tracker->running = NULL;
	tracker->bits = 0;
	tracker->rest = UINT64_MAX;
	/* Without memory for the new one, note_range() tries again. */
	(void)grow(tracker, tracker->end);
	tracker->closed_count = count(tracker->closed, tracker->closed_bits, tracker->closed_rest, tracker->end);
	pthread_mutex_unlock(&tracker->lock);
	return tracker->closed_count;
}

uint64_t tracker_dirty(struct tracker *tracker)
{
	uint64_t n;

	pthread_mutex_lock(&tracker->lock);
	n = count(tracker->running, tracker->bits, tracker->rest, tracker->end);
	pthread_mutex_unlock(&tracker->lock);
	return n;
}

uint64_t tracker_closed(const struct tracker *tracker)
{
	return tracker->closed_count;
}

static struct wire_extent run(uint64_t first, uint64_t end)
{
	uint64_t n = end - first;

	return (struct wire_extent){ .chunk = first, .count = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n };
}

unsigned int tracker_list(const struct tracker *tracker, uint64_t from, struct wire_extent *extents,
			  unsigned int max, uint64_t *next)
{
	uint64_t limit = tracker->closed_bits < tracker->closed_rest ? tracker->closed_bits : tracker->closed_rest;
	unsigned int n = 0;

	*next = 0;
	while (n < max) {
		uint64_t first = bitmap_next(tracker->closed, from, limit, true);

		if (first >= limit)
			break;
		from = bitmap_next(tracker->closed, first, limit, false);
		extents[n] = run(first, from);
		from = first + extents[n++].count;
	}
	if (n == max) {
		*next = from;
		return n;
	}
	from = from > tracker->closed_rest ? from : tracker->closed_rest;
	if (tracker->closed_rest < tracker->end && from < tracker->end)
		extents[n++] = run(from, tracker->end);
	return n;
}

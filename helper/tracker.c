// SPDX-License-Identifier: GPL-2.0
/* tracker: a bitmap that is noted in, and one of the round that was closed last. They change places with each round. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "mapped.h"
#include "tracker.h"

#define MAGIC	0x524b434152544752ULL	/* "RGTRACKR" */
#define VERSION	1u
#define HEAD	4096u

/* At the start of the first map. */
struct head {
	uint64_t magic;
	uint32_t version;
	uint32_t chunk;
	uint64_t end;			/* chunks that the region had at its largest */
	uint64_t rest[2];		/* of each map: all chunks from here on are dirty: there was no memory for their bits */
	uint8_t client[16];
	uint32_t round;			/* closed so far; its lowest bit says which map is noted in */
};

struct tracker {
	char *path;			/* or NULL */
	atomic_bool active;
	pthread_mutex_t lock;		/* of the rest: it is noted by any thread */
	struct mapped map[2];
	uint64_t bits;			/* of either; grows */
	/* the main loop's; what the head has may be moved by who notes */
	uint64_t closed_count;
	uint32_t chunk, round;
	uint8_t client[16];
};

static struct head *head_of(const struct tracker *tracker)
{
	return tracker->map[0].addr;
}

static uint64_t *bits_of(const struct tracker *tracker, unsigned int side)
{
	return (uint64_t *)((char *)tracker->map[side].addr + HEAD);
}

static unsigned int running(const struct tracker *tracker)
{
	return head_of(tracker)->round & 1;
}

static unsigned int closed(const struct tracker *tracker)
{
	return running(tracker) ^ 1;
}

/* ---- the files ---- */

static const char *path_of(const struct tracker *tracker, unsigned int side, char *path, size_t len)
{
	if (!tracker->path)
		return NULL;
	snprintf(path, len, "%s.%u", tracker->path, side);
	return path;
}

static void unlink_maps(const struct tracker *tracker)
{
	char path[4096];

	/* the head goes first: without it nothing is adopted */
	for (unsigned int side = 0; side < 2 && tracker->path; side++)
		unlink(path_of(tracker, side, path, sizeof(path)));
}

static void close_maps(struct tracker *tracker)
{
	mapped_close(&tracker->map[0]);
	mapped_close(&tracker->map[1]);
	tracker->bits = tracker->closed_count = 0;
}

static int open_maps(struct tracker *tracker, int flags)
{
	char path[4096];
	int ret = 0;

	for (unsigned int side = 0; side < 2 && !ret; side++)
		ret = mapped_open(&tracker->map[side], path_of(tracker, side, path, sizeof(path)), flags, HEAD);
	if (ret)
		close_maps(tracker);
	return ret;
}

/* Under the lock. -ENOMEM: what has no bit is told by rest. */
static int grow(struct tracker *tracker, uint64_t chunks)
{
	size_t len = HEAD + (size_t)BITMAP_WORDS(chunks + chunks / 8 + 64) * 8;

	if (chunks <= tracker->bits)
		return 0;
	len = (len + 4095) / 4096 * 4096;
	if (mapped_grow(&tracker->map[0], len) || mapped_grow(&tracker->map[1], len))
		return -ENOMEM;
	tracker->bits = (uint64_t)(len - HEAD) * 8;
	return 0;
}

static uint64_t count(const struct tracker *tracker, unsigned int side)
{
	const struct head *head = head_of(tracker);
	uint64_t limit = tracker->bits < head->rest[side] ? tracker->bits : head->rest[side];
	uint64_t n = bitmap_count(bits_of(tracker, side), limit);

	return head->rest[side] < head->end ? n + head->end - head->rest[side] : n;
}

/* ---- life ---- */

int tracker_new(struct tracker **result, const char *path)
{
	struct tracker *tracker = calloc(1, sizeof(*tracker));

	if (!tracker)
		return -ENOMEM;
	tracker->map[0].fd = tracker->map[1].fd = -1;
	tracker->path = path ? strdup(path) : NULL;
	if (path && !tracker->path) {
		free(tracker);
		return -ENOMEM;
	}
	pthread_mutex_init(&tracker->lock, NULL);
	*result = tracker;
	return 0;
}

void tracker_free(struct tracker *tracker)
{
	if (!tracker)
		return;
	close_maps(tracker);
	pthread_mutex_destroy(&tracker->lock);
	free(tracker->path);
	free(tracker);
}

static bool head_is_sound(const struct tracker *tracker)
{
	const struct head *head = head_of(tracker);

	return head->magic == MAGIC && head->version == VERSION && head->chunk >= 4096 && !(head->chunk & (head->chunk - 1));
}

static void copy_head(struct tracker *tracker)
{
	const struct head *head = head_of(tracker);

	tracker->chunk = head->chunk;
	tracker->round = head->round;
	memcpy(tracker->client, head->client, sizeof(tracker->client));
}

/* A map that is shorter than the other was growing when its helper died: what it lacks was in no request that was answered. */
int tracker_adopt(struct tracker **result, const char *path)
{
	struct tracker *tracker;
	size_t len;
	int ret = tracker_new(&tracker, path);

	if (ret)
		return ret;
	ret = open_maps(tracker, 0);
	if (!ret && !head_is_sound(tracker))
		ret = -ENOENT;
	if (!ret) {
		len = tracker->map[0].len > tracker->map[1].len ? tracker->map[0].len : tracker->map[1].len;
		ret = grow(tracker, (uint64_t)(len - HEAD) * 8);
	}
	if (ret) {
		tracker_free(tracker);
		return ret;
	}
	tracker->closed_count = count(tracker, closed(tracker));
	copy_head(tracker);
	atomic_store(&tracker->active, true);
	*result = tracker;
	return 0;
}

int tracker_start(struct tracker *tracker, uint32_t chunk, uint64_t size, const uint8_t client[16])
{
	struct head *head;
	int ret;

	pthread_mutex_lock(&tracker->lock);
	atomic_store(&tracker->active, false);
	close_maps(tracker);
	unlink_maps(tracker);
	ret = open_maps(tracker, O_CREAT | O_EXCL);
	if (!ret)
		ret = grow(tracker, (size + chunk - 1) / chunk);
	if (!ret) {
		head = head_of(tracker);
		head->version = VERSION;
		head->chunk = chunk;
		head->end = (size + chunk - 1) / chunk;
		head->rest[0] = head->rest[1] = UINT64_MAX;
		memcpy(head->client, client, sizeof(head->client));
		atomic_thread_fence(memory_order_release);
		head->magic = MAGIC;
		copy_head(tracker);
		atomic_store(&tracker->active, true);
	} else {
		close_maps(tracker);
		unlink_maps(tracker);
	}
	pthread_mutex_unlock(&tracker->lock);
	return ret;
}

void tracker_stop(struct tracker *tracker)
{
	pthread_mutex_lock(&tracker->lock);
	atomic_store(&tracker->active, false);
	close_maps(tracker);
	unlink_maps(tracker);
	pthread_mutex_unlock(&tracker->lock);
}

/* The head last: without it nothing is adopted. */
int tracker_move(struct tracker *tracker, const char *path)
{
	char *copy = strdup(path), old[4096], new[4096];
	int ret = copy ? 0 : -ENOMEM;

	pthread_mutex_lock(&tracker->lock);
	for (unsigned int side = 2; side-- && !ret && tracker->path;) {
		path_of(tracker, side, old, sizeof(old));
		snprintf(new, sizeof(new), "%s.%u", path, side);
		if (rename(old, new))
			ret = -errno;
	}
	if (!ret) {
		free(tracker->path);
		tracker->path = copy;
		copy = NULL;
	}
	pthread_mutex_unlock(&tracker->lock);
	free(copy);
	return ret;
}

bool tracker_active(const struct tracker *tracker)
{
	return atomic_load(&tracker->active);
}

uint32_t tracker_chunk(const struct tracker *tracker)
{
	return tracker->chunk;
}

uint32_t tracker_round(const struct tracker *tracker)
{
	return tracker->round;
}

uint64_t tracker_end(struct tracker *tracker)
{
	uint64_t end;

	pthread_mutex_lock(&tracker->lock);
	end = head_of(tracker)->end;
	pthread_mutex_unlock(&tracker->lock);
	return end;
}

bool tracker_is_for(const struct tracker *tracker, const uint8_t client[16])
{
	return tracker_active(tracker) && !memcmp(tracker->client, client, sizeof(tracker->client));
}

/* ---- noting ---- */

/* Under the lock. */
static void note_range(struct tracker *tracker, uint64_t offset, uint64_t length)
{
	uint32_t chunk = head_of(tracker)->chunk;
	uint64_t first = offset / chunk, end = (offset + length + chunk - 1) / chunk;
	uint64_t *rest, *bits;
	int ret;

	if (!length)
		return;
	ret = grow(tracker, end);	/* moves the head */
	if (end > head_of(tracker)->end)
		head_of(tracker)->end = end;
	rest = &head_of(tracker)->rest[running(tracker)];
	if (ret) {
		*rest = first < *rest ? first : *rest;
		return;
	}
	bits = bits_of(tracker, running(tracker));
	for (uint64_t i = first; i < end; i++)
		bitmap_put(bits, i);
}

/*
 * What was cut off reads zero, if it comes back: by a WRITE far beyond the new end, say, of which no RESIZE tells. So it is
 * dirty up to where the region once ended, even if nothing was added.
 */
static void note_resize(struct tracker *tracker, uint64_t size, uint64_t low)
{
	uint64_t end = head_of(tracker)->end * head_of(tracker)->chunk;

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

void tracker_note_range(struct tracker *tracker, uint64_t offset, uint64_t length)
{
	pthread_mutex_lock(&tracker->lock);
	if (atomic_load(&tracker->active))
		note_range(tracker, offset, length);
	pthread_mutex_unlock(&tracker->lock);
}

void tracker_note_all(struct tracker *tracker, uint64_t size)
{
	tracker_note_range(tracker, 0, size);
}

/* ---- rounds ---- */

/* The list of the round before is not asked for any more when another one is closed: its map is the next one's. */
uint64_t tracker_close_round(struct tracker *tracker)
{
	struct head *head;

	pthread_mutex_lock(&tracker->lock);
	head = head_of(tracker);
	memset(bits_of(tracker, closed(tracker)), 0, (size_t)(tracker->bits / 8));
	head->rest[closed(tracker)] = UINT64_MAX;
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)&head->round = head->round + 1;
	tracker->round = head->round;
	tracker->closed_count = count(tracker, closed(tracker));
	pthread_mutex_unlock(&tracker->lock);
	return tracker->closed_count;
}

uint64_t tracker_dirty(struct tracker *tracker)
{
	uint64_t n = 0;

	pthread_mutex_lock(&tracker->lock);
	if (atomic_load(&tracker->active))
		n = count(tracker, running(tracker));
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

/* What comes after the bits, where there was no memory for them. */
static unsigned int list_rest(const struct tracker *tracker, uint64_t from, struct wire_extent *extents)
{
	const struct head *head = head_of(tracker);
	uint64_t rest = head->rest[closed(tracker)];

	from = from > rest ? from : rest;
	if (rest >= head->end || from >= head->end)
		return 0;
	*extents = run(from, head->end);
	return 1;
}

/* The closed map is nobody's but the main loop's; but it may be moved by who notes. */
unsigned int tracker_list(struct tracker *tracker, uint64_t from, struct wire_extent *extents,
			  unsigned int max, uint64_t *next)
{
	uint64_t limit, *bits;
	unsigned int n = 0;

	*next = 0;
	pthread_mutex_lock(&tracker->lock);
	bits = bits_of(tracker, closed(tracker));
	limit = head_of(tracker)->rest[closed(tracker)];
	limit = tracker->bits < limit ? tracker->bits : limit;
	while (n < max) {
		uint64_t first = bitmap_next(bits, from, limit, true);

		if (first >= limit)
			break;
		from = bitmap_next(bits, first, limit, false);
		extents[n] = run(first, from);
		from = first + extents[n++].count;
	}
	if (n == max)
		*next = from;
	else
		n += list_rest(tracker, from, extents + n);
	pthread_mutex_unlock(&tracker->lock);
	return n;
}

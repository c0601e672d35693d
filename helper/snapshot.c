// SPDX-License-Identifier: GPL-2.0
/* snapshot: see snapshot.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "config.h"
#include "log.h"
#include "region.h"
#include "regiond.h"
#include "reserve.h"
#include "snapshot.h"
#include "tracker.h"
#include "whole-io.h"

#define COPIES_MOST	16u		/* chunks that are copied at a time */
#define LIST_MOST	512u
#define MS		1000000ULL

/* Nobody waits longer: the source may be far, and away. */
unsigned int snapshot_wait_ms = 2000;

struct snapshot {
	struct region *region;		/* a reference */
	uint32_t chunk;
	int fd;				/* a chunk's copy is where the chunk is */
	uint64_t limit, size, chunks;
	atomic_uint users;		/* its owner, copies and reads under way, a run that is posted */
	unsigned int nr_copies;
	/* the main loop writes under the lock; any thread reads under it */
	pthread_mutex_t lock;
	bool active, lost;
	uint64_t *wanted, *copied, *copying;
	uint64_t bytes;
	struct list held;		/* under the lock, as this: */
	bool posted;
	struct loop_task run;
	struct loop_timer late;		/* of who has waited longest */
};

/* Of a request that waits; no backend has it. */
struct held {
	uint64_t at;			/* loop_now_ns() */
};

/* A chunk on its way to the file. */
struct copy {
	struct snapshot *snapshot;
	uint64_t chunk;
	struct backend_req read;
	struct loop_work write;
	uint8_t *buffer;
};

static struct loop *loop_of(const struct snapshot *snapshot)
{
	return snapshot->region->regiond->loop;
}

static void put(struct snapshot *snapshot)
{
	if (atomic_fetch_sub(&snapshot->users, 1) != 1)
		return;
	loop_timer_cancel(loop_of(snapshot), &snapshot->late);
	close(snapshot->fd);
	pthread_mutex_destroy(&snapshot->lock);
	free(snapshot->wanted);
	free(snapshot->copied);
	free(snapshot->copying);
	region_put(snapshot->region);
	free(snapshot);
}

/* ---- what a request touches ---- */

struct span {
	uint64_t first, end;
};

static struct span span_of(const struct snapshot *snapshot, const struct backend_req *req)
{
	uint64_t from = req->op == BACKEND_RESIZE ? req->arg : req->offset, chunks = snapshot->chunks;
	struct span span = { .first = from / snapshot->chunk, .end = chunks };

	if (req->op != BACKEND_RESIZE)
		span.end = (req->offset + req->length + snapshot->chunk - 1) / snapshot->chunk;
	span.end = span.end < chunks ? span.end : chunks;
	span.first = span.first < span.end ? span.first : span.end;
	return span;
}

/* The first chunk that it would change and that has not been copied; its end: none. Under the lock. */
static uint64_t touched(const struct snapshot *snapshot, const struct span *span, uint64_t from)
{
	for (; from < span->end; from++) {
		from = bitmap_next(snapshot->wanted, from, span->end, true);
		if (from < span->end && !bitmap_get(snapshot->copied, from))
			break;
	}
	return from < span->end ? from : span->end;
}

static bool touches(const struct snapshot *snapshot, const struct backend_req *req)
{
	struct span span = span_of(snapshot, req);

	return touched(snapshot, &span, span.first) < span.end;
}

/* ---- who waits ---- */

static void run(struct loop_task *task);

/* Under the lock. */
static void release(struct snapshot *snapshot, bool all)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &snapshot->held) {
		struct backend_req *req = list_entry(at, struct backend_req, list);

		if (!all && touches(snapshot, req))
			continue;
		list_del(at);
		region_start_again(req);
	}
}

static void lose(struct snapshot *snapshot, const char *why, int error)
{
	pthread_mutex_lock(&snapshot->lock);
	if (snapshot->active)
		log_info("a follower of %s has to ask again: %s%s%s", snapshot->region->info.path ? snapshot->region->info.path : "?", why,
			 error ? ": " : "", error ? strerror(-error) : "");
	snapshot->lost = true;
	snapshot->active = false;
	release(snapshot, true);
	pthread_mutex_unlock(&snapshot->lock);
}

bool snapshot_hold(struct snapshot *snapshot, struct backend_req *req)
{
	bool hold;

	pthread_mutex_lock(&snapshot->lock);
	hold = snapshot->active && (req->op == BACKEND_PUBLISH || (!(req->flags & BACKEND_STAGED) && touches(snapshot, req)));
	if (hold) {
		backend_private(req, struct held)->at = loop_now_ns();
		list_add(&snapshot->held, &req->list);
		if (!snapshot->posted) {
			atomic_fetch_add(&snapshot->users, 1);
			loop_post(loop_of(snapshot), &snapshot->run);
		}
		snapshot->posted = true;
	}
	pthread_mutex_unlock(&snapshot->lock);
	return hold;
}

/* ---- copying: the main loop ---- */

static void copy_more(struct snapshot *snapshot);

/* They wait in the order in which they came. */
static void set_late(struct snapshot *snapshot)
{
	uint64_t now = loop_now_ns(), at = 0;

	pthread_mutex_lock(&snapshot->lock);
	if (!list_empty(&snapshot->held))
		at = backend_private(list_entry(snapshot->held.next, struct backend_req, list), struct held)->at + snapshot_wait_ms * MS;
	pthread_mutex_unlock(&snapshot->lock);
	if (at)
		loop_timer_set(loop_of(snapshot), &snapshot->late, at > now ? (at - now) / MS + 1 : 1);
	else
		loop_timer_cancel(loop_of(snapshot), &snapshot->late);
}

static void copy_end(struct copy *copy, int error)
{
	struct snapshot *snapshot = copy->snapshot;

	snapshot->nr_copies--;
	pthread_mutex_lock(&snapshot->lock);
	bitmap_clear(snapshot->copying, copy->chunk);
	if (!error)
		bitmap_put(snapshot->copied, copy->chunk);
	if (!error && snapshot->active)
		release(snapshot, false);
	pthread_mutex_unlock(&snapshot->lock);
	if (error == -ENOSPC)
		lose(snapshot, "what is changed has no room in the state directory, of which some is left to others", 0);
	else if (error)
		lose(snapshot, "what was changed could not be copied", error);
	free(copy->buffer);
	free(copy);
	copy_more(snapshot);
	set_late(snapshot);
	put(snapshot);
}

static int write_copy(struct loop_work *work)
{
	struct copy *copy = container_of(work, struct copy, write);

	if (!reserve_is_left(copy->snapshot->fd, copy->read.length))
		return -ENOSPC;
	return whole_write(copy->snapshot->fd, copy->buffer, copy->read.length, copy->chunk * copy->snapshot->chunk);
}

static void copy_written(struct loop_work *work, int res)
{
	copy_end(container_of(work, struct copy, write), res);
}

static void copy_read(struct backend_req *req, int error)
{
	struct copy *copy = container_of(req, struct copy, read);

	if (error || !copy->snapshot->active) {
		copy_end(copy, error ? error : -ECANCELED);
		return;
	}
	copy->write.work = write_copy;
	copy->write.done = copy_written;
	loop_work(loop_of(copy->snapshot), &copy->write);
}

/* Who waits is not to wait for that. */
static void late(struct loop_timer *timer)
{
	lose(container_of(timer, struct snapshot, late), "what was changed takes too long to be copied", 0);
}

static bool copy_start(struct snapshot *snapshot, uint64_t chunk)
{
	struct copy *copy = calloc(1, sizeof(*copy));
	uint64_t offset = chunk * snapshot->chunk;

	if (copy)
		copy->buffer = malloc(snapshot->chunk);
	if (!copy || !copy->buffer) {
		free(copy);
		return false;
	}
	copy->snapshot = snapshot;
	copy->chunk = chunk;
	copy->read.op = BACKEND_READ;
	copy->read.flags = BACKEND_DEMAND;
	copy->read.offset = offset;
	copy->read.length = snapshot->size - offset < snapshot->chunk ? snapshot->size - offset : snapshot->chunk;
	copy->read.data = copy->buffer;
	copy->read.loop = loop_of(snapshot);
	copy->read.done = copy_read;
	copy->read.attach_gen = snapshot->region->regiond->attach_gen;
	copy->read.epoch = snapshot->region->info.epoch;
	atomic_fetch_add(&snapshot->users, 1);
	snapshot->nr_copies++;
	snapshot->bytes += copy->read.length;
	pthread_mutex_lock(&snapshot->lock);
	bitmap_put(snapshot->copying, chunk);
	pthread_mutex_unlock(&snapshot->lock);
	region_submit(snapshot->region->regiond->regions, snapshot->region->info.id, &copy->read);
	return true;
}

/* A chunk that somebody waits for and that is not on its way; false: there is none. *unknown: somebody changes nobody knows what. */
static bool next_chunk(struct snapshot *snapshot, uint64_t *chunk, bool *unknown)
{
	bool found = false;
	struct list *at;

	*unknown = false;
	pthread_mutex_lock(&snapshot->lock);
	list_for_each(at, &snapshot->held) {
		struct backend_req *req = list_entry(at, struct backend_req, list);
		struct span span = span_of(snapshot, req);

		*unknown |= req->op == BACKEND_PUBLISH;
		*chunk = touched(snapshot, &span, span.first);
		while (*chunk < span.end && bitmap_get(snapshot->copying, *chunk))
			*chunk = touched(snapshot, &span, *chunk + 1);
		found = *chunk < span.end;
		if (found || *unknown)
			break;
	}
	pthread_mutex_unlock(&snapshot->lock);
	return found;
}

static void copy_more(struct snapshot *snapshot)
{
	uint64_t chunk;
	bool unknown;

	while (snapshot->active && snapshot->nr_copies < COPIES_MOST) {
		bool any = next_chunk(snapshot, &chunk, &unknown);

		if (unknown)
			lose(snapshot, "a batch is published", 0);
		else if (!any)
			break;
		else if (snapshot->bytes >= snapshot->limit)
			lose(snapshot, "more is changed while it fetches a round than may be kept for it", 0);
		else if (!copy_start(snapshot, chunk))
			lose(snapshot, "out of memory", 0);
	}
}

static void run(struct loop_task *task)
{
	struct snapshot *snapshot = container_of(task, struct snapshot, run);

	pthread_mutex_lock(&snapshot->lock);
	snapshot->posted = false;
	pthread_mutex_unlock(&snapshot->lock);
	copy_more(snapshot);
	set_late(snapshot);
	put(snapshot);
}

/* ---- reading ---- */

struct look {
	struct snapshot *snapshot;
	struct backend_req *outer, inner;
	struct loop_work work;
	struct span span;
};

static void look_end(struct look *look, int error)
{
	struct snapshot *snapshot = look->snapshot;
	struct backend_req *outer = look->outer;

	free(look);
	outer->done(outer, error);
	put(snapshot);
}

static bool is_copied(struct snapshot *snapshot, uint64_t chunk)
{
	bool copied;

	pthread_mutex_lock(&snapshot->lock);
	copied = chunk < snapshot->chunks && bitmap_get(snapshot->copied, chunk);
	pthread_mutex_unlock(&snapshot->lock);
	return copied;
}

static bool any_copied(struct look *look)
{
	for (uint64_t i = look->span.first; i < look->span.end; i++)
		if (is_copied(look->snapshot, i))
			return true;
	return false;
}

/* The part of the chunk that is asked for. */
static int take_copy(const struct look *look, uint64_t chunk)
{
	const struct snapshot *snapshot = look->snapshot;
	uint64_t from = chunk * snapshot->chunk, end = from + snapshot->chunk;
	uint64_t want_end = look->outer->offset + look->outer->length;
	uint8_t *to;
	ssize_t n;

	from = from > look->outer->offset ? from : look->outer->offset;
	end = end < want_end ? end : want_end;
	to = (uint8_t *)look->outer->data + (from - look->outer->offset);
	n = from < end ? whole_read(snapshot->fd, to, end - from, from) : 0;
	if (n < 0)
		return (int)n;
	/* beyond the region's end */
	if (from < end)
		memset(to + n, 0, end - from - (uint64_t)n);
	return 0;
}

static int take_copies(struct loop_work *work)
{
	struct look *look = container_of(work, struct look, work);
	int ret = 0;

	for (uint64_t i = look->span.first; i < look->span.end && !ret; i++)
		if (is_copied(look->snapshot, i))
			ret = take_copy(look, i);
	return ret;
}

static void copies_taken(struct loop_work *work, int res)
{
	look_end(container_of(work, struct look, work), res);
}

/* What was not copied by now has not been changed before it was read. */
static void looked(struct backend_req *inner, int error)
{
	struct look *look = container_of(inner, struct look, inner);

	if (!error && look->snapshot->lost)
		error = -ESTALE;
	if (error || !any_copied(look)) {
		look_end(look, error);
		return;
	}
	look->work.work = take_copies;
	look->work.done = copies_taken;
	loop_work(loop_of(look->snapshot), &look->work);
}

void snapshot_read(struct snapshot *snapshot, struct backend_req *outer)
{
	struct look *look = snapshot->lost ? NULL : calloc(1, sizeof(*look));

	if (!look) {
		outer->done(outer, snapshot->lost ? -ESTALE : -ENOMEM);
		return;
	}
	look->snapshot = snapshot;
	look->outer = outer;
	look->span = span_of(snapshot, outer);
	look->inner.op = BACKEND_READ;
	look->inner.flags = outer->flags & ~BACKEND_ZERO_NULL;
	look->inner.offset = outer->offset;
	look->inner.length = outer->length;
	look->inner.data = outer->data;
	look->inner.loop = outer->loop;
	look->inner.done = looked;
	look->inner.attach_gen = snapshot->region->regiond->attach_gen;
	look->inner.epoch = snapshot->region->info.epoch;
	atomic_fetch_add(&snapshot->users, 1);
	region_submit(snapshot->region->regiond->regions, snapshot->region->info.id, &look->inner);
}

/* ---- life ---- */

/* Not in memory, if there is a disk. */
static int open_file(const struct config *config)
{
	int fd = config->state_dir ? open(config->state_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		fd = open(config->run_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int snapshot_new(struct snapshot **result, struct region *region, uint32_t chunk, uint64_t limit)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int fd = snapshot ? open_file(region->regiond->config) : -ENOMEM;

	if (fd < 0) {
		free(snapshot);
		return fd;
	}
	snapshot->fd = fd;
	snapshot->region = region_get(region);
	snapshot->chunk = chunk;
	snapshot->limit = limit;
	atomic_store(&snapshot->users, 1);
	snapshot->run.run = run;
	snapshot->late.fire = late;
	list_init(&snapshot->held);
	pthread_mutex_init(&snapshot->lock, NULL);
	*result = snapshot;
	return 0;
}

void snapshot_bar(struct snapshot *snapshot)
{
	pthread_mutex_lock(&snapshot->lock);
}

static void take_list(struct snapshot *snapshot, struct tracker *tracker)
{
	struct wire_extent extents[LIST_MOST];
	uint64_t next = 0;

	do {
		unsigned int n = tracker_list(tracker, next, extents, LIST_MOST, &next);

		for (unsigned int i = 0; i < n; i++)
			for (uint64_t at = extents[i].chunk; at < extents[i].chunk + extents[i].count && at < snapshot->chunks; at++)
				bitmap_put(snapshot->wanted, at);
	} while (next);
}

/* Without memory it is lost from the beginning. */
void snapshot_begin(struct snapshot *snapshot, struct tracker *tracker, uint64_t size)
{
	size_t words;

	snapshot->size = size;
	snapshot->chunks = (size + snapshot->chunk - 1) / snapshot->chunk;
	words = BITMAP_WORDS(snapshot->chunks + 1);
	snapshot->wanted = calloc(words, 8);
	snapshot->copied = calloc(words, 8);
	snapshot->copying = calloc(words, 8);
	snapshot->active = snapshot->wanted && snapshot->copied && snapshot->copying;
	snapshot->lost = !snapshot->active;
	if (snapshot->active)
		take_list(snapshot, tracker);
	else
		snapshot->chunks = 0;
	pthread_mutex_unlock(&snapshot->lock);
}

void snapshot_end(struct snapshot *snapshot)
{
	pthread_mutex_lock(&snapshot->lock);
	snapshot->active = false;
	snapshot->lost = true;
	release(snapshot, true);
	pthread_mutex_unlock(&snapshot->lock);
	put(snapshot);
}

bool snapshot_is_lost(const struct snapshot *snapshot)
{
	return snapshot->lost;
}

uint64_t snapshot_copied(const struct snapshot *snapshot)
{
	return snapshot->bytes;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * base-evict: what is given up, and its room. A clock: its hand goes round over the chunks, takes from each the mark that it was used,
 * and gives up those that have none and are not pinned.
 *
 * Room is given back by the pool, since the punch of a large file takes its time. A write that touches what is
 * being punched waits for that (base-io.c): it would be punched itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "../log.h"
#include "stores/base-internal.h"

/* Small enough for base_close() to wait for. */
#define PUNCH_PIECE (64ULL << 20)

/* base is NULL once that has been closed; from when on nobody but the loop knows of it. */
struct punch {
	struct list list;
	struct loop_work work;
	struct base *base;
	bool started, running;
	uint64_t from, end;
};

/* For base and running, which base_close() and the pool look at. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopped = PTHREAD_COND_INITIALIZER;

/* ---- room ---- */

/* The base, if it is still open: then it stays so until punch_pause(). */
static struct base *punch_go_on(struct punch *punch)
{
	struct base *base;

	pthread_mutex_lock(&lock);
	base = punch->base;
	punch->running = base;
	pthread_mutex_unlock(&lock);
	return base;
}

static void punch_pause(struct punch *punch)
{
	pthread_mutex_lock(&lock);
	punch->running = false;
	pthread_cond_broadcast(&stopped);
	pthread_mutex_unlock(&lock);
}

static int punch_work(struct loop_work *work)
{
	struct punch *punch = container_of(work, struct punch, work);
	int err = 0;

	for (uint64_t at = punch->from; at < punch->end && (!err || err == -EINTR);) {
		uint64_t len = punch->end - at < PUNCH_PIECE ? punch->end - at : PUNCH_PIECE;
		struct base *base = punch_go_on(punch);

		if (!base)
			break;
		err = fallocate(base->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) ? -errno : 0;
		at += err ? 0 : len;
		punch_pause(punch);
	}
	return err;
}

static void punched(struct loop_work *work, int res);

/* One at a time: the pool is everybody's. */
static void punch_next(struct base *base)
{
	struct punch *punch = list_entry(base->punches.next, struct punch, list);

	if (list_empty(&base->punches))
		return;
	punch->started = true;
	punch->work.work = punch_work;
	punch->work.done = punched;
	loop_work(base->loop, &punch->work);
}

/* No punch is under way. */
static void given(struct base *base)
{
	struct list done, *pos;

	list_init(&done);
	list_splice(&done, &base->givers);
	while ((pos = list_pop(&done))) {
		struct base_io *io = list_entry(pos, struct base_io, list);

		io->done(io, 0);
	}
}

/* A file system that can't punch keeps the room: it is used again when the same bytes come back. */
static void punched(struct loop_work *work, int res)
{
	struct punch *punch = container_of(work, struct punch, work);
	struct base *base = punch->base;

	if (base) {
		list_del(&punch->list);
		punch_next(base);
		if (res && res != -EOPNOTSUPP)
			log_warning("%s: can't give back room: %s", base->map_path, strerror(-res));
	}
	free(punch);
	if (base && list_empty(&base->punches))
		given(base);
	if (base)
		base_io_again(base);
}

void base_punch(struct base *base, uint64_t from, uint64_t end)
{
	struct punch *punch = list_entry(base->punches.prev, struct punch, list);

	if (!list_empty(&base->punches) && !punch->started && punch->end == from) {
		punch->end = end;
		return;
	}
	punch = calloc(1, sizeof(*punch));
	/* what has room and is absent is harmless, and found by the next start */
	if (!punch)
		return;
	punch->base = base;
	punch->from = from;
	punch->end = end;
	list_add(&base->punches, &punch->list);
	if (base->punches.next == &punch->list)
		punch_next(base);
}

void base_lose(struct base *base, uint64_t from, uint64_t end)
{
	if (base_set_absent(base, from, end))
		base_punch(base, from, end);
}

bool base_punching(struct base *base, uint64_t from, uint64_t end)
{
	struct list *pos;

	list_for_each(pos, &base->punches) {
		struct punch *punch = list_entry(pos, struct punch, list);

		if (punch->from < end && from < punch->end)
			return true;
	}
	return false;
}

void base_punches_stop(struct base *base)
{
	struct list *pos;

	pthread_mutex_lock(&lock);
	while ((pos = list_pop(&base->punches))) {
		struct punch *punch = list_entry(pos, struct punch, list);

		while (punch->running)
			pthread_cond_wait(&stopped, &lock);
		punch->base = NULL;
		/* else it is freed when it comes back */
		if (!punch->started)
			free(punch);
	}
	pthread_mutex_unlock(&lock);
}

/* ---- the clock ---- */

static bool fits(struct base *base, uint64_t more)
{
	uint64_t budget = atomic_load(&base->budget);

	return !budget || base->no_evict || !base->loose || (base->loose <= budget && more <= budget - base->loose);
}

/* Does the hand leave this chunk where it is? */
static bool spared(struct base *base, uint64_t chunk)
{
	if (base_segment(base, chunk)->pins[chunk % SEGMENT_CHUNKS])
		return true;
	if (!(base_word(base, chunk) & CHUNK_USED))
		return false;
	base_word_change(base, chunk, 0, CHUNK_USED);
	return true;
}

/* Neighbours go together. The first one that the hand has not come to. */
static uint64_t give_up(struct base *base, uint64_t chunk, uint64_t more)
{
	uint64_t first = chunk, before = base->stats.present, gone = 0;

	do {
		gone += (uint64_t)__builtin_popcount(base_word(base, chunk) & PAGES_MASK) * PAGE;
		chunk++;
	} while (base->loose > gone && base->loose - gone + more > atomic_load(&base->budget) &&
		 base_next(base, chunk, chunk + 1, PAGES_MASK) == chunk && !spared(base, chunk));
	base_lose(base, first * BASE_CHUNK, chunk * BASE_CHUNK);
	base->stats.evicted += before - base->stats.present;
	return chunk;
}

void base_make_room(struct base *base, uint64_t more)
{
	uint64_t chunk = base->hand;

	/* the rest of this round, one that takes marks away, and one that finds them gone */
	for (int round = 0; round < 3 && !fits(base, more); round++) {
		while (!fits(base, more) && (chunk = base_next(base, chunk, BASE_CHUNKS, PAGES_MASK)) < BASE_CHUNKS)
			chunk = spared(base, chunk) ? chunk + 1 : give_up(base, chunk, more);
		if (chunk >= BASE_CHUNKS)
			chunk = 0;
	}
	base->hand = chunk;
}

static void give(struct base *base, uint64_t target)
{
	uint64_t chunk = base->hand;

	for (int round = 0; round < 3 && base->loose > target; round++) {
		while (base->loose > target && (chunk = base_next(base, chunk, BASE_CHUNKS, PAGES_MASK)) < BASE_CHUNKS) {
			if (!spared(base, chunk))
				base_lose(base, chunk * BASE_CHUNK, (chunk + 1) * BASE_CHUNK);
			chunk++;
		}
		if (chunk >= BASE_CHUNKS)
			chunk = 0;
	}
	base->hand = chunk;
}

void base_give(struct base *base, struct base_io *io)
{
	uint64_t before = base->stats.present;

	if (!base->durable && !base_evicts(base)) {
		io->done(io, -ENOSPC);
		return;
	}
	give(base, base->loose > io->length ? base->loose - io->length : 0);
	base->stats.evicted += before - base->stats.present;
	if (list_empty(&base->punches))
		io->done(io, -ENOSPC);
	else
		list_add(&base->givers, &io->list);
}

int base_room_left(const struct base *base, uint64_t *left, uint64_t *total)
{
	struct statvfs st;

	if (fstatvfs(base->fd, &st))
		return -errno;
	*left = (uint64_t)st.f_bavail * st.f_frsize;
	*total = (uint64_t)st.f_blocks * st.f_frsize;
	return 0;
}

bool base_evicts(const struct base *base)
{
	uint64_t budget = atomic_load(&base->budget);

	return budget && atomic_load(&base->size) > budget;
}

void base_set_budget(struct base *base, uint64_t budget)
{
	atomic_store(&base->budget, budget);
	base_make_room(base, 0);
}

/* ---- pins ---- */

void base_pin(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t last = chunk_end(base_end(offset, length));

	for (uint64_t chunk = offset / BASE_CHUNK; length && chunk < last; chunk++) {
		struct segment *segment = base_segment_make(base, chunk);

		/* what can't be counted might be given up: from now on nothing is */
		if (!segment)
			base->no_evict = true;
		else if (!segment->pins[chunk % SEGMENT_CHUNKS]++)
			base->loose -= (uint64_t)__builtin_popcount(base_word(base, chunk) & PAGES_MASK) * PAGE;
	}
}

void base_let_go(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t last = chunk_end(base_end(offset, length));

	for (uint64_t chunk = offset / BASE_CHUNK; length && chunk < last; chunk++) {
		struct segment *segment = base_segment(base, chunk);
		uint32_t *pins = segment ? &segment->pins[chunk % SEGMENT_CHUNKS] : NULL;

		if (pins && *pins && !--*pins)
			base->loose += (uint64_t)__builtin_popcount(base_word(base, chunk) & PAGES_MASK) * PAGE;
	}
}

void base_unpin(struct base *base, uint64_t offset, uint64_t length)
{
	base_let_go(base, offset, length);
	base_make_room(base, 0);
}

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

/* Chunks that the clock's hand comes by in one turn of the loop. */
#define ROOM_STEP 16384u

/* base is NULL once that has been closed. */
struct room {
	struct loop_task task;
	struct base *base;
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

/* Does the hand leave this chunk where it is? */
static bool spared(struct base *base, uint64_t chunk)
{
	uint32_t word = base_word(base, chunk);

	if (base_pinned(base, chunk))
		return true;
	if (!(word & (CHUNK_USED | CHUNK_READ)))
		return false;
	base_word_change(base, chunk, word & CHUNK_READ ? CHUNK_TOUCHED : 0, word & (CHUNK_USED | CHUNK_READ));
	return true;
}

/* The next chunk that is present, but for blocks in which all is pinned. */
static uint64_t next_loose(struct base *base, uint64_t chunk)
{
	while ((chunk = base_next(base, chunk, BASE_CHUNKS, PAGES_MASK)) < BASE_CHUNKS) {
		const struct block *block = base_block(base_segment(base, chunk), chunk);

		if (!block->pins && block->loose)
			break;
		chunk = (chunk / BLOCK_CHUNKS + 1) * BLOCK_CHUNKS;
	}
	return chunk < BASE_CHUNKS ? chunk : BASE_CHUNKS;
}

/*
 * Neighbours go together. The first one that the hand has not come to: one that is spared has lost its mark, and would go at once if it came by
 * again.
 */
static uint64_t give_up(struct base *base, uint64_t chunk, uint64_t target, uint64_t limit)
{
	uint64_t first = chunk, before = base->stats.present, gone = 0;
	bool more;

	do {
		gone += (uint64_t)__builtin_popcount(base_word(base, chunk) & PAGES_MASK) * PAGE;
		chunk++;
		more = base->loose > gone && base->loose - gone > target && chunk < limit &&
		       base_next(base, chunk, chunk + 1, PAGES_MASK) == chunk;
	} while (more && !spared(base, chunk));
	base_lose(base, first * BASE_CHUNK, chunk * BASE_CHUNK);
	base->stats.evicted += before - base->stats.present;
	return chunk + more;
}

/* Moves the hand by so many chunks at most: up to the end of a round. */
static void turn_hand(struct base *base, uint64_t target, unsigned int most)
{
	uint64_t chunk = base->hand;

	while (most && base->loose > target && (chunk = next_loose(base, chunk)) < BASE_CHUNKS) {
		uint64_t from = chunk;

		chunk = spared(base, chunk) ? chunk + 1 : give_up(base, chunk, target, chunk + most);
		most -= (unsigned int)(chunk - from);
	}
	base->hand = chunk;
}

/* What may stay where so much more comes; UINT64_MAX: all. */
static uint64_t target_for(struct base *base, uint64_t more)
{
	uint64_t budget = atomic_load(&base->budget);

	if (!budget || base->no_evict)
		return UINT64_MAX;
	return budget > more ? budget - more : 0;
}

/* The rest of this round, one that takes marks away, and one that finds them gone. */
static void make_room(struct base *base, uint64_t more)
{
	uint64_t target = target_for(base, more);

	for (; base->rounds && base->loose > target; base->rounds--) {
		turn_hand(base, target, ROOM_STEP);
		if (base->hand < BASE_CHUNKS)
			break;
		base->hand = 0;
	}
}

static void room_again(struct loop_task *task);

/* Goes on in the loop's next turn, if there is more to be given up. */
static void room_soon(struct base *base)
{
	if (!base->rounds || base->loose <= target_for(base, 0) || base->room)
		return;
	base->room = malloc(sizeof(*base->room));
	/* then the next one to make room does */
	if (!base->room)
		return;
	base->room->base = base;
	base->room->task.run = room_again;
	loop_post(base->loop, &base->room->task);
}

static void room_again(struct loop_task *task)
{
	struct room *room = container_of(task, struct room, task);
	struct base *base = room->base;

	free(room);
	if (!base)
		return;
	base->room = NULL;
	make_room(base, 0);
	room_soon(base);
}

void base_make_room(struct base *base, uint64_t more)
{
	base->rounds = 3;
	make_room(base, more);
	room_soon(base);
}

void base_room_stop(struct base *base)
{
	if (base->room)
		base->room->base = NULL;
	base->room = NULL;
}

/* All of it at once: who asks has no room to go on. */
static void give(struct base *base, uint64_t target)
{
	for (int round = 0; round < 3 && base->loose > target; round++) {
		turn_hand(base, target, UINT32_MAX);
		if (base->hand >= BASE_CHUNKS)
			base->hand = 0;
	}
}

void base_give(struct base *base, struct base_io *io)
{
	if (!base->durable && !base_evicts(base)) {
		io->done(io, -ENOSPC);
		return;
	}
	give(base, base->loose > io->length ? base->loose - io->length : 0);
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

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a pusher sees of the world: a store and a source, both scripted, in place of store.c and remote.c.
 */
#ifndef REGIONFS_TESTS_PUSH_WORLD_H
#define REGIONFS_TESTS_PUSH_WORLD_H

#include "../pusher.h"
#include "push-source.h"

/* A change that writes zeroes, as data */
#define ZEROES 0xffffffu

/* ---- the store ---- */

struct change {
	uint64_t gen, at;
	uint64_t page, n;
	bool zero;
};

struct store {
	struct list gens;
	struct change *changes;		/* all, also what was pushed */
	size_t nr, synced, max;
	uint64_t recovered, noted, appended, noted_synced;	/* appended: the record of noted, unless note_error */
	int sync_error, read_error, note_error;
	unsigned int syncs;
	uint64_t pretend;		/* unpushed as told, instead of what it is */
	struct list ios;		/* answered by a task */
	bool posted, at_once;
	struct loop_task task;
};

struct fake_io {
	struct list list;
	struct store_io *io;
	struct store *store;
	size_t upto;
	uint64_t noted;
	bool sync, note;
};

static inline struct fake_io *fake_io(struct store_io *io)
{
	return (struct fake_io *)(void *)io->private;
}

static inline void fake_io_answer(struct fake_io *fake)
{
	struct store *store = fake->store;
	int error = fake->sync ? store->sync_error : store->read_error;

	error = fake->note && store->note_error ? store->note_error : error;

	if (fake->sync && !error) {
		store->synced = fake->upto > store->synced ? fake->upto : store->synced;
		store->noted_synced = fake->noted > store->noted_synced ? fake->noted : store->noted_synced;
		store->syncs++;
	}
	fake->io->done(fake->io, error);
}

static inline void store_turn(struct loop_task *task)
{
	struct store *store = container_of(task, struct store, task);
	struct list ios, *entry;

	store->posted = false;
	list_init(&ios);
	list_splice(&ios, &store->ios);
	while ((entry = list_pop(&ios)))
		fake_io_answer(list_entry(entry, struct fake_io, list));
}

static inline void fake_io_begin(struct store *store, struct store_io *io, bool sync, bool note)
{
	struct fake_io *fake = fake_io(io);

	*fake = (struct fake_io){ .io = io, .store = store, .upto = store->nr, .noted = store->appended, .sync = sync, .note = note };
	if (store->at_once) {
		fake_io_answer(fake);
		return;
	}
	list_add(&store->ios, &fake->list);
	if (!store->posted)
		loop_post(loop, &store->task);
	store->posted = true;
}

static inline void fake_io_start(struct store *store, struct store_io *io, bool sync)
{
	fake_io_begin(store, io, sync, false);
}

void store_push_begin(struct store *store, struct store_io *io)
{
	io->done(io, 0);
}

void store_sync(struct store *store, struct store_io *io)
{
	fake_io_start(store, io, true);
}

void store_note(struct store *store, struct store_io *io)
{
	if (!store->note_error)
		store->appended = store->noted;
	fake_io_begin(store, io, true, true);
}

void store_log_read(struct store *store, struct store_io *io, uint64_t at)
{
	for (uint64_t i = 0; i < io->length; i += PAGE) {
		uint32_t version = (uint32_t)(at >> 32);

		memset((char *)io->data + i, version == ZEROES ? 0 : 0xaa, PAGE);
		if (version != ZEROES)
			memcpy((char *)io->data + i, &version, sizeof(version));
	}
	fake_io_start(store, io, false);
}

static inline struct store_gen *store_gen_of(struct list *list, struct store *store)
{
	return list == &store->gens ? NULL : list_entry(list, struct store_gen, list);
}

struct store_gen *store_gen_oldest(struct store *store)
{
	return store_gen_of(store->gens.next, store);
}

struct store_gen *store_gen_after(struct store *store, struct store_gen *gen)
{
	return store_gen_of(gen->list.next, store);
}

static inline void store_gen_free(struct store_gen *gen)
{
	list_del(&gen->list);
	extents_free(&gen->changed);
	free(gen);
}

int store_gen_merge(struct store *store, struct store_gen *gen)
{
	struct store_gen *next = store_gen_after(store, gen);
	struct extent extent;

	if (gen->pending || next->pending)
		return -EBUSY;
	for (uint64_t from = 0; extents_next(&next->changed, from, &extent); from = extent.end)
		if (extents_put(&gen->changed, extent.start, extent.end, extent.at))
			return -ENOMEM;
	if (next->resized) {
		gen->low = gen->resized && gen->low < next->low ? gen->low : next->low;
		gen->size = next->size;
		gen->resized = true;
	}
	gen->gen = next->gen;
	gen->last = next->last;
	store_gen_free(next);
	return 0;
}

void store_gen_pushed(struct store *store, struct store_gen *gen)
{
	store->noted = gen->gen;
	store->appended = store->note_error ? store->appended : store->noted;
	store_gen_free(gen);
}

/* None of its generations has grown since. */
uint64_t store_size(const struct store *store)
{
	return 0;
}

uint64_t store_recovered(const struct store *store)
{
	return store->recovered;
}

void store_stats(struct store *store, struct store_stats *stats)
{
	struct store_gen *gen = store_gen_oldest(store);

	memset(stats, 0, sizeof(*stats));
	stats->oldest = gen ? gen->since : 0;
	for (; gen; gen = store_gen_after(store, gen))
		stats->unpushed += gen->changed.bytes;
	if (store->pretend)
		stats->unpushed = store->pretend;
}

static inline struct store_gen *store_gen_get(struct store *store, uint64_t number)
{
	struct store_gen *gen = store_gen_of(store->gens.prev, store);

	if (!gen || gen->gen != number) {
		gen = calloc(1, sizeof(*gen));
		gen->gen = gen->oldest = number;
		gen->since = loop_now_ns();
		extents_init(&gen->changed);
		list_add(&store->gens, &gen->list);
	}
	gen->last = loop_now_ns();
	return gen;
}

static inline void store_put(struct store *store, const struct change *change)
{
	struct store_gen *gen = store_gen_get(store, change->gen);

	extents_put(&gen->changed, change->page * PAGE, (change->page + change->n) * PAGE,
		    change->zero ? EXTENT_ZERO : change->at);
}

/* version 0: a DISCARD */
static inline void store_write(struct store *store, uint64_t gen, uint64_t page, uint64_t n, uint32_t version)
{
	struct change change = { .gen = gen, .page = page, .n = n, .at = (uint64_t)version << 32, .zero = !version };

	if (store->nr == store->max) {
		store->max = store->max ? store->max * 2 : 64;
		store->changes = realloc(store->changes, store->max * sizeof(*store->changes));
	}
	store->changes[store->nr++] = change;
	store_put(store, &change);
}

static inline void store_resize(struct store *store, uint64_t number, uint64_t size, uint64_t low)
{
	struct store_gen *gen = store_gen_get(store, number);

	gen->low = gen->resized && gen->low < low ? gen->low : low;
	gen->size = size;
	gen->resized = true;
}

static inline void store_empty(struct store *store)
{
	while (!list_empty(&store->gens))
		store_gen_free(store_gen_oldest(store));
}

/* The host lost power, or (not power) the helper was killed; then it starts again. */
static inline void store_restart(struct store *store, bool power)
{
	store_empty(store);
	if (power) {
		store->nr = store->synced;
		store->appended = store->noted_synced;
	}
	store->noted = store->appended;
	store->recovered = store->nr ? store->changes[store->nr - 1].gen : 0;
	for (size_t i = 0; i < store->nr; i++)
		if (store->changes[i].gen > store->noted)
			store_put(store, &store->changes[i]);
}

static inline void store_setup(struct store *store)
{
	memset(store, 0, sizeof(*store));
	list_init(&store->gens);
	list_init(&store->ios);
	store->task.run = store_turn;
}

/* ---- a region with both ---- */

struct side {
	struct store store;
	struct remote remote;
	struct policy policy;
	struct pusher *pusher;
	struct barriers *barriers;
	uint64_t limit;
	unsigned int limits, pushed, errors;
	int error;
	bool closed;
};

static inline void side_limit(void *arg, uint64_t limit)
{
	struct side *side = arg;

	side->limit = limit;
	side->limits++;
}

static inline void side_pushed(void *arg, int error, const char *why)
{
	struct side *side = arg;

	side->pushed += !error;
	side->errors += error != 0;
	side->error = error;
}

static inline void side_closed(void *arg)
{
	((struct side *)arg)->closed = true;
}

static inline void side_open(struct side *side, uint64_t region)
{
	struct pusher_options options = {
		.loop = loop, .store = &side->store, .remote = &side->remote, .policy = &side->policy,
		.barriers = side->barriers, .region = region, .attach_gen = 7, .epoch = 9,
		.arg = side, .limit = side_limit, .pushed = side_pushed,
	};

	side->closed = false;
	if (pusher_open(&side->pusher, &options))
		abort();
}

static inline void side_close(struct side *side)
{
	pusher_close(side->pusher, side_closed, side);
	for (int i = 0; i < 60000 && !side->closed; i++)
		pass(1);
}

/* With barriers: durability=local; else durability=remote. */
static inline void side_setup(struct side *side, struct barriers *barriers, uint64_t pages, bool publish)
{
	memset(side, 0, sizeof(*side));
	store_setup(&side->store);
	remote_setup(&side->remote, pages, publish);
	side->barriers = barriers;
	side->policy = (struct policy){
		.local = LOCAL_FILE, .durability = barriers ? DURABILITY_LOCAL : DURABILITY_REMOTE,
		.push_order = barriers ? PUSH_BARRIER : PUSH_ANY, .push_interval = 60000, .max_unpushed = 1ULL << 30,
	};
}

static inline void side_free(struct side *side)
{
	store_empty(&side->store);
	free(side->store.changes);
	remote_free(&side->remote);
}

/* A program's write of now. */
static inline void side_write(struct side *side, uint64_t page, uint64_t n, uint32_t version)
{
	store_write(&side->store, pusher_gen(side->pusher), page, n, version);
	pusher_kick(side->pusher);
}

/* ---- one region with a domain, and who waits for it ---- */

static struct barriers barriers;

struct waiter {
	struct pusher_wait wait;
	int calls, error;
};

static inline void waited(struct pusher_wait *wait, int error)
{
	struct waiter *waiter = container_of(wait, struct waiter, wait);

	waiter->calls++;
	waiter->error = error;
}

static inline void flush_start(struct side *side, struct waiter *waiter)
{
	*waiter = (struct waiter){ .wait.done = waited };
	pusher_flush(side->pusher, &waiter->wait);
}

/* -ETIME when it takes longer. */
static inline int flush_within(struct side *side, int ms)
{
	struct waiter waiter;

	flush_start(side, &waiter);
	for (int i = 0; i < ms && !waiter.calls; i++)
		pass(1);
	if (waiter.calls)
		return waiter.error;
	pusher_unwait(&waiter.wait);
	return -ETIME;
}

static inline int flush(struct side *side)
{
	return flush_within(side, 60000);
}

static inline void begin(struct side *side, bool with_barriers, uint64_t pages, bool publish)
{
	barriers_init(&barriers);
	side_setup(side, with_barriers ? &barriers : NULL, pages, publish);
	side_open(side, 1);
}

static inline void end(struct side *side)
{
	side_close(side);
	tap_ok(side->closed && !side->remote.overlaps, "(it closes, and nothing has overlapped)");
	barriers_forget(&barriers, 1);
	side_free(side);
}

#endif

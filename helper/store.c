// SPDX-License-Identifier: GPL-2.0
/* store: opening and closing. What happens to bytes is in store-*.c; store-private.h has the picture. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dirs.h"
#include "log.h"
#include "memory-dir.h"
#include "store-place.h"
#include "store-private.h"

static void store_free(struct store *store)
{
	if (store->replay)
		free(store->replay->found.records);
	free(store->replay);
	store_lock_drop(store);
	free((char *)(uintptr_t)store->options.dir);
	free((char *)(uintptr_t)store->options.identity);
	free((char *)(uintptr_t)store->options.run_dir);
	free(store->version.noted);
	free(store->mark);
	free(store->leaving);
	free(store->version.next);
	free(store);
}

/* ---- opening ---- */

/* Where the store is to be: the instance's tmpfs is mounted by whoever is the first to need it. */
static int make_place(struct store *store)
{
	char *memory;
	int err;

	if (store->durable)
		return store_place_check(store->options.dir, store->why, sizeof(store->why));
	if (!store->options.run_dir)
		return 0;
	if (asprintf(&memory, "%s/memory", store->options.run_dir) < 0)
		return -ENOMEM;
	err = memory_dir_mount(memory);
	if (err)
		snprintf(store->why, sizeof(store->why), "%s: no tmpfs can be mounted there: %s", memory, strerror(-err));
	free(memory);
	return err;
}

int store_make_dir(struct store *store)
{
	int err = make_place(store);

	return err ? err : dirs_make(store->options.dir, 0700);
}

/* About an eighth of the region, so that a small one doesn't take more room for its log than for its bytes. */
static uint32_t segment_for(uint64_t size)
{
	uint32_t segment = REDO_SEGMENT_MIN;

	while (segment < REDO_SEGMENT_MAX && segment < size / 8)
		segment *= 2;
	return segment;
}

static int open_redo(struct store *store)
{
	struct redo_options options = {
		.loop = store->loop, .dir = store->options.dir, .durable = store->durable, .instance = store->options.instance,
		.identity = store->options.identity, .segment = segment_for(store->options.size),
		.freed = store->options.room, .arg = store->options.arg,
	};

	return redo_open(&store->redo, &options, &store->replay->found, store->why, sizeof(store->why));
}

static int open_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, work);
	struct base_options options = {
		.loop = store->loop, .dir = store->options.dir, .durable = store->durable, .instance = store->options.instance,
		.identity = store->options.identity, .budget = store->options.budget,
	};
	int err = open_redo(store);

	if (!err)
		err = store_replay_look(store);
	options.size = store->size;
	if (!err)
		err = store_version_read(store);
	if (!err)
		err = store_mark_take(store);
	if (!err)
		err = base_open(&store->base, &options, store->why, sizeof(store->why));
	return err;
}

static void open_failed(void *arg)
{
	struct store *store = arg;

	if (store->base)
		base_close(store->base);
	if (!*store->why)
		snprintf(store->why, sizeof(store->why), "%s: the local store can't be opened: %s", store->options.dir,
			 strerror(-store->error));
	store->options.opened(store->options.arg, NULL, store->error, store->why);
	store_free(store);
}

void store_opened(struct store *store, int error)
{
	if (!error) {
		store->was_there |= base_stats(store->base)->present != 0;
		if (store->tidy.dirty || redo_bytes(store->redo))
			store_tidy_soon(store);
		store->options.opened(store->options.arg, store, 0, "");
		return;
	}
	store->error = error;
	while (!list_empty(&store->gens))
		store_gen_drop(store, store_gen_of(store_gen_oldest(store)));
	if (store->redo)
		redo_close(store->redo, 0, open_failed, store);
	else
		open_failed(store);
}

static void open_worked(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, work);

	if (res)
		store_opened(store, res);
	else
		store_replay(store);
}

static int store_new(struct store **out, const struct store_options *options)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->loop = options->loop;
	store->durable = options->kind == LOCAL_FILE;
	store->options = *options;
	store->options.dir = strdup(options->dir);
	store->options.identity = strdup(options->identity ? options->identity : "");
	store->options.run_dir = options->run_dir ? strdup(options->run_dir) : NULL;
	store->replay = calloc(1, sizeof(*store->replay));
	atomic_store(&store->size, options->size);
	store_lock_init(store);
	list_init(&store->gens);
	store->cut = UINT64_MAX;
	list_init(&store->ops);
	list_init(&store->ready);
	list_init(&store->held);
	list_init(&store->noters);
	if ((options->run_dir && !store->options.run_dir) || !store->options.dir ||
	    !store->options.identity || !store->replay) {
		store_free(store);
		return -ENOMEM;
	}
	store->replay->store = store;
	*out = store;
	return 0;
}

static void open_locked(struct store *store, int error)
{
	if (error) {
		store_opened(store, error);
		return;
	}
	store->work.work = open_work;
	store->work.done = open_worked;
	loop_work(store->loop, &store->work);
}

int store_open(const struct store_options *options)
{
	struct store *store;
	int err = options->kind == LOCAL_FILE || options->kind == LOCAL_MEMORY ? store_new(&store, options) : -EINVAL;

	if (err)
		return err;
	store_lock(store, open_locked);
	return 0;
}

/* ---- closing ---- */

static int remove_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, work);
	int err = redo_remove(store->dir_fd);

	if (!err)
		err = base_remove(store->dir_fd);
	return err ? err : store_lock_remove(store);
}

static void store_gone(struct store *store)
{
	void (*closed)(void *arg) = store->closed;
	void *arg = store->closed_arg;

	store_free(store);
	closed(arg);
}

static void removed(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, work);

	if (res)
		log_warning("%s: the local store can't be removed: %s", store->options.dir, strerror(-res));
	store_gone(store);
}

static void redo_closed(void *arg)
{
	struct store *store = arg;

	while (!list_empty(&store->gens))
		store_gen_drop(store, store_gen_of(store_gen_oldest(store)));
	base_close(store->base);
	if (!store->remove) {
		store_gone(store);
		return;
	}
	store->work.work = remove_work;
	store->work.done = removed;
	loop_work(store->loop, &store->work);
}

static void close_files(struct loop_task *task)
{
	struct store *store = container_of(task, struct store, task);
	bool all = !store->tidy.error && list_empty(&store->gens);

	redo_close(store->redo, all ? store->tidy.pushed : 0, redo_closed, store);
}

static void close_soon(struct store *store)
{
	store->task.run = close_files;
	loop_post(store->loop, &store->task);
}

static void versioned(struct store *store)
{
	store_mark_leave(store, close_soon);
}

/* This may come from within the log, which is not to go under its own feet. */
static void tidied(struct store *store)
{
	store_version_keep(store, versioned);
}

/* What is here is good for the next time only when it has been flushed. */
static void close_begin(struct store *store, bool remove, void (*closed)(void *arg), void *arg)
{
	store->remove = remove;
	store->closed = closed;
	store->closed_arg = arg;
	store_tidy_last(store, tidied);
}

void store_close(struct store *store, void (*closed)(void *arg), void *arg)
{
	close_begin(store, false, closed, arg);
}

void store_remove(struct store *store, void (*closed)(void *arg), void *arg)
{
	close_begin(store, true, closed, arg);
}

/* ---- as it is ---- */

bool store_was_there(const struct store *store)
{
	return store->was_there;
}

uint64_t store_size(const struct store *store)
{
	return store->size;
}

uint64_t store_recovered(const struct store *store)
{
	return store->recovered;
}

void store_set_budget(struct store *store, uint64_t budget)
{
	base_set_budget(store->base, budget);
}

void store_stats(struct store *store, struct store_stats *stats)
{
	const struct base_stats *base = base_stats(store->base);
	const struct store_gen *oldest = store_gen_oldest(store);

	*stats = (struct store_stats) {
		.present = base->present, .room = base->room, .evicted = base->evicted, .corrupt = base->corrupt,
		.unpushed = store->unpushed, .log = redo_bytes(store->redo), .oldest = oldest ? oldest->since : 0,
		.full = store->full, .error = store->tidy.told ? store->tidy.told : redo_error(store->redo),
	};
}

/* ---- the map ---- */

static void add_range(uint64_t *buckets, uint64_t bucket, uint64_t from, uint64_t end)
{
	while (from < end) {
		uint64_t limit = (from / bucket + 1) * bucket;

		if (limit > end)
			limit = end;
		buckets[from / bucket] += limit - from;
		from = limit;
	}
}

/* A page that several generations have counts once. Where there is no memory for that, some are missing. */
static void map_unpushed(struct store *store, uint64_t bucket, uint64_t *unpushed)
{
	struct extents all;
	struct extent extent;

	extents_init(&all);
	store_gen_all(store, &all);
	for (uint64_t from = 0; extents_next(&all, from, &extent) && extent.start < store->size; from = extent.end)
		add_range(unpushed, bucket, extent.start, extent.end < store->size ? extent.end : store->size);
	extents_free(&all);
}

void store_map(struct store *store, unsigned int n, uint64_t *present, uint64_t *unpushed)
{
	uint64_t size = store->size, bucket = n ? size / n + (size % n != 0) : 0, from = 0, offset, length;

	memset(present, 0, n * sizeof(*present));
	memset(unpushed, 0, n * sizeof(*unpushed));
	if (!bucket)
		return;
	while (from < size) {
		bool any = store_absent(store, from, size, &offset, &length);

		add_range(present, bucket, from, any ? offset : size);
		from = any ? offset + length : size;
	}
	map_unpushed(store, bucket, unpushed);
}

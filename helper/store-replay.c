// SPDX-License-Identifier: GPL-2.0
/*
 * store-replay: the log's records become generations again, and go over the base once more. Those that are at the source, too: what the
 * base has of them on the disk is not known before a flush.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "store-private.h"

/* ---- in a worker, before the base is opened ---- */

static bool is_change(const struct redo_record *record)
{
	return !record->lost && record->kind <= REDO_RESIZE;
}

static bool has_unpushed(const struct replay *replay)
{
	for (size_t i = replay->begin; i < replay->found.n; i++)
		if (is_change(&replay->found.records[i]) && replay->found.records[i].gen > replay->pushed)
			return true;
	return false;
}

static uint64_t size_after(uint64_t size, const struct redo_record *record)
{
	uint64_t end = record->offset + record->length;

	if (record->kind == REDO_RESIZE)
		return record->length;
	return record->kind == REDO_WRITE && end > size ? end : size;
}

/* What the region was before the first record that counts. */
static uint64_t size_before(const struct redo_record *record)
{
	return record->kind == REDO_RESIZE ? record->offset : record->size;
}

static uint64_t size_found(const struct replay *replay, uint64_t size)
{
	bool any = false;

	for (size_t i = replay->begin; i < replay->found.n; i++) {
		const struct redo_record *record = &replay->found.records[i];

		if (!is_change(record))
			continue;
		size = size_after(any ? size : size_before(record), record);
		any = true;
	}
	return size;
}

static int look_foreign(struct store *store)
{
	struct replay *replay = store->replay;

	if (has_unpushed(replay)) {
		snprintf(store->why, sizeof(store->why), "%s: has changes that another source has not got yet; open it with that one and "
			 "let it push them, or drop them with --discard", store->options.dir);
		return -ESTALE;
	}
	replay->found.n = replay->begin = 0;
	store->recovered = store->pushed = store->noted = 0;
	return redo_clear(store->redo);
}

int store_replay_look(struct store *store)
{
	struct replay *replay = store->replay;

	for (size_t i = 0; i < replay->found.n; i++) {
		const struct redo_record *record = &replay->found.records[i];

		if (record->lost)
			continue;
		if (store->recovered < record->gen)
			store->recovered = record->gen;
		if (record->kind == REDO_FORGET)
			replay->begin = i + 1;
		if (record->kind >= REDO_PUSHED && replay->pushed < record->gen)
			replay->pushed = record->gen;
		if (record->kind == REDO_PUSHED && record->arg && replay->stale < record->gen)
			replay->stale = record->gen;
	}
	/* the two look the same: what was never synced need not have reached the disk in order */
	if (replay->found.damaged)
		log_warning("%s: the log of the local store has a hole; what follows it is put aside in damaged-*. After a power cut those "
			    "are changes that were not synced, else it was damaged and they are lost", store->options.dir);
	if (replay->found.foreign)
		return look_foreign(store);
	if (has_unpushed(replay))
		store->size = size_found(replay, store->size);
	store->was_there = replay->found.n;
	return 0;
}

/* ---- on the loop: generations ---- */

static int note_record(struct store *store, const struct redo_record *record)
{
	uint64_t zero, zero_end, old = store->size, end = record->offset + record->length;
	struct gen *gen = store_gen_get(store, record->gen);
	int err = 0;

	if (!gen)
		return -ENOMEM;
	store->size = size_after(old, record);
	store_gen_charge(store, gen, record->kind == REDO_WRITE ? record->length : 0);
	if (record->kind == REDO_RESIZE)
		return store_gen_resize(store, gen, record->offset, record->length, record->arg, &zero, &zero_end);
	if (record->kind == REDO_DISCARD)
		return store_gen_put(store, gen, record->offset, end, EXTENT_ZERO);
	if (end > old) {
		uint64_t size = store->size;

		store->size = old;
		err = store_gen_grow(store, gen, record->offset, &zero, &zero_end);
		store->size = size;
	}
	return err ? err : store_gen_put(store, gen, record->offset, end, record->at);
}

static bool is_void(const struct redo_record *record)
{
	return record->kind == REDO_PUSHED && record->length;
}

/* What is void now may be in the base all the same. */
static void drop_record(struct store *store, const struct redo_record *record)
{
	uint64_t end = store_page_up(record->offset + record->length);

	if (record->kind == REDO_RESIZE)
		base_drop(store->base, record->arg < record->length ? record->arg : record->length, UINT64_MAX);
	else if (record->kind < REDO_RESIZE || is_void(record))
		base_drop(store->base, record->offset, end - record->offset);
}

static int note_records(struct store *store)
{
	struct replay *replay = store->replay;
	uint64_t size = store->size;
	bool any = false;
	int err = 0;

	for (size_t i = 0; i < replay->found.n; i++)
		if (i < replay->begin || replay->found.records[i].lost || is_void(&replay->found.records[i]))
			drop_record(store, &replay->found.records[i]);
	for (size_t i = replay->begin; !err && i < replay->found.n; i++) {
		const struct redo_record *record = &replay->found.records[i];

		if (is_void(record))
			err = store_void_range(store, record->offset, record->offset + record->length);
		if (!is_change(record))
			continue;
		if (!any)
			store->size = size_before(record);
		any = true;
		err = note_record(store, record);
	}
	/* without unpushed changes the region may be longer by now: what was cut off, and was pushed, is not there again */
	replay->size = any && store->size < size ? store->size : size;
	if (replay->size < size)
		base_drop(store->base, replay->size, UINT64_MAX);
	store->size = size;
	return err;
}

/* ---- the base again ---- */

static void redo_next(struct store *store);

/* What the base has there is older than what the log has, or had. */
static void redo_lacks(struct store *store)
{
	const struct replay *replay = store->replay;

	base_drop(store->base, replay->start, replay->end - replay->start);
	atomic_store(&store->holes, true);
}

static void redo_based(struct base_io *io, int error)
{
	struct store *store = container_of(io, struct replay, base)->store;

	if (error)
		redo_lacks(store);
	redo_next(store);
}

static void redo_write(struct store *store, void *data)
{
	struct replay *replay = store->replay;

	replay->base.done = redo_based;
	replay->base.offset = replay->start;
	replay->base.length = replay->end - replay->start;
	replay->base.data = data;
	base_write(store->base, &replay->base);
}

static void redo_came(struct redo_io *io, int error)
{
	struct store *store = container_of(io, struct replay, redo)->store;

	if (error) {
		redo_lacks(store);
		redo_next(store);
		return;
	}
	redo_write(store, store->replay->buffer);
}

/* What ends in the middle of a page ended with the region then; if that has grown since, zeroes follow. */
static void redo_extent(struct store *store, const struct extent *extent)
{
	struct replay *replay = store->replay;
	uint64_t size = store->size, end = extent->end < replay->size ? extent->end : replay->size;

	replay->start = extent->start;
	replay->end = store_page_up(end) < size ? store_page_up(end) : size;
	if (extent->at == EXTENT_ZERO) {
		redo_write(store, NULL);
		return;
	}
	memset(replay->buffer + (end - extent->start), 0, replay->end - end);
	replay->redo = (struct redo_io) { .done = redo_came, .length = end - extent->start, .data = replay->buffer };
	redo_read(store->redo, &replay->redo, extent->at);
}

static void replay_ended(struct store *store, int error)
{
	struct list *pos, *tmp;

	store->pushed = store->noted = store->replay->pushed;
	list_for_each_safe(pos, tmp, &store->gens) {
		struct gen *gen = store_gen_of(list_entry(pos, struct store_gen, list));

		if (gen->gen.gen <= store->pushed)
			store_gen_drop(store, gen);
	}
	store->newest = store->newest < store->pushed ? store->pushed : store->newest;
	free(store->replay->buffer);
	free(store->replay->found.records);
	free(store->replay);
	store->replay = NULL;
	store_opened(store, error);
}

/* What there is of an extent from a place on; of zeroes no more than a step. */
static void redo_clip(struct extent *extent, uint64_t from)
{
	if (extent->at != EXTENT_ZERO)
		return;
	if (extent->start < from)
		extent->start = from;
	extent->end = extent->start + store_step(extent->start, extent->end);
}

/* Extents that are within what the log ends with, oldest generation first. */
static bool redo_find(struct store *store, struct extent *extent)
{
	struct replay *replay = store->replay;

	while (replay->gen) {
		struct store_gen *after;

		if (extents_next(&replay->gen->gen.changed, replay->from, extent) && extent->start < replay->size) {
			redo_clip(extent, replay->from);
			replay->from = extent->end;
			return true;
		}
		after = store_gen_after(store, &replay->gen->gen);
		replay->gen = after ? store_gen_of(after) : NULL;
		replay->from = 0;
	}
	return false;
}

/* On a tmpfs all is done from within: a loop, not a stack. */
static void redo_next(struct store *store)
{
	struct replay *replay = store->replay;
	struct extent extent;

	replay->more = true;
	if (replay->running)
		return;
	replay->running = true;
	while (replay->more && redo_find(store, &extent)) {
		replay->more = false;
		redo_extent(store, &extent);
	}
	replay->running = false;
	if (replay->more)
		replay_ended(store, 0);
}

/* What the source has newer is not here, and is not to be again. */
static struct gen *first_gen(struct store *store)
{
	struct store_gen *gen = store_gen_oldest(store);

	while (gen && gen->gen <= store->replay->stale)
		gen = store_gen_after(store, gen);
	return gen ? store_gen_of(gen) : NULL;
}

void store_replay(struct store *store)
{
	struct replay *replay = store->replay;
	int err = note_records(store);

	replay->buffer = err ? NULL : malloc(REDO_PIECE + STORE_PAGE);
	if (!replay->buffer) {
		replay_ended(store, -ENOMEM);
		return;
	}
	store->tidy.dirty = store->was_there;
	replay->gen = first_gen(store);
	redo_next(store);
}

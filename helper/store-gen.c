// SPDX-License-Identifier: GPL-2.0
/*
 * store-gen: the generations that the source has not got. A chunk is pinned in the base once for each generation that touches it.
 */
#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "store-private.h"

static uint64_t chunk_down(uint64_t at)
{
	return at & ~(uint64_t)(BASE_CHUNK - 1);
}

static uint64_t chunk_up(uint64_t at)
{
	return at > UINT64_MAX - BASE_CHUNK ? chunk_down(UINT64_MAX) : chunk_down(at + BASE_CHUNK - 1);
}

typedef void pin_fn(struct base *base, uint64_t offset, uint64_t length);

/* Chunks of the range that the generation does not touch. */
static void each_untouched(struct store *store, struct gen *gen, uint64_t start, uint64_t end, pin_fn *fn)
{
	uint64_t from = chunk_down(start), limit = chunk_up(end);
	struct extent extent;

	while (from < limit) {
		bool any = extents_next(&gen->gen.changed, from, &extent) && extent.start < limit;
		uint64_t until = any ? chunk_down(extent.start) : limit;

		if (from < until)
			fn(store->base, from, until - from);
		from = any ? chunk_up(extent.end) : limit;
	}
}

/* Chunks from a place on that it touches, each once. */
static void each_touched(struct store *store, struct gen *gen, uint64_t from, pin_fn *fn)
{
	struct extent extent;

	from = chunk_down(from);
	while (extents_next(&gen->gen.changed, from, &extent)) {
		uint64_t start = chunk_down(extent.start), end = chunk_up(extent.end);

		if (start < from)
			start = from;
		fn(store->base, start, end - start);
		from = end;
	}
}

int store_gen_put(struct store *store, struct gen *gen, uint64_t start, uint64_t end, uint64_t at)
{
	int err;

	if (start >= end)
		return 0;
	each_untouched(store, gen, start, end, base_pin);
	err = extents_put(&gen->gen.changed, start, end, at);
	if (err)
		each_untouched(store, gen, start, end, base_unpin);
	return err;
}

/*
 * Up to the end there is nothing to split, so it can't fail. The chunk in which the cut is may be touched after it, too: it keeps a pin
 * on the way, or it would be given up.
 */
static void cut_from(struct store *store, struct gen *gen, uint64_t from)
{
	base_pin(store->base, from, 1);
	each_touched(store, gen, from, base_unpin);
	extents_cut(&gen->gen.changed, from, UINT64_MAX);
	each_touched(store, gen, from, base_pin);
	base_unpin(store->base, from, 1);
}

static void find_cut(struct store *store)
{
	struct list *pos;

	store->cut = UINT64_MAX;
	list_for_each(pos, &store->gens) {
		const struct store_gen *gen = list_entry(pos, struct store_gen, list);

		if (gen->resized && gen->low < store->cut)
			store->cut = gen->low;
	}
}

uint64_t store_cut(const struct store *store)
{
	return store->cut;
}

/* A change that was begun before its barrier but comes after it may as well be of the next generation: it has not been answered. */
struct gen *store_gen_get(struct store *store, uint64_t nr)
{
	struct gen *last;
	struct gen *gen;

	if (nr <= store->pushed)
		nr = store->pushed + 1;
	last = list_empty(&store->gens) ? NULL : store_gen_of(list_entry(store->gens.prev, struct store_gen, list));
	/* not by store->newest: that may have been dropped since, and this one must not grow any more */
	if (last && nr <= last->gen.gen)
		return last;
	gen = calloc(1, sizeof(*gen));
	if (!gen)
		return NULL;
	extents_init(&gen->gen.changed);
	gen->gen.gen = gen->gen.oldest = nr;
	store->newest = nr > store->newest ? nr : store->newest;
	gen->gen.since = gen->gen.last = loop_now_ns();
	list_add(&store->gens, &gen->gen.list);
	return gen;
}

void store_gen_charge(struct store *store, struct gen *gen, uint64_t bytes)
{
	uint64_t cost = bytes < RECORD_COST ? RECORD_COST : bytes;

	gen->logged += cost;
	store->unpushed += cost;
}

static void find_high(struct store *store)
{
	struct list *pos;

	store->high = 0;
	list_for_each(pos, &store->gens) {
		struct gen *gen = store_gen_of(list_entry(pos, struct store_gen, list));

		if (store->high < gen->high)
			store->high = gen->high;
	}
}

void store_gen_drop(struct store *store, struct gen *gen)
{
	each_touched(store, gen, 0, base_unpin);
	store->unpushed -= gen->logged;
	extents_free(&gen->gen.changed);
	list_del(&gen->gen.list);
	if (gen->high && gen->high == store->high)
		find_high(store);
	if (gen->gen.resized)
		find_cut(store);
	free(gen);
	if (list_empty(&store->gens))
		atomic_store(&store->holes, false);
}

int store_gen_all(struct store *store, struct extents *all)
{
	struct extent extent;
	struct list *pos;
	int err = 0;

	list_for_each(pos, &store->gens) {
		const struct store_gen *gen = list_entry(pos, struct store_gen, list);

		for (uint64_t from = 0; extents_next(&gen->changed, from, &extent); from = extent.end)
			err = extents_put(all, extent.start, extent.end, EXTENT_ZERO) ?: err;
	}
	return err;
}

/* ---- sizes ---- */

uint64_t store_gen_high(const struct store *store)
{
	return store->high;
}

static int put_zero(struct store *store, struct gen *gen, uint64_t from, uint64_t end, uint64_t *zero, uint64_t *zero_end)
{
	uint64_t high = store_page_up(store_gen_high(store));

	*zero = store_page_up(from);
	*zero_end = end < high ? end : high;
	if (*zero_end < *zero)
		*zero_end = *zero;
	return store_gen_put(store, gen, *zero, *zero_end, EXTENT_ZERO);
}

int store_gen_grow(struct store *store, struct gen *gen, uint64_t offset, uint64_t *zero, uint64_t *zero_end)
{
	return put_zero(store, gen, store->size, store_page_down(offset), zero, zero_end);
}

/* The rest of low's page was zeroed by the caller, as a change before this one; where the region goes on behind it, that stays. */
static uint64_t cut_at(uint64_t size, uint64_t low)
{
	uint64_t page = store_page_up(low);

	return page < size ? page : size;
}

int store_gen_resize(struct store *store, struct gen *gen, uint64_t old, uint64_t size, uint64_t low, uint64_t *zero,
		     uint64_t *zero_end)
{
	bool keeps = low == STORE_KEEPS;

	if (keeps)
		low = size;
	/* what the kernel had grown it by need not have come here: the lowest that it had may be more than there is */
	low = low < old ? low : old;
	cut_from(store, gen, cut_at(size, low));
	if (gen->high < old)
		gen->high = old;
	if (store->high < old)
		store->high = old;
	if (!gen->gen.resized || (!keeps && low < gen->gen.low))
		gen->gen.low = keeps ? STORE_KEEPS : low;
	if (!keeps && low < store->cut)
		store->cut = low;
	gen->gen.resized = true;
	gen->gen.size = size;
	*zero = *zero_end = store_page_up(size);
	return keeps ? 0 : put_zero(store, gen, low, size, zero, zero_end);
}

/* ---- for the pusher ---- */

struct store_gen *store_gen_oldest(struct store *store)
{
	return list_empty(&store->gens) ? NULL : list_entry(store->gens.next, struct store_gen, list);
}

struct store_gen *store_gen_after(struct store *store, struct store_gen *gen)
{
	return gen->list.next == &store->gens ? NULL : list_entry(gen->list.next, struct store_gen, list);
}

/*
 * RESIZE comes first in what is merged: so what the older one has beyond the newer one's cut goes, to the byte. The newer one may have
 * zeroed the rest of that page only as far as the region went then.
 */
static void merge_resize(struct store *store, struct gen *older, const struct gen *newer)
{
	if (!newer->gen.resized)
		return;
	cut_from(store, older, newer->gen.low < newer->gen.size ? newer->gen.low : newer->gen.size);
	if (!older->gen.resized || newer->gen.low < older->gen.low)
		older->gen.low = newer->gen.low;
	if (older->high < newer->high)
		older->high = newer->high;
	older->gen.size = newer->gen.size;
	older->gen.resized = true;
}

int store_gen_merge(struct store *store, struct store_gen *gen)
{
	struct store_gen *after = store_gen_after(store, gen);
	struct gen *older = store_gen_of(gen), *newer = store_gen_of(after);
	struct extent extent;
	uint64_t from = 0;

	if (gen->pending || after->pending)
		return -EBUSY;
	gen->half_merged = true;
	merge_resize(store, older, newer);
	while (extents_next(&after->changed, from, &extent)) {
		int err = store_gen_put(store, older, extent.start, extent.end, extent.at);

		if (err)
			return err;
		from = extent.end;
	}
	gen->half_merged = false;
	older->logged += newer->logged;
	newer->logged = 0;
	gen->gen = after->gen;
	gen->last = after->last;
	store_gen_drop(store, newer);
	return 0;
}

/* ---- PUSHED ---- */

static void note_synced(struct redo_io *redo, int error)
{
	struct store_io *io = store_io_of(container_of(redo, struct op, redo));

	io->done(io, error);
}

static void note_sync(struct op *op)
{
	op->redo = (struct redo_io) { .done = note_synced };
	redo_sync(op->store->redo, &op->redo);
}

static void wake_noters(struct store *store, int error)
{
	struct list waiting, *entry;

	list_init(&waiting);
	list_splice(&waiting, &store->noters);
	while ((entry = list_pop(&waiting))) {
		struct op *op = list_entry(entry, struct op, ready);
		struct store_io *io = store_io_of(op);

		if (error)
			io->done(io, error);
		else if (store->noted >= op->at)
			note_sync(op);
		else
			list_add(&store->noters, &op->ready);
	}
}

/* One that can't be noted is tried again by store-tidy.c; until then it would be pushed once more after a restart. */
static void noted(struct redo_io *io, int error)
{
	struct store *store = container_of(io, struct store, note);

	store->noting = false;
	if (!error)
		store->noted = io->gen;
	if (!error && store->pushed > io->gen)
		store_gen_note(store);
	wake_noters(store, error);
	store_tidy_soon(store);
}

void store_gen_note(struct store *store)
{
	if (store->noting || store->noted >= store->pushed)
		return;
	store->noting = true;
	store->note.kind = REDO_PUSHED;
	store->note.gen = store->pushed;
	store->note.size = store->size;
	store->note.done = noted;
	redo_append(store->redo, &store->note);
}

void store_note(struct store *store, struct store_io *io)
{
	struct op *op = (struct op *)io->private;

	op->store = store;
	op->at = store->pushed;
	if (store->noted >= op->at) {
		note_sync(op);
		return;
	}
	list_add(&store->noters, &op->ready);
	store_gen_note(store);
}

void store_gen_pushed(struct store *store, struct store_gen *gen)
{
	if (gen->pending)
		return;
	store->pushed = gen->gen;
	store_gen_drop(store, store_gen_of(gen));
	store_gen_note(store);
}

/* ---- --discard ---- */

/* What is still under way in it stays. */
static void forget_gen(struct store *store, struct gen *gen)
{
	struct extent extent;
	uint64_t from = 0;

	while (extents_next(&gen->gen.changed, from, &extent)) {
		base_drop(store->base, extent.start, store_page_up(extent.end) - extent.start);
		from = extent.end;
	}
	if (!gen->gen.pending) {
		store_gen_drop(store, gen);
		return;
	}
	cut_from(store, gen, 0);
	store->unpushed -= gen->logged;
	gen->logged = 0;
	gen->gen.resized = false;
	find_cut(store);
}

static void forgotten(struct redo_io *io, int error)
{
	struct store *store = io->data;

	if (!error && store->noted < io->gen)
		store->noted = io->gen;
	store->forgetting--;
	free(io);
	store_tidy_soon(store);
}

void store_discard_changes(struct store *store)
{
	struct redo_io *io = calloc(1, sizeof(*io));
	struct list *pos, *tmp;

	if (!io || list_empty(&store->gens)) {
		if (!io)
			log_error("%s: no memory to discard the changes", store->options.dir);
		free(io);
		return;
	}
	list_for_each_safe(pos, tmp, &store->gens)
		forget_gen(store, store_gen_of(list_entry(pos, struct store_gen, list)));
	store->pushed = store->newest - !list_empty(&store->gens);
	store->tidy.dirty = true;
	store->forgetting++;
	io->kind = REDO_FORGET;
	io->gen = store->pushed;
	io->size = store->size;
	io->data = store;
	io->done = forgotten;
	redo_append(store->redo, io);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * store-void: changes that turned out not to be the region's. Of a range they go from all generations, and from the base: it is absent from then on, and the
 * source keeps what it has there. The log says so behind them, as a PUSHED of nothing new that has a length: segments go from the front, so that is
 * there as long as one of them is.
 */
#include <errno.h>

#include "store-private.h"

static bool touches(const struct gen *gen, uint64_t chunk)
{
	struct extent extent;

	return extents_next(&gen->gen.changed, chunk, &extent) && extent.start < chunk + BASE_CHUNK;
}

/* What a generation has of a range, chunk by chunk: one that it does not touch any more is not pinned by it. */
static int cut_range(struct store *store, struct gen *gen, uint64_t start, uint64_t end)
{
	struct extent extent;

	while (start < end && extents_next(&gen->gen.changed, start, &extent) && extent.start < end) {
		uint64_t from = extent.start > start ? extent.start : start, chunk = from & ~(uint64_t)(BASE_CHUNK - 1);
		uint64_t to = chunk + BASE_CHUNK < end ? chunk + BASE_CHUNK : end;
		int err = extents_cut(&gen->gen.changed, from, to);

		if (err)
			return err;
		if (!touches(gen, chunk))
			base_unpin(store->base, chunk, BASE_CHUNK);
		start = to;
	}
	return 0;
}

int store_void_range(struct store *store, uint64_t start, uint64_t end)
{
	struct list *pos;

	list_for_each(pos, &store->gens) {
		int err = cut_range(store, store_gen_of(list_entry(pos, struct store_gen, list)), start, end);

		if (err)
			return err;
	}
	return 0;
}

static void voided(struct redo_io *redo, int error)
{
	struct op *op = container_of(redo, struct op, redo);
	struct store *store = op->store;

	if (!error)
		error = store_void_range(store, op->start, op->end);
	if (!error)
		base_drop(store->base, op->start, op->end - op->start);
	/* of a chunk that was not checked yet all has gone, and the log has what was changed beside the range */
	if (!error && !list_empty(&store->gens))
		atomic_store(&store->holes, true);
	store->tidy.dirty = true;
	store_tidy_soon(store);
	store_op_done(op, error);
}

void store_void_run(struct op *op)
{
	struct store *store = op->store;

	op->redo = (struct redo_io){ .done = voided, .kind = REDO_PUSHED, .gen = store->pushed, .offset = op->start,
				     .length = op->end - op->start, .size = store->size };
	redo_append(store->redo, &op->redo);
}

void store_void(struct store *store, struct store_io *io)
{
	store_op_start(store, io, OP_VOID);
}

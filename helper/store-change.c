// SPDX-License-Identifier: GPL-2.0
/* store-change: to the log, into its generation, then to the base. From the log on it has happened, whatever becomes of the base. */
#include <errno.h>

#include "store-private.h"

static uint64_t end_of(const struct store_io *io)
{
	return io->length > UINT64_MAX - io->offset ? UINT64_MAX : io->offset + io->length;
}

void store_change_range(struct op *op)
{
	const struct store_io *io = store_io_of(op);
	uint64_t size = op->store->size;

	if (io->op == BACKEND_RESIZE) {
		op->start = store_page_down(io->arg < size ? io->arg : size);
		op->end = UINT64_MAX;
	} else if (io->op == BACKEND_WRITE && end_of(io) > size && store_gen_high(op->store) > size) {
		/* it brings zeroes in front of it */
		op->start = store_page_down(io->offset < size ? io->offset : size);
		op->end = UINT64_MAX;
	}
}

/* ---- the base ---- */

static void base_done(struct base_io *io, int error);

static void base_begin(struct op *op, uint64_t offset, uint64_t length, void *data)
{
	op->base.done = base_done;
	op->base.offset = offset;
	op->base.length = length;
	op->base.data = data;
	base_write(op->store->base, &op->base);
}

/* Where the base has nothing anyway it is told so once. */
uint64_t store_step(uint64_t from, uint64_t end)
{
	return end - from > STORE_STEP && from < BASE_MAX ? STORE_STEP : end - from;
}

static void base_next(struct op *op)
{
	const struct store_io *io = store_io_of(op);
	uint64_t zero = op->zero, at = op->at;

	if (zero < op->zero_end) {
		op->zero += store_step(zero, op->zero_end);
		base_begin(op, zero, op->zero - zero, NULL);
	} else if (at) {
		op->at = 0;
		base_begin(op, io->offset, at, io->data);
	} else {
		store_op_done(op, op->error);
	}
}

static void next_step(struct loop_task *task)
{
	base_next(container_of(task, struct op, task));
}

/* What the base has not, the log has: see store-private.h. */
static void base_done(struct base_io *base, int error)
{
	struct op *op = container_of(base, struct op, base);

	if (error) {
		/* also where the base has refused it, and still has what was there before */
		base_drop(op->store->base, base->offset, base->length);
		atomic_store(&op->store->holes, true);
	}
	if (error == -ENOSPC || error == -EDQUOT)
		op->store->full = true;
	/* others have their turn before the next step */
	if (op->zero < op->zero_end)
		loop_post(op->store->loop, &op->task);
	else
		base_next(op);
}

static void resize(struct op *op)
{
	const struct store_io *io = store_io_of(op);

	if (base_drop_some(op->store->base, &op->drop)) {
		loop_post(op->store->loop, &op->task);
		return;
	}
	base_resize(op->store->base, io->arg < io->length ? io->arg : io->length);
	base_resize(op->store->base, io->length);
	op->task.run = next_step;
	base_next(op);
}

static void next_resize(struct loop_task *task)
{
	resize(container_of(task, struct op, task));
}

static void to_base(struct op *op)
{
	const struct store_io *io = store_io_of(op);

	if (io->op == BACKEND_RESIZE) {
		op->drop = io->arg < io->length ? io->arg : io->length;
		op->task.run = next_resize;
		resize(op);
		return;
	}
	op->task.run = next_step;
	base_next(op);
}

void store_unhold(struct store *store)
{
	struct list *entry;

	store->holding = false;
	while (!store->holding && (entry = list_pop(&store->held)))
		to_base(list_entry(entry, struct op, ready));
}

/* ---- the log ---- */

static void placed(struct redo_io *redo, uint64_t offset, uint64_t length, uint64_t at)
{
	struct op *op = container_of(redo, struct op, redo);
	int err = store_gen_put(op->store, op->gen, offset, offset + length, at);

	if (err)
		op->error = err;
	else
		op->at = offset + length - store_io_of(op)->offset;
	store_gen_charge(op->store, op->gen, length);
}

static int note_write(struct op *op)
{
	struct store *store = op->store;
	uint64_t offset = store_io_of(op)->offset, end = offset + op->at;
	int err = 0;

	if (op->at && end > store->size) {
		err = store_gen_grow(store, op->gen, offset, &op->zero, &op->zero_end);
		store->size = end;
	}
	return err;
}

static int note(struct op *op)
{
	struct store *store = op->store;
	const struct store_io *io = store_io_of(op);
	uint64_t old = store->size;

	if (io->op == BACKEND_WRITE)
		return note_write(op);
	store_gen_charge(store, op->gen, 0);
	if (io->op == BACKEND_DISCARD) {
		op->zero = op->redo.offset;
		op->zero_end = op->zero + op->redo.length;
		return store_gen_put(store, op->gen, op->zero, op->zero_end, EXTENT_ZERO);
	}
	store->size = io->length;
	return store_gen_resize(store, op->gen, old, io->length, io->arg, &op->zero, &op->zero_end);
}

static bool is_empty(const struct gen *gen)
{
	return !gen->gen.pending && !gen->gen.changed.count && !gen->gen.resized && !gen->logged;
}

static void appended(struct redo_io *redo, int error)
{
	struct op *op = container_of(redo, struct op, redo);
	struct store *store = op->store;

	store->full = error == -ENOSPC || error == -EDQUOT;
	if (!op->error)
		op->error = error;
	if (!error || op->at)
		error = note(op);
	if (!op->error)
		op->error = error;
	op->gen->gen.pending--;
	/* what found no room has changed nothing */
	if (!op->error || op->at)
		op->gen->gen.last = store->last_change = loop_now_ns();
	if (is_empty(op->gen))
		store_gen_drop(store, op->gen);
	if (op->error && !op->at) {
		store_op_done(op, op->error);
		return;
	}
	op->logged = op->redo.gen;
	store->tidy.dirty = true;
	store_tidy_soon(store);
	if (store->holding)
		list_add(&store->held, &op->ready);
	else
		to_base(op);
}

static void fill_write(struct op *op, const struct store_io *io)
{
	uint64_t end = end_of(io);

	op->redo.kind = REDO_WRITE;
	op->redo.offset = io->offset;
	op->redo.length = io->length;
	op->redo.data = io->data;
	op->redo.placed = placed;
	op->redo.size = end > op->store->size ? end : op->store->size;
}

/* Whole pages, and the last one up to the region's end. */
static void fill_discard(struct op *op, const struct store_io *io)
{
	uint64_t size = op->store->size, from = store_page_up(io->offset), end = end_of(io);

	end = end >= size ? size : store_page_down(end);
	op->redo.kind = REDO_DISCARD;
	op->redo.offset = from;
	op->redo.length = from < end ? end - from : 0;
	op->redo.size = size;
}

/* offset: the old size, for the replay. */
static void fill_resize(struct op *op, const struct store_io *io)
{
	op->redo.kind = REDO_RESIZE;
	op->redo.offset = op->store->size;
	op->redo.length = io->length;
	op->redo.arg = io->arg;
	op->redo.size = io->length;
}

static int fill_redo(struct op *op, const struct store_io *io)
{
	uint64_t end = end_of(io);

	op->redo = (struct redo_io) { .done = appended };
	switch (io->op) {
	case BACKEND_WRITE:
		fill_write(op, io);
		return io->offset % STORE_PAGE || (end % STORE_PAGE && end < op->store->size) ? -EINVAL : 0;
	case BACKEND_DISCARD:
		fill_discard(op, io);
		return 0;
	case BACKEND_RESIZE:
		fill_resize(op, io);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

void store_change_run(struct op *op)
{
	const struct store_io *io = store_io_of(op);
	struct store *store = op->store;
	int err = fill_redo(op, io);

	op->at = 0;
	if (err || (io->op != BACKEND_RESIZE && !op->redo.length)) {
		store_op_done(op, err);
		return;
	}
	op->gen = store_gen_get(store, io->gen);
	if (!op->gen) {
		store_op_done(op, -ENOMEM);
		return;
	}
	op->gen->gen.pending++;
	op->redo.gen = op->gen->gen.gen;
	redo_append(store->redo, &op->redo);
}

void store_change(struct store *store, struct store_io *io)
{
	store_op_start(store, io, OP_CHANGE);
}

/* ---- sync ---- */

static void change_synced(struct redo_io *redo, int error)
{
	struct op *op = container_of(redo, struct op, redo);
	struct store_io *io = store_io_of(op);

	io->done(io, error);
}

/* In no order with the others: what was answered before is in the log. */
void store_sync(struct store *store, struct store_io *io)
{
	struct op *op = (struct op *)io->private;

	op->store = store;
	op->redo = (struct redo_io) { .done = change_synced };
	redo_sync(store->redo, &op->redo);
}

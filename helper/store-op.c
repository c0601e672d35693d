// SPDX-License-Identifier: GPL-2.0
/*
 * store-op: operations that overlap come one after the other, in the order that they were asked for; others don't wait. Reads stand
 * in the way of changes alone. A fill touches only what is absent, so it and a read of what is present have nothing in common.
 */
#include "store-private.h"

_Static_assert(sizeof(struct op) <= sizeof(((struct store_io *)0)->private), "an operation fits into its store_io");

static bool excludes(enum op_kind a, enum op_kind b)
{
	if (a >= OP_CHANGE || b >= OP_CHANGE)
		return true;
	return a == OP_FILL && b == OP_FILL;
}

/* Where it lies depends on the region's size, so that is looked at anew until it runs. */
static void set_range(struct op *op)
{
	const struct store_io *io = store_io_of(op);

	op->start = store_page_down(io->offset);
	op->end = io->length > UINT64_MAX - io->offset ? UINT64_MAX : store_page_up(io->offset + io->length);
	if (op->kind == OP_CHANGE)
		store_change_range(op);
}

static bool blocked(struct store *store, struct op *op)
{
	struct list *pos;

	set_range(op);
	list_for_each(pos, &store->ops) {
		struct op *earlier = list_entry(pos, struct op, list);

		if (earlier == op)
			break;
		if (excludes(earlier->kind, op->kind) && earlier->start < op->end && op->start < earlier->end)
			return true;
	}
	return false;
}

static void run(struct op *op)
{
	switch (op->kind) {
	case OP_READ:
		store_read_run(op);
		break;
	case OP_CHECK:
		store_check_run(op);
		break;
	case OP_FILL:
		store_fill_run(op);
		break;
	case OP_CHANGE:
		store_change_run(op);
		break;
	case OP_DROP:
		store_drop_run(op);
		break;
	case OP_VOID:
		store_void_run(op);
		break;
	}
}

void store_op_start(struct store *store, struct store_io *io, enum op_kind kind)
{
	struct op *op = (struct op *)io->private;

	list_init(&op->ready);
	op->store = store;
	op->kind = kind;
	op->error = 0;
	op->gen = NULL;
	op->zero = op->zero_end = op->logged = 0;
	list_add(&store->ops, &op->list);
	op->running = !blocked(store, op);
	if (op->running)
		run(op);
}

static void find_ready(struct store *store)
{
	struct list *pos;

	list_for_each(pos, &store->ops) {
		struct op *op = list_entry(pos, struct op, list);

		if (op->running || blocked(store, op))
			continue;
		op->running = true;
		list_add(&store->ready, &op->ready);
	}
}

/* Who ends while it runs is begun from here, too: the stack stays as it is. */
static void run_ready(struct store *store)
{
	struct list *entry;

	if (store->draining)
		return;
	store->draining = true;
	while ((entry = list_pop(&store->ready)))
		run(list_entry(entry, struct op, ready));
	store->draining = false;
}

/* The caller may close the store when its last operation is done, so it isn't touched after that. */
void store_op_done(struct op *op, int error)
{
	struct store *store = op->store;
	struct store_io *io = store_io_of(op);
	bool more;

	list_del(&op->list);
	find_ready(store);
	more = !list_empty(&store->ready);
	io->done(io, error);
	if (more)
		run_ready(store);
}

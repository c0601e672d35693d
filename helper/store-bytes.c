// SPDX-License-Identifier: GPL-2.0
/* store-bytes: read, check, fill. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store-private.h"

/* ---- any thread ---- */

/* What is given up meanwhile has lost its bits, or seq has moved on. */
static bool copy_now(struct store *store, uint64_t offset, uint64_t length, void *data)
{
	uint64_t seq = base_seq(store->base);

	if (!base_present(store->base, offset, length))
		return false;
	if (pread(base_fd(store->base), data, length, (off_t)offset) != (ssize_t)length)
		return false;
	return base_present(store->base, offset, length) && base_seq(store->base) == seq;
}

bool store_read_now(struct store *store, uint64_t offset, uint64_t length, void *data)
{
	return !store->durable && copy_now(store, offset, length, data);
}

bool store_read_direct(struct store *store, struct base_direct *direct)
{
	return base_read_direct(store->base, direct);
}

bool store_touched(struct store *store, uint64_t *offset, uint64_t *length)
{
	uint64_t chunk = *offset / BASE_CHUNK;

	if (!base_touched(store->base, &chunk))
		return false;
	*offset = chunk * BASE_CHUNK;
	*length = BASE_CHUNK;
	return true;
}

void store_untouch(struct store *store)
{
	base_untouch(store->base);
}

int store_local_fd(const struct store *store, int *map)
{
	*map = base_words_fd(store->base);
	return base_fd(store->base);
}

/* ---- read ---- */

static void read_next(struct op *op);

/* What the disk has lost in the base is absent now. Where it was changed it is still in the log. */
static void read_base_done(struct base_io *base, int error)
{
	struct op *op = container_of(base, struct op, base);
	struct store *store = op->store;

	if (!error)
		op->at += base->length;
	else if (!list_empty(&store->gens))
		atomic_store(&store->holes, true);
	read_next(op);
}

static void read_log_done(struct redo_io *redo, int error)
{
	struct op *op = container_of(redo, struct op, redo);

	if (error) {
		store_op_done(op, error);
		return;
	}
	op->at += redo->length;
	read_next(op);
}

static void read_base(struct op *op, uint64_t from, uint64_t length)
{
	op->base.done = read_base_done;
	op->base.offset = from;
	op->base.length = length;
	op->base.data = (char *)store_io_of(op)->data + op->at;
	base_read(op->store->base, &op->base);
}

static void read_log(struct op *op, uint64_t length, uint64_t at)
{
	op->redo = (struct redo_io) {
		.done = read_log_done, .length = length, .data = (char *)store_io_of(op)->data + op->at,
	};
	redo_read(op->store->redo, &op->redo, at);
}

static void read_next(struct op *op)
{
	const struct store_io *io = store_io_of(op);
	uint64_t from = io->offset + op->at, limit = io->offset + io->length;
	struct piece piece;

	while (from < limit) {
		store_piece(op->store, from, limit, &piece);
		if (piece.where == PIECE_BASE) {
			read_base(op, from, piece.end - from);
			return;
		}
		if (piece.where == PIECE_LOG) {
			read_log(op, piece.end - from, piece.at);
			return;
		}
		if (piece.where == PIECE_ABSENT) {
			store_op_done(op, -ENODATA);
			return;
		}
		memset((char *)io->data + op->at, 0, piece.end - from);
		op->at += piece.end - from;
		from = piece.end;
	}
	store_op_done(op, 0);
}

void store_read_run(struct op *op)
{
	op->at = 0;
	read_next(op);
}

void store_read(struct store *store, struct store_io *io)
{
	store_op_start(store, io, OP_READ);
}

static void log_read_done(struct redo_io *redo, int error)
{
	struct store_io *io = store_io_of(container_of(redo, struct op, redo));

	io->done(io, error);
}

static void log_read_synced(struct redo_io *redo, int error)
{
	struct op *op = container_of(redo, struct op, redo);
	struct store_io *io = store_io_of(op);

	if (error) {
		io->done(io, error);
		return;
	}
	op->redo = (struct redo_io) { .done = log_read_done, .length = io->length, .data = io->data };
	redo_read(op->store->redo, &op->redo, op->at);
}

/*
 * What the log has never changes, so this is in no order with anything. But what is read here goes to the source: after a power cut the base may
 * have what was there before, and no log that knows better, unless that is on the disk first.
 */
void store_log_read(struct store *store, struct store_io *io, uint64_t at)
{
	struct op *op = (struct op *)io->private;

	if (at == EXTENT_ZERO) {
		memset(io->data, 0, io->length);
		io->done(io, 0);
		return;
	}
	op->store = store;
	op->at = at;
	op->redo = (struct redo_io) { .done = log_read_synced };
	if (redo_synced(store->redo, at))
		log_read_synced(&op->redo, 0);
	else
		redo_sync(store->redo, &op->redo);
}

/* ---- check ---- */

static void check_done(struct base_io *base, int error)
{
	struct op *op = container_of(base, struct op, base);
	struct store *store = op->store;

	/* what was lost just now may be in the log */
	if (!list_empty(&store->gens) && base_stats(store->base)->corrupt)
		atomic_store(&store->holes, true);
	store_op_done(op, error);
}

void store_check_run(struct op *op)
{
	const struct store_io *io = store_io_of(op);

	op->base.done = check_done;
	op->base.offset = io->offset;
	op->base.length = io->length;
	base_check(op->store->base, &op->base);
}

void store_check(struct store *store, struct store_io *io)
{
	store_op_start(store, io, OP_CHECK);
}

bool store_checked(struct store *store, uint64_t offset, uint64_t length)
{
	return base_checked(store->base, offset, length);
}

/* ---- fill ---- */

static bool skipped(const struct store_io *io, uint64_t at)
{
	uint64_t page = (at - io->offset) / STORE_PAGE;

	return io->skip && io->skip[page / 64] >> page % 64 & 1;
}

/* The next run of pages that are absent and not out of date. */
static bool fill_range(struct op *op, uint64_t *from, uint64_t *length)
{
	const struct store_io *io = store_io_of(op);
	uint64_t limit = io->offset + io->length, end;

	/* what a last page has beyond the region's end would make that longer */
	if (limit > op->store->size)
		limit = op->store->size;
	while (store_absent(op->store, io->offset + op->at, limit, from, length)) {
		end = *from + *length < limit ? *from + *length : limit;
		while (*from < end && skipped(io, *from))
			*from += STORE_PAGE;
		op->at = *from - io->offset;
		if (*from >= end)
			continue;
		*length = STORE_PAGE;
		while (*from + *length < end && !skipped(io, *from + *length))
			*length += STORE_PAGE;
		if (*from + *length > end)
			*length = end - *from;
		return true;
	}
	return false;
}

static void fill_next(struct op *op);

static void filled(struct base_io *base, int error)
{
	struct op *op = container_of(base, struct op, base);

	op->at += base->length;
	if (!op->error)
		op->error = error;
	fill_next(op);
}

static void fill_next(struct op *op)
{
	const struct store_io *io = store_io_of(op);
	uint64_t from, length;

	if (op->error || op->at >= io->length || !fill_range(op, &from, &length)) {
		store_op_done(op, op->error);
		return;
	}
	op->store->tidy.dirty = true;
	store_tidy_soon(op->store);
	op->base.done = filled;
	op->base.offset = from;
	op->base.length = io->data ? length : store_step(from, from + length);
	op->base.data = io->data ? (char *)io->data + (from - io->offset) : NULL;
	base_write(op->store->base, &op->base);
}

void store_fill_run(struct op *op)
{
	op->at = 0;
	fill_next(op);
}

void store_fill(struct store *store, struct store_io *io)
{
	store_op_start(store, io, OP_FILL);
}

/* ---- room ---- */

#define TIGHT_MIN	(32ull << 20)
#define TIGHT_MAX	(1ull << 30)

static void given(struct base_io *base, int error)
{
	struct store_io *io = store_io_of(container_of(base, struct op, base));

	io->done(io, error);
}

void store_give(struct store *store, struct store_io *io)
{
	struct op *op = (struct op *)io->private;

	op->store = store;
	op->base = (struct base_io) { .done = given, .length = io->length };
	base_give(store->base, &op->base);
}

/* A sixteenth stays free for the log, and for others. */
bool store_is_tight(const struct store *store)
{
	uint64_t left, total, keep;

	if (base_room_left(store->base, &left, &total))
		return false;
	keep = total / 16 < TIGHT_MIN ? TIGHT_MIN : total / 16 > TIGHT_MAX ? TIGHT_MAX : total / 16;
	return left < keep;
}

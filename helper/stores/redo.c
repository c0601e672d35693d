// SPDX-License-Identifier: GPL-2.0
/*
 * redo: opening, closing and appending. What waits is written together: one write for as many records as fit the segment.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "dirs.h"
#include "stores/redo-internal.h"

#define NO_ROOM UINT32_MAX

/* ---- room ---- */

/* Data of the next record of an io, where there is so much room left in a segment. */
static uint32_t piece_for(uint64_t left, uint32_t room)
{
	uint32_t most = left < REDO_PIECE ? (uint32_t)left : REDO_PIECE;

	if (room < REDO_ALIGN)
		return NO_ROOM;
	if (redo_room_for(most) <= room)
		return most;
	most = (room - REDO_ALIGN) & ~4095u;
	return most ? most : NO_ROOM;
}

static uint64_t data_of(const struct redo_io *io)
{
	return io->kind == REDO_WRITE ? io->length : 0;
}

static uint32_t room_left(const struct redo *redo)
{
	return redo->current ? redo->current->size - redo->current->end : 0;
}

/* How many new segments an io needs, where there is so much room left in the current one. */
static unsigned int spares_for(const struct redo *redo, const struct redo_io *io, uint32_t room)
{
	uint64_t left = data_of(io) - io->moved;
	unsigned int n = 0;

	for (;;) {
		uint32_t piece = piece_for(left, room);

		if (piece == NO_ROOM) {
			n++;
			room = redo->size - REDO_HEAD;
			continue;
		}
		room -= redo_room_for(piece);
		left -= piece;
		if (!left)
			return n;
	}
}

/*
 * A change leaves an empty segment to those that make room, also where it needs none itself: they may have taken the last one, and what is left of it
 * is theirs.
 */
static unsigned int spares_wanted(const struct redo *redo, const struct redo_io *io, uint32_t room)
{
	return spares_for(redo, io, room) + (!io->moved && io->kind != REDO_PUSHED && io->kind != REDO_FORGET);
}

/* 0: there is room for all of the first in the queue. -EAGAIN: it is being made. */
static int head_room(struct redo *redo, const struct redo_io *io)
{
	unsigned int wanted = spares_wanted(redo, io, room_left(redo));
	int err = redo->make_error;

	redo->make_error = 0;
	/* what has begun has had its room, unless a segment has failed meanwhile */
	if (redo_spares(redo) >= wanted)
		return 0;
	if (err)
		return err;
	/* what is being done now may be less than that, then it is looked at once more */
	redo->head_waits = !redo->working;
	redo_make(redo, wanted);
	return -EAGAIN;
}

/* ---- a batch ---- */

static void batch_add_iov(struct redo_batch *batch, const void *data, uint32_t len)
{
	if (len)
		batch->iov[batch->iovs++] = (struct iovec) { (void *)(uintptr_t)data, len };
}

static void batch_add(struct redo *redo, struct redo_io *io, uint64_t done, uint32_t piece)
{
	static const char zeroes[REDO_ALIGN];
	struct redo_batch *batch = &redo->batch;
	struct redo_header *header = &batch->header[batch->n];
	const char *data = io->kind == REDO_WRITE ? (const char *)io->data + done : NULL;

	*header = (struct redo_header) {
		.magic = REDO_RECORD_MAGIC | io->kind, .chain = redo->chain,
		.at = redo_place(redo->current->nr, redo->current->end + batch->bytes),
		.gen = io->gen, .offset = io->offset + done, .length = data ? piece : io->length, .arg = io->arg,
		.size = io->size, .data_crc = crc32c(0, data, piece),
	};
	header->crc = crc32c(0, header, offsetof(struct redo_header, crc));
	redo->chain = header->crc;
	batch->io[batch->n++] = io;
	batch_add_iov(batch, header, sizeof(*header));
	batch_add_iov(batch, data, piece);
	batch_add_iov(batch, zeroes, redo_room_for(piece) - REDO_ALIGN - piece);
	batch->bytes += redo_room_for(piece);
}

/* As many records of an io as fit. true: that was all of it. */
static bool batch_add_io(struct redo *redo, struct redo_io *io)
{
	struct redo_batch *batch = &redo->batch;
	uint64_t total = data_of(io), done = io->moved;

	while (batch->n < REDO_BATCH && batch->bytes < REDO_BATCH_BYTES) {
		uint32_t piece = piece_for(total - done, room_left(redo) - batch->bytes);

		if (piece == NO_ROOM)
			return false;
		batch_add(redo, io, done, piece);
		done += piece;
		if (done == total)
			return true;
	}
	return false;
}

static bool comes_along(const struct redo *redo, const struct redo_io *io)
{
	uint32_t room = room_left(redo) - redo->batch.bytes;

	return io->kind != REDO_SYNC && !spares_for(redo, io, room) && redo_spares(redo) >= spares_wanted(redo, io, room);
}

/* The first has its room; others come along if they fit as a whole, so that they need none. */
static void batch_fill(struct redo *redo)
{
	struct redo_batch *batch = &redo->batch;
	struct list *pos;

	batch->n = batch->iovs = batch->next = 0;
	batch->bytes = 0;
	batch->chain = redo->chain;
	list_for_each(pos, &redo->queue) {
		struct redo_io *io = list_entry(pos, struct redo_io, list);

		if (batch->n && !comes_along(redo, io))
			return;
		if (!batch_add_io(redo, io))
			return;
	}
}

/* Places for all, before anything is written. */
static int batch_reserve(struct redo *redo)
{
	struct redo_segment *segment = redo->current;
	size_t n = segment->n;
	int err = 0;

	for (unsigned int i = 0; !err && i < redo->batch.n; i++)
		err = redo_segment_note(segment, 0, 0, 0);
	segment->n = n;
	return err;
}

static void record_written(struct redo *redo, unsigned int i)
{
	struct redo_header *header = &redo->batch.header[i];
	struct redo_segment *segment = redo->current;
	struct redo_io *io = redo->batch.io[i];
	uint32_t data = (uint32_t)(header->at & ((1u << REDO_SHIFT) - 1)) + REDO_ALIGN;

	if (segment->newest < io->gen)
		segment->newest = io->gen;
	if (io->kind == REDO_WRITE) {
		redo_segment_note(segment, data, (uint32_t)header->length, header->data_crc);
		io->moved += header->length;
		io->placed(io, header->offset, header->length, redo_place(segment->nr, data));
	}
	/* the same io goes on in the next record, or in the next batch */
	if (io->moved < data_of(io))
		return;
	list_del(&io->list);
	io->done(io, 0);
}

/* An error concerns all of it: what was written of it is overwritten by what comes next. */
static void batch_failed(struct redo *redo, int error)
{
	struct redo_io *last = NULL;

	redo->chain = redo->batch.chain;
	for (unsigned int i = 0; i < redo->batch.n; i++) {
		struct redo_io *io = redo->batch.io[i];

		if (io == last)
			continue;
		last = io;
		list_del(&io->list);
		io->done(io, error);
	}
}

static void batch_done(struct redo *redo, int error)
{
	redo->writing = false;
	if (error) {
		batch_failed(redo, error);
		return;
	}
	redo->current->end += redo->batch.bytes;
	redo_segment_dirty(redo->current);
	for (unsigned int i = 0; i < redo->batch.n; i++)
		record_written(redo, i);
	/* the next but one, before it is missed */
	if (redo->current->end > redo->current->size / 2)
		redo_make(redo, 2);
}

/* true: there is more to be written */
static bool batch_advance(struct redo_batch *batch, size_t n)
{
	while (batch->next < batch->iovs && n >= batch->iov[batch->next].iov_len)
		n -= batch->iov[batch->next++].iov_len;
	if (batch->next == batch->iovs)
		return false;
	batch->iov[batch->next].iov_base = (char *)batch->iov[batch->next].iov_base + n;
	batch->iov[batch->next].iov_len -= n;
	return true;
}

static uint64_t batch_left(const struct redo_batch *batch)
{
	uint64_t left = 0;

	for (unsigned int i = batch->next; i < batch->iovs; i++)
		left += batch->iov[i].iov_len;
	return left;
}

static uint64_t batch_at(const struct redo *redo)
{
	return redo->current->end + redo->batch.bytes - batch_left(&redo->batch);
}

static void batch_write(struct redo *redo);

static void batch_moved(struct loop_op *op, int res)
{
	struct redo *redo = container_of(op, struct redo, batch.op);

	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (!res)
		res = -ENOSPC;
	if (res >= 0 && batch_advance(&redo->batch, (size_t)res)) {
		batch_write(redo);
		return;
	}
	/* what is called from there may append: the next batch would take the place of this one, which it is not through with */
	redo->running = true;
	batch_done(redo, res < 0 ? res : 0);
	redo->running = false;
	redo_run(redo);
}

static void batch_write(struct redo *redo)
{
	struct redo_batch *batch = &redo->batch;

	batch->op.done = batch_moved;
	loop_writev(redo->loop, &batch->op, redo->current->fd, batch->iov + batch->next, batch->iovs - batch->next, batch_at(redo));
}

/* A tmpfs is memory: it takes as long as a copy. */
static int batch_write_now(struct redo *redo)
{
	struct redo_batch *batch = &redo->batch;
	ssize_t n;

	do {
		n = pwritev(redo->current->fd, batch->iov + batch->next, (int)(batch->iovs - batch->next), (off_t)batch_at(redo));
		if (n < 0 && errno != EINTR)
			return errno == EFBIG ? -ENOSPC : -errno;
		if (!n)
			return -ENOSPC;
	} while (batch_advance(batch, n < 0 ? 0 : (size_t)n));
	return 0;
}

/* ---- the queue ---- */

static void head_failed(struct redo_io *io, int error)
{
	list_del(&io->list);
	io->done(io, error);
}

static bool lacks_room(const struct redo *redo, const struct redo_io *io)
{
	/* what has begun has had its room, and PUSHED makes some */
	if (io->moved || io->kind == REDO_SYNC || io->kind == REDO_PUSHED || io->kind == REDO_FORGET)
		return false;
	return spares_wanted(redo, io, room_left(redo)) > redo_spares(redo);
}

static void take_others(struct redo *redo, const struct redo_io *head, struct list *others)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &redo->queue) {
		const struct redo_io *io = list_entry(pos, struct redo_io, list);

		if (io == head || !lacks_room(redo, io))
			continue;
		list_del(pos);
		list_add(others, pos);
	}
}

/*
 * With the first goes all else that there is no room for now: one by one each would have a file made in vain, and a generation is not pushed until
 * the last of them has been told. They are taken out before anybody is told, who may append anew.
 */
static void append_failed(struct redo *redo, struct redo_io *head, int error)
{
	struct list others;

	list_init(&others);
	if (error == -ENOSPC || error == -EDQUOT)
		take_others(redo, head, &others);
	head_failed(head, error);
	while (!list_empty(&others))
		head_failed(list_entry(others.next, struct redo_io, list), error);
}

/* false: not now. */
static bool run_one(struct redo *redo)
{
	struct redo_io *io = list_entry(redo->queue.next, struct redo_io, list);
	int err;

	if (redo->current && redo->current->failed)
		redo->current = NULL;
	if (io->kind == REDO_SYNC) {
		list_del(&io->list);
		list_add(&redo->sync_waiting, &io->list);
		redo_sync_start(redo);
		return true;
	}
	err = head_room(redo, io);
	if (err == -EAGAIN)
		return false;
	if (!err && piece_for(data_of(io) - io->moved, room_left(redo)) == NO_ROOM)
		redo_rotate(redo);
	if (!err) {
		batch_fill(redo);
		err = batch_reserve(redo);
	}
	if (err) {
		append_failed(redo, io, err);
		return true;
	}
	redo->writing = true;
	if (redo->durable)
		batch_write(redo);
	else
		batch_done(redo, batch_write_now(redo));
	return true;
}

/* What is called from here may append. */
void redo_run(struct redo *redo)
{
	if (redo->running)
		return;
	redo->running = true;
	while (!redo->writing && !list_empty(&redo->queue) && run_one(redo))
		;
	redo->running = false;
}

static void enqueue(struct redo *redo, struct redo_io *io)
{
	io->redo = redo;
	io->moved = 0;
	list_add(&redo->queue, &io->list);
	redo_run(redo);
}

void redo_append(struct redo *redo, struct redo_io *io)
{
	enqueue(redo, io);
}

void redo_sync(struct redo *redo, struct redo_io *io)
{
	io->kind = REDO_SYNC;
	enqueue(redo, io);
}

/* ---- life ---- */

static struct redo *redo_new(const struct redo_options *options)
{
	struct redo *redo = calloc(1, sizeof(*redo));
	size_t len = strlen(options->identity);

	if (!redo)
		return NULL;
	redo->loop = options->loop;
	redo->durable = options->durable;
	redo->size = options->segment;
	redo->freed = options->freed;
	redo->freed_arg = options->arg;
	redo->head.magic = REDO_MAGIC;
	redo->head.version = REDO_VERSION;
	redo->head.instance = options->instance;
	redo->head.segment = options->segment;
	redo->head.identity_len = len;
	redo->head.identity_crc = crc32c(0, options->identity, len);
	memcpy(redo->head.identity, options->identity, len < sizeof(redo->head.identity) ? len : sizeof(redo->head.identity));
	list_init(&redo->segments);
	list_init(&redo->rest);
	list_init(&redo->dirty);
	list_init(&redo->queue);
	list_init(&redo->sync_waiting);
	list_init(&redo->sync_served);
	list_init(&redo->made);
	list_init(&redo->doomed);
	return redo;
}

static void redo_drop(struct redo *redo)
{
	list_splice(&redo->segments, &redo->doomed);
	while (!list_empty(&redo->segments))
		redo_segment_free(list_entry(redo->segments.next, struct redo_segment, list));
	if (redo->dir_fd >= 0)
		close(redo->dir_fd);
	free(redo->buckets);
	free(redo);
}

int redo_open(struct redo **out, const struct redo_options *options, struct redo_found *found, char *why, size_t why_len)
{
	struct redo *redo = redo_new(options);
	int err = redo ? 0 : -ENOMEM;

	memset(found, 0, sizeof(*found));
	if (redo) {
		redo->dir_fd = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = redo->dir_fd < 0 ? -errno : redo_scan(redo, options, found, why, why_len);
	}
	if (!err) {
		redo_reserve(redo);
		*out = redo;
		return 0;
	}
	if (!*why)
		snprintf(why, why_len, "%s: the log of the local store can't be opened: %s", options->dir, strerror(-err));
	if (redo)
		redo_drop(redo);
	free(found->records);
	found->records = NULL;
	return err;
}

void redo_close(struct redo *redo, uint64_t gen, void (*closed)(void *arg), void *arg)
{
	redo->closed = closed;
	redo->closed_arg = arg;
	redo->closed_gen = gen;
	if (!redo->working && gen)
		redo_free_all(redo, gen);
	/* then this is called again */
	if (redo->working)
		return;
	redo_drop(redo);
	closed(arg);
}

int redo_clear(struct redo *redo)
{
	while (!list_empty(&redo->segments)) {
		struct redo_segment *segment = list_entry(redo->segments.next, struct redo_segment, list);
		char name[32];
		int err;

		redo_segment_name(name, "log", segment->nr);
		err = redo_unlink(redo, name);
		if (err)
			return err;
		redo_segment_del(redo, segment);
		redo_segment_free(segment);
	}
	redo->current = NULL;
	redo->chain = 0;
	return 0;
}

int redo_remove(int dir_fd)
{
	DIR *stream;
	int err = dirs_stream(dir_fd, &stream);
	struct dirent *entry;

	if (err)
		return err;
	while ((entry = readdir(stream)))
		if (!strncmp(entry->d_name, "log-", 4) || !strncmp(entry->d_name, "damaged-", 8) ||
		    !strncmp(entry->d_name, "repair-", 7))
			if (unlinkat(dirfd(stream), entry->d_name, 0))
				err = -errno;
	closedir(stream);
	return err;
}

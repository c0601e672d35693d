// SPDX-License-Identifier: GPL-2.0
/*
 * base-flush: the bytes to the disk, then the entries of the chunks that have changed.
 *
 *   1. What is CHANGED at the beginning is to be ENTERed; whatever changes from then on is CHANGED again.
 *   2. fdatasync of the bytes.
 *   3. In the pool: the checksum of each chunk to be entered. One that is CHANGED again by then may have been read with bytes that the
 *      fdatasync did not see: its entry is voided, for the old one might match the old bytes after a power cut, when the log has let go of those
 *      that this flush was for. The others' entries are of bytes that are durable.
 *   4. fdatasync of the map.
 *
 * One runs at a time, for all who asked before it began. After an fdatasync has failed nobody knows what is on the disk (the kernel takes pages
 * that it could not write for clean, and may read other ones next time): so what it was for is absent. Where it was that of the map, a new
 * one is made, and all is entered anew. Then the next flush may succeed, and the log let go of what the source has.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "stores/base-internal.h"
#include "zero.h"

static void flush_start(struct base *base);
static void sync_bytes(struct base *base);

static struct base *base_of_op(struct loop_op *op)
{
	return container_of(op, struct base, flush.op);
}

static struct base *base_of_work(struct loop_work *work)
{
	return container_of(work, struct base, flush.work);
}

/* Their room stays: a punch might hit what is being written. That may be lost as well, in part. */
static void lose_changed(struct base *base)
{
	const uint32_t bits = base->changed | base->enter;
	struct list *pos;

	list_for_each(pos, &base->writing)
		list_entry(pos, struct base_io, list)->flags |= BASE_IO_LOST;
	for (uint64_t chunk = 0; (chunk = base_next(base, chunk, BASE_CHUNKS, PAGES_MASK)) < BASE_CHUNKS; chunk++)
		if (base_word(base, chunk) & bits)
			base_set_absent(base, chunk * BASE_CHUNK, (chunk + 1) * BASE_CHUNK);
}

/* What was to be compared with its entry can't be. */
static void enter_all(struct base *base)
{
	for (uint64_t chunk = 0; (chunk = base_next(base, chunk, BASE_CHUNKS, PAGES_MASK)) < BASE_CHUNKS; chunk++) {
		if (base_word(base, chunk) & CHUNK_UNCHECKED)
			base_set_absent(base, chunk * BASE_CHUNK, (chunk + 1) * BASE_CHUNK);
		else
			base_word_change(base, chunk, base->changed, 0);
	}
}

/* The last thing of a run: whom it answers may ask for the next one, or close the base. */
static void flush_end(struct base *base, int err)
{
	struct list served, *pos;

	list_init(&served);
	list_splice(&served, &base->flush.served);
	if (err && base->flush.bytes)
		lose_changed(base);
	base->remap |= err && base->flush.map;
	base->flush.left |= err;
	base->flush.bytes = base->flush.map = false;
	base->flush.running = false;
	if (err)
		list_splice(&served, &base->flush.waiting);
	if (!list_empty(&base->flush.waiting))
		flush_start(base);
	while ((pos = list_pop(&served))) {
		struct base_io *io = list_entry(pos, struct base_io, list);

		io->done(io, err);
	}
}

/* ---- entries ---- */

/* What can't be read is not vouched for. */
static int sum_work(struct loop_work *work)
{
	struct base *base = base_of_work(work);
	char bytes[BASE_CHUNK];
	uint64_t data = 0;

	for (unsigned int i = 0; i < base->flush.n; i++) {
		struct map_entry *entry = &base->flush.entry[i];
		uint64_t chunk = base->flush.chunk[i];

		if (entry->pages && base_chunk_hole(base, chunk, &data))
			entry->crc = base_entry_crc(chunk, entry, NULL);
		else if (entry->pages && !base_chunk_read(base, chunk, entry->pages, bytes))
			entry->crc = base_entry_crc(chunk, entry, bytes);
		else
			memset(entry, 0, sizeof(*entry));
	}
	return 0;
}

static bool void_on_disk(struct base *base, uint64_t chunk)
{
	struct map_entry entry = { 0 };

	return pread(base->map_fd, &entry, sizeof(entry), (off_t)entry_at(chunk)) >= 0 && is_zero(&entry, sizeof(entry));
}

/* On a full disk an entry that had no room before is void, and may stay so: the log must be able to let go, so that there is room again. */
static int enter_some(struct base *base, unsigned int i, unsigned int end)
{
	const struct flush *flush = &base->flush;
	int err = 0;

	for (; i < end && !err; i++) {
		err = base_map_write(base, &flush->entry[i], sizeof(flush->entry[i]), entry_at(flush->chunk[i]));
		if (err == -ENOSPC && void_on_disk(base, flush->chunk[i]))
			err = 0;
	}
	return err;
}

static int enter_work(struct loop_work *work)
{
	struct base *base = base_of_work(work);
	const struct flush *flush = &base->flush;
	unsigned int i = 0, n;
	int err = 0;

	for (; i < flush->n && !err; i += n) {
		for (n = 1; i + n < flush->n && flush->chunk[i + n] == flush->chunk[i] + n; n++)
			;
		err = base_map_write(base, &flush->entry[i], n * sizeof(flush->entry[i]), entry_at(flush->chunk[i]));
		if (err == -ENOSPC)
			err = enter_some(base, i, i + n);
	}
	return err;
}

static void enter_batch(struct base *base);

static void entered(struct loop_work *work, int res)
{
	struct base *base = base_of_work(work);

	if (!res) {
		enter_batch(base);
		return;
	}
	/* to be tried again, where that can help; the chunks after them are still to be ENTERed */
	for (unsigned int i = 0; i < base->flush.n; i++)
		base_word_change(base, base->flush.chunk[i], base->changed, 0);
	flush_end(base, res);
}

static void summed(struct loop_work *work, int res)
{
	struct base *base = base_of_work(work);
	struct flush *flush = &base->flush;

	if (res) {
		entered(work, res);
		return;
	}
	for (unsigned int i = 0; i < flush->n; i++) {
		if (base_word(base, flush->chunk[i]) & base->changed)
			memset(&flush->entry[i], 0, sizeof(flush->entry[i]));
		if (flush->entry[i].pages)
			base_word_change(base, flush->chunk[i], CHUNK_ENTRY, 0);
	}
	flush->work.work = enter_work;
	flush->work.done = entered;
	loop_work(base->loop, &flush->work);
}

static void sync_map(struct base *base);

static void map_synced(struct loop_op *op, int res)
{
	struct base *base = base_of_op(op);

	if (res == -EINTR || res == -EAGAIN)
		sync_map(base);
	else
		flush_end(base, res < 0 ? res : 0);
}

static void sync_map(struct base *base)
{
	base->flush.map = true;
	base->flush.op.done = map_synced;
	loop_fsync(base->loop, &base->flush.op, base->map_fd, true);
}

static void enter_batch(struct base *base)
{
	struct flush *flush = &base->flush;

	flush->bytes = false;
	for (flush->n = 0; flush->n < FLUSH_BATCH; flush->n++) {
		uint64_t chunk = base_next(base, flush->next, BASE_CHUNKS, base->enter);
		struct map_entry *entry = &flush->entry[flush->n];

		if (chunk == BASE_CHUNKS)
			break;
		memset(entry, 0, sizeof(*entry));
		entry->pages = (uint16_t)(base_word(base, chunk) & PAGES_MASK);
		entry->flags = ENTRY_VALID;
		base_word_change(base, chunk, 0, base->enter);
		flush->chunk[flush->n] = chunk;
		flush->next = chunk + 1;
	}
	if (!flush->n) {
		sync_map(base);
		return;
	}
	flush->work.work = sum_work;
	flush->work.done = summed;
	loop_work(base->loop, &flush->work);
}

/* ---- a run ---- */

static void bytes_synced(struct loop_op *op, int res)
{
	struct base *base = base_of_op(op);

	if (res == -EINTR || res == -EAGAIN)
		sync_bytes(base);
	else if (res < 0)
		flush_end(base, res);
	else
		enter_batch(base);
}

static void sync_bytes(struct base *base)
{
	base->flush.bytes = true;
	base->flush.op.done = bytes_synced;
	loop_fsync(base->loop, &base->flush.op, base->fd, true);
}

static void note_writes(struct base *base, struct list *list)
{
	struct list *pos;

	list_for_each(pos, list)
		base_note_coming(base, list_entry(pos, struct base_io, list));
}

/* What is changed is to be entered: no chunk has the latter bit, but for those that a flush that failed has left. */
static void enter_changed(struct base *base)
{
	uint32_t changed = base->changed;

	for (uint64_t chunk = 0; base->flush.left && (chunk = base_next(base, chunk, BASE_CHUNKS, base->enter)) < BASE_CHUNKS; chunk++)
		base_word_change(base, chunk, changed, base->enter);
	base->flush.left = false;
	base->changed = base->enter;
	base->enter = changed;
}

/*
 * A write that is under way, or hasn't begun, may end at any time from now on: its chunks stay CHANGED. What they have before it is not what the log
 * that is let go of had.
 */
static void flush_run(struct base *base)
{
	struct flush *flush = &base->flush;
	struct list *pos;

	flush->next = 0;
	list_splice(&flush->served, &flush->waiting);
	enter_changed(base);
	note_writes(base, &base->checking);
	note_writes(base, &base->waiting);
	list_for_each(pos, &base->writing) {
		struct base_io *io = list_entry(pos, struct base_io, list);

		base_note(base, io->offset / BASE_CHUNK, chunk_end(io->offset + io->length));
	}
	sync_bytes(base);
}

static int renew_work(struct loop_work *work)
{
	struct base *base = base_of_work(work);

	base->flush.map_fd = base_map_renew(base);
	return base->flush.map_fd < 0 ? base->flush.map_fd : 0;
}

static void renewed(struct loop_work *work, int res)
{
	struct base *base = base_of_work(work);

	if (!res && dup3(base->flush.map_fd, base->map_fd, O_CLOEXEC) < 0)
		res = -errno;
	if (base->flush.map_fd >= 0)
		close(base->flush.map_fd);
	if (res) {
		list_splice(&base->flush.served, &base->flush.waiting);
		flush_end(base, res);
		return;
	}
	base->remap = false;
	enter_all(base);
	flush_run(base);
}

static void flush_start(struct base *base)
{
	base->flush.running = true;
	if (!base->remap) {
		flush_run(base);
		return;
	}
	base->flush.work.work = renew_work;
	base->flush.work.done = renewed;
	loop_work(base->loop, &base->flush.work);
}

void base_flush(struct base *base, struct base_io *io)
{
	io->base = base;
	if (!base->durable) {
		io->done(io, 0);
		return;
	}
	list_add(&base->flush.waiting, &io->list);
	if (!base->flush.running)
		flush_start(base);
}

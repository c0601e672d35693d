// SPDX-License-Identifier: GPL-2.0
/* redo-sync: fsync for all that wait at once, and reading back what is in the log. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "log.h"
#include "stores/redo-internal.h"

/* ---- sync ---- */

static void sync_ended(struct redo *redo)
{
	struct list served;
	struct list *entry;
	int error = redo->sync_error;

	redo->sync_error = 0;
	if (!error && redo->durable)
		redo->error = 0;
	if (!error)
		redo->synced_place = redo->sync_place;
	/* what is called may start the next round */
	list_init(&served);
	list_splice(&served, &redo->sync_served);
	while ((entry = list_pop(&served))) {
		struct redo_io *io = list_entry(entry, struct redo_io, list);

		io->done(io, error);
	}
}

void redo_segment_dirty(struct redo_segment *segment)
{
	if (!segment->redo->durable || segment->dirty)
		return;
	segment->dirty = true;
	list_add(&segment->redo->dirty, &segment->dirty_list);
}

static void note_error(struct redo *redo, int error)
{
	if (!redo->error)
		log_error("the log of a local store can't be synced: %s", strerror(-error));
	redo->error = redo->sync_error = error;
}

static void sync_more(struct redo *redo);

static void segment_synced(struct redo_segment *segment, int res)
{
	struct redo *redo = segment->redo;

	segment->syncing = false;
	segment->failed = res < 0;
	if (res < 0) {
		note_error(redo, res);
		redo_segment_dirty(segment);
	} else {
		redo_file_rest(segment);
	}
	if (!--redo->syncing)
		sync_more(redo);
}

static void synced(struct loop_op *op, int res)
{
	segment_synced(container_of(op, struct redo_segment, op), res);
}

static int repair_work(struct loop_work *work)
{
	return redo_repair(container_of(work, struct redo_segment, work));
}

/* What is being read goes on from the old file, which is the same. */
static void repaired(struct loop_work *work, int res)
{
	struct redo_segment *segment = container_of(work, struct redo_segment, work);

	if (!res && dup3(segment->copy_fd, segment->fd, O_CLOEXEC) < 0)
		res = -errno;
	if (segment->copy_fd >= 0)
		close(segment->copy_fd);
	segment_synced(segment, res);
}

static void sync_segment(struct redo *redo, struct redo_segment *segment)
{
	segment->dirty = false;
	list_del(&segment->dirty_list);
	segment->syncing = true;
	segment->sync_end = segment->end;
	redo->syncing++;
	if (segment->failed) {
		segment->work.work = repair_work;
		segment->work.done = repaired;
		loop_work(redo->loop, &segment->work);
		return;
	}
	segment->op.done = synced;
	loop_fsync(redo->loop, &segment->op, segment->fd, true);
}

/* Those that have failed before, or the others. */
static void sync_those(struct redo *redo, bool failed)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &redo->dirty) {
		struct redo_segment *segment = list_entry(pos, struct redo_segment, dirty_list);

		if (segment->failed != failed)
			continue;
		/* what is still being written to it would not be in the copy */
		if (failed && segment == redo->current && redo->writing)
			redo->sync_error = redo->error;
		else
			sync_segment(redo, segment);
	}
}

/*
 * What has failed comes first. As long as that can't be made good the others need not be tried: nothing is added to one that fails, so that each
 * round would cost a file.
 */
static bool sync_next(struct redo *redo)
{
	if (!redo->repaired) {
		redo->repaired = true;
		sync_those(redo, true);
		if (redo->syncing)
			return true;
	}
	if (!redo->synced && !redo->sync_error) {
		redo->synced = true;
		redo->sync_place = redo_end(redo);
		sync_those(redo, false);
	}
	return redo->syncing;
}

static void sync_more(struct redo *redo)
{
	if (sync_next(redo))
		return;
	sync_ended(redo);
	redo_sync_start(redo);
	redo_run(redo);
}

/* One round at a time: who comes during it is not covered by it. */
void redo_sync_start(struct redo *redo)
{
	if (redo->syncing || list_empty(&redo->sync_waiting))
		return;
	list_splice(&redo->sync_served, &redo->sync_waiting);
	redo->repaired = redo->synced = false;
	if (!sync_next(redo))
		sync_ended(redo);
}

int redo_error(const struct redo *redo)
{
	return redo->error;
}

/* Only if all before it is, too: behind one that has failed nothing counts at the next start. */
bool redo_synced(const struct redo *redo, uint64_t at)
{
	return !redo->durable || at < redo->synced_place;
}

/* ---- read ---- */

static const struct redo_entry *entry_of(const struct redo_segment *segment, uint32_t offset)
{
	size_t low = 0, high = segment->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (segment->entries[middle].data <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &segment->entries[low - 1] : NULL;
}

/* A record is checked as a whole, so all of it is read. */
static int read_begin(struct redo *redo, struct redo_io *io, uint64_t at)
{
	uint32_t offset = (uint32_t)(at & ((1u << REDO_SHIFT) - 1));
	const struct redo_entry *entry;

	io->whole = NULL;
	io->moved = 0;
	io->redo = redo;
	io->segment = redo_segment_find(redo, at);
	entry = io->segment ? entry_of(io->segment, offset) : NULL;
	if (!entry || io->length > entry->length || offset - entry->data > entry->length - io->length)
		return -EIO;
	io->from = entry->data;
	io->skip = offset - entry->data;
	io->crc = entry->crc;
	if (io->length == entry->length)
		return 0;
	io->arg = entry->length;
	io->whole = malloc(entry->length);
	return io->whole ? 0 : -ENOMEM;
}

static char *read_buffer(const struct redo_io *io)
{
	return io->whole ? io->whole : io->data;
}

static uint64_t read_length(const struct redo_io *io)
{
	return io->whole ? io->arg : io->length;
}

static void read_end(struct redo_io *io, int error)
{
	if (!error && crc32c(0, read_buffer(io), read_length(io)) != io->crc)
		error = -EIO;
	if (!error && io->whole)
		memcpy(io->data, io->whole + io->skip, io->length);
	free(io->whole);
	io->segment->readers--;
	redo_file_rest(io->segment);
	io->done(io, error);
}

static void read_more(struct redo_io *io);

/* As a scan has it: what the file lacks is as if it were zero, and the checksum says whether it was. */
static int read_lacking(char *data, uint64_t length)
{
	memset(data, 0, length);
	return (int)length;
}

static void read_moved(struct loop_op *op, int res)
{
	struct redo_io *io = container_of(op, struct redo_io, op);

	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (!res)
		res = read_lacking(read_buffer(io) + io->moved, read_length(io) - io->moved);
	if (res > 0)
		io->moved += (uint64_t)res;
	if (res < 0 || io->moved == read_length(io))
		read_end(io, res < 0 ? res : 0);
	else
		read_more(io);
}

static void read_more(struct redo_io *io)
{
	io->op.done = read_moved;
	loop_read(io->redo->loop, &io->op, io->segment->fd, read_buffer(io) + io->moved, (uint32_t)(read_length(io) - io->moved),
		  io->from + io->moved);
}

static int read_file(int fd, char *data, uint64_t length, uint64_t offset)
{
	while (length) {
		ssize_t n = pread(fd, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		n = n ? n : read_lacking(data, length);
		data += n;
		offset += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return 0;
}

static void read_start(struct redo_io *io)
{
	if (io->redo->durable)
		read_more(io);
	else
		read_end(io, read_file(io->segment->fd, read_buffer(io), read_length(io), io->from));
}

void redo_read_opened(struct redo_io *io, int error)
{
	if (error)
		read_end(io, error);
	else
		read_start(io);
}

void redo_read(struct redo *redo, struct redo_io *io, uint64_t at)
{
	int err = read_begin(redo, io, at);

	if (err) {
		io->done(io, err);
		return;
	}
	io->segment->readers++;
	if (io->segment->fd < 0)
		redo_file_open(io->segment, io);
	else
		read_start(io);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * journal-file: the journal's file. Two heads, each in a block of its own and with a sequence number and a checksum, then the records
 * of one batch. That a batch is decided stands in the head alone: so a record that is damaged later is told from one that was never
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crc32c.h"
#include "dirs.h"
#include "journal-private.h"
#include "reserve.h"
#include "whole-io.h"


static uint32_t head_crc(const struct journal_head *head)
{
	struct journal_head copy = *head;

	copy.crc = 0;
	return crc32c(0, &copy, sizeof(copy));
}

uint32_t journal_record_crc(const struct journal_record *record)
{
	struct journal_record copy = *record;

	copy.crc = 0;
	return crc32c(0, &copy, sizeof(copy));
}

uint64_t journal_record_data(const struct journal_record *record)
{
	return record->op == BACKEND_WRITE && !(record->flags & JOURNAL_ZERO) ? record->length : 0;
}

int journal_range_check(uint32_t op, uint64_t offset, uint64_t length, uint64_t arg)
{
	bool resize = op == BACKEND_RESIZE;

	if (!resize && op != BACKEND_DISCARD && (op != BACKEND_WRITE || !length))
		return -EINVAL;
	return length > INT64_MAX || (!resize && offset > INT64_MAX - length) || (resize && arg > length) ? -EFBIG : 0;
}

static int sync_file(const struct journal *journal)
{
	return journal->durable && fdatasync(journal->fd) ? -errno : 0;
}

/* ---- looking ---- */

static bool is_head(const struct journal_head *head)
{
	return head->magic == JOURNAL_MAGIC && head->version == JOURNAL_VERSION && head->crc == head_crc(head);
}

static bool is_zero_head(const struct journal_head *head)
{
	static const struct journal_head none;

	return !memcmp(head, &none, sizeof(none));
}

/* What was done to another source was not done to this one. */
static int take_head(struct journal *journal, const struct journal_head *head)
{
	journal->head = *head;
	if (!memcmp(head->identity, journal->identity, sizeof(head->identity)))
		return 0;
	if (head->batch)
		return backend_error(journal->backend, -EUCLEAN, "%s has a batch that must be done to another %s than this one, which has "
				     "come in its place since: bring that one back, or remove the journal", journal->path, journal->backend->uri.text);
	journal->head.done = 0;
	journal->head.offset = journal->head.length = journal->head.size = journal->head.resized = 0;
	return 0;
}

/* The newer one that is right. Without any: a file whose first head has not come to the disk has nothing but zeroes. */
static int choose_head(struct journal *journal, const struct journal_head slot[2])
{
	const struct journal_head *best = NULL;

	for (int i = 0; i < 2; i++)
		if (is_head(&slot[i]) && (!best || slot[i].seq > best->seq))
			best = &slot[i];
	if (best)
		return take_head(journal, best);
	if (!is_zero_head(&slot[0]) || !is_zero_head(&slot[1]))
		return backend_error(journal->backend, -EUCLEAN, "%s is not a journal of regionfs, or is damaged", journal->path);
	return 0;
}

static int read_heads(struct journal *journal)
{
	struct journal_head slot[2];
	struct stat st;

	if (fstat(journal->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return backend_error(journal->backend, -EUCLEAN, "%s is not a file, as a journal is", journal->path);
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return backend_error(journal->backend, -EUCLEAN, "%s may be somebody else's: a journal is its regiond's own, and written by nobody else",
				     journal->path);
	memset(slot, 0, sizeof(slot));
	for (unsigned int i = 0; i < 2; i++) {
		ssize_t n = whole_read(journal->fd, &slot[i], sizeof(slot[i]), (uint64_t)i * JOURNAL_SLOT);

		if (n < 0)
			return (int)n;
	}
	return choose_head(journal, slot);
}

int journal_file_look(struct journal *journal, bool read_only)
{
	journal->fd = open(journal->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (journal->fd >= 0)
		return read_heads(journal);
	return errno == ENOENT ? 0 : backend_error(journal->backend, -errno, "%s: %s", journal->path, strerror(errno));
}

static int read_record(const struct journal *journal, uint64_t at, struct journal_record *record, void *data)
{
	ssize_t n = whole_read(journal->fd, record, sizeof(*record), at);

	if (n < 0)
		return (int)n;
	if (n != sizeof(*record) || record->crc != journal_record_crc(record) || record->at != at ||
	    record->batch != journal->head.batch || journal_range_check(record->op, record->offset, record->length, record->arg))
		return -EUCLEAN;
	/* as it was staged: a size that was set in the middle was not asked for */
	if ((record->op == BACKEND_RESIZE && at != JOURNAL_START) || record->flags & ~JOURNAL_ZERO)
		return -EUCLEAN;
	if (record->op == BACKEND_WRITE && record->length > JOURNAL_PIECE)
		return -EUCLEAN;
	if (!journal_record_data(record))
		return 0;
	n = record->length <= JOURNAL_PIECE ? whole_read(journal->fd, data, record->length, at + sizeof(*record)) : -EUCLEAN;
	if (n < 0)
		return (int)n;
	return (uint64_t)n == record->length && record->data_crc == crc32c(0, data, (size_t)n) ? 0 : -EUCLEAN;
}

/* Before the first is done: half a batch is worse than an error. */
int journal_file_check(struct journal *journal)
{
	uint64_t at = JOURNAL_START;
	void *data = malloc(JOURNAL_PIECE);
	struct journal_record record;
	int err = data ? 0 : -ENOMEM;

	while (!err && at < journal->head.end) {
		err = read_record(journal, at, &record, data);
		at += sizeof(record) + journal_record_data(&record);
	}
	free(data);
	if (!err && at != journal->head.end)
		err = -EUCLEAN;
	if (err == -EUCLEAN)
		backend_error(journal->backend, err, "%s has a batch that must be done to the source, and is damaged",
			      journal->path);
	return err;
}

/* ---- writing ---- */

static int write_head(struct journal *journal, struct journal_head *head, bool sync)
{
	int err;

	head->magic = JOURNAL_MAGIC;
	head->version = JOURNAL_VERSION;
	head->seq = journal->head.seq + 1;
	memcpy(head->identity, journal->identity, sizeof(head->identity));
	head->crc = head_crc(head);
	err = whole_write(journal->fd, head, sizeof(*head), head->seq % 2 * JOURNAL_SLOT);
	if (!err && sync)
		err = sync_file(journal);
	if (!err)
		journal->head = *head;
	return err;
}

static int make_file(struct journal *journal)
{
	struct journal_head head = { .seq = 0 };
	int err;

	journal->fd = open(journal->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (journal->fd < 0)
		return -errno;
	err = ftruncate(journal->fd, JOURNAL_START) ? -errno : write_head(journal, &head, true);
	if (!err)
		return 0;
	/* not half: the next try makes it anew */
	close(journal->fd);
	journal->fd = -1;
	unlink(journal->path);
	return err;
}

/* Who made it may have been killed before its name was on the disk. */
static int keep_name(struct journal *journal)
{
	int err = journal->durable && !journal->named ? dirs_sync_parent(journal->path) : 0;

	journal->named = !err;
	return err;
}

/* What is staged may be abandoned, and stay there for a while: a sixteenth of the file system, or a GiB, is not for it. */
static uint64_t find_limit(const struct journal *journal)
{
	uint64_t room, left;
	struct statvfs st;

	if (fstatvfs(journal->fd, &st) || !st.f_blocks)
		return UINT64_MAX;
	room = (uint64_t)st.f_bavail * st.f_frsize;
	left = reserve_of((uint64_t)st.f_blocks * st.f_frsize);
	return JOURNAL_START + (room > left ? room - left : 0);
}

int journal_file_begin(struct journal *journal)
{
	int err;

	if (journal->fd < 0)
		err = make_file(journal);
	else
		err = ftruncate(journal->fd, JOURNAL_START) ? -errno : 0;
	journal->limit = err ? 0 : find_limit(journal);
	return err ? err : keep_name(journal);
}

/*
 * A file can't be longer than its file system has them: that has to be known before the batch is decided. The journal is beside it, and as
 * sparse.
 */
static int try_size(const struct journal *journal)
{
	uint64_t size = journal->changed.size;

	if (!journal->backend->ops->one_file || journal->backend->caps.fixed_size || size <= journal->end)
		return 0;
	if (ftruncate(journal->fd, (off_t)size))
		return -errno;
	return ftruncate(journal->fd, (off_t)journal->end) ? -errno : 0;
}

/* Where WRITEs go, but those of zeroes within the source: they are a hole there. */
static int find_written(const struct journal *journal, uint64_t end, struct extents *written)
{
	uint64_t at = JOURNAL_START, size = backend_size(journal->backend);
	struct journal_record record;
	int err = 0;

	while (!err && at < end) {
		if (whole_read(journal->fd, &record, sizeof(record), at) != sizeof(record))
			return -EIO;
		at += sizeof(record) + journal_record_data(&record);
		if (record.op == BACKEND_RESIZE)
			size = record.length;
		if (record.op == BACKEND_WRITE && (!(record.flags & JOURNAL_ZERO) || record.offset + record.length > size))
			err = extents_put(written, record.offset, record.offset + record.length, EXTENT_ZERO);
	}
	return err;
}

/* Before anything is taken, which nobody would give back. */
static int compare_room(const struct journal *journal, const struct extents *written)
{
	const struct backend *backend = journal->backend;
	uint64_t missing = 0, from = 0;
	struct extent extent;
	struct statvfs st;

	if (!backend->ops->missing || fstatvfs(journal->fd, &st) || !st.f_blocks)
		return 0;
	for (; extents_next(written, from, &extent); from = extent.end)
		missing += backend->ops->missing(backend, extent.start, extent.end - extent.start);
	return missing > (uint64_t)st.f_bavail * st.f_frsize ? -ENOSPC : 0;
}

static int reserve(const struct journal *journal, const struct extents *written)
{
	const struct backend *backend = journal->backend;
	struct extent extent;
	uint64_t from = 0;
	int err = 0;

	for (; !err && backend->ops->reserve && extents_next(written, from, &extent); from = extent.end)
		err = backend->ops->reserve(backend, extent.start, extent.end - extent.start);
	return err;
}

int journal_file_reserve(const struct journal *journal, uint64_t end)
{
	struct extents written;
	int err;

	extents_init(&written);
	err = find_written(journal, end, &written);
	if (!err)
		err = compare_room(journal, &written);
	if (!err)
		err = reserve(journal, &written);
	extents_free(&written);
	return err;
}

int journal_file_settle(struct journal *journal)
{
	int err = try_size(journal);

	if (!err)
		err = journal_file_reserve(journal, journal->end);
	return err ? err : sync_file(journal);
}

static void head_set_changed(struct journal_head *head, const struct backend_published *changed)
{
	head->offset = changed->offset;
	head->length = changed->length;
	head->size = changed->size;
	head->resized = changed->resized;
}

int journal_file_note(struct journal *journal, uint64_t batch)
{
	struct journal_head head = journal->head;
	int err;

	head.batch = batch;
	if (batch) {
		head.end = journal->end;
		head_set_changed(&head, &journal->changed);
	} else {
		head.done = journal->head.batch;
		head.end = 0;
	}
	err = write_head(journal, &head, true);
	/*
	 * Over the older one as well, or it would be taken when this one rots. That a batch is decided has to be there twice before it is begun; that
	 * it is done need not be at once.
	 */
	if (!err)
		err = write_head(journal, &head, batch);
	/* its room is given back; what stands there counts no more in any case */
	if (!err && !batch)
		journal->stale = ftruncate(journal->fd, JOURNAL_START) != 0;
	return err;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * redo-file: which segments have their file open, and which segment has a number. A file that is written to, or is to be synced or repaired, stays
 * open; of those that are whole and on the disk a few, which were read last: there may be more of them than a process may have
 * files open. Their locks (hold.h) go with that: nothing is on its way to them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "stores/hold.h"
#include "stores/redo-internal.h"

#define OPEN_MOST	8u
#define AGAIN_MS	100u

/* ---- by number ---- */

static struct redo_segment **bucket_of(struct redo *redo, uint64_t nr)
{
	return redo->buckets ? &redo->buckets[nr & (redo->nr_buckets - 1)] : &redo->bucket;
}

static void hash_add(struct redo *redo, struct redo_segment *segment)
{
	struct redo_segment **bucket = bucket_of(redo, segment->nr);

	segment->hash_next = *bucket;
	*bucket = segment;
}

/* Where there is no memory for more they get longer, no more than that. */
static void hash_grow(struct redo *redo)
{
	unsigned int n = redo->nr_buckets ? 4 * redo->nr_buckets : 64;
	struct redo_segment **buckets = calloc(n, sizeof(struct redo_segment *));
	struct list *pos;

	if (!buckets)
		return;
	free(redo->buckets);
	redo->buckets = buckets;
	redo->nr_buckets = n;
	list_for_each(pos, &redo->segments)
		hash_add(redo, list_entry(pos, struct redo_segment, list));
}

void redo_segment_add(struct redo *redo, struct redo_segment *segment)
{
	hash_add(redo, segment);
	list_add(&redo->segments, &segment->list);
	redo->nr_segments++;
	if (redo->nr_segments > 2 * redo->nr_buckets)
		hash_grow(redo);
}

void redo_segment_del(struct redo *redo, struct redo_segment *segment)
{
	struct redo_segment **link = bucket_of(redo, segment->nr);

	while (*link != segment)
		link = &(*link)->hash_next;
	*link = segment->hash_next;
	list_del(&segment->list);
	redo->nr_segments--;
}

struct redo_segment *redo_segment_find(struct redo *redo, uint64_t at)
{
	struct redo_segment *segment = *bucket_of(redo, at >> REDO_SHIFT);

	while (segment && segment->nr != at >> REDO_SHIFT)
		segment = segment->hash_next;
	return segment;
}

/* ---- files ---- */

void redo_file_close(struct redo_segment *segment)
{
	if (!list_empty(&segment->rest))
		segment->redo->nr_rest--;
	list_del(&segment->rest);
	if (segment->fd >= 0)
		close(segment->fd);
	segment->fd = -1;
}

static void close_some(struct redo *redo)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &redo->rest) {
		struct redo_segment *segment = list_entry(pos, struct redo_segment, rest);

		if (redo->nr_rest <= OPEN_MOST)
			return;
		if (!segment->readers)
			redo_file_close(segment);
	}
}

static bool at_rest(const struct redo_segment *segment)
{
	return segment != segment->redo->current && segment->end != REDO_HEAD && segment->fd >= 0 && !segment->syncing && !segment->failed &&
	       !segment->dirty;
}

void redo_file_rest(struct redo_segment *segment)
{
	struct redo *redo = segment->redo;

	if (!at_rest(segment))
		return;
	redo->nr_rest += list_empty(&segment->rest);
	list_del(&segment->rest);
	list_add(&redo->rest, &segment->rest);
	close_some(redo);
}

static void open_file(struct redo_segment *segment);

static void open_again(struct loop_timer *timer)
{
	open_file(container_of(timer, struct redo_segment, again));
}

static void opened(struct loop_op *op, int res)
{
	struct redo_segment *segment = container_of(op, struct redo_segment, open);
	struct list waiting, *entry;

	/* it passes, and nobody else has these bytes */
	if (res == -EMFILE || res == -ENFILE) {
		segment->again.fire = open_again;
		loop_timer_set(segment->redo->loop, &segment->again, AGAIN_MS);
		return;
	}
	list_init(&waiting);
	list_splice(&waiting, &segment->waiting);
	segment->opening = false;
	segment->fd = res >= 0 ? res : -1;
	redo_file_rest(segment);
	/* the last one may be the end of the segment */
	while ((entry = list_pop(&waiting)))
		redo_read_opened(list_entry(entry, struct redo_io, list), res < 0 ? res : 0);
}

static void open_file(struct redo_segment *segment)
{
	struct redo *redo = segment->redo;
	int fd;

	redo_segment_name(segment->name, "log", segment->nr);
	segment->open.done = opened;
	if (redo->durable) {
		loop_openat(redo->loop, &segment->open, redo->dir_fd, segment->name, O_RDONLY | O_CLOEXEC, 0);
		return;
	}
	fd = openat(redo->dir_fd, segment->name, O_RDONLY | O_CLOEXEC);
	opened(&segment->open, fd < 0 ? -errno : fd);
}

void redo_file_open(struct redo_segment *segment, struct redo_io *io)
{
	list_add(&segment->waiting, &io->list);
	if (segment->opening)
		return;
	segment->opening = true;
	open_file(segment);
}

/* Of a helper that was killed: nobody knows what the disk has. What can't be synced is for redo-repair.c. */
void redo_file_found(struct redo_segment *segment)
{
	segment->sync_end = segment->end;
	if (segment->redo->durable && fsync(segment->fd)) {
		segment->failed = true;
		redo_segment_dirty(segment);
		return;
	}
	/* unless one before it could not be */
	if (list_empty(&segment->redo->dirty))
		segment->redo->synced_place = redo_place(segment->nr, segment->end);
	redo_file_close(segment);
}

int redo_file_write(struct redo_segment *segment)
{
	int err;

	if (segment->fd >= 0)
		return 0;
	redo_segment_name(segment->name, "log", segment->nr);
	segment->fd = openat(segment->redo->dir_fd, segment->name, O_RDWR | O_CLOEXEC);
	if (segment->fd < 0)
		return -errno;
	err = hold_file(segment->fd);
	if (err)
		redo_file_close(segment);
	return err;
}

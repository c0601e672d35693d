// SPDX-License-Identifier: GPL-2.0
/* redo-segment: the files of the log: making them ahead of need, and letting them go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "log.h"
#include "stores/hold.h"
#include "stores/redo-internal.h"

void redo_segment_name(char name[32], const char *what, uint64_t nr)
{
	snprintf(name, 32, "%s-%016llx", what, (unsigned long long)nr);
}

struct redo_segment *redo_segment_new(struct redo *redo, uint64_t nr, int fd)
{
	struct redo_segment *segment = calloc(1, sizeof(*segment));

	if (!segment)
		return NULL;
	list_init(&segment->list);
	list_init(&segment->rest);
	list_init(&segment->waiting);
	list_init(&segment->dirty_list);
	segment->redo = redo;
	segment->nr = nr;
	segment->fd = fd;
	segment->size = redo->size;
	segment->end = REDO_HEAD;
	return segment;
}

void redo_segment_free(struct redo_segment *segment)
{
	list_del(&segment->list);
	list_del(&segment->dirty_list);
	redo_file_close(segment);
	free(segment->entries);
	free(segment);
}

int redo_segment_note(struct redo_segment *segment, uint32_t data, uint32_t length, uint32_t crc)
{
	if (segment->n == segment->max) {
		size_t max = segment->max ? 2 * segment->max : 64;
		struct redo_entry *entries = realloc(segment->entries, max * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		segment->entries = entries;
		segment->max = max;
	}
	segment->entries[segment->n++] = (struct redo_entry) { data, length, crc };
	return 0;
}

uint32_t redo_head_crc(const struct redo_head *head)
{
	struct redo_head copy = *head;

	copy.crc = 0;
	return crc32c(0, &copy, sizeof(copy));
}

/* Empty ones stand behind the current one; where there is none, behind what a scan has found. */
static bool is_spare(const struct redo_segment *segment)
{
	return segment->end == REDO_HEAD && segment != segment->redo->current;
}

unsigned int redo_spares(const struct redo *redo)
{
	unsigned int n = 0;

	for (struct list *pos = redo->segments.prev; pos != &redo->segments; pos = pos->prev) {
		if (!is_spare(list_entry(pos, struct redo_segment, list)))
			break;
		n++;
	}
	return n;
}

void redo_rotate(struct redo *redo)
{
	struct redo_segment *full = redo->current;
	struct list *pos = redo->segments.prev;

	while (pos->prev != &redo->segments && is_spare(list_entry(pos->prev, struct redo_segment, list)))
		pos = pos->prev;
	redo->current = list_entry(pos, struct redo_segment, list);
	if (full)
		redo_file_rest(full);
}

/* ---- in a worker ---- */

/* A name that comes back after a power cut must not be missing others that were taken away before it: one by one. */
int redo_unlink(struct redo *redo, const char *name)
{
	if (unlinkat(redo->dir_fd, name, 0) && errno != ENOENT)
		return -errno;
	return redo->durable && fsync(redo->dir_fd) ? -errno : 0;
}

static int fill_segment(struct redo *redo, int fd, uint64_t nr)
{
	struct redo_head head = redo->head;
	int err = posix_fallocate(fd, 0, redo->size);

	if (err)
		return err == EFBIG ? -ENOSPC : -err;
	head.nr = nr;
	head.crc = redo_head_crc(&head);
	if (pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		return -EIO;
	return redo->durable && (fsync(fd) || fsync(redo->dir_fd)) ? -errno : 0;
}

static int make_segment(struct redo *redo, uint64_t nr)
{
	struct redo_segment *segment = NULL;
	char name[32];
	int fd, err;

	redo_segment_name(name, "log", nr);
	fd = openat(redo->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* no room for one more among the open files is no room, either: it comes back as the log is let go of */
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -ENOSPC : -errno;
	err = hold_file(fd);
	if (!err)
		err = fill_segment(redo, fd, nr);
	if (!err)
		segment = redo_segment_new(redo, nr, fd);
	if (segment) {
		list_add(&redo->made, &segment->list);
		return 0;
	}
	unlinkat(redo->dir_fd, name, 0);
	close(fd);
	return err ? err : -ENOMEM;
}

void redo_reserve(struct redo *redo)
{
	struct list *entry;

	if (list_empty(&redo->segments) || redo_spares(redo))
		return;
	if (make_segment(redo, redo->last_nr + 1)) {
		struct redo_segment *last = list_entry(redo->segments.prev, struct redo_segment, list);

		redo->current = redo_file_write(last) ? NULL : last;
		return;
	}
	entry = list_pop(&redo->made);
	redo_segment_add(redo, list_entry(entry, struct redo_segment, list));
	redo->last_nr++;
}

static int make_work(struct loop_work *work)
{
	struct redo *redo = container_of(work, struct redo, work);
	int err = 0;

	for (unsigned int i = 0; !err && i < redo->want; i++)
		err = make_segment(redo, redo->last_nr + 1 + i);
	return err;
}

static int free_work(struct loop_work *work)
{
	struct redo *redo = container_of(work, struct redo, work);
	struct list *pos;

	list_for_each(pos, &redo->doomed) {
		char name[32];
		int err;

		redo_segment_name(name, "log", list_entry(pos, struct redo_segment, list)->nr);
		err = redo_unlink(redo, name);
		if (err)
			return err;
	}
	return 0;
}

/* ---- on the loop ---- */

static void work_ended(struct redo *redo)
{
	redo->working = false;
	if (redo->closed) {
		redo_close(redo, redo->closed_gen, redo->closed, redo->closed_arg);
		return;
	}
	if (redo->free_mark)
		redo_free(redo, redo->free_gen, redo->free_mark);
	redo_run(redo);
}

static void made(struct loop_work *work, int res)
{
	struct redo *redo = container_of(work, struct redo, work);
	struct list *entry;

	while ((entry = list_pop(&redo->made))) {
		redo_segment_add(redo, list_entry(entry, struct redo_segment, list));
		redo->last_nr = list_entry(entry, struct redo_segment, list)->nr;
	}
	redo->make_error = redo->head_waits ? res : 0;
	redo->head_waits = false;
	work_ended(redo);
}

void redo_make(struct redo *redo, unsigned int want)
{
	unsigned int spares = redo_spares(redo);

	if (redo->working || spares >= want)
		return;
	redo->want = want - spares;
	redo->working = true;
	redo->work.work = make_work;
	redo->work.done = made;
	loop_work(redo->loop, &redo->work);
}

static void free_gone(struct redo *redo)
{
	while (!list_empty(&redo->doomed))
		redo_segment_free(list_entry(redo->doomed.next, struct redo_segment, list));
}

/*
 * One that could not be removed comes first the next time: a start that finds it, but not the one after it, takes what follows for what lies
 * behind a damage.
 */
static void freed(struct loop_work *work, int res)
{
	struct redo *redo = container_of(work, struct redo, work);

	if (res && !redo->stuck)
		log_warning("a file of a local store's log can't be removed: %s", strerror(-res));
	redo->stuck = res;
	if (!res || redo->closed)
		free_gone(redo);
	/* what it appends waits for the end of this work */
	if (redo->freed && !redo->closed)
		redo->freed(redo->freed_arg);
	work_ended(redo);
}

static bool can_go(const struct redo_segment *segment, uint64_t gen)
{
	return segment->newest <= gen && !segment->readers && !segment->syncing;
}

static struct redo_segment *first(const struct redo *redo)
{
	return list_empty(&redo->segments) ? NULL : list_entry(redo->segments.next, struct redo_segment, list);
}

bool redo_can_free(const struct redo *redo, uint64_t gen, bool whole)
{
	const struct redo_segment *segment = first(redo);

	return segment && can_go(segment, gen) && (whole || (segment != redo->current && !is_spare(segment)));
}

uint64_t redo_mark(const struct redo *redo)
{
	return redo->current ? redo->current->nr : redo->last_nr + 1 - redo_spares(redo);
}

uint64_t redo_end(const struct redo *redo)
{
	return redo_place(redo_mark(redo), redo->current ? redo->current->end : 0);
}

static bool all_can_go(const struct redo *redo, uint64_t gen)
{
	struct list *pos;

	list_for_each(pos, &redo->segments)
		if (!can_go(list_entry(pos, struct redo_segment, list), gen))
			return false;
	return list_empty(&redo->queue) && !redo->writing && !redo->working;
}

/* It is no longer to be synced: it would be freed meanwhile, and a copy of one that has failed would bring its name back. */
static void doom(struct redo *redo, struct redo_segment *segment)
{
	redo_segment_del(redo, segment);
	list_del(&segment->dirty_list);
	list_add(&redo->doomed, &segment->list);
}

static void free_doomed(struct redo *redo)
{
	if (list_empty(&redo->doomed))
		return;
	redo->working = true;
	redo->work.work = free_work;
	redo->work.done = freed;
	loop_work(redo->loop, &redo->work);
}

void redo_free(struct redo *redo, uint64_t gen, uint64_t mark)
{
	struct redo_segment *segment;

	/* those that find no room have files made again and again: it must not miss its turn */
	if (redo->working) {
		redo->free_gen = gen;
		redo->free_mark = mark;
		return;
	}
	redo->free_mark = 0;
	while ((segment = first(redo)) && can_go(segment, gen) && segment->nr < mark && segment != redo->current && !is_spare(segment))
		doom(redo, segment);
	free_doomed(redo);
}

bool redo_free_all(struct redo *redo, uint64_t gen)
{
	if (!all_can_go(redo, gen))
		return false;
	while (!list_empty(&redo->segments))
		doom(redo, first(redo));
	redo->current = NULL;
	redo->error = 0;
	free_doomed(redo);
	return true;
}

uint64_t redo_bytes(const struct redo *redo)
{
	return (uint64_t)redo->nr_segments * redo->size;
}

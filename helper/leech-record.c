// SPDX-License-Identifier: GPL-2.0
/*
 * leech-record: see leech-record.h. One save is under way at a time; those who ask meanwhile share the next one. It takes the head and the bits as
 * they are when it begins.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bitmap.h"
#include "leech-record-file.h"

#define WORDS_OF_PAGE (RECORD_PAGE / 8)

struct leech_record {
	struct loop *loop;
	char *path;
	int fd;
	uint64_t seq;
	struct leech_record_head head;
	uint64_t *bits, *saved;		/* as they are to be, and as they are on the disk; whole pages */
	uint64_t pages;
	uint64_t saved_size;
	uint32_t saved_state;
	struct loop_work work;
	struct record_write write;
	bool busy, failed;		/* failed: what is on the disk is unknown, all is written again */
	struct list now, next;		/* who waits for the save that is under way, and for the one after it */
};

void leech_record_path(char *path, size_t len, const char *state_dir, const char *token)
{
	snprintf(path, len, "%s/leech-%s", state_dir, token);
}

int leech_record_peek(const char *path, struct leech_record_head *head)
{
	struct record_slot slot;
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = record_read_head(fd, &slot);
	close(fd);
	if (!ret)
		*head = slot.head;
	return ret;
}

int leech_record_lose(const char *path)
{
	struct record_write write = { .fd = open(path, O_RDWR | O_CLOEXEC) };
	int ret;

	if (write.fd < 0)
		return -errno;
	ret = record_read_head(write.fd, &write.slot);
	if (!ret && write.slot.head.state != LEECH_RECORD_LOST) {
		write.slot.seq++;
		write.slot.head.state = LEECH_RECORD_LOST;
		ret = record_write(&write);
	}
	close(write.fd);
	return ret;
}

/* ---- life ---- */

int leech_record_new(struct leech_record **result, struct loop *loop, const char *path)
{
	struct leech_record *record = calloc(1, sizeof(*record));

	if (!record)
		return -ENOMEM;
	record->path = path ? strdup(path) : NULL;
	if (path && !record->path) {
		free(record);
		return -ENOMEM;
	}
	record->loop = loop;
	record->fd = -1;
	record->head.state = LEECH_RECORD_PULLING;
	list_init(&record->now);
	list_init(&record->next);
	*result = record;
	return 0;
}

void leech_record_free(struct leech_record *record)
{
	if (!record)
		return;
	if (record->fd >= 0)
		close(record->fd);
	free(record->write.page);
	free(record->write.data);
	free(record->bits);
	free(record->saved);
	free(record->path);
	free(record);
}

struct unlinking {
	struct loop_work work;
	char path[];
};

static int unlink_work(struct loop_work *work)
{
	return unlink(container_of(work, struct unlinking, work)->path) ? -errno : 0;
}

static void unlinked(struct loop_work *work, int res)
{
	free(container_of(work, struct unlinking, work));
}

void leech_record_unlink(struct loop *loop, const char *path)
{
	struct unlinking *unlinking = calloc(1, sizeof(*unlinking) + strlen(path) + 1);

	if (!unlinking)
		return;		/* what is left over is looked at, and goes, at the next start */
	strcpy(unlinking->path, path);
	unlinking->work.work = unlink_work;
	unlinking->work.done = unlinked;
	loop_work(loop, &unlinking->work);
}

bool leech_record_busy(const struct leech_record *record)
{
	return record->busy;
}

struct leech_record_head *leech_record_head(struct leech_record *record)
{
	return &record->head;
}

const uint64_t *leech_record_bits(const struct leech_record *record)
{
	return record->bits;
}

/* ---- the bits ---- */

static uint64_t chunks_of(const struct leech_record *record)
{
	uint32_t chunk = record->head.chunk;

	return record->head.size / chunk + (record->head.size % chunk != 0);
}

static int grow_bits(uint64_t **bits, uint64_t before, uint64_t pages)
{
	uint64_t *bigger = realloc(*bits, pages * RECORD_PAGE);

	if (!bigger)
		return -ENOMEM;
	memset((char *)bigger + before * RECORD_PAGE, 0, (pages - before) * RECORD_PAGE);
	*bits = bigger;
	return 0;
}

static int fit_bits(struct leech_record *record)
{
	uint64_t pages = chunks_of(record) / RECORD_BLOCK + 1;
	int ret;

	if (pages <= record->pages)
		return 0;
	ret = grow_bits(&record->bits, record->pages, pages);
	if (!ret)
		ret = grow_bits(&record->saved, record->pages, pages);
	if (!ret)
		record->pages = pages;
	return ret;
}

void leech_record_forget(struct leech_record *record, uint64_t first, uint64_t end)
{
	uint64_t bits = record->pages * RECORD_BLOCK;

	for (uint64_t i = first; i < end && i < bits; i++)
		bitmap_clear(record->bits, i);
}

int leech_record_resize(struct leech_record *record, uint64_t size)
{
	uint64_t before = record->head.size;
	int ret;

	record->head.size = size;
	ret = fit_bits(record);
	if (ret)
		record->head.size = before;
	else if (size < before)
		leech_record_forget(record, chunks_of(record), UINT64_MAX);
	return ret;
}

struct leech_snapshot *leech_record_snapshot(const struct chunkmap *map)
{
	uint64_t words = BITMAP_WORDS(chunkmap_chunks(map));
	struct leech_snapshot *snapshot = malloc(sizeof(*snapshot) + words * 8);

	if (!snapshot)
		return NULL;
	snapshot->words = words;
	memcpy(snapshot->bits, chunkmap_bits(map), words * 8);
	return snapshot;
}

void leech_snapshot_forget(struct leech_snapshot *snapshot, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end && i < snapshot->words * 64; i++)
		bitmap_clear(snapshot->bits, i);
}

/* Each of the three may have another length by now; a bit of the map means nothing beyond its end. */
void leech_record_synced(struct leech_record *record, struct leech_snapshot *snapshot, const struct chunkmap *map)
{
	uint64_t chunks = chunkmap_chunks(map), words = BITMAP_WORDS(chunks);

	words = words < snapshot->words ? words : snapshot->words;
	words = words < record->pages * WORDS_OF_PAGE ? words : record->pages * WORDS_OF_PAGE;
	for (uint64_t i = 0; i < words; i++)
		record->bits[i] |= snapshot->bits[i] & chunkmap_bits(map)[i];
	for (uint64_t i = chunks; i < words * 64; i++)
		bitmap_clear(record->bits, i);
	free(snapshot);
}

/* ---- reading ---- */

static int read_bits(struct leech_record *record)
{
	char *to = (char *)record->bits;
	size_t left = (size_t)record->pages * RECORD_PAGE;
	off_t at = RECORD_BITS;

	while (left) {
		ssize_t n = pread(record->fd, to, left, at);

		if (n < 0)
			return -errno;
		if (!n)
			break;	/* it grew, and was not saved since: nothing there is durable */
		to += n;
		at += n;
		left -= (size_t)n;
	}
	memcpy(record->saved, record->bits, (size_t)record->pages * RECORD_PAGE);
	leech_record_forget(record, chunks_of(record), UINT64_MAX);
	return 0;
}

int leech_record_load(struct leech_record *record)
{
	struct record_slot slot;
	int ret;

	if (!record->path)
		return 0;
	record->fd = open(record->path, O_RDWR | O_CLOEXEC);
	if (record->fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(record->fd, LOCK_EX | LOCK_NB))
		return -EBUSY;
	ret = record_read_head(record->fd, &slot);
	if (ret)
		return ret == -ENODATA ? 0 : ret;
	record->seq = slot.seq;
	record->head = slot.head;
	record->saved_size = slot.head.size;
	record->saved_state = slot.head.state;
	ret = fit_bits(record);
	return ret ? ret : read_bits(record);
}

/* ---- saving ---- */

static bool page_differs(const struct leech_record *record, uint64_t page)
{
	return record->failed || memcmp(record->bits + page * WORDS_OF_PAGE, record->saved + page * WORDS_OF_PAGE, RECORD_PAGE);
}

static int gather(struct leech_record *record)
{
	struct record_write *write = &record->write;
	unsigned int nr = 0;

	for (uint64_t page = 0; page < record->pages; page++)
		nr += page_differs(record, page);
	free(write->page);
	free(write->data);
	write->page = malloc((nr + 1) * sizeof(*write->page));
	write->data = malloc((nr + 1) * (size_t)RECORD_PAGE);
	write->nr = 0;
	if (!write->page || !write->data)
		return -ENOMEM;
	for (uint64_t page = 0; page < record->pages; page++) {
		if (!page_differs(record, page))
			continue;
		write->page[write->nr] = (uint32_t)page;
		memcpy(write->data + (size_t)write->nr++ * RECORD_PAGE, record->bits + page * WORDS_OF_PAGE, RECORD_PAGE);
	}
	return 0;
}

static int save_work(struct loop_work *work)
{
	return record_write(&container_of(work, struct leech_record, work)->write);
}

static void tell(struct list *waiting, int error)
{
	struct list list, *entry;

	list_init(&list);
	list_splice(&list, waiting);
	while ((entry = list_pop(&list))) {
		struct leech_record_waiter *waiter = list_entry(entry, struct leech_record_waiter, list);

		waiter->done(waiter, error);
	}
}

static void save_start(struct leech_record *record);

static void note_saved(struct leech_record *record)
{
	const struct record_write *write = &record->write;

	for (unsigned int i = 0; i < write->nr; i++)
		memcpy(record->saved + (uint64_t)write->page[i] * WORDS_OF_PAGE, write->data + (size_t)i * RECORD_PAGE, RECORD_PAGE);
	record->saved_size = write->slot.head.size;
	record->saved_state = write->slot.head.state;
}

/* Those who wait may ask again from within, but not free it: leech_record_busy() says when they may. */
static void save_ended(struct loop_work *work, int res)
{
	struct leech_record *record = container_of(work, struct leech_record, work);

	record->fd = record->write.fd;
	record->failed = res < 0;
	if (!record->failed)
		note_saved(record);
	record->busy = !list_empty(&record->next);
	if (record->busy) {
		struct list list;

		list_init(&list);
		list_splice(&list, &record->now);
		save_start(record);
		tell(&list, res);
		return;
	}
	tell(&record->now, res);
}

static void save_start(struct leech_record *record)
{
	struct record_write *write = &record->write;
	int ret = gather(record);

	record->busy = !ret;
	list_splice(&record->now, &record->next);
	if (ret) {
		tell(&record->now, ret);
		return;
	}
	write->fd = record->fd;
	write->path = record->path;
	memset(&write->slot, 0, sizeof(write->slot));
	/* never over the newest one that is whole: what a failed save may have torn is written again */
	record->seq += record->failed ? 2 : 1;
	write->slot.seq = record->seq;
	write->slot.head = record->head;
	/* before the decision nobody goes by the bits */
	write->shrinks = record->head.size < record->saved_size && record->saved_state > LEECH_RECORD_PULLING;
	write->room = RECORD_BITS + record->pages * RECORD_PAGE;
	record->work.work = save_work;
	record->work.done = save_ended;
	loop_work(record->loop, &record->work);
}

void leech_record_save(struct leech_record *record, struct leech_record_waiter *waiter)
{
	if (!record->path) {
		waiter->done(waiter, 0);
		return;
	}
	list_add(&record->next, &waiter->list);
	if (!record->busy)
		save_start(record);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * redo-scan: what is in the log at a start. Records count up to the first one that is torn, damaged, or not the one after that before it. Behind
 * the end that a power cut left there is nothing that anybody was promised; where whole records are found behind a damage, they were, and are lost: their
 * files are put aside, and the ranges are told.
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
#include "log.h"
#include "stores/hold.h"
#include "stores/redo-internal.h"

struct scan {
	struct redo *redo;
	const struct redo_options *options;
	struct redo_found *found;
	uint64_t *nr;			/* of the files, sorted */
	size_t n, max;
	char *bytes;			/* of one file */
	uint32_t filled;		/* what of them is not zero for certain */
	uint32_t chain;
	bool begun;			/* chain is known */
};

/* ---- files ---- */

static int add_nr(struct scan *scan, uint64_t nr)
{
	if (scan->n == scan->max) {
		size_t max = scan->max ? 2 * scan->max : 64;
		uint64_t *more = realloc(scan->nr, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		scan->nr = more;
		scan->max = max;
	}
	scan->nr[scan->n++] = nr;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int list_files(struct scan *scan)
{
	DIR *stream;
	int err = dirs_stream(scan->redo->dir_fd, &stream);
	struct dirent *entry;

	if (err)
		return err;
	while (!err && (entry = readdir(stream))) {
		unsigned long long nr;
		char name[32];

		/* a copy that did not become a segment */
		if (!strncmp(entry->d_name, "repair-", 7))
			unlinkat(scan->redo->dir_fd, entry->d_name, 0);
		if (sscanf(entry->d_name, "log-%16llx", &nr) != 1)
			continue;
		redo_segment_name(name, "log", nr);
		if (!strcmp(name, entry->d_name) && nr < UINT64_MAX >> REDO_SHIFT)
			err = add_nr(scan, nr);
	}
	closedir(stream);
	if (scan->n)
		qsort(scan->nr, scan->n, sizeof(*scan->nr), compare);
	return err;
}

/* What the file lacks is as if it were zero. */
static int load(struct scan *scan, int fd)
{
	uint32_t done = 0;

	memset(scan->bytes, 0, scan->filled);
	scan->filled = REDO_SEGMENT_MAX;
	while (done < REDO_SEGMENT_MAX) {
		ssize_t n = pread(fd, scan->bytes + done, REDO_SEGMENT_MAX - done, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (uint32_t)n;
	}
	scan->filled = done;
	return 0;
}

/* ---- heads ---- */

static bool head_good(const struct redo_head *head, uint64_t nr)
{
	return head->magic == REDO_MAGIC && head->version == REDO_VERSION && head->nr == nr && head->crc == redo_head_crc(head) &&
	       head->segment >= REDO_SEGMENT_MIN && head->segment <= REDO_SEGMENT_MAX;
}

static bool same_identity(const struct redo_head *a, const struct redo_head *b)
{
	return a->identity_len == b->identity_len && a->identity_crc == b->identity_crc &&
	       !memcmp(a->identity, b->identity, sizeof(a->identity));
}

/* ---- records ---- */

static bool kind_good(uint32_t magic)
{
	uint32_t kind = magic ^ REDO_RECORD_MAGIC;

	return kind >= REDO_WRITE && kind <= REDO_FORGET;
}

/* The header of a record, if there is a whole one. length: of its data. */
static const struct redo_header *record_at(const struct scan *scan, uint64_t nr, uint32_t offset, uint32_t size, uint32_t *length)
{
	const struct redo_header *header = (const void *)(scan->bytes + offset);
	uint32_t room = size - offset;
	uint64_t data;

	if (room < REDO_ALIGN || !kind_good(header->magic) || header->at != redo_place(nr, offset) ||
	    header->crc != crc32c(0, header, offsetof(struct redo_header, crc)))
		return NULL;
	data = (header->magic & 255) == REDO_WRITE ? header->length : 0;
	if (data > REDO_PIECE || redo_room_for((uint32_t)data) > room || header->offset > UINT64_MAX - header->length)
		return NULL;
	*length = (uint32_t)data;
	return header->data_crc == crc32c(0, header + 1, *length) ? header : NULL;
}

static int tell(struct scan *scan, const struct redo_header *header, bool lost)
{
	struct redo_found *found = scan->found;

	if (found->n == found->max) {
		size_t max = found->max ? 2 * found->max : 256;
		struct redo_record *records = realloc(found->records, max * sizeof(*records));

		if (!records)
			return -ENOMEM;
		found->records = records;
		found->max = max;
	}
	found->records[found->n++] = (struct redo_record) {
		.kind = header->magic & 255, .lost = lost, .gen = header->gen, .offset = header->offset, .length = header->length,
		.arg = header->arg, .size = header->size, .at = header->at + REDO_ALIGN,
	};
	return 0;
}

static int take(struct scan *scan, struct redo_segment *segment, const struct redo_header *header, uint32_t length)
{
	int err = tell(scan, header, false);

	if (!err && length)
		err = redo_segment_note(segment, segment->end + REDO_ALIGN, length, header->data_crc);
	if (err)
		return err;
	if (segment->newest < header->gen)
		segment->newest = header->gen;
	segment->end += redo_room_for(length);
	scan->chain = header->crc;
	scan->begun = true;
	return 0;
}

static int scan_segment(struct scan *scan, struct redo_segment *segment)
{
	const struct redo_header *header;
	uint32_t length;
	int err = 0;

	while (!err) {
		header = record_at(scan, segment->nr, segment->end, segment->size, &length);
		if (!header || (scan->begun && header->chain != scan->chain))
			break;
		err = take(scan, segment, header, length);
	}
	return err;
}

/* Whole records in the rest of a file. */
static int scan_lost(struct scan *scan, uint64_t nr, uint32_t offset, uint32_t size, bool *any)
{
	const struct redo_header *header;
	uint32_t length;
	int err = 0;

	while (!err && offset < size && offset < scan->filled) {
		header = record_at(scan, nr, offset, size, &length);
		if (header) {
			*any = true;
			err = tell(scan, header, true);
		}
		offset += header ? redo_room_for(length) : REDO_ALIGN;
	}
	return err;
}

/* ---- all ---- */

static int put_aside(struct scan *scan, uint64_t nr)
{
	struct redo *redo = scan->redo;
	char from[32], to[32];

	redo_segment_name(from, "log", nr);
	redo_segment_name(to, "damaged", nr);
	scan->found->damaged++;
	if (renameat(redo->dir_fd, from, redo->dir_fd, to))
		return -errno;
	return redo->durable && fsync(redo->dir_fd) ? -errno : 0;
}

static int drop_file(struct scan *scan, uint64_t nr)
{
	char name[32];

	redo_segment_name(name, "log", nr);
	return redo_unlink(scan->redo, name);
}

static int drop_spares(struct scan *scan)
{
	struct redo *redo = scan->redo;
	int err = 0;

	while (!err && redo_spares(redo)) {
		struct redo_segment *segment = list_entry(redo->segments.prev, struct redo_segment, list);

		err = drop_file(scan, segment->nr);
		redo_segment_del(redo, segment);
		redo_segment_free(segment);
	}
	return err;
}

/*
 * Nothing in it goes on with what came before. A spare one, or what is behind a damage. A spare one stays: on a full disk there might be no
 * other.
 */
static int drop_segment(struct scan *scan, struct redo_segment *segment, bool own)
{
	bool any = false;
	uint64_t nr = segment->nr;
	int err = scan_lost(scan, nr, REDO_HEAD, segment->size, &any);

	/* what the lowest one has lost is missed by all that has something before it */
	scan->begun = true;
	if (!err && !any && own && !redo_spares(scan->redo)) {
		redo_segment_add(scan->redo, segment);
		return 0;
	}
	redo_segment_free(segment);
	if (err)
		return err;
	return any ? put_aside(scan, nr) : drop_file(scan, nr);
}

static int keep_segment(struct scan *scan, struct redo_segment *segment)
{
	bool any = false;
	int err = drop_spares(scan);

	if (err) {
		redo_segment_free(segment);
		return err;
	}
	redo_segment_add(scan->redo, segment);
	redo_file_found(segment);
	return scan_lost(scan, segment->nr, segment->end, segment->size, &any);
}

/* Made, but not in time; or damaged itself. */
static int drop_headless(struct scan *scan, uint64_t nr)
{
	bool any = false;
	int err = scan_lost(scan, nr, REDO_HEAD, REDO_SEGMENT_MAX, &any);

	scan->begun = true;
	if (err)
		return err;
	return any ? put_aside(scan, nr) : drop_file(scan, nr);
}

static int scan_good(struct scan *scan, const struct redo_head *head, int fd)
{
	struct redo_segment *segment = redo_segment_new(scan->redo, head->nr, fd);
	int err;

	if (!segment) {
		close(fd);
		return -ENOMEM;
	}
	segment->size = head->segment;
	err = scan_segment(scan, segment);
	if (err) {
		redo_segment_free(segment);
		return err;
	}
	if (segment->end == REDO_HEAD)
		return drop_segment(scan, segment, same_identity(head, &scan->redo->head) && head->segment == scan->redo->size);
	scan->found->foreign |= !same_identity(head, &scan->redo->head);
	return keep_segment(scan, segment);
}

static int scan_file(struct scan *scan, uint64_t nr, int fd)
{
	const struct redo_head *head = (const void *)scan->bytes;
	bool earlier = false;
	int err = load(scan, fd);

	if (!err && head_good(head, nr)) {
		earlier = !scan->redo->durable && head->instance != scan->options->instance;
		if (!earlier)
			return scan_good(scan, head, fd);
	}
	close(fd);
	if (err)
		return err;
	return earlier ? drop_file(scan, nr) : drop_headless(scan, nr);
}

static int scan_files(struct scan *scan)
{
	int err = 0;

	for (size_t i = 0; !err && i < scan->n; i++) {
		char name[32];
		int fd;

		redo_segment_name(name, "log", scan->nr[i]);
		fd = openat(scan->redo->dir_fd, name, O_RDWR | O_CLOEXEC);
		err = fd < 0 ? -errno : hold_file(fd);
		if (!err)
			err = scan_file(scan, scan->nr[i], fd);
		else if (fd >= 0)
			close(fd);
		scan->redo->last_nr = scan->nr[i];
	}
	scan->redo->chain = scan->chain;
	return err;
}

int redo_scan(struct redo *redo, const struct redo_options *options, struct redo_found *found, char *why, size_t why_len)
{
	struct scan scan = { .redo = redo, .options = options, .found = found };
	int err = list_files(&scan);

	if (!err && scan.n) {
		scan.bytes = calloc(1, REDO_SEGMENT_MAX);
		err = scan.bytes ? scan_files(&scan) : -ENOMEM;
	}
	if (err)
		snprintf(why, why_len, "%s: the log of the local store can't be read: %s", options->dir, strerror(-err));
	free(scan.bytes);
	free(scan.nr);
	return err;
}

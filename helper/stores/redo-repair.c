// SPDX-License-Identifier: GPL-2.0
/*
 * redo-repair: a segment whose fsync has failed. The kernel takes pages that it could not write for clean, so a further fsync says nothing; but
 * what is in memory is mostly still what was written, and each record says whether it is. All of it goes to a new file, which takes the place
 * of the old one: its places, and the chain of its records, stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "stores/hold.h"
#include "stores/redo-internal.h"

static int load(const struct redo_segment *segment, char *bytes)
{
	uint32_t done = 0;

	while (done < segment->sync_end) {
		ssize_t n = pread(segment->fd, bytes + done, segment->sync_end - done, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (uint32_t)n;
	}
	return 0;
}

static int verify(const struct redo_segment *segment, const char *bytes)
{
	const struct redo_head *head = (const void *)bytes;
	uint32_t at = REDO_HEAD;

	if (head->magic != REDO_MAGIC || head->nr != segment->nr || head->crc != redo_head_crc(head))
		return -EIO;
	while (at < segment->sync_end) {
		const struct redo_header *header = (const void *)(bytes + at);
		uint64_t length = header->magic == (REDO_RECORD_MAGIC | REDO_WRITE) ? header->length : 0;

		if (header->crc != crc32c(0, header, offsetof(struct redo_header, crc)) || header->at != redo_place(segment->nr, at) ||
		    length > REDO_PIECE || redo_room_for((uint32_t)length) > segment->sync_end - at ||
		    header->data_crc != crc32c(0, header + 1, length))
			return -EIO;
		at += redo_room_for((uint32_t)length);
	}
	return 0;
}

static int store_copy(struct redo_segment *segment, const char *bytes, int fd)
{
	int err = hold_file(fd);
	uint32_t done = 0;

	if (!err)
		err = -posix_fallocate(fd, 0, segment->size);
	while (!err && done < segment->sync_end) {
		ssize_t n = pwrite(fd, bytes + done, segment->sync_end - done, done);

		if (n < 0 && errno != EINTR)
			err = -errno;
		done += n > 0 ? (uint32_t)n : 0;
	}
	return err ? err : fsync(fd) ? -errno : 0;
}

static int replace(struct redo_segment *segment, const char *bytes)
{
	int dir_fd = segment->redo->dir_fd, err;
	char from[32], to[32];

	redo_segment_name(from, "repair", segment->nr);
	redo_segment_name(to, "log", segment->nr);
	segment->copy_fd = openat(dir_fd, from, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (segment->copy_fd < 0)
		return -errno;
	err = store_copy(segment, bytes, segment->copy_fd);
	if (!err && renameat(dir_fd, from, dir_fd, to))
		err = -errno;
	if (err)
		unlinkat(dir_fd, from, 0);
	return err ? err : fsync(dir_fd) ? -errno : 0;
}

int redo_repair(struct redo_segment *segment)
{
	char *bytes = malloc(segment->sync_end);
	int err = bytes ? load(segment, bytes) : -ENOMEM;

	segment->copy_fd = -1;
	if (!err)
		err = verify(segment, bytes);
	if (!err)
		err = replace(segment, bytes);
	free(bytes);
	return err;
}

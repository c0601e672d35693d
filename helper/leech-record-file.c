// SPDX-License-Identifier: GPL-2.0
/*
 * leech-record-file: see leech-record-file.h. Its room is taken with the first save and each time that it grows, so that a disk that is
 * full by then stands in the way of neither the decision nor a refusal.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "dirs.h"
#include "leech-record-file.h"

#define MAGIC	0x4443524843454c52ULL	/* "RLECHRCD" */
#define VERSION	1u

_Static_assert(sizeof(struct record_slot) <= RECORD_PAGE, "a head fits its page");

/* ---- pages ---- */

static int write_page(int fd, const void *data, size_t len, uint64_t offset)
{
	ssize_t n = pwrite(fd, data, len, (off_t)offset);

	if (n == (ssize_t)len)
		return 0;
	return n < 0 ? -errno : -ENOSPC;
}

static int sync_data(int fd)
{
	return fdatasync(fd) ? -errno : 0;
}

static uint32_t slot_crc(const struct record_slot *slot)
{
	struct record_slot copy = *slot;

	copy.crc = 0;
	return crc32c(0, &copy, sizeof(copy));
}

/* ---- writing ---- */

static int make_room(struct record_write *write)
{
	struct stat st;

	if (fstat(write->fd, &st))
		return -errno;
	if ((uint64_t)st.st_size >= write->room)
		return 0;
	if (!fallocate(write->fd, 0, 0, (off_t)write->room))
		return 0;
	return errno == EOPNOTSUPP ? (ftruncate(write->fd, (off_t)write->room) ? -errno : 0) : -errno;
}

static int make_file(struct record_write *write)
{
	int ret;

	if (write->fd >= 0)
		return 0;
	write->fd = open(write->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (write->fd < 0)
		return -errno;
	ret = flock(write->fd, LOCK_EX | LOCK_NB) ? -EBUSY : dirs_sync_parent(write->path);
	if (ret) {
		close(write->fd);
		write->fd = -1;
	}
	return ret;
}

static int write_bits(const struct record_write *write)
{
	int ret = 0;

	for (unsigned int i = 0; i < write->nr && !ret; i++)
		ret = write_page(write->fd, write->data + (size_t)i * RECORD_PAGE, RECORD_PAGE,
				 RECORD_BITS + (uint64_t)write->page[i] * RECORD_PAGE);
	return ret || !write->nr ? ret : sync_data(write->fd);
}

static int write_head(struct record_write *write)
{
	uint8_t page[RECORD_PAGE] = { 0 };
	int ret;

	write->slot.magic = MAGIC;
	write->slot.version = VERSION;
	write->slot.crc = slot_crc(&write->slot);
	memcpy(page, &write->slot, sizeof(write->slot));
	ret = write_page(write->fd, page, sizeof(page), (write->slot.seq & 1) * RECORD_PAGE);
	return ret ? ret : sync_data(write->fd);
}

int record_write(struct record_write *write)
{
	int ret = make_file(write);

	if (!ret)
		ret = make_room(write);
	if (!ret && write->shrinks)
		ret = write_head(write);
	if (!ret)
		ret = write_bits(write);
	if (!ret && !write->shrinks)
		ret = write_head(write);
	return ret;
}

/* ---- reading ---- */

static bool read_slot(int fd, unsigned int which, struct record_slot *slot)
{
	if (pread(fd, slot, sizeof(*slot), (off_t)which * RECORD_PAGE) != (ssize_t)sizeof(*slot))
		return false;
	return slot->magic == MAGIC && slot->version == VERSION && slot->crc == slot_crc(slot) &&
	       slot->head.chunk >= 4096 && !(slot->head.chunk & (slot->head.chunk - 1)) &&
	       slot->head.state >= LEECH_RECORD_PULLING && slot->head.state <= LEECH_RECORD_LOST &&
	       memchr(slot->head.from, 0, sizeof(slot->head.from));
}

/* Its first save has not ended: nothing was said yet. */
static bool is_blank(int fd)
{
	static const uint8_t zero[8];
	uint8_t magic[2][8] = { 0 };

	if (pread(fd, magic[0], 8, 0) < 0 || pread(fd, magic[1], 8, RECORD_PAGE) < 0)
		return false;
	return !memcmp(magic[0], zero, 8) && !memcmp(magic[1], zero, 8);
}

int record_read_head(int fd, struct record_slot *slot)
{
	struct record_slot other;
	bool first, second;

	/* what a killed helper has written, and not synced, is acted upon from here on */
	if (fdatasync(fd))
		return -errno;
	first = read_slot(fd, 0, slot);
	second = read_slot(fd, 1, &other);
	if (second && (!first || other.seq > slot->seq))
		*slot = other;
	if (first || second)
		return 0;
	return is_blank(fd) ? -ENODATA : -ESTALE;
}

// SPDX-License-Identifier: GPL-2.0
/* file-journal: see file-journal.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

#include "backends/file-journal.h"
#include "journal.h"

/* ---- which one is it? ---- */

/* Appends what stands there; false: nothing. */
static bool read_sys(dev_t dev, const char *name, char *text, size_t room)
{
	char path[128];
	size_t used = strlen(text);
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text + used, room - used - 1);
	close(fd);
	text[used + (n > 0 ? (size_t)n : 0)] = '\0';
	return n > 0 && text[used] != '\n';
}

/* What the device says of itself, not what it is called: that another one may be after a reboot. */
static bool device_says(dev_t dev, char *text, size_t room)
{
	static const char *const names[] = { "wwid", "device/wwid", "dm/uuid", "md/uuid", "serial", "device/serial" };
	bool part, found = false;
	char up[32];

	*text = '\0';
	part = read_sys(dev, "partition", text, room) && read_sys(dev, "start", text, room);
	for (size_t i = 0; !found && i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(up, sizeof(up), "%s%s", part ? "../" : "", names[i]);
		found = read_sys(dev, up, text, room);
	}
	return found;
}

static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325;

	while (*text)
		h = (h ^ (unsigned char)*text++) * 0x100000001b3;
	return h;
}

static int device_identity(int fd, uint64_t identity[BACKEND_IDENTITY])
{
	char says[512];
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st) || ioctl(fd, BLKGETSIZE64, &size))
		return -errno;
	if (!device_says(st.st_rdev, says, sizeof(says)))
		return -ENODATA;
	identity[0] = S_IFBLK;
	identity[1] = hash(says);
	identity[2] = size;
	return 0;
}

/* Not st_dev, which need not be the same after a reboot: the journal is on the same file system. */
int file_journal_identity(int fd, uint64_t identity[BACKEND_IDENTITY])
{
	struct statx st;

	memset(identity, 0, BACKEND_IDENTITY * sizeof(*identity));
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_BTIME, &st))
		return -errno;
	if (S_ISBLK(st.stx_mode))
		return device_identity(fd, identity);
	identity[0] = st.stx_mode & S_IFMT;
	identity[1] = st.stx_ino;
	if (st.stx_mask & STATX_BTIME) {
		identity[2] = (uint64_t)st.stx_btime.tv_sec;
		identity[3] = st.stx_btime.tv_nsec;
	}
	return 0;
}

/* ---- where is it? ---- */

/* A device has no place beside it that lasts: it is the state directory, by what the device says of itself. */
static char *device_journal(const struct backend *backend, int fd)
{
	uint64_t identity[BACKEND_IDENTITY];
	char *journal;

	if (!backend->open->state_dir || file_journal_identity(fd, identity))
		return NULL;
	if (asprintf(&journal, "%s/journal-%016llx", backend->open->state_dir, (unsigned long long)identity[1]) < 0)
		return NULL;
	return journal;
}

/* Beside the file, wherever its name leads. */
char *file_journal_path(const struct backend *backend, int fd, bool block_device)
{
	char self[64], path[PATH_MAX], *journal;
	ssize_t n;

	if (block_device)
		return device_journal(backend, fd);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, path, sizeof(path));
	if (n <= 0 || n >= (ssize_t)sizeof(path) || asprintf(&journal, "%.*s" JOURNAL_SUFFIX, (int)n, path) < 0)
		return NULL;
	return journal;
}

/* What else keeps it from being reserved need not keep it from being written. */
int file_journal_reserve(int fd, uint64_t offset, uint64_t length)
{
	if (!fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length))
		return 0;
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -errno : 0;
}

int file_journal_resize(int fd, uint64_t low, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((uint64_t)st.st_size != low && ftruncate(fd, (off_t)low))
		return -errno;
	return size != low && ftruncate(fd, (off_t)size) ? -errno : 0;
}

/* Where the file system has no FIEMAP; what was reserved there, and not written, looks like a hole. */
static uint64_t missing_by_seek(int fd, uint64_t offset, uint64_t end)
{
	uint64_t missing = 0;

	while (offset < end) {
		off_t data = lseek(fd, (off_t)offset, SEEK_DATA), hole;
		uint64_t to = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;

		if (data < 0 && errno != ENXIO)
			return missing;
		missing += to - offset;
		if (to == end)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data)
			break;
		offset = (uint64_t)hole;
	}
	return missing;
}

/* Asked for at once. */
#define EXTENTS 32

uint64_t file_journal_missing(int fd, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, missing = 0;
	_Alignas(struct fiemap) char room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	struct fiemap *ask = (struct fiemap *)room;
	bool last = false;

	while (offset < end && !last) {
		memset(room, 0, sizeof(room));
		ask->fm_start = offset;
		ask->fm_length = end - offset;
		ask->fm_extent_count = EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, ask))
			return missing + missing_by_seek(fd, offset, end);
		last = ask->fm_mapped_extents < ask->fm_extent_count;
		for (uint32_t i = 0; i < ask->fm_mapped_extents && offset < end; i++) {
			const struct fiemap_extent *extent = &ask->fm_extents[i];
			uint64_t to = extent->fe_logical + extent->fe_length;

			if (extent->fe_logical > offset)
				missing += (extent->fe_logical < end ? extent->fe_logical : end) - offset;
			offset = to > offset ? to : offset;
		}
	}
	return missing + (offset < end ? end - offset : 0);
}

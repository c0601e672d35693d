/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The disk, for test-journal: what is written to files passes here, is counted, and can fail, wait, or be the last thing that happens. After a power
 * cut a file is as it was at its last sync, with any of the writes since, in whole or in part. Linked with --wrap.
 */
#ifndef REGIONFS_TESTS_FAKE_DISK_H
#define REGIONFS_TESTS_FAKE_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"

#define DISK_FILES	8
#define DISK_IMAGE	(2u << 20)

struct disk_write {
	uint64_t at, len;		/* len UINT64_MAX: the file is cut, or made longer, to at */
	char *data;
	struct disk_write *next;
};

struct disk_file {
	dev_t dev;
	ino_t ino;
	char path[256];
	int fd;
	bool fresh;			/* its name is not on the disk */
	char image[DISK_IMAGE];		/* at its last sync */
	uint64_t size;
	struct disk_write *first, **last;
};

static struct {
	pthread_mutex_t lock;
	unsigned int steps, crash_at;	/* crash_at 0: never */
	bool power_cut;
	const char *source;		/* its path ends so */
	bool crash_at_source;		/* the first write there is the last thing that happens */
	int source_error, journal_error;	/* what a write gets */
	bool full;			/* nothing can be reserved */
	bool small;			/* there are 68 KiB left, of which 64 are not for a journal */
	unsigned int after;		/* so many go well before */
	bool hold;			/* writes to source are done, but nobody is told */
	struct list held;
	bool on;			/* keeps images */
	struct disk_file file[DISK_FILES];
	unsigned int nr;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct disk_done {
	struct loop_work work;
	struct loop *loop;
	struct loop_op *op;
	struct list list;
};

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
int __real_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t offset, off_t len);
int __real_fsync(int fd);
int __real_fstatvfs64(int fd, struct statvfs *st);
int __wrap_fstatvfs64(int fd, struct statvfs *st);
int __real_fdatasync(int fd);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
void __wrap_loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset);
void __wrap_loop_writev(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov, unsigned int n, uint64_t offset);
void __wrap_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only);
void __wrap_loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len);

/* ---- files ---- */

static inline bool disk_is(int fd, const char *end)
{
	char self[64], path[256];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, path, sizeof(path) - 1);
	return n > (ssize_t)strlen(end) && !strncmp(path + n - strlen(end), end, strlen(end));
}

/* Before it is changed: as it is now counts as synced, but for its name. NULL: a directory, or there is no power cut to come. */
static inline struct disk_file *disk_find(int fd)
{
	struct disk_file *file = disk.file;
	char self[64];
	struct stat st;

	if (!disk.on || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	for (unsigned int i = 0; i < disk.nr; i++, file++)
		if (file->dev == st.st_dev && file->ino == st.st_ino)
			return file;
	if (disk.nr++ == DISK_FILES || st.st_size > DISK_IMAGE)
		abort();
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (readlink(self, file->path, sizeof(file->path) - 1) < 0)
		abort();
	file->fd = open(self, O_RDWR | O_CLOEXEC);
	file->size = (uint64_t)st.st_size;
	file->fresh = !st.st_size;
	file->last = &file->first;
	if (file->fd < 0 || pread(file->fd, file->image, file->size, 0) != st.st_size)
		abort();
	return file;
}

static inline void disk_note(struct disk_file *file, const void *data, uint64_t len, uint64_t at)
{
	struct disk_write *write = file ? calloc(1, sizeof(*write)) : NULL;

	if (!write)
		return;
	write->at = at;
	write->len = len;
	write->data = len == UINT64_MAX ? NULL : malloc(len);
	if (write->data && data)
		memcpy(write->data, data, len);
	else if (write->data)
		memset(write->data, 0, len);
	*file->last = write;
	file->last = &write->next;
}

static inline void disk_land(struct disk_file *file, const struct disk_write *write, uint64_t len)
{
	if (write->len == UINT64_MAX) {
		if (write->at < file->size)
			memset(file->image + write->at, 0, file->size - write->at);
		file->size = write->at;
		return;
	}
	if (write->at + len > DISK_IMAGE)
		abort();
	memcpy(file->image + write->at, write->data, len);
	file->size = write->at + len > file->size ? write->at + len : file->size;
}

/* Every write since the last sync, or (power cut) any of them. */
static inline void disk_land_all(struct disk_file *file, bool all)
{
	struct disk_write *write;

	while ((write = file->first)) {
		long luck = random() % 4;

		file->first = write->next;
		if (all || luck > 1)
			disk_land(file, write, write->len);
		else if (luck == 1 && write->len != UINT64_MAX)
			disk_land(file, write, write->len / 1024 * 512);
		free(write->data);
		free(write);
	}
	file->last = &file->first;
}

static inline void disk_cut(void)
{
	for (unsigned int i = 0; i < disk.nr; i++) {
		struct disk_file *file = &disk.file[i];

		disk_land_all(file, false);
		if (file->fresh && random() % 2)
			unlink(file->path);
		if (__real_ftruncate64(file->fd, 0) || __real_ftruncate64(file->fd, (off_t)file->size) ||
		    __real_pwrite64(file->fd, file->image, file->size, 0) != (ssize_t)file->size)
			abort();
	}
}

/* Under the lock, before anything is done. */
static inline void disk_step(int fd, bool is_write)
{
	disk.steps++;
	if (disk.steps != disk.crash_at && !(is_write && disk.crash_at_source && disk_is(fd, disk.source)))
		return;
	if (disk.power_cut)
		disk_cut();
	_exit(7);
}

/* Is this write to fail? */
static inline int disk_error(int fd)
{
	int error = disk.source && disk_is(fd, disk.source) ? disk.source_error :
		    disk_is(fd, "journal") ? disk.journal_error : 0;

	if (!error)
		return 0;
	if (disk.after) {
		disk.after--;
		return 0;
	}
	return error;
}

/* ---- calls ---- */

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	struct disk_file *file;
	ssize_t n = -1;

	pthread_mutex_lock(&disk.lock);
	disk_step(fd, true);
	file = disk_find(fd);
	errno = -disk_error(fd);
	if (!errno)
		n = __real_pwrite64(fd, buf, len, at);
	if (n > 0)
		disk_note(file, buf, (uint64_t)n, (uint64_t)at);
	pthread_mutex_unlock(&disk.lock);
	return n;
}

int __wrap_ftruncate64(int fd, off_t size)
{
	struct disk_file *file;
	int ret;

	pthread_mutex_lock(&disk.lock);
	disk_step(fd, true);
	file = disk_find(fd);
	ret = __real_ftruncate64(fd, size);
	if (!ret)
		disk_note(file, NULL, UINT64_MAX, (uint64_t)size);
	pthread_mutex_unlock(&disk.lock);
	return ret;
}

/* Of room: no byte changes. */
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	pthread_mutex_lock(&disk.lock);
	disk_step(fd, false);
	pthread_mutex_unlock(&disk.lock);
	if (!disk.full)
		return __real_fallocate64(fd, mode, offset, len);
	errno = ENOSPC;
	return -1;
}

int __wrap_fstatvfs64(int fd, struct statvfs *st)
{
	int ret = __real_fstatvfs64(fd, st);

	st->f_bavail = disk.small ? 69632 / st->f_frsize : st->f_bavail;
	st->f_blocks = disk.small ? (1u << 20) / st->f_frsize : st->f_blocks;
	return ret;
}

static inline int disk_sync(int fd)
{
	struct disk_file *file;

	pthread_mutex_lock(&disk.lock);
	disk_step(fd, false);
	file = disk_find(fd);
	if (file)
		disk_land_all(file, true);
	for (unsigned int i = 0; !file && i < disk.nr; i++)
		disk.file[i].fresh = false;
	pthread_mutex_unlock(&disk.lock);
	return 0;
}

int __wrap_fsync(int fd)
{
	return disk_sync(fd);
}

int __wrap_fdatasync(int fd)
{
	return disk_sync(fd);
}

/* ---- the loop's ---- */

static inline int disk_work(struct loop_work *work)
{
	return work->res;
}

static inline void disk_tell(struct loop_work *work, int res)
{
	struct disk_done *done = container_of(work, struct disk_done, work);
	struct loop_op *op = done->op;

	free(done);
	op->done(op, res);
}

static inline void disk_end(struct loop *loop, struct loop_op *op, int res, bool hold)
{
	struct disk_done *done = calloc(1, sizeof(*done));

	done->loop = loop;
	done->op = op;
	done->work.work = disk_work;
	done->work.done = disk_tell;
	done->work.res = res;
	if (hold)
		list_add(&disk.held, &done->list);
	else
		loop_work(loop, &done->work);
}

static inline void disk_release(void)
{
	struct list *entry;

	disk.hold = false;
	while ((entry = list_pop(&disk.held))) {
		struct disk_done *done = list_entry(entry, struct disk_done, list);

		loop_work(done->loop, &done->work);
	}
}

static inline bool disk_holds(int fd)
{
	return disk.hold && disk.source && disk_is(fd, disk.source);
}

void __wrap_loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset)
{
	ssize_t n = __wrap_pwrite64(fd, buf, len, (off_t)offset);

	disk_end(loop, op, n < 0 ? -errno : (int)n, disk_holds(fd));
}

/* As short as may be. */
void __wrap_loop_writev(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov, unsigned int n, uint64_t offset)
{
	unsigned int i = 0;
	ssize_t ret;

	while (i < n - 1 && !iov[i].iov_len)
		i++;
	ret = __wrap_pwrite64(fd, iov[i].iov_base, iov[i].iov_len, (off_t)offset);
	disk_end(loop, op, ret < 0 ? -errno : (int)ret, disk_holds(fd));
}

void __wrap_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only)
{
	disk_end(loop, op, disk_sync(fd), false);
}

void __wrap_loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len)
{
	struct disk_file *file;
	struct stat st;
	int ret;

	pthread_mutex_lock(&disk.lock);
	disk_step(fd, true);
	file = disk_find(fd);
	ret = __real_fallocate64(fd, mode, (off_t)offset, (off_t)len) ? -errno : 0;
	/* what lies past the end is not there */
	if (!ret && file && !fstat(fd, &st) && offset < (uint64_t)st.st_size)
		disk_note(file, NULL, len < (uint64_t)st.st_size - offset ? len : (uint64_t)st.st_size - offset, offset);
	pthread_mutex_unlock(&disk.lock);
	disk_end(loop, op, ret, disk_holds(fd));
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* What fuzzers of files share: a directory on a tmpfs that is empty for each case and gone at the end, a loop, and a look for descriptors that stay open. */
#ifndef REGIONFS_FUZZ_DIR_H
#define REGIONFS_FUZZ_DIR_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "log.h"
#include "loop.h"

static char fuzz_path[] = "/dev/shm/regionfs-fuzz.XXXXXX";
static int fuzz_dir = -1;
static struct loop *fuzz_loop;
static int fuzz_lowest;		/* descriptor that is free; -1: the loop may open some still */

static inline void fuzz_clear(void)
{
	DIR *stream = opendir(fuzz_path);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(fuzz_dir, entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	closedir(stream);
}

static inline void fuzz_gone(void)
{
	fuzz_clear();
	rmdir(fuzz_path);
}

static inline int fuzz_free_fd(void)
{
	int fd = fcntl(fuzz_dir, F_DUPFD_CLOEXEC, 0);

	close(fd);
	return fd;
}

static inline void fuzz_begin(void)
{
	if (fuzz_dir < 0) {
		log_start("fuzz", 0);
		CHECK(mkdtemp(fuzz_path) && !loop_open(&fuzz_loop, 0));
		fuzz_dir = open(fuzz_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		atexit(fuzz_gone);
		fuzz_lowest = -1;
		return;
	}
	fuzz_lowest = fuzz_free_fd();
}

static inline int fuzz_end(void)
{
	fuzz_clear();
	CHECK(fuzz_lowest < 0 || fuzz_free_fd() == fuzz_lowest);
	return 0;
}

static inline void fuzz_file(const char *name, const void *data, size_t len)
{
	int fd = openat(fuzz_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	close(fd);
}

/* Whoever sets it stops the loop. */
static inline void fuzz_turn(const bool *flag)
{
	while (!*flag) {
		loop_run(fuzz_loop);
		loop_again(fuzz_loop);
	}
	loop_again(fuzz_loop);
}

static inline void fuzz_stop(struct loop_timer *timer)
{
	loop_stop(fuzz_loop);
}

/* The ring lets go of files, which may be locked, when it comes by. */
static inline void fuzz_pass(void)
{
	struct loop_timer timer = { .fire = fuzz_stop };

	loop_timer_set(fuzz_loop, &timer, 1);
	loop_run(fuzz_loop);
	loop_again(fuzz_loop);
}

/* Takes so many bytes from the front, as many as there are; the rest of to is zero. */
static inline size_t fuzz_take(const uint8_t **data, size_t *size, void *to, size_t len)
{
	size_t n = len < *size ? len : *size;

	memset(to, 0, len);
	memcpy(to, *data, n);
	*data += n;
	*size -= n;
	return n;
}

#endif

// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "app.h"
#include "env.h"

static const char *const names[] = {
	"read", "write", "load", "store", "O_DIRECT read", "O_DIRECT write", "fsync", "msync",
	"syncfs", "sendfile", "truncate", "punch", "exec",
};

const char *app_name(enum app_what what)
{
	return names[what];
}

static void app_sigbus(int sig)
{
	(void)sig;
	_exit(APP_SIGBUS);
}

static int app_verify(const struct app *a, const void *buf)
{
	if (a->any)
		return pattern_same(buf, a->len, 0) == -2;
	if (a->seed)
		return pattern_check(buf, a->len, a->offset, a->seed) < 0 ? 0 : APP_WRONG;
	return pattern_same(buf, a->len, 0) < 0 ? 0 : APP_WRONG;
}

static int app_io(const struct app *a, int fd, char *buf)
{
	bool write = a->what == APP_WRITE || a->what == APP_DIRECT_WRITE;
	ssize_t n;

	if (write) {
		pattern_fill(buf, a->len, a->offset, a->seed);
		n = pwrite(fd, buf, a->len, a->offset);
	} else {
		n = pread(fd, buf, a->len, a->offset);
	}
	if (n < 0)
		return errno;
	if ((size_t)n < a->len)
		return APP_SHORT;
	return write ? 0 : app_verify(a, buf);
}

static int app_map(const struct app *a, int fd)
{
	bool write = a->what == APP_MAP_WRITE;
	uint64_t base = a->offset & ~4095ull;
	char *p = mmap(NULL, a->offset + a->len - base, PROT_READ | (write ? PROT_WRITE : 0),
		       MAP_SHARED, fd, base);

	if (p == MAP_FAILED)
		return errno;
	if (!write)
		return app_verify(a, p + (a->offset - base));
	pattern_fill(p + (a->offset - base), a->len, a->offset, a->seed);
	return 0;
}

static int app_msync(int fd)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return errno;
	return msync(p, 4096, MS_SYNC) ? errno : 0;
}

static int app_sendfile(const struct app *a, int fd)
{
	int out = open("/dev/null", O_WRONLY);
	off_t at = a->offset;
	ssize_t n = sendfile(out, fd, &at, a->len);

	if (n < 0)
		return errno;
	return (size_t)n < a->len ? APP_SHORT : 0;
}

static int app_open(const struct app *a)
{
	int flags = O_RDONLY;

	switch (a->what) {
	case APP_DIRECT_READ:
		flags = O_RDONLY | O_DIRECT;
		break;
	case APP_DIRECT_WRITE:
		flags = O_RDWR | O_DIRECT;
		break;
	case APP_READ:
	case APP_MAP_READ:
	case APP_SENDFILE:
	case APP_SYNCFS:
		break;
	default:
		flags = O_RDWR;
	}
	return open(a->path, flags);
}

static int app_main(void *arg)
{
	const struct app *a = arg;
	int fd = a->what == APP_EXEC ? 0 : app_open(a);
	void *buf = NULL;

	if (fd < 0)
		return errno;
	signal(SIGBUS, app_sigbus);
	switch (a->what) {
	case APP_MAP_READ:
	case APP_MAP_WRITE:
		return app_map(a, fd);
	case APP_FSYNC:
		return fsync(fd) ? errno : 0;
	case APP_MSYNC:
		return app_msync(fd);
	case APP_SYNCFS:
		return syncfs(fd) ? errno : 0;
	case APP_SENDFILE:
		return app_sendfile(a, fd);
	case APP_TRUNCATE:
		return ftruncate(fd, a->offset) ? errno : 0;
	case APP_PUNCH:
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, a->offset,
				 a->len) ? errno : 0;
	case APP_EXEC:
		execl(a->path, a->path, NULL);
		return errno;
	default:
		if (posix_memalign(&buf, 4096, a->len + 4096))
			return ENOMEM;
		return app_io(a, fd, buf);
	}
}

static pid_t app_spawn(struct app a, const char *path)
{
	snprintf(a.path_copy, sizeof(a.path_copy), "%s", path);
	a.path = a.path_copy;
	return spawn(app_main, &a);
}

pid_t app_start(const char *path, enum app_what what, uint64_t offset, size_t len, uint64_t seed)
{
	struct app a = { .what = what, .offset = offset, .len = len, .seed = seed };

	return app_spawn(a, path);
}

pid_t app_start_any(const char *path, enum app_what what, uint64_t offset, size_t len)
{
	struct app a = { .what = what, .offset = offset, .len = len, .any = true, .seed = 1 };

	return app_spawn(a, path);
}

int app_run(const char *path, enum app_what what, uint64_t offset, size_t len, uint64_t seed)
{
	pid_t pid = app_start(path, what, offset, len, seed);
	int ret = reap(pid, SOON);

	if (ret == -ETIMEDOUT)
		kill_in_time(pid, SOON);
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
/* Mappings: shared and private, with read and write beside them, madvise, mprotect, fork, and pressure on the cache. */
#include <sys/wait.h>

#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(4 * MiB)

static struct env e;
static uint64_t id;
static char path[128];
static int fd;

static void shared(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char got[4096];

	must(p != MAP_FAILED);
	is(pattern_check(p, SIZE, 0, 1), -1, "loads of the whole region are right");
	pattern_fill(p + 5000, 3000, 5000, 2);
	is(pread(fd, got, 3000, 5000), 3000, "read");
	is(pattern_check(got, 3000, 5000, 2), -1, "sees what was stored");
	pattern_fill(got, 4096, MiB + 10, 3);
	is(pwrite(fd, got, 4096, MiB + 10), 4096, "write");
	is(pattern_check(p + MiB + 10, 4096, MiB + 10, 3), -1, "is seen by loads");
	is(pattern_check(p + MiB + 4106, 5000, MiB + 4106, 1), -1, "the bytes behind it are kept");
	is(msync(p, SIZE, MS_SYNC), 0, "msync");
	is(madvise(p, SIZE, MADV_DONTNEED), 0, "madvise DONTNEED");
	drop_caches();
	is(pattern_check(p + 5000, 3000, 5000, 2), -1, "stored bytes come back from the helper");
	is(pattern_check(p + MiB + 10, 4096, MiB + 10, 3), -1, "and written ones");
	is(pattern_check(p, 5000, 0, 1), -1, "and the others");
	munmap(p, SIZE);
	is(app_run(path, APP_READ, 5000, 3000, 2), 0, "another process reads the stored bytes");
}

static void private(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	uint32_t from = fh_mark(e.fh);

	must(p != MAP_FAILED);
	pattern_fill(p + 2 * MiB, 8192, 2 * MiB, 4);
	is(pattern_check(p + 2 * MiB, 8192, 2 * MiB, 4), -1, "a private copy");
	is(app_run(path, APP_READ, 2 * MiB, 8192, 1), 0, "is not seen by others");
	is(fsync(fd), 0, "fsync");
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, NULL), 0, "and is not written back");
	munmap(p, SIZE);
}

static void protected(void)
{
	int ro = env_path_fd(&e, "r", O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, ro, 0);

	must(p != MAP_FAILED);
	is(mprotect(p, 4096, PROT_READ | PROT_WRITE) ? errno : 0, EACCES,
	   "a mapping of a read-only descriptor stays so");
	ok(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED,
	   "and cannot be made writable");
	is(madvise(p, SIZE, MADV_RANDOM), 0, "madvise RANDOM");
	is(madvise(p, SIZE, MADV_SEQUENTIAL), 0, "madvise SEQUENTIAL");
	is(madvise(p, SIZE, MADV_WILLNEED), 0, "madvise WILLNEED");
	is(posix_fadvise(ro, 0, SIZE, POSIX_FADV_WILLNEED), 0, "fadvise WILLNEED");
	is(pattern_check(p + 3 * MiB, MiB, 3 * MiB, 1), -1, "loads are right");
	munmap(p, SIZE);
	close(ro);
}

/* Two processes store into their halves of each page at once. */
static int half(void *arg)
{
	char *p = arg;

	for (int round = 0; round < 20; round++)
		for (uint64_t at = 0; at < 512 * KiB; at += 4096)
			memset(p + at, 'a' + round, 2048);
	return 0;
}

static void together(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool good = true;
	char got[4096];
	pid_t a, b;

	must(p != MAP_FAILED);
	a = spawn(half, p + 2 * MiB);
	b = spawn(half, p + 2 * MiB + 2048);
	for (int i = 0; i < 20; i++)
		msync(p, SIZE, MS_SYNC);
	ok(!reap(a, SOON) && !reap(b, SOON), "two processes store while msync runs");
	is(msync(p, SIZE, MS_SYNC), 0, "msync");
	for (uint64_t at = 0; at < 512 * KiB; at += 4096) {
		fh_pread(e.fh, id, got, 4096, 2 * MiB + at);
		good &= pattern_same(got, 4096, 'a' + 19) < 0;
	}
	ok(good, "the helper has the last of both");
	munmap(p, SIZE);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "mmap");
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	shared();
	private();
	protected();
	together();
	close(fd);
	return tap_done();
}

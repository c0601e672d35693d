// SPDX-License-Identifier: GPL-2.0
/* O_DIRECT: goes to the helper at once, is coherent with the page cache and mappings, obeys alignment, reports errors. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(4 * MiB)

static struct env e;
static uint64_t id;
static char path[128];
static int fd, direct;
static char *buf;

static bool backing_is(uint64_t offset, size_t len, uint64_t seed)
{
	static char got[SIZE];

	fh_pread(e.fh, id, got, len, offset);
	return pattern_check(got, len, offset, seed) < 0;
}

static void plain(void)
{
	uint32_t from = fh_mark(e.fh);
	long place;

	is(pread(direct, buf, SIZE, 0), SIZE, "a direct read of 4 MiB");
	is(pattern_check(buf, SIZE, 0, 1), -1, "is right");
	place = fh_wait(e.fh, from, REGIONFS_OP_READ, id, 0, 4096, FH_ANSWERED, SOON);
	ok(place >= 0 && fh_at(e.fh, place)->desc.flags & REGIONFS_REQ_DIRECT, "and marked direct");
	is(env_stat(&e, id, REGIONFS_STAT_CACHED_PAGES), 0, "nothing was cached");
	from = fh_mark(e.fh);
	pattern_fill(buf, SIZE / 2, 0, 2);
	is(pwrite(direct, buf, SIZE / 2, 0), SIZE / 2, "a direct write of 2 MiB");
	ok(backing_is(0, SIZE / 2, 2), "is at the helper when it returns");
	place = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_ANSWERED, SOON);
	ok(place >= 0 && fh_at(e.fh, place)->desc.flags & REGIONFS_REQ_DIRECT, "and marked direct");
	is(pread(direct, buf, 8192, SIZE - 4096), 4096, "a read over the end is short");
	is(pread(direct, buf, 4096, SIZE), 0, "one behind the end is empty");
}

static void coherent(void)
{
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(map != MAP_FAILED);
	pattern_fill(map, 8192, 0, 3);
	is(pread(direct, buf, 8192, 0), 8192, "a direct read of what was stored");
	is(pattern_check(buf, 8192, 0, 3), -1, "sees it");
	pattern_fill(buf, 8192, 4096, 4);
	is(pwrite(direct, buf, 8192, 4096), 8192, "a direct write under a mapping");
	is(pattern_check(map + 4096, 8192, 4096, 4), -1, "is seen through it");
	is(pattern_check(map, 4096, 0, 3), -1, "beside it the stored bytes stay");
	is(app_run(path, APP_READ, 4096, 8192, 4), 0, "and read(2) sees it");
	is(fsync(fd), 0, "fsync");
	ok(backing_is(4096, 8192, 4) && backing_is(0, 4096, 3), "the helper has both");
	munmap(map, SIZE);
}

static void grows(void)
{
	struct stat st;

	pattern_fill(buf, 8192, SIZE + MiB, 5);
	is(pwrite(direct, buf, 8192, SIZE + MiB), 8192, "a direct write behind the end");
	must(fstat(fd, &st) == 0);
	is(st.st_size, SIZE + MiB + 8192, "grows the file");
	is(app_run(path, APP_READ, SIZE + MiB, 8192, 5), 0, "and reads back");
	is(app_run(path, APP_READ, SIZE, MiB, 0), 0, "with zeroes between");
}

static void errors(void)
{
	is(pread(direct, buf + 1, 4096, 0) < 0 ? errno : 4096, 4096, "an unaligned buffer will do");
	is(pattern_check(buf + 1, 4096, 0, 3), -1, "and is filled rightly");
	is(pread(direct, buf, 4096, 7) < 0 ? errno : 0, EINVAL, "an unaligned offset");
	is(pwrite(direct, buf, 100, 0) < 0 ? errno : 0, EINVAL, "an unaligned length");
	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_ERROR, -EIO, 1);
	is(pread(direct, buf, 4096, 0) < 0 ? errno : 0, EIO, "a failed READ");
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_ERROR, -ENOSPC, 1);
	is(pwrite(direct, buf, 4096, 0) < 0 ? errno : 0, ENOSPC, "a failed WRITE");
	fh_clear(e.fh);
	is(pread(direct, buf, 4096, 0), 4096, "the next one is good");
	is(pattern_check(buf, 4096, 0, 3), -1, "and right");
}

/* What was submitted before it has been handed over when it returns, unless the kernel keeps it back: there is one queue. */
/* Memory that begins within a sector, and of which only the first pages are there: what is in them is written, up to the last whole sector. */
static void ends_early(void)
{
	char *mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(mem != MAP_FAILED && munmap(mem + 32768, 32768) == 0);
	pattern_fill(mem + 4, 32764, 0, 8);
	is(pwrite(direct, mem + 4, 65536, 0), 32256, "a direct write from memory that ends early is short");
	ok(backing_is(0, 32256, 8), "and writes whole sectors");
	memset(mem, 0, 32768);
	is(pread(direct, mem + 4, 65536, 0), 32256, "so is a read to it");
	is(pattern_check(mem + 4, 32256, 0, 8), -1, "with the right bytes");
	is(pwrite(direct, mem + 32768 - 256, 4096, 0), -1, "less than a sector");
	is(errno, EFAULT, "is nothing: EFAULT");
	munmap(mem, 32768);
}

static void others_get_through(void)
{
	/* the second, since what comes in one batch may be taken in any order */
	is(app_run(path, APP_DIRECT_READ, 3 * MiB, 4096, 1), 0, "a READ elsewhere gets through");
	is(app_run(path, APP_DIRECT_READ, 3 * MiB, 4096, 1), 0, "and another one");
}

/* A direct write of two requests that share a page; gives the place of the first, which is held. */
static long write_two(uint32_t from, pid_t *pid)
{
	long first;

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, -1);
	*pid = app_start(path, APP_DIRECT_WRITE, 512, 2 * MiB, 6);
	first = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 512, 4096, FH_HELD, SOON);
	must(first >= 0);
	is(fh_at(e.fh, first)->desc.length, MiB, "a direct write at an odd offset is cut within a page");
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, 2, SOON), "both of its halves are submitted");
	return first;
}

/*
 * No two WRITEs of one page are out at once, and no READ of it: what keeps the halves of one call apart, or a reader from
 * a direct write, is the order of requests alone.
 */
static void ordered(void)
{
	uint32_t from = fh_mark(e.fh);
	pid_t writer, reader;
	long first = write_two(from, &writer);

	reader = app_start(path, APP_READ, 64 * KiB, 4096, 6);
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, 3, SOON), "so is a READ of what is being written");
	others_get_through();
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, NULL), 1, "the second WRITE is not handed over");
	is(fh_seen(e.fh, from, REGIONFS_OP_READ, id, 64 * KiB, 4096, NULL), 0, "nor is the READ");
	fh_release(e.fh, first, FH_APPLY, 0);
	ok(fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 512 + MiB, 4096, FH_HELD, SOON) > first,
	   "the second WRITE follows the answer to the first");
	is(reap(reader, SOON), 0, "so does the READ, and gets the new bytes");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(reap(writer, SOON), 0, "the write ends well");
	ok(backing_is(512, 2 * MiB, 6), "the helper has its bytes");
}

/* A direct write waits for write-back of its range before it drops the range from the page cache. */
static void after_writeback(void)
{
	uint32_t from = fh_mark(e.fh);
	pid_t pid;

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 4096, FH_HOLD, 0, 1);
	is(app_run(path, APP_WRITE, 0, 4096, 6), 0, "a buffered write");
	sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE);
	must(fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_HELD, SOON) >= 0);
	pid = app_start(path, APP_DIRECT_WRITE, 0, 4096, 7);
	ok(wait_asleep(pid, SOON), "a direct one waits for its write-back");
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, NULL), 1, "only one WRITE is out");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(reap(pid, SOON), 0, "then it goes on");
	ok(backing_is(0, 4096, 7), "the helper has the later bytes");
	is(app_run(path, APP_READ, 0, 4096, 7), 0, "and so has the cache");
}

/* Whoever wants the inode waits for a direct WRITE no longer than the take-back limit. */
static void not_for_ever(void)
{
	uint32_t from = fh_mark(e.fh);
	pid_t pid;

	must(env_takeback(&e, 1000) == 0);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, MiB, 4096, FH_HOLD, 0, 1);
	pid = app_start(path, APP_DIRECT_WRITE, MiB, 4096, 8);
	must(fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, MiB, 4096, FH_HELD, SOON) >= 0);
	is(app_run(path, APP_WRITE, 2 * MiB, 4096, 9), 0, "a write goes on beside a hung direct one");
	is(app_run(path, APP_TRUNCATE, 3 * MiB, 0, 0), 0, "and a truncate");
	ok(reap(pid, 0) == -ETIMEDOUT, "the direct write waits on");
	fh_release_all(e.fh);
	is(reap(pid, SOON), 0, "and ends well");
	ok(backing_is(MiB, 4096, 8), "its bytes are there");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "o-direct");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	direct = env_path_fd(&e, "r", O_RDWR | O_DIRECT);
	must(posix_memalign((void **)&buf, 4096, SIZE + 4096) == 0);
	plain();
	coherent();
	grows();
	errors();
	ends_early();
	ordered();
	after_writeback();
	not_for_ever();
	close(fd);
	close(direct);
	return tap_done();
}

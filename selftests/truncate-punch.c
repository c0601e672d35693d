// SPDX-License-Identifier: GPL-2.0
/* Truncate and punch: sizes, zeroes where bytes were cut, also in mappings and behind the end; what the helper is told. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(MiB + 1000)

static struct env e;
static uint64_t id;
static char path[128];
static int fd;

static bool reads(uint64_t offset, size_t len, uint64_t seed)
{
	return app_run(path, APP_READ, offset, len, seed) == 0;
}

static bool backing_zero(uint64_t offset, size_t len)
{
	static char got[MiB];

	fh_pread(e.fh, id, got, len, offset);
	return pattern_same(got, len, 0) < 0;
}

static void load(void *arg)
{
	(void)*(volatile char *)arg;
}

static void shrink_and_grow(void)
{
	uint32_t from = fh_mark(e.fh);
	struct stat st;
	long place;

	is(ftruncate(fd, 300000), 0, "truncate down");
	must(fstat(fd, &st) == 0);
	is(st.st_size, 300000, "the size");
	is(ftruncate(fd, SIZE), 0, "and up again");
	ok(reads(0, 300000, 1), "bytes before the cut are kept");
	ok(reads(300000, SIZE - 300000, 0), "all behind it read zero");
	drop_caches();
	ok(reads(300000, SIZE - 300000, 0), "also from the helper");
	place = fh_wait(e.fh, from, REGIONFS_OP_RESIZE, id, 0, 0, FH_ANSWERED, SOON);
	ok(place >= 0, "the helper was told by RESIZE");
	is(fsync(fd), 0, "fsync");
	ok(backing_zero(300000, SIZE - 300000), "its bytes are zero");
}

static void mapped_tail(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(p != MAP_FAILED && ftruncate(fd, 8192) == 0);
	pattern_fill(p, 8192, 0, 4);
	is(ftruncate(fd, 1000), 0, "truncate under a mapping");
	is(pattern_same(p + 1000, 3096, 0), -1, "the rest of the last page is zero in it");
	ok(gets_sigbus(load, p + 4096), "a page behind the end gets SIGBUS");
	memset(p + 1000, 'x', 3096);
	is(msync(p, 4096, MS_SYNC), 0, "stores behind the end");
	is(ftruncate(fd, 8192), 0, "and growing over them");
	ok(reads(0, 1000, 4), "bytes before are kept");
	ok(reads(1000, 7192, 0), "what was stored behind the end is not seen");
	drop_caches();
	ok(reads(1000, 7192, 0), "nor from the helper");
	memset(p + 1000, 'y', 100);
	must(msync(p, 8192, MS_SYNC) == 0);
	drop_caches();
	is(pattern_same(p + 1000, 100, 'y'), -1, "a store within the size is kept");
	munmap(p, 8192);
}

static int punch(uint64_t offset, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) ? errno : 0;
}

static void refill(uint64_t seed)
{
	static char buf[SIZE];

	must(ftruncate(fd, SIZE) == 0);
	pattern_fill(buf, SIZE, 0, seed);
	must(pwrite(fd, buf, SIZE, 0) == SIZE && fsync(fd) == 0);
}

static void holes(void)
{
	uint32_t from;
	char *p;

	refill(5);
	from = fh_mark(e.fh);
	p = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	load(p + 200000);
	is(punch(100001, 300000), 0, "punch at odd offsets, under a mapping");
	is(pattern_same(p + 100001, 300000, 0), -1, "the mapping sees zeroes");
	ok(reads(0, 100001, 5) && reads(400001, SIZE - 400001, 5), "all around is kept");
	is(fsync(fd), 0, "fsync");
	ok(fh_wait(e.fh, from, REGIONFS_OP_DISCARD, id, 200000, 4096, FH_ANSWERED, SOON) >= 0,
	   "the helper was told by DISCARD");
	ok(backing_zero(100001, 300000), "its bytes are zero");
	drop_caches();
	ok(reads(0, 100001, 5) && reads(100001, 300000, 0), "read back from the helper");
	p[150000] = 'z';
	must(msync(p, MiB, MS_SYNC) == 0);
	drop_caches();
	is(p[150000], 'z', "a store into the hole is kept");
	is(punch(8192 + 7, INT64_MAX - 8192 - 7), 0, "a punch as far as offsets go");
	is(fsync(fd), 0, "fsync");
	drop_caches();
	ok(reads(8192 + 7, SIZE - 8192 - 7, 0), "empties all to the end");
	ok(reads(0, 8192 + 7, 5), "and nothing before");
	is(p[150001], 0, "and no more than that");
	munmap(p, MiB);
	is(punch(SIZE + 4096, 4096), 0, "punch behind the end");
	is(punch(SIZE - 10, 8192), 0, "punch over the end");
	ok(reads(SIZE - 10, 10, 0), "cuts what is there");
	is(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) ? errno : 0, EOPNOTSUPP,
	   "collapsing is refused");
}

/* Dirty bytes in the way of a hole must not come back. */
static void dirty_hole(void)
{
	static char buf[128 * KiB];

	refill(6);
	pattern_fill(buf, sizeof(buf), 0, 7);
	must(pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf));
	is(punch(10, 100000), 0, "punch of dirty bytes");
	is(fsync(fd), 0, "fsync");
	drop_caches();
	ok(reads(0, 10, 7) && reads(10, 100000, 0), "the hole is there");
	ok(reads(100010, sizeof(buf) - 100010, 7), "the dirty bytes behind it were written");
	env_flags(&e, id, REGIONFS_REGION_FIXED_SIZE, REGIONFS_REGION_FIXED_SIZE);
	is(ftruncate(fd, 10) ? errno : 0, EPERM, "a region of fixed size does not change it");
	env_flags(&e, id, 0, REGIONFS_REGION_FIXED_SIZE);
}

/* What made the file longer is punched before it was written: the source has to hear how long it is all the same. */
static void grown_hole(void)
{
	static char buf[8192];
	struct stat st;
	uint32_t from;

	refill(8);
	from = fh_mark(e.fh);
	pattern_fill(buf, sizeof(buf), SIZE + 65536, 9);
	must(pwrite(fd, buf, sizeof(buf), SIZE + 65536) == sizeof(buf));
	is(punch(SIZE + 4096, 65536 + sizeof(buf)), 0, "a punch of what has made the file longer");
	must(fstat(fd, &st) == 0);
	is(st.st_size, SIZE + 65536 + sizeof(buf), "the size");
	is(fsync(fd), 0, "fsync");
	ok(fh_wait(e.fh, from, REGIONFS_OP_RESIZE, id, 0, 0, FH_ANSWERED, SOON) >= 0, "the helper was told the size");
	must(ftruncate(fd, SIZE) == 0);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "truncate");
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	shrink_and_grow();
	mapped_tail();
	holes();
	dirty_hole();
	grown_hole();
	close(fd);
	return tap_done();
}

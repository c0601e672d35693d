// SPDX-License-Identifier: GPL-2.0
/*
 * All 512 pages of an aligned 2 MiB mapping are written after one fault; each byte must reach the helper,
 * also when the pages were cleaned and are written again.
 */
#include "lib/env.h"

#define SIZE	(8 * MiB)
#define HUGE	(2 * MiB)

static struct env e;
static uint64_t id;

/* Maps [HUGE, 2 HUGE) of the file at an aligned address. */
static char *map_aligned(int fd)
{
	char *room = mmap(NULL, 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = (void *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));

	must(room != MAP_FAILED);
	return mmap(p, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, HUGE);
}

static void round_trip(char *p, uint64_t seed, const char *when)
{
	static char got[HUGE];
	uint32_t from = fh_mark(e.fh);
	uint64_t bytes;

	p[0] = 1;
	pattern_fill(p, HUGE, HUGE, seed);
	is(msync(p, HUGE, MS_SYNC), 0, "msync, %s", when);
	fh_pread(e.fh, id, got, HUGE, HUGE);
	is(pattern_check(got, HUGE, HUGE, seed), -1, "all 512 pages are at the helper, %s", when);
	fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, &bytes);
	ok(bytes >= HUGE, "they were written, %s", when);
}

int main(void)
{
	static char buf[MiB];
	char *p;
	int fd;

	tap_start(300);
	env_start(&e, "dirty-map");
	id = env_filled(&e, "r", SIZE, 1);
	fd = env_path_fd(&e, "r", O_RDWR);
	for (uint64_t at = 0; at < SIZE; at += sizeof(buf))
		must(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
	p = map_aligned(fd);
	must(p != MAP_FAILED);
	madvise(p, HUGE, MADV_HUGEPAGE);
	round_trip(p, 2, "first");
	round_trip(p, 3, "again");
	for (uint64_t i = 0; i < HUGE; i += 8192)
		p[i] = 0;
	is(msync(p, HUGE, MS_SYNC), 0, "msync after every other page");
	for (uint64_t i = 0; i < HUGE; i += 8192)
		p[i] = pattern_byte(3, HUGE + i);
	round_trip(p, 4, "after a partial round");
	munmap(p, HUGE);
	close(fd);
	return tap_done();
}

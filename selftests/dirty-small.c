// SPDX-License-Identifier: GPL-2.0
/* An 8-byte write into a region that was read sequentially writes back no more than a page. */
#include "lib/env.h"

#define SIZE	(16 * MiB)
#define AT	(5 * MiB + 100)

static struct env e;
static uint64_t id;
static int fd;

static void written(uint32_t from, uint64_t at, const char *text, const char *how)
{
	uint64_t bytes;
	char got[8];

	is(fsync(fd), 0, "fsync after %s", how);
	fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, &bytes);
	ok(bytes > 0 && bytes <= 4096, "%s wrote back %llu bytes", how, (unsigned long long)bytes);
	for (uint32_t i = from; bytes > 4096 && i != fh_mark(e.fh); i++)
		tap_note("  op %u at %llu +%llu", fh_at(e.fh, i)->desc.op,
			 (unsigned long long)fh_at(e.fh, i)->desc.offset,
			 (unsigned long long)fh_at(e.fh, i)->desc.length);
	fh_pread(e.fh, id, got, 8, at);
	ok(!memcmp(got, text, 8), "the right ones");
}

static void whole(void)
{
	static char got[SIZE], want[SIZE];

	pattern_fill(want, SIZE, 0, 1);
	memcpy(want + AT, "by write", 8);
	memcpy(want + AT + MiB, "by store", 8);
	fh_pread(e.fh, id, got, SIZE, 0);
	ok(!memcmp(got, want, SIZE), "nothing else has changed");
}

int main(void)
{
	static char buf[MiB];
	uint32_t from;
	char *p;

	tap_start(300);
	env_start(&e, "dirty-small");
	id = env_filled(&e, "r", SIZE, 1);
	fd = env_path_fd(&e, "r", O_RDWR);
	for (uint64_t at = 0; at < SIZE; at += sizeof(buf))
		must(read(fd, buf, sizeof(buf)) == sizeof(buf));
	from = fh_mark(e.fh);
	must(pwrite(fd, "by write", 8, AT) == 8);
	written(from, AT, "by write", "a write");
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	from = fh_mark(e.fh);
	memcpy(p + AT + MiB, "by store", 8);
	written(from, AT + MiB, "by store", "a store");
	whole();
	munmap(p, SIZE);
	close(fd);
	return tap_done();
}

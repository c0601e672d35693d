// SPDX-License-Identifier: GPL-2.0
/* Sequential reading reaches requests of 1 MiB; a random touch asks for little. Demand is marked. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(32 * MiB)

static struct env e;

static uint64_t longest(uint64_t id, uint32_t from)
{
	uint64_t most = 0;

	for (uint32_t i = from; i != fh_mark(e.fh); i++) {
		const struct regionfs_io_desc *d = &fh_at(e.fh, i)->desc;

		if (d->region == id && d->op == REGIONFS_OP_READ && d->length > most)
			most = d->length;
	}
	return most;
}

static void sequential(uint64_t id, const char *name, bool map)
{
	static char buf[64 * KiB];
	uint32_t from = fh_mark(e.fh);
	int fd = env_path_fd(&e, name, O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned int n;
	bool good = true;

	for (uint64_t at = 0; at < SIZE; at += sizeof(buf)) {
		if (!map)
			must(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
		good &= pattern_check(map ? p + at : buf, sizeof(buf), at, 1) < 0;
	}
	ok(good, "%s: 32 MiB in order are right", name);
	n = fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, NULL);
	ok(longest(id, from) >= MiB, "%s: requests grow to 1 MiB (%llu)", name,
	   (unsigned long long)longest(id, from));
	ok(n <= 200, "%s: %u requests", name, n);
	munmap(p, SIZE);
	close(fd);
}

static void random_touch(void)
{
	uint64_t id = env_filled(&e, "random", SIZE, 1), at = 1, bytes;
	uint32_t from = fh_mark(e.fh);
	int fd = env_path_fd(&e, "random", O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	bool good = true;

	for (int i = 0; i < 100; i++) {
		at = pattern_word(99, i) % SIZE;
		good &= p[at] == (char)pattern_byte(1, at);
	}
	ok(good, "100 random loads are right");
	fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, &bytes);
	ok(bytes <= 100 * 64 * KiB, "they asked for %llu KiB", (unsigned long long)(bytes / KiB));
	ok(fh_at(e.fh, from)->desc.flags & REGIONFS_REQ_DEMAND, "and are marked as demand");
	munmap(p, SIZE);
	close(fd);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "readahead");
	sequential(env_filled(&e, "by-read", SIZE, 1), "by-read", false);
	sequential(env_filled(&e, "by-map", SIZE, 1), "by-map", true);
	random_touch();
	return tap_done();
}

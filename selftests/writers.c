// SPDX-License-Identifier: GPL-2.0
/*
 * The event that tells of the first and the last who may write: a shared writable mapping counts on when its file is closed, and files
 * that are open for reading do not count.
 */
#include "lib/env.h"

static struct env e;
static struct nl events;
static struct nlr r;
static uint64_t id;

/* The next event of this kind; *other: how many of another that is looked for came before. */
static bool event(int what, int look, int *other)
{
	int got;

	do {
		got = nl_event(&events, &r, SOON);
		if (got == look)
			++*other;
	} while (got > 0 && got != what);
	return got == what;
}

/* Events are in order: none of WRITERS came before this one. */
static void no_event(const char *when)
{
	static int n;
	int seen = 0;
	char name[16];

	snprintf(name, sizeof(name), "fence%d", n++);
	must(env_region(&e, name, 4096));
	must(event(REGIONFS_EVENT_CREATED, REGIONFS_EVENT_WRITERS, &seen));
	is(seen, 0, "%s: no event", when);
}

static void writers(uint32_t n, const char *when)
{
	int none = 0;

	ok(event(REGIONFS_EVENT_WRITERS, 0, &none) && nlr_u64(&r, REGIONFS_A_REGION) == id, "%s: an event", when);
	is(nlr_u32(&r, REGIONFS_A_WRITERS), n, "%s: writers in it", when);
	is(env_region_u32(&e, id, REGIONFS_A_WRITERS), n, "%s: writers of the region", when);
}

int main(void)
{
	int reader, fd, other;
	char *map, *half;

	tap_start(300);
	env_start(&e, "writers");
	must(!nl_open(&events) && !nl_subscribe(&events));
	id = env_filled(&e, "r", MiB, 1);
	reader = env_path_fd(&e, "r", O_RDONLY);
	no_event("opened for reading");
	fd = env_path_fd(&e, "r", O_RDWR);
	writers(1, "opened for writing");
	other = env_path_fd(&e, "r", O_WRONLY);
	no_event("opened for writing again");
	close(other);
	no_event("closed again");
	map = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	close(fd);
	no_event("closed, but mapped");
	is(env_region_u32(&e, id, REGIONFS_A_WRITERS), 1, "the mapping counts");
	half = map + MiB / 2;
	must(munmap(map, MiB / 2) == 0);
	no_event("half of it unmapped");
	*half = 1;
	must(munmap(half, MiB / 2) == 0);
	writers(0, "unmapped");
	is(env_region_u32(&e, id, REGIONFS_A_OPENS), 1, "the reader is still there");
	close(reader);
	no_event("closed by the reader");
	nl_close(&events);
	return tap_done();
}

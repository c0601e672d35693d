// SPDX-License-Identifier: GPL-2.0
/* The local store on a file system that is full (a small tmpfs; skipped without root): whatever it has no room for, progress is possible. */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "store-ask.h"

#define ROOM_PAGES	6144u	/* 24 MiB */
#define PAGES		8192u	/* 32 MiB */
#define STEP		64u

static uint64_t gen = 1, noted_failed;

static bool may_mount(void)
{
	return !geteuid() && !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int give(struct store *store, uint64_t bytes)
{
	struct asked *asked = ask_new(BACKEND_READ, 0, bytes, NULL);

	store_give(store, &asked->io);
	return ask_wait(asked);
}

/* All of it is read, and so it would be sent. */
static bool push_one(struct store *store)
{
	struct store_gen *one = store_gen_oldest(store);
	struct extent extent;
	bool good = true;

	if (!one)
		return true;
	if (one->gen >= gen)
		gen = one->gen + 1;
	ask_sync(store);
	for (uint64_t from = 0; extents_next(&one->changed, from, &extent); from = extent.end)
		good &= log_page(store, one, extent.start / PAGE) < FAILED;
	store_gen_pushed(store, one);
	if (ask_note(store))
		noted_failed++;
	return good;
}

static int fill(struct store *store, uint64_t page, uint64_t version)
{
	char data[STEP * PAGE];
	struct asked *asked = ask_new(BACKEND_READ, page * PAGE, sizeof(data), data);

	for (uint64_t i = 0; i < STEP; i++)
		page_fill(data + i * PAGE, page + i, version);
	store_fill(store, &asked->io);
	return ask_wait(asked);
}

/* What managed.c does with a change that finds no room. */
static bool write_some(struct store *store, uint64_t page, uint64_t version)
{
	for (unsigned int i = 0; i < 400; i++) {
		int err = write_pages(store, gen, page, STEP, version);

		if (!err)
			return true;
		if (err != -ENOSPC)
			return false;
		if (!give(store, 8u << 20))
			continue;
		if (!push_one(store))
			return false;
		wait_ms(10);
	}
	return false;
}

static void tell(struct store *store, const char *when)
{
	struct store_stats stats;

	store_stats(store, &stats);
	printf("# %s: log %llu KiB, unpushed %llu KiB, present %llu KiB, full %d\n", when, (unsigned long long)stats.log >> 10,
	       (unsigned long long)stats.unpushed >> 10, (unsigned long long)stats.present >> 10, stats.full);
}

static bool all_is(struct store *store, uint64_t pages, uint64_t version)
{
	bool good = true;

	for (uint64_t page = 0; page < pages; page++) {
		uint64_t got = read_page(store, page);

		good &= got == version || got == ABSENT;
	}
	return good;
}

static void check_rounds(const char *dir)
{
	struct store *store = open_store(dir, true, PAGES * PAGE);
	bool good = true;
	uint64_t page = 0, version = 2;

	for (uint64_t at = 0; at < PAGES; at += STEP)
		fill(store, at, 1);
	tell(store, "filled");
	for (unsigned int round = 0; round < 4 && good; round++, version++)
		for (page = 0; page < PAGES && good; page += STEP) {
			good = write_some(store, page, version);
			/* a program's fsync, now and then */
			if (page % (8 * STEP) == 0)
				gen++;
			if (page % (32 * STEP) == 0)
				good &= push_one(store);
		}
	tell(store, "written");
	tap_ok(good, "on a full disk it goes on as what was written is pushed (page %llu)", (unsigned long long)page);
	tap_ok(!noted_failed, "and what is pushed can be noted each time (%llu)", (unsigned long long)noted_failed);
	while (store_gen_oldest(store))
		push_one(store);
	tap_ok(all_is(store, PAGES, version - 1), "the newest bytes are there, or at the source");
	close_store(store);
}

/* Others take what room there is. */
static void eat(const char *dir, const char *name)
{
	static char data[PAGE];
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/../%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	while (write(fd, data, sizeof(data)) > 0)
		;
	close(fd);
}

static void check_restart(const char *dir)
{
	struct store *store = open_store(dir, true, PAGES * PAGE);
	bool good = true;

	noted_failed = 0;
	for (uint64_t page = 0; page < 512; page += STEP)
		good &= write_some(store, page, 50);
	eat(dir, "others");
	close_store(store);
	eat(dir, "others");
	store = open_store(dir, true, PAGES * PAGE);
	eat(dir, "others");
	tell(store, "opened on a full disk");
	good &= store_gen_oldest(store) && push_one(store);
	tap_ok(good && !noted_failed, "after a restart on a full disk what is pushed can be noted");
	good = true;
	for (uint64_t page = 0; page < 4096 && good; page += STEP)
		good = write_some(store, page, 51);
	tell(store, "written");
	tap_ok(good, "and it goes on with the room that it gives up");
	while (store_gen_oldest(store))
		push_one(store);
	remove_store(store);
}

int main(void)
{
	char *dir, *inner;
	char options[32];

	signal(SIGXFSZ, SIG_IGN);
	alarm(120);
	if (!may_mount()) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	dir = make_dir(true);
	snprintf(options, sizeof(options), "size=%u", ROOM_PAGES * PAGE);
	if (mount("none", dir, "tmpfs", 0, options) || loop_open(&loop, 0) || asprintf(&inner, "%s/store", dir) < 0)
		return 99;
	check_rounds(inner);
	check_restart(inner);
	umount2(dir, MNT_DETACH);
	loop_close(loop);
	drop_dir(dir);
	free(inner);
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* What a helper did not answer before its death is handed to the next one; no program sees an error. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(4 * MiB)

static struct env e;
static uint64_t id;
static char path[128];

struct held {
	enum app_what what;
	uint16_t op;
	uint64_t offset;
	uint64_t seed;
};

static const struct held held[] = {
	{ APP_READ, REGIONFS_OP_READ, 0, 1 },
	{ APP_MAP_READ, REGIONFS_OP_READ, 512 * KiB, 1 },
	{ APP_DIRECT_READ, REGIONFS_OP_READ, MiB, 1 },
	{ APP_DIRECT_WRITE, REGIONFS_OP_WRITE, 2 * MiB, 5 },
};

#define NR_HELD	(sizeof(held) / sizeof(held[0]))

/* Each kind of request is in the helper's hands when it dies. */
static void in_flight(void)
{
	uint32_t from = fh_mark(e.fh), again;
	pid_t pid[NR_HELD];

	fh_rule(e.fh, FH_ANY, id, 0, 0, FH_HOLD, 0, -1);
	is(app_run(path, APP_PUNCH, 3 * MiB, 64 * KiB, 0), 0, "a punch does not wait");
	ok(fh_wait(e.fh, from, REGIONFS_OP_DISCARD, id, 3 * MiB, 4096, FH_HELD, SOON) >= 0,
	   "its DISCARD is in the helper's hands");
	for (unsigned int i = 0; i < NR_HELD; i++) {
		pid[i] = app_start(path, held[i].what, held[i].offset, 4096, held[i].seed);
		if (!ok(fh_wait(e.fh, from, held[i].op, id, held[i].offset, 4096, FH_HELD, SOON) >= 0,
			"a %s is in the helper's hands", app_name(held[i].what)))
			tell_stack(pid[i]);
	}
	fh_kill(e.fh);
	fh_clear(e.fh);
	again = fh_mark(e.fh);
	for (unsigned int i = 0; i < NR_HELD; i++)
		ok(reap(pid[i], 0) == -ETIMEDOUT, "the %s outlives the helper", app_name(held[i].what));
	is(fh_start(e.fh), 0, "the next helper attaches");
	for (unsigned int i = 0; i < NR_HELD; i++) {
		long place = fh_wait(e.fh, again, held[i].op, id, held[i].offset, 4096, FH_ANSWERED,
				     SOON);

		ok(place >= 0, "it is given the %s", app_name(held[i].what));
		is(reap(pid[i], SOON), 0, "which ends well");
	}
	ok(fh_wait(e.fh, again, REGIONFS_OP_DISCARD, id, 3 * MiB, 4096, FH_ANSWERED, SOON) >= 0,
	   "it is given the DISCARD");
	is(app_run(path, APP_READ, 3 * MiB, 64 * KiB, 0), 0, "the hole reads zero");
	is(app_run(path, APP_READ, 2 * MiB, 4096, 5), 0, "the direct write is read");
}

/* It dies on its own at a WRITE, before or after doing it; the bytes arrive nevertheless. */
static void dies_at_write(enum fh_how how, uint64_t seed)
{
	pid_t writer, syncer;

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, how, 0, 1);
	writer = app_start(path, APP_WRITE, 64 * KiB, 256 * KiB, seed);
	wait_asleep(writer, 500);
	syncer = app_start(path, APP_FSYNC, 0, 0, 0);
	is(fh_wait_dead(e.fh, SOON), 0, "the helper dies at a WRITE");
	fh_clear(e.fh);
	is(fh_start(e.fh), 0, "the next one attaches");
	is(reap(syncer, SOON), 0, "fsync succeeds");
	is(reap(writer, SOON), 0, "so does the write");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "and fsync after it");
	drop_caches();
	is(app_run(path, APP_READ, 64 * KiB, 256 * KiB, seed), 0, "and all reads back");
}

/* Without a helper a read waits for what is not cached; it does not end short. */
static void partly_cached(void)
{
	int fd = env_path_fd(&e, "r", O_RDONLY);
	pid_t pid;

	must(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0);
	env_evict(fd);
	must(pread(fd, (char[4096]){ 0 }, 4096, MiB) == 4096);
	fh_kill(e.fh);
	pid = app_start(path, APP_READ, MiB, 64 * KiB, 1);
	ok(wait_asleep(pid, SOON), "a read of a range that is partly cached waits");
	is(fh_start(e.fh), 0, "the next one attaches");
	is(reap(pid, SOON), 0, "it gives all the bytes");
	close(fd);
}

/* A live mapping is written all the time; each round the helper dies. */
static void under_mapping(char *map, int fd)
{
	static char got[SIZE];
	bool good = true;

	for (int round = 0; round < 5; round++) {
		/* first the rule: the flusher may be faster than sync_file_range */
		fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_DIE, 0, 1);
		pattern_fill(map, SIZE / 2, 0, 100 + round);
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		good &= !fh_wait_dead(e.fh, SOON);
		fh_clear(e.fh);
		good &= pattern_check(map, SIZE / 2, 0, 100 + round) < 0;
		must(fh_start(e.fh) == 0);
	}
	ok(good, "each helper died, and the mapping was right all the time");
	is(msync(map, SIZE, MS_SYNC), 0, "msync succeeds");
	fh_pread(e.fh, id, got, SIZE / 2, 0);
	is(pattern_check(got, SIZE / 2, 0, 104), -1, "the last bytes are at the helper");
}

int main(void)
{
	char *map;
	int fd;

	tap_start(600);
	env_start(&e, "restart");
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	in_flight();
	dies_at_write(FH_DIE, 6);
	dies_at_write(FH_APPLY_DIE, 7);
	partly_cached();
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	under_mapping(map, fd);
	munmap(map, SIZE);
	close(fd);
	return tap_done();
}

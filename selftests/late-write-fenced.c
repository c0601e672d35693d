// SPDX-License-Identifier: GPL-2.0
/*
 * An older WRITE never lands after a newer one. A WRITE that was taken back keeps its range closed to the
 * same helper until it is answered; the next helper gets the newest bytes under a newer attach generation.
 */

#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128];
static int fd;

static void put(uint64_t offset, uint64_t seed)
{
	char buf[4096];

	pattern_fill(buf, sizeof(buf), offset, seed);
	must(pwrite(fd, buf, sizeof(buf), offset) == sizeof(buf));
}

static bool backing_is(uint64_t offset, uint64_t seed)
{
	char buf[4096];

	fh_pread(e.fh, id, buf, sizeof(buf), offset);
	return pattern_check(buf, sizeof(buf), offset, seed) < 0;
}

/* Writes v1 and gets it held in the helper. */
static long hold_write(uint64_t seed)
{
	uint32_t from = fh_mark(e.fh);
	long place;

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 4096, FH_HOLD, 0, 1);
	put(0, seed);
	sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE);
	place = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_HELD, SOON);
	if (place < 0)
		tap_bail("the WRITE did not reach the helper");
	return place;
}

static void same_helper(void)
{
	uint64_t late = env_stat(&e, id, REGIONFS_STAT_LATE_COMMITS);
	uint64_t taken = env_stat(&e, id, REGIONFS_STAT_TAKEN_BACK);
	long v1 = hold_write(1);
	uint32_t from = fh_mark(e.fh);
	pid_t pid;

	ok(pattern_check(fh_buf(e.fh, v1), 4096, 0, 1) < 0, "the helper holds v1");
	ok(env_wait_stat(&e, id, REGIONFS_STAT_TAKEN_BACK, taken + 1, SOON),
	   "the unanswered WRITE is taken back after the limit");
	put(0, 2);
	pid = app_start(path, APP_FSYNC, 0, 0, 0);
	put(256 * KiB, 3);
	sync_file_range(fd, 256 * KiB, 4096, SYNC_FILE_RANGE_WRITE);
	ok(fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 256 * KiB, 4096, FH_ANSWERED, SOON) >= 0,
	   "another range is still written");
	ok(wait_asleep(pid, SOON), "fsync waits");
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, NULL), 0,
	   "v2 is not handed to the helper that holds v1");
	is(fh_release(e.fh, v1, FH_APPLY, 0), 0, "v1 lands late");
	is(reap(pid, SOON), 0, "fsync succeeds then");
	ok(backing_is(0, 2), "the backend holds v2");
	ok(backing_is(256 * KiB, 3), "and the other range");
	is(env_stat(&e, id, REGIONFS_STAT_LATE_COMMITS), late + 1, "the late COMMIT was counted");
}

static void next_helper(void)
{
	long v1 = hold_write(11), v2;
	uint32_t from, old_gen = fh_at(e.fh, v1)->desc.attach_gen;

	fh_kill(e.fh);
	put(0, 12);
	from = fh_mark(e.fh);
	is(fh_start(e.fh), 0, "the next helper attaches");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "fsync succeeds");
	v2 = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_ANSWERED, SOON);
	ok(v2 >= 0, "the next helper was given the WRITE");
	ok(v2 >= 0 && fh_at(e.fh, v2)->desc.attach_gen > old_gen, "under a newer attach generation");
	ok(v2 >= 0 && fh_at(e.fh, v2)->desc.id > fh_at(e.fh, v1)->desc.id, "and a newer id");
	ok(backing_is(0, 12), "the backend holds the newest bytes");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "late-write");
	id = env_region(&e, "r", MiB);
	must(id);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	is(env_takeback(&e, 1000), 0, "the take-back limit can be set");
	same_helper();
	next_helper();
	close(fd);
	return tap_done();
}

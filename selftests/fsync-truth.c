// SPDX-License-Identifier: GPL-2.0
/*
 * fsync reports success only when the helper has answered every WRITE and SYNC: not for a WRITE that was
 * taken back, not after an error (told once to every open file). It is killable; sync(2) is bounded.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128];
static int fd, fd2;

static void put(uint64_t seed)
{
	char buf[4096];

	pattern_fill(buf, sizeof(buf), 0, seed);
	must(pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf));
}

static bool backing_is(uint64_t seed)
{
	char buf[4096];

	fh_pread(e.fh, id, buf, sizeof(buf), 0);
	return pattern_check(buf, sizeof(buf), 0, seed) < 0;
}

static int error_of(int ret)
{
	return ret ? errno : 0;
}

static void taken_back(enum app_what how)
{
	uint64_t taken = env_stat(&e, id, REGIONFS_STAT_TAKEN_BACK);
	uint32_t from = fh_mark(e.fh);
	pid_t pid, other;
	long place;
	int ret;

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, -1);
	put(2 + how);
	pid = app_start(path, how, 0, 0, 0);
	place = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_HELD, SOON);
	ok(place >= 0, "%s: the WRITE is held", app_name(how));
	ok(env_wait_stat(&e, id, REGIONFS_STAT_TAKEN_BACK, taken + 1, SOON), "and taken back");
	other = app_start(path, how, 0, 0, 0);
	ok(wait_asleep(pid, SOON) && wait_asleep(other, SOON), "%s waits on", app_name(how));
	ok(kill_in_time(other, SOON), "%s dies by kill -9", app_name(how));
	fh_clear(e.fh);
	fh_release_all(e.fh);
	ret = reap(pid, SOON);
	ok(ret == 0 || (how == APP_SYNCFS && ret == EIO), "%s succeeds when it is answered",
	   app_name(how));
	ok(backing_is(2 + how), "and the bytes are there");
}

static void write_error(int error)
{
	uint32_t from = fh_mark(e.fh);

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_ERROR, -error, 1);
	put(20 + error);
	is(error_of(fsync(fd)), error, "a failed WRITE: fsync says %s", strerror(error));
	is(error_of(fsync(fd2)), error, "the other open file is told too");
	is(error_of(fsync(fd)), 0, "the next fsync writes it again and succeeds");
	is(error_of(fsync(fd2)), 0, "for the other one as well");
	ok(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, NULL) >= 2, "it was sent twice");
	ok(backing_is(20 + error), "and the bytes are there");
	fh_clear(e.fh);
}

static void sync_request(void)
{
	uint32_t from = fh_mark(e.fh);
	long w, s;

	put(9);
	is(error_of(fsync(fd)), 0, "fsync");
	w = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_ANSWERED, SOON);
	s = fh_wait(e.fh, from, REGIONFS_OP_SYNC, id, 0, 0, FH_ANSWERED, SOON);
	ok(w >= 0 && s > w, "SYNC follows the WRITE");
	fh_rule(e.fh, REGIONFS_OP_SYNC, id, 0, 0, FH_ERROR, -EIO, 1);
	put(10);
	is(error_of(fsync(fd)), EIO, "a failed SYNC: fsync says so");
	is(error_of(fsync(fd)), 0, "and the next one succeeds");
	fsync(fd2);
	fh_clear(e.fh);
}

static void no_helper(void)
{
	pid_t pid, other;

	fh_kill(e.fh);
	put(11);
	pid = app_start(path, APP_FSYNC, 0, 0, 0);
	other = app_start(path, APP_FSYNC, 0, 0, 0);
	ok(wait_asleep(pid, SOON) && wait_asleep(other, SOON), "with no helper fsync waits");
	ok(kill_in_time(other, SOON), "and dies by kill -9");
	must(fh_start(e.fh) == 0);
	is(reap(pid, SOON), 0, "it succeeds with the next helper");
	ok(backing_is(11), "and the bytes are there");
}

static int do_sync(void *arg)
{
	sync();
	return 0;
}

static void bounded_sync(void)
{
	int before = error_of(fsync(fd));

	fh_rule(e.fh, FH_ANY, id, 0, 0, FH_HOLD, 0, -1);
	put(12);
	is(reap(spawn(do_sync, NULL), 2 * SOON), 0, "sync(2) ends though the helper hangs");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(error_of(fsync(fd)), EIO, "fsync tells once that sync(2) gave up");
	is(before ?: error_of(fsync(fd)), 0, "then succeeds");
	ok(backing_is(12), "and the bytes are there");
}

int main(void)
{
	tap_start(600);
	env_start(&e, "fsync");
	id = env_region(&e, "r", MiB);
	must(id && env_takeback(&e, 1000) == 0);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	fd2 = env_path_fd(&e, "r", O_RDWR);
	taken_back(APP_FSYNC);
	taken_back(APP_MSYNC);
	taken_back(APP_SYNCFS);
	write_error(EIO);
	write_error(ENOSPC);
	sync_request();
	no_helper();
	bounded_sync();
	close(fd);
	close(fd2);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * LOCAL: the kernel reads a region's file itself, and asks the helper again where something that changes the
 * bytes is on its way, and when the helper's word has ended.
 */
#include "lib/app.h"
#include "lib/env.h"

#define CHUNK	(64 * KiB)
#define SIZE	(4 * MiB)

static struct env e;
static uint64_t id;
static char path[128];
static int fd;

static unsigned int reads_since(uint32_t from)
{
	return fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, NULL);
}

/* Whether a cold read of a chunk, which must give the pattern of seed, came to the helper. */
static bool asked(uint64_t at, uint64_t seed)
{
	uint32_t from = fh_mark(e.fh);

	env_evict(fd);
	is(app_run(path, APP_READ, at, CHUNK, seed), 0, "the bytes at %llu are right", (unsigned long long)at);
	return reads_since(from) > 0;
}

static void put(uint64_t at, uint64_t seed)
{
	static char buf[CHUNK];

	pattern_fill(buf, CHUNK, at, seed);
	must(pwrite(fd, buf, CHUNK, at) == CHUNK);
}

static void served(void)
{
	uint32_t from = fh_mark(e.fh);
	uint64_t before = env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES);

	is(fh_local(e.fh, id, 1, NULL), 0, "LOCAL is taken");
	is(app_run(path, APP_READ, 0, SIZE, 1), 0, "a cold read gives the file's bytes");
	env_evict(fd);
	is(app_run(path, APP_MAP_READ, 0, SIZE, 1), 0, "so does a cold mapping");
	is(reads_since(from), 0, "and the helper was not asked");
	ok(env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES) >= before + 2 * SIZE, "the bytes are counted");
	put(CHUNK, 2);
	must(fsync(fd) == 0);
	ok(!asked(CHUNK, 2), "what was written and evicted is read from the file");
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * CHUNK, CHUNK) == 0);
	must(fsync(fd) == 0);
	ok(!asked(2 * CHUNK, 0), "so is a hole");
}

/* Something that changes the range is held; a reader must wait for it, not take the file's bytes. */
static void waits(int op, uint64_t at, pid_t changer, uint64_t seed, const char *what)
{
	long held = fh_wait(e.fh, 0, op, id, at, CHUNK, FH_HELD, SOON);
	pid_t reader;

	ok(held >= 0, "%s is held", what);
	env_evict(fd);
	reader = app_start(path, APP_READ, at, CHUNK, seed);
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, 2, SOON), "a reader asks the helper, behind it");
	fh_clear(e.fh);
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	is(reap(reader, SOON), 0, "and reads what %s has left", what);
	if (changer)
		is(reap(changer, SOON), 0, "which ends well");
}

static void ordered(void)
{
	uint64_t at = 8 * CHUNK;

	fh_rule(e.fh, REGIONFS_OP_DISCARD, id, 0, 0, FH_HOLD, 0, 1);
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, CHUNK) == 0);
	waits(REGIONFS_OP_DISCARD, at, 0, 0, "a punch");
	at += CHUNK;
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, 1);
	waits(REGIONFS_OP_WRITE, at, app_start(path, APP_DIRECT_WRITE, at, CHUNK, 4), 4, "an O_DIRECT write");
}

static void resized(void)
{
	must(ftruncate(fd, 16 * CHUNK) == 0 && ftruncate(fd, SIZE) == 0);
	must(fsync(fd) == 0);
	ok(!asked(20 * CHUNK, 0), "what a truncate has taken away reads zero");
	must(ftruncate(fd, SIZE + 10 * CHUNK) == 0);
	must(fsync(fd) == 0);
	ok(!asked(SIZE + CHUNK, 0), "so do bytes past the old end");
	must(truncate(env_path(&e, "r"), SIZE + 10 * CHUNK - 100) == 0);
}

static void refused(void)
{
	is(fh_local(e.fh, id, 1, "/dev/shm"), -EBADF, "a directory is refused");
	is(fh_local(e.fh, id, 1, "/proc/version"), -EOPNOTSUPP, "so is a file that is not on a tmpfs");
	is(fh_local(e.fh, id, 1, path), -EOPNOTSUPP, "so is a region");
	is(fh_local(e.fh, id, 7, NULL), -ESTALE, "and another epoch");
	is(fh_local(e.fh, id + 100, 1, NULL), -ENOENT, "and an unknown region");
	ok(!asked(0, 1), "what was said before holds");
}

static void ended(void)
{
	is(fh_local(e.fh, id, 1, ""), 0, "LOCAL can be taken back");
	ok(asked(0, 1), "the helper is asked again");
	must(fh_local(e.fh, id, 1, NULL) == 0);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_str(&e.q, REGIONFS_A_SOURCE, "elsewhere:");
	is(env_call(&e), 0, "another source");
	ok(asked(0, 1), "the helper is asked again");
	must(fh_local(e.fh, id, 1, NULL) == 0);
	fh_kill(e.fh);
	must(fh_start(e.fh) == 0);
	ok(asked(0, 1), "a new helper is asked again");
	is(fh_local(e.fh, id, 1, NULL), 0, "until it says where the bytes are");
	ok(!asked(0, 1), "and not after that");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "local");
	id = env_filled(&e, "r", SIZE, 1);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 1);
	is(env_call(&e), 0, "the epoch can be set");
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	served();
	ordered();
	resized();
	refused();
	ended();
	close(fd);
	return tap_done();
}

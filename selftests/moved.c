// SPDX-License-Identifier: GPL-2.0
/* After MOVED with a newer epoch the old side can neither write nor serve bytes; late dirty ones are counted. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128];
static char *map;
static int fd;

static void load(void *arg)
{
	(void)*(volatile char *)arg;
}

static void store(void *arg)
{
	*(volatile char *)arg = 1;
}

static int moved(uint64_t epoch)
{
	env_ask(&e, REGIONFS_CMD_MOVED, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, epoch);
	return env_call(&e);
}

static void gone(void)
{
	char byte;

	is(pread(fd, &byte, 1, 0) < 0 ? errno : 0, ESTALE, "read of an open file");
	is(pwrite(fd, "x", 1, 0) < 0 ? errno : 0, ESTALE, "write");
	is(fsync(fd) ? errno : 0, ESTALE, "fsync");
	ok(gets_sigbus(load, map), "a load gets SIGBUS, though the page was cached");
	ok(gets_sigbus(store, map + 4096), "a store gets SIGBUS");
}

int main(void)
{
	uint32_t from;
	pid_t reader;

	tap_start(300);
	env_start(&e, "moved");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 3);
	is(env_call(&e), 0, "the epoch is 3");
	load(map);
	is(app_run(path, APP_WRITE, 64 * KiB, 8192, 2), 0, "two pages are dirty");
	is(env_stat(&e, id, REGIONFS_STAT_DIRTY_BYTES), 8192, "and counted");
	is(moved(3), -EINVAL, "MOVED with the same epoch is refused");
	ok(e.nl.message[0], "with a reason: %s", e.nl.message);
	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_HOLD, 0, -1);
	from = fh_mark(e.fh);
	reader = app_start(path, APP_READ, 512 * KiB, 4096, 1);
	must(fh_wait(e.fh, from, REGIONFS_OP_READ, id, 512 * KiB, 4096, FH_HELD, SOON) >= 0);
	is(moved(4), 0, "MOVED with a newer one");
	is(nlr_u64(&e.r, REGIONFS_A_COUNT), 8192, "it counts the late dirty bytes");
	is(reap(reader, SOON), ESTALE, "a reader that was waiting is told");
	fh_clear(e.fh);
	from = fh_mark(e.fh);
	gone();
	fh_release_all(e.fh);
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, NULL), 0, "nothing is written any more");
	munmap(map, MiB);
	close(fd);
	return tap_done();
}

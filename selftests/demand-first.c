// SPDX-License-Identifier: GPL-2.0
/* A READ that a program waits for is handed over before write-back that was queued earlier. */
#include "lib/app.h"
#include "lib/env.h"

#define WRITES	(FH_DEPTH + 20)

static struct env e;

int main(void)
{
	char path[128];
	uint32_t from;
	uint64_t id;
	pid_t reader;
	long place;
	int fd;

	tap_start(120);
	env_start(&e, "demand");
	must(env_takeback(&e, 600000) == 0);
	id = env_region(&e, "r", 2 * WRITES * MiB);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, FH_DEPTH);
	for (int i = 0; i < WRITES; i++)
		is(app_run(path, APP_WRITE, i * MiB, 4096, 1), 0, "write %d", i + 1);
	must(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) == 0);
	ok(fh_wait(e.fh, 0, REGIONFS_OP_WRITE, id, (FH_DEPTH - 1) * MiB, 4096, FH_HELD, SOON) >= 0,
	   "the helper holds as many WRITEs as it can");
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, WRITES, SOON), "more are queued");
	reader = app_start(path, APP_READ, WRITES * MiB, 4096, 0);
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, WRITES + 1, SOON), "a READ comes behind them");
	from = fh_mark(e.fh);
	place = fh_wait(e.fh, 0, REGIONFS_OP_WRITE, id, 0, 4096, FH_HELD, SOON);
	must(place >= 0 && fh_release(e.fh, place, FH_APPLY, 0) == 0);
	place = fh_wait(e.fh, from, FH_ANY, id, 0, 0, FH_TAKEN, SOON);
	ok(place >= 0 && fh_at(e.fh, place)->desc.op == REGIONFS_OP_READ, "and is the next that is handed over");
	is(reap(reader, SOON), 0, "its reader goes on, with WRITEs still held");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "all are written in the end");
	close(fd);
	return tap_done();
}

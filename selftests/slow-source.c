// SPDX-License-Identifier: GPL-2.0
/*
 * A source whose WRITEs take longer than the take-back limit: once one of them was answered late the next have the time that they
 * need, so that fsync ends. Without, the same bytes are taken back and written again for ever.
 */
#include "lib/app.h"
#include "lib/env.h"

#define LIMIT	200	/* ms */
#define SLOW	2000

static struct env e;

int main(void)
{
	char path[128];
	uint64_t id, late;
	long long begun;
	uint32_t from;
	pid_t fsync_;
	long held;

	tap_start(120);
	env_start(&e, "slow");
	must(env_takeback(&e, LIMIT) == 0);
	id = env_filled(&e, "r", 64 * KiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, -1);
	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "a write");
	fsync_ = app_start(path, APP_FSYNC, 0, 0, 0);
	begun = now_ms();
	held = fh_wait(e.fh, 0, REGIONFS_OP_WRITE, id, 0, 4096, FH_HELD, SOON);
	ok(held >= 0, "its WRITE is held");
	ok(env_wait_stat(&e, id, REGIONFS_STAT_TAKEN_BACK, 1, SOON), "and taken back");
	while (now_ms() < begun + SLOW)	/* the source is that slow */
		usleep(10000);
	late = env_stat(&e, id, REGIONFS_STAT_LATE_COMMITS);
	from = fh_mark(e.fh);
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	held = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, FH_HELD, SOON);
	ok(held >= 0, "it is sent again, and held again");
	is(env_stat(&e, id, REGIONFS_STAT_LATE_COMMITS), late + 1, "the first answer came late");
	begun = now_ms();
	while (now_ms() < begun + SLOW)
		usleep(10000);
	fh_clear(e.fh);
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	is(reap(fsync_, SOON), 0, "fsync ends");
	is(env_stat(&e, id, REGIONFS_STAT_LATE_COMMITS), late + 1, "the second answer was not late");
	is(fh_seen(e.fh, 0, REGIONFS_OP_WRITE, id, 0, 4096, NULL), 2, "two WRITEs were enough");
	return tap_done();
}

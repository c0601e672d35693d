// SPDX-License-Identifier: GPL-2.0
/*
 * A SYNC that is on its way has made nothing durable yet: freeze, which comes while another's is unanswered, must not
 * take it for done.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

/* The region's own time-out makes an unanswered SYNC an I/O error, as it does with every other access. */
static void timed_out(uint64_t id, const char *path)
{
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u32(&e.q, REGIONFS_A_TIMEOUT, 500);
	must(env_call(&e) == 0);
	fh_rule(e.fh, REGIONFS_OP_SYNC, id, 0, 0, FH_HOLD, 0, -1);
	is(app_run(path, APP_FSYNC, 0, 0, 0), EIO, "past the region's time-out, fsync is an I/O error");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "the next one is good");
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u32(&e.q, REGIONFS_A_TIMEOUT, 0);
	must(env_call(&e) == 0);
}

/* A freeze that was undone before it was done does not say that the region is frozen. */
static void undone(uint64_t id, const char *path)
{
	uint32_t from = fh_mark(e.fh), seq;

	is(app_run(path, APP_WRITE, 0, 4096, 3), 0, "a write");
	fh_rule(e.fh, REGIONFS_OP_SYNC, id, 0, 0, FH_HOLD, 0, -1);
	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	is(env_call(&e), 0, "a freeze begins");
	seq = e.nl.seq;
	ok(fh_wait(e.fh, from, REGIONFS_OP_SYNC, id, 0, 0, FH_HELD, SOON) >= 0, "and waits for its SYNC");
	is(env_simple(&e, REGIONFS_CMD_THAW, id), 0, "the region is thawed");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(nl_done(&e.nl, seq, &e.r, SOON), -ECANCELED, "the freeze says that it was undone");
	is(app_run(path, APP_WRITE, 0, 4096, 4), 0, "and the region can be written");
}

int main(void)
{
	char path[128];
	uint64_t id;
	pid_t fsync_;

	tap_start(120);
	env_start(&e, "syncout");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", 64 * KiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "a write");
	fh_rule(e.fh, REGIONFS_OP_SYNC, id, 0, 0, FH_HOLD, 0, -1);
	fsync_ = app_start(path, APP_FSYNC, 0, 0, 0);
	ok(fh_wait(e.fh, 0, REGIONFS_OP_SYNC, id, 0, 0, FH_HELD, SOON) >= 0, "its SYNC is held");
	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 1000);
	is(env_call_long(&e), -EBUSY, "freeze does not succeed before its deadline");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(reap(fsync_, SOON), 0, "fsync ends when the SYNC is answered");
	is(env_long(&e, REGIONFS_CMD_FREEZE, id), 0, "and freeze succeeds");
	must(env_simple(&e, REGIONFS_CMD_THAW, id) == 0);
	timed_out(id, path);
	undone(id, path);
	return tap_done();
}

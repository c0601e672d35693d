// SPDX-License-Identifier: GPL-2.0
/*
 * A SYNC that is on its way has made nothing durable yet: freeze, which comes while another's is unanswered, must not
 * take it for done.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

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
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/* An answer with a wrong cookie is -ESTALE, and the tag keeps what it holds. COMMIT leaves the tag idle. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

int main(void)
{
	char path[128];
	uint64_t id;
	uint32_t from;
	long place;
	pid_t pid;

	tap_start(300);
	env_start(&e, "cookie");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	from = fh_mark(e.fh);
	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 4096, FH_HOLD, 0, 1);
	pid = app_start(path, APP_READ, 0, 4096, 1);
	place = fh_wait(e.fh, from, REGIONFS_OP_READ, id, 0, 4096, FH_HELD, SOON);
	must(place >= 0);
	is(fh_release(e.fh, place, FH_BAD_COOKIE, 0), -ESTALE, "a wrong cookie is refused");
	is(fh_release(e.fh, place, FH_BAD_COOKIE, 0), -ESTALE, "again");
	ok(wait_asleep(pid, SOON), "the reader waits on");
	is(fh_release(e.fh, place, FH_COMMIT, 0), 0, "COMMIT with the right one completes at once");
	is(reap(pid, SOON), 0, "the reader gets its bytes");
	from = fh_mark(e.fh);
	is(app_run(path, APP_READ, 512 * KiB, 4096, 1), 0, "the helper serves on");
	return tap_done();
}

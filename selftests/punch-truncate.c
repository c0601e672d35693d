// SPDX-License-Identifier: GPL-2.0
/*
 * A punch that has to bring in a page whose edge it zeroes does so without locks; when the file was truncated meanwhile it
 * must not make it grow again.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

int main(void)
{
	uint64_t id, at = 256 * KiB;
	char path[128];
	struct stat st;
	pid_t punch;
	long held;

	tap_start(120);
	env_start(&e, "punchtrunc");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fh_rule(e.fh, REGIONFS_OP_READ, id, at, 4096, FH_HOLD, 0, 1);
	punch = app_start(path, APP_PUNCH, at + 100, 4096, 0);
	held = fh_wait(e.fh, 0, REGIONFS_OP_READ, id, at, 4096, FH_HELD, SOON);
	ok(held >= 0, "the punch brings in the page at its edge");
	is(app_run(path, APP_TRUNCATE, 4096, 0, 0), 0, "meanwhile the file is truncated");
	fh_clear(e.fh);
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	is(reap(punch, SOON), 0, "the punch ends well");
	must(stat(path, &st) == 0);
	is(st.st_size, 4096, "and the file is as short as it was made");
	is(app_run(path, APP_READ, 0, 4096, 1), 0, "with its bytes");
	return tap_done();
}

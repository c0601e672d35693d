// SPDX-License-Identifier: GPL-2.0
/* A RESIZE that fails again and again is tried no more when the region is gone: its DESTROY comes. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	65536

static struct env e;

int main(void)
{
	char path[128];
	uint32_t from;
	uint64_t id;

	tap_start(120);
	env_start(&e, "behind");
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	from = fh_mark(e.fh);
	fh_rule(e.fh, REGIONFS_OP_RESIZE, id, 0, 0, FH_ERROR, -EIO, -1);
	is(app_run(path, APP_TRUNCATE, 100, 0, 0), 0, "it is truncated");
	for (int i = 0; i < 2; i++) {
		long place = fh_wait(e.fh, from, REGIONFS_OP_RESIZE, id, 0, 0, FH_ANSWERED, SOON);

		ok(place >= 0, "the RESIZE fails%s", i ? " again" : "");
		from = place + 1;
	}
	is(unlink(path), 0, "it is removed");
	ok(fh_wait(e.fh, from, REGIONFS_OP_DESTROY, id, 0, 0, FH_ANSWERED, SOON) >= 0, "and destroyed");
	return tap_done();
}

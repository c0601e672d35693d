// SPDX-License-Identifier: GPL-2.0
/* A helper that touches a region of its own instance gets EDEADLK or SIGBUS, not a deadlock. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

int main(void)
{
	char path[128];
	long ret;

	tap_start(300);
	env_start(&e, "self");
	must(env_filled(&e, "r", MiB, 1));
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	is(fh_touch(e.fh, path, 'r'), -EDEADLK, "read");
	ret = fh_touch(e.fh, path, 'w');
	is(ret, -EDEADLK, "write");
	is(fh_touch(e.fh, path, 'm'), -EFAULT, "a load gets SIGBUS");
	is(app_run(path, APP_WRITE, 8192, 4096, 2), 0, "another process makes it dirty");
	is(fh_touch(e.fh, path, 'f'), -EDEADLK, "fsync");
	is(app_run(path, APP_READ, 0, 4096, 1), 0, "the helper still serves");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "and writes");
	return tap_done();
}

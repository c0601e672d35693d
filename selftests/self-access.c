// SPDX-License-Identifier: GPL-2.0
/* A helper that touches a region of its own instance gets EDEADLK or SIGBUS, not a deadlock. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static char path[128];

/* A helper that waits for itself is replaced, so that the next access is tried as well. */
static void refused(char what, int error, const char *name)
{
	long ret = fh_touch(e.fh, path, what);

	is(ret, error, "%s", name);
	if (ret != -ETIMEDOUT)
		return;
	tell_stack(e.fh->pid);
	fh_kill(e.fh);
	must(fh_start(e.fh) == 0);
}

int main(void)
{
	uint64_t id;

	tap_start(300);
	env_start(&e, "self");
	id = env_filled(&e, "r", MiB, 1);
	must(id);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	refused('r', -EDEADLK, "read");
	refused('w', -EDEADLK, "write");
	refused('m', -EFAULT, "a load gets SIGBUS");
	is(app_run(path, APP_WRITE, 8192, 4096, 2), 0, "another process makes it dirty");
	refused('f', -EDEADLK, "fsync");
	is(app_run(path, APP_READ, 0, 4096, 1), 0, "its first page is in memory");
	must(env_long(&e, REGIONFS_CMD_FREEZE, id) == 0);
	refused('s', -EFAULT, "a store while the region is frozen gets SIGBUS");
	must(env_simple(&e, REGIONFS_CMD_THAW, id) == 0);
	is(app_run(path, APP_READ, 0, 4096, 1), 0, "the helper still serves");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "and writes");
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/* What ends a write rate, or the wait for a turn: the helper's end, unlink, --read-only, a move, and the end of the instance. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static char path[128];

/* A new region, whose next writer waits. */
static uint64_t slowed(const char *name)
{
	uint64_t id = env_filled(&e, name, MiB, 1);

	snprintf(path, sizeof(path), "%s", env_path(&e, name));
	env_ask(&e, REGIONFS_CMD_WRITE_RATE, id);
	nlq_u64(&e.q, REGIONFS_A_WRITE_RATE, 1);
	must(env_call(&e) == 0);
	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "%s: the first write goes on", name);
	return id;
}

static pid_t waiter(enum app_what what)
{
	pid_t pid = app_start_any(path, what, 64 * KiB, 4096);

	ok(wait_asleep(pid, SOON), "a %s waits", app_name(what));
	return pid;
}

static bool shown(uint64_t id)
{
	must(env_simple(&e, REGIONFS_CMD_REGION_GET, id) == 0);
	return e.r.a[REGIONFS_A_WRITE_RATE] != NULL;
}

static void helper(void)
{
	uint64_t id = slowed("helper");
	pid_t pid = waiter(APP_WRITE), store = waiter(APP_MAP_WRITE), direct = waiter(APP_DIRECT_WRITE);

	ok(shown(id), "the rate is shown");
	fh_kill(e.fh);
	is(reap(pid, SOON), 0, "the helper is gone: the write goes on");
	ok(!shown(id), "and there is no rate");
	must(fh_start(e.fh) == 0);
	is(reap(store, SOON), 0, "with the next one, the store goes on");
	is(reap(direct, SOON), 0, "and the direct write");
	ok(!shown(id), "whose limit it is not");
	is(app_run(path, APP_WRITE, 128 * KiB, 64 * KiB, 3), 0, "nor is any other write slowed");
}

static void gone(void)
{
	uint64_t id = slowed("unlinked");
	pid_t pid = waiter(APP_WRITE), store = waiter(APP_MAP_WRITE);

	must(unlink(path) == 0);
	is(reap(pid, SOON), 0, "unlinked: the write goes on");
	is(reap(store, SOON), 0, "and the store");
	id = slowed("read-only");
	pid = waiter(APP_WRITE);
	store = waiter(APP_MAP_WRITE);
	must(env_flags(&e, id, REGIONFS_REGION_READ_ONLY, REGIONFS_REGION_READ_ONLY) == 0);
	is(reap(pid, SOON), EROFS, "read-only: the write ends");
	is(reap(store, SOON), APP_SIGBUS, "and the store");
	id = slowed("moved");
	pid = waiter(APP_WRITE);
	store = waiter(APP_MAP_WRITE);
	env_ask(&e, REGIONFS_CMD_MOVED, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 9);
	is(env_call_long(&e), 0, "MOVED");
	is(reap(pid, SOON), ESTALE, "moved: the write ends");
	is(reap(store, SOON), APP_SIGBUS, "and the store");
}

int main(void)
{
	tap_start(600);
	env_start(&e, "ends");
	helper();
	gone();
	return tap_done();
}

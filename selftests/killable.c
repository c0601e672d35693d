// SPDX-License-Identifier: GPL-2.0
/* Whatever waits for an absent or a hung helper dies by kill -9; with requests outstanding unmount returns at once. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static char path[128], program[128];

static const enum app_what waits[] = {
	APP_READ, APP_MAP_READ, APP_MAP_WRITE, APP_DIRECT_READ, APP_DIRECT_WRITE, APP_SENDFILE,
	APP_EXEC, APP_FSYNC, APP_MSYNC,
};

#define NR_WAITS	(sizeof(waits) / sizeof(waits[0]))

/* Each waits at a place of its own. */
static void all_die(const char *when)
{
	pid_t pid[NR_WAITS], edge;

	for (unsigned int i = 0; i < NR_WAITS; i++)
		pid[i] = app_start_any(waits[i] == APP_EXEC ? program : path, waits[i],
				       (i + 1) * 4 * MiB, 8192);
	edge = app_start(path, APP_WRITE, 60 * MiB + 10, 100, 1);
	for (unsigned int i = 0; i < NR_WAITS; i++)
		ok(wait_asleep(pid[i], SOON), "%s: %s waits", when, app_name(waits[i]));
	ok(wait_asleep(edge, SOON), "%s: a write to a part of a page waits", when);
	for (unsigned int i = 0; i < NR_WAITS; i++)
		ok(kill_in_time(pid[i], SOON), "%s: %s dies", when, app_name(waits[i]));
	ok(kill_in_time(edge, SOON), "%s: the partial write dies", when);
}

static void make_dirty(uint64_t seed)
{
	is(app_run(path, APP_WRITE, 0, 4096, seed), 0, "a write of a whole page does not wait");
}

static int do_umount(void *arg)
{
	return env_umount(&e) ? 1 : 0;
}

/* STOP must come to its end whatever is outstanding. */
static void teardown(void)
{
	pid_t pid = app_start_any(path, APP_READ, 48 * MiB, 4096);
	long long start;

	ok(wait_asleep(pid, SOON), "one more reader waits");
	ok(kill_in_time(pid, SOON), "and dies");
	is(reap(spawn(do_umount, NULL), SOON), 0, "unmount returns with requests outstanding");
	e.mounted = false;
	fh_kill(e.fh);
	env_ask(&e, REGIONFS_CMD_INSTANCE_STOP, 0);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 500);
	if (!is(env_call_long(&e), -EBUSY, "stop refuses to lose dirty bytes"))
		return;
	start = now_ms();
	env_ask(&e, REGIONFS_CMD_INSTANCE_STOP, 0);
	nlq_flag(&e.q, REGIONFS_A_DISCARD);
	if (is(env_call_long(&e), 0, "stop with discard ends"))
		e.up = false;
	ok(nlr_u64(&e.r, REGIONFS_A_COUNT) > 0, "and says what it dropped");
	ok(now_ms() - start < SOON, "in time");
}

int main(void)
{
	int fd;

	tap_start(600);
	env_start_bare(&e, "killable");
	must(env_filled(&e, "r", 64 * MiB, 1));
	must(env_filled(&e, "x", 64 * KiB, 1));
	snprintf(program, sizeof(program), "%s", env_path(&e, "x"));
	must(chmod(program, 0755) == 0);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	make_dirty(1);
	all_die("no helper");
	must(fh_start(e.fh) == 0);
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "a helper comes, and all is well");
	fd = env_path_fd(&e, "r", O_RDONLY);
	env_evict(fd);
	close(fd);
	fh_rule(e.fh, FH_ANY, 0, 0, 0, FH_HOLD, 0, -1);
	make_dirty(2);
	all_die("hung helper");
	teardown();
	return tap_done();
}

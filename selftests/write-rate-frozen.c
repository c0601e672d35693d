// SPDX-License-Identifier: GPL-2.0
/*
 * A store that is next in line and cannot run, since a freezer (cgroup v1) has stopped it where it waits, holds up nobody else; when
 * it runs again it has its turn.
 */
#include <sys/mount.h>

#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static char path[128], group[128], file[192];

static void rate(uint64_t id, uint64_t bytes)
{
	env_ask(&e, REGIONFS_CMD_WRITE_RATE, id);
	nlq_u64(&e.q, REGIONFS_A_WRITE_RATE, bytes);
	must(env_call(&e) == 0);
}

static const char *in_group(const char *name)
{
	snprintf(file, sizeof(file), "%s/%s", group, name);
	return file;
}

static bool is_frozen(void *arg)
{
	char line[32] = "";
	int fd = open(in_group("freezer.state"), O_RDONLY);

	must(fd >= 0 && read(fd, line, sizeof(line) - 1) >= 0);
	close(fd);
	return !strcmp(line, "FROZEN\n");
}

static pid_t frozen(uint64_t at)
{
	pid_t pid = app_start_any(path, APP_MAP_WRITE, at, 4096);
	char text[16];

	ok(wait_asleep(pid, SOON), "a store waits");
	snprintf(text, sizeof(text), "%d", pid);
	must(write_file(in_group("cgroup.procs"), text) == 0);
	return pid;
}

static void run(void)
{
	uint64_t id = env_filled(&e, "r", MiB, 1);
	pid_t first, second, third;

	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	rate(id, 2048);		/* a page takes two seconds */
	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "the first write goes on");
	first = frozen(64 * KiB);
	second = frozen(128 * KiB);
	must(write_file(in_group("freezer.state"), "FROZEN") == 0);
	ok(wait_until(is_frozen, NULL, SOON), "they are frozen");
	third = app_start(path, APP_WRITE, 192 * KiB, 4096, 2);
	is(reap(third, SOON), 0, "the write behind them has its turn");
	is(app_run(path, APP_WRITE, 256 * KiB, 4096, 2), 0, "and so has one more");
	must(write_file(in_group("freezer.state"), "THAWED") == 0);
	is(reap(first, SOON), 0, "thawed, the first has it, too");
	is(reap(second, SOON), 0, "and the second");
}

int main(void)
{
	char root[64] = "/tmp/regionfs-freezer-XXXXXX";

	tap_start(120);
	must(mkdtemp(root) != NULL);
	if (mount("none", root, "cgroup", 0, "freezer"))
		tap_skip_all("no freezer of cgroup v1");
	snprintf(group, sizeof(group), "%s/regionfs", root);
	env_start(&e, "frozen");
	must(mkdir(group, 0755) == 0);
	run();
	rmdir(group);
	umount(root);
	rmdir(root);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * While syncfs(2) waits for a helper, the file system can be mounted, remounted and unmounted, and sync(2) ends: syncfs(2) has the superblock's lock from the
 * VFS, and who waits for that can't be killed.
 */
#include <sys/mount.h>
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static char dir[64];

static int do_mount(void *arg)
{
	return mount(e.name, dir, "regionfs", 0, NULL) ? errno : 0;
}

static int do_remount(void *arg)
{
	return mount(NULL, dir, NULL, MS_REMOUNT | MS_NOATIME, NULL) ? errno : 0;
}

static int do_umount(void *arg)
{
	return umount(dir) ? errno : 0;
}

static int do_sync(void *arg)
{
	sync();
	return 0;
}

static void ends(int (*fn)(void *arg), const char *what)
{
	is(reap(spawn(fn, NULL), SOON), 0, "%s", what);
}

int main(void)
{
	char path[128];
	pid_t pid, other;

	tap_start(300);
	env_start_bare(&e, "syncm");
	must(env_takeback(&e, 1000) == 0 && env_filled(&e, "r", MiB, 1));
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	snprintf(dir, sizeof(dir), "/tmp/regionfs-XXXXXX");
	must(mkdtemp(dir) && app_run(path, APP_WRITE, 0, 4096, 1) == 0);
	pid = app_start(path, APP_SYNCFS, 0, 0, 0);
	other = app_start(path, APP_SYNCFS, 0, 0, 0);
	ok(wait_asleep(pid, SOON), "syncfs waits for a helper");
	ends(do_mount, "it can be mounted");
	ends(do_remount, "and remounted");
	ends(do_sync, "sync ends");
	ends(do_umount, "it can be unmounted");
	ok(kill_in_time(other, SOON), "a syncfs dies");
	ok(wait_asleep(pid, SOON), "the other one waits on");
	must(fh_start(e.fh) == 0);
	is(reap(pid, SOON), EIO, "and ends when there is a helper, with the error of the sync that had given up");
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return tap_done();
}

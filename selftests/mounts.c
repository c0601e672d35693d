// SPDX-License-Identifier: GPL-2.0
/* Two mounts of one name share an instance; different names are separate worlds; an instance outlives its mounts. */
#include <sys/mount.h>

#include "lib/app.h"
#include "lib/env.h"

static struct env a, b;
static char second[64];

static void unmount_second(void)
{
	if (getpid() == a.owner) {
		umount2(second, MNT_DETACH);
		rmdir(second);
	}
}

static void shared(void)
{
	char path[128];

	snprintf(second, sizeof(second), "/tmp/second-XXXXXX");
	must(mkdtemp(second));
	atexit(unmount_second);
	is(mount(a.name, second, "regionfs", 0, NULL), 0, "a second mount of the name");
	snprintf(path, sizeof(path), "%s/r", second);
	is(app_run(path, APP_WRITE, 0, 8192, 5), 0, "what is written in one");
	is(app_run(env_path(&a, "r"), APP_READ, 0, 8192, 5), 0, "is read in the other");
	is(env_simple(&a, REGIONFS_CMD_INSTANCE_GET, 0), 0, "INSTANCE_GET");
	is(nlr_u32(&a.r, REGIONFS_A_MOUNTS), 2, "counts two mounts");
	is(mount(a.name, second, "regionfs", 0, "nonsense=1") ? errno : 0, EINVAL,
	   "an unknown option is refused");
}

/* A mistyped name makes nothing: the helper that serves an instance makes it. */
static void unknown(void)
{
	char name[80], dir[] = "/tmp/unknown-XXXXXX";

	must(mkdtemp(dir));
	snprintf(name, sizeof(name), "%s-unknown", a.name);
	is(mount(name, dir, "regionfs", 0, NULL) ? errno : 0, ENOENT, "mount of an unknown name is refused");
	rmdir(dir);
}

static void separate(void)
{
	is(access(env_path(&b, "r"), F_OK) ? errno : 0, ENOENT, "another name is another world");
	must(env_filled(&b, "r", MiB, 9));
	is(app_run(env_path(&b, "r"), APP_READ, 0, 8192, 9), 0, "with regions of its own");
	fh_kill(b.fh);
	is(app_run(env_path(&a, "r"), APP_READ, 512 * KiB, 8192, 1), 0, "and a helper of its own");
}

static int stop(bool discard)
{
	env_ask(&a, REGIONFS_CMD_INSTANCE_STOP, 0);
	if (discard)
		nlq_flag(&a.q, REGIONFS_A_DISCARD);
	nlq_u32(&a.q, REGIONFS_A_DEADLINE, 1000);
	return env_call_long(&a);
}

static void outlives(void)
{
	is(stop(true), -EBUSY, "STOP while mounted is refused");
	ok(a.nl.message[0], "with a reason: %s", a.nl.message);
	is(app_run(env_path(&a, "r"), APP_WRITE, 0, 8192, 6), 0, "bytes are dirty");
	fh_kill(a.fh);
	is(umount2(second, 0), 0, "unmount without a helper, one");
	is(env_umount(&a) ? errno : 0, 0, "and the other");
	is(stop(false), -EBUSY, "STOP refuses to lose dirty bytes");
	ok(a.nl.message[0], "with a reason: %s", a.nl.message);
	is(env_mount(&a), 0, "mounted again");
	is(app_run(env_path(&a, "r"), APP_READ, 0, 8192, 6), 0, "all is there");
	must(fh_start(a.fh) == 0);
	is(app_run(env_path(&a, "r"), APP_FSYNC, 0, 0, 0), 0, "and is written by the next helper");
	is(shell("rmmod regionfs 2>/dev/null"), 1, "rmmod is refused while an instance exists");
}

int main(void)
{
	tap_start(300);
	env_start(&a, "one");
	env_start(&b, "two");
	must(env_filled(&a, "r", MiB, 1));
	shared();
	unknown();
	separate();
	outlives();
	return tap_done();
}

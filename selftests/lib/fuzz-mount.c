// SPDX-License-Identifier: GPL-2.0
/* Mounts of the prey in a mount namespace of their own, among instances that come and go; some end with their last mount. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "fuzz.h"
#include "nl.h"

enum { M_MOUNT, M_RELEASE, M_REMOUNT, M_UMOUNT, M_USE, M_NEW, M_STOP };

const char *const fuzz_mount_names[] = { "mount", "mount-release", "remount", "umount", "use", "instance-new", "instance-stop" };

static struct nl nl;
static struct nlq q;
static struct nlr r;

static void done(int kind, int ret)
{
	fuzz_count(FUZZ_MOUNT + kind, ret < 0 ? -errno : 0);
}

static const char *source(void)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s", fuzz_one_in(16) ? fuzz_of((const char *[]){ "", "a/b", "none", "fuzz-prey9" }) : fuzz_name(fuzz_prey()));
	return name;
}

static void mount_one(const char *dir)
{
	const char *name = source();
	bool release = !strcmp(name, fuzz_name(FUZZ_PREYS - 1)) && fuzz_one_in(2);

	done(release ? M_RELEASE : M_MOUNT, mount(name, dir, "regionfs", fuzz_one_in(4) ? MS_RDONLY | MS_NOSUID : 0,
						  release ? "release" : fuzz_one_in(8) ? "nonsense=1" : NULL));
}

static void use(const char *dir)
{
	char path[96], byte = FUZZ_BYTE;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, fuzz_rel());
	fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK, 0644);
	done(M_USE, fd);
	if (fd < 0)
		return;
	if (pwrite(fd, &byte, 1, fuzz_below(1 << 20)) < 0)
		fuzz_count(FUZZ_MOUNT + M_USE, -errno);
	close(fd);
}

static void instance(uint8_t cmd, int kind)
{
	nlq_start(&q, &nl, cmd, 0);
	nlq_str(&q, REGIONFS_A_INSTANCE, fuzz_name(FUZZ_PREYS - 1));
	if (cmd == REGIONFS_CMD_INSTANCE_STOP) {
		nlq_flag(&q, REGIONFS_A_DISCARD);
		nlq_u32(&q, REGIONFS_A_DEADLINE, 1 + fuzz_below(200));
		fuzz_count(FUZZ_MOUNT + kind, nl_call_long(&nl, &q, &r));
	} else {
		fuzz_count(FUZZ_MOUNT + kind, nl_call(&nl, &q, NULL));
	}
}

static void step(const char *dir)
{
	switch (fuzz_below(9)) {
	case 0 ... 1:
		mount_one(dir);
		break;
	case 2:
		done(M_REMOUNT, mount("x", dir, NULL, MS_REMOUNT | (fuzz_one_in(2) ? MS_RDONLY : 0), fuzz_one_in(2) ? "release" : NULL));
		break;
	case 3 ... 4:
		done(M_UMOUNT, umount2(dir, fuzz_of((int[]){ 0, MNT_DETACH, MNT_FORCE, MNT_EXPIRE })));
		break;
	case 5 ... 6:
		use(dir);
		break;
	case 7:
		instance(REGIONFS_CMD_INSTANCE_NEW, M_NEW);
		break;
	default:
		instance(REGIONFS_CMD_INSTANCE_STOP, M_STOP);
	}
}

/* What it has mounted goes with it. */
int fuzz_mount(void *arg)
{
	char dir[64];

	fuzz_seed((uintptr_t)arg);
	snprintf(dir, sizeof(dir), "/tmp/fuzz-mount-%d", getpid());
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir(dir, 0755) || nl_open(&nl))
		return 1;
	/* of a tmpfs that no one else sees, so that nothing stays behind */
	for (int i = 0; i < 400; i++)
		step(dir);
	return 0;
}

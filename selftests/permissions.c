// SPDX-License-Identifier: GPL-2.0
/*
 * The device, every control command and mount need CAP_SYS_ADMIN in the initial user namespace: not
 * CAP_NET_ADMIN, not root of a user namespace. Files have the permissions of their mode bits.
 */
#include <grp.h>
#include <sched.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "lib/env.h"

#define NOBODY	65534

static struct env e;
static uint64_t id;
static char secret[128], public[128];

/* What a process without the right may try; each must give EPERM (the bits say which did not). */
static int tries(void)
{
	static const uint8_t cmds[] = {
		REGIONFS_CMD_INSTANCE_NEW, REGIONFS_CMD_INSTANCE_GET, REGIONFS_CMD_REGION_ADD,
		REGIONFS_CMD_REGION_GET, REGIONFS_CMD_REGION_SET, REGIONFS_CMD_REGION_DEL,
		REGIONFS_CMD_FREEZE, REGIONFS_CMD_MOVED,
	};
	int bad = 0, fd = open(REGIONFS_DEVICE, O_RDWR);

	if (fd >= 0 || (errno != EPERM && errno != EACCES))
		bad |= 1;
	if (nl_open(&e.nl))
		return bad | 2;
	for (unsigned int i = 0; i < sizeof(cmds); i++) {
		int ret = env_simple(&e, cmds[i], id);

		if (ret != -EPERM) {
			tap_note("command %u gave %d", cmds[i], ret);
			bad |= 4;
		}
	}
	env_ask(&e, REGIONFS_CMD_REGION_GET, 0);
	if (nl_dump(&e.nl, &e.q, NULL, NULL) != -EPERM)
		bad |= 8;
	if (!nl_subscribe(&e.nl))
		bad |= 16;
	if (!mount(e.name, "/mnt", "regionfs", 0, NULL) || errno != EPERM)
		bad |= 32;
	return bad;
}

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(200);
}

static int as_nobody(void *arg)
{
	become_nobody();
	return tries();
}

static int as_net_admin(void *arg)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	d[0].effective = d[0].permitted = 1u << CAP_NET_ADMIN;
	if (syscall(SYS_capset, &h, d))
		return 200;
	return tries();
}

static int in_user_namespace(void *arg)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return 201;
	return tries();
}

static int files_as_nobody(void *arg)
{
	int bad = 0;

	become_nobody();
	if (open(secret, O_RDONLY) >= 0 || errno != EACCES)
		bad |= 1;
	if (open(public, O_RDONLY) < 0)
		bad |= 2;
	if (open(public, O_RDWR) >= 0 || errno != EACCES)
		bad |= 4;
	if (!chmod(public, 0777) || errno != EPERM)
		bad |= 8;
	if (!unlink(public) || errno != EACCES)
		bad |= 16;
	if (!truncate(public, 0) || errno != EACCES)
		bad |= 32;
	return bad;
}

int main(void)
{
	int ret;

	tap_start(300);
	env_start(&e, "permissions");
	id = env_filled(&e, "public", MiB, 1);
	must(id && env_filled(&e, "secret", MiB, 1));
	snprintf(secret, sizeof(secret), "%s", env_path(&e, "secret"));
	snprintf(public, sizeof(public), "%s", env_path(&e, "public"));
	must(chmod(e.dir, 0755) == 0 && chmod(secret, 0600) == 0);
	is(reap(spawn(as_nobody, NULL), SOON), 0, "nobody is refused everywhere");
	is(reap(spawn(as_net_admin, NULL), SOON), 0, "CAP_NET_ADMIN alone is refused everywhere");
	ret = reap(spawn(in_user_namespace, NULL), SOON);
	if (ret == 201)
		tap_skip("no user namespaces");
	else
		is(ret, 0, "root of a user namespace is refused everywhere");
	is(reap(spawn(files_as_nobody, NULL), SOON), 0, "files obey their mode bits");
	return tap_done();
}

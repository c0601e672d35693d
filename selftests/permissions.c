// SPDX-License-Identifier: GPL-2.0
/*
 * The device, every control command and mount need CAP_SYS_ADMIN in the initial user namespace: not
 * CAP_NET_ADMIN, not root of a user namespace, with or without a network namespace of its own. Files have the permissions of their mode bits.
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

/* A context of the file system may be had, but no superblock. */
static bool mounts_by_context(void)
{
	int fd = syscall(SYS_fsopen, "regionfs", 0), err;

	if (fd < 0)
		return errno != EPERM;
	syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "source", e.name, 0);
	err = syscall(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ? errno : 0;
	close(fd);
	return err != EPERM;
}

/* What a process without the right may try; each must give EPERM (the bits say which did not). */
static int tries(void)
{
	static const uint8_t cmds[] = {
		REGIONFS_CMD_INSTANCE_NEW, REGIONFS_CMD_INSTANCE_GET, REGIONFS_CMD_INSTANCE_SET, REGIONFS_CMD_INSTANCE_STOP,
		REGIONFS_CMD_REGION_ADD, REGIONFS_CMD_REGION_DEL, REGIONFS_CMD_REGION_GET, REGIONFS_CMD_REGION_SET,
		REGIONFS_CMD_FREEZE, REGIONFS_CMD_THAW, REGIONFS_CMD_LOCK, REGIONFS_CMD_UNLOCK, REGIONFS_CMD_INVALIDATE,
		REGIONFS_CMD_WRITEBACK, REGIONFS_CMD_MOVED, REGIONFS_CMD_WRITE_RATE,
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
	env_ask(&e, REGIONFS_CMD_INSTANCE_GET, 0);
	if (nl_dump(&e.nl, &e.q, NULL, NULL) != -EPERM)
		bad |= 8;
	if (!nl_subscribe(&e.nl))
		bad |= 16;
	if (!mount(e.name, "/mnt", "regionfs", 0, NULL) || errno != EPERM)
		bad |= 32;
	if (mounts_by_context())
		bad |= 64;
	return bad;
}

/* Where there is an instance is not for everyone to know. */
static int names(void)
{
	int there, not_there;

	if (nl_open(&e.nl))
		return 2;
	there = env_simple(&e, REGIONFS_CMD_INSTANCE_GET, 0);
	nlq_start(&e.q, &e.nl, REGIONFS_CMD_INSTANCE_GET, 0);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, "there-is-none");
	not_there = nl_call(&e.nl, &e.q, NULL);
	return there != -EPERM || not_there != -EPERM;
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

static int names_as_nobody(void *arg)
{
	become_nobody();
	return names();
}

/* A socket that root has opened, in other hands. */
static int with_roots_socket(void *arg)
{
	become_nobody();
	return env_simple(&e, REGIONFS_CMD_REGION_GET, id) != -EPERM;
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

/* Root of a namespace needs to be mapped to hold its capabilities over what it makes there. */
static int root_of(int namespaces)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | namespaces))
		return 201;
	write_file("/proc/self/setgroups", "deny");
	if (write_file("/proc/self/uid_map", "0 0 1") || write_file("/proc/self/gid_map", "0 0 1"))
		return 202;
	return tries();
}

static int in_user_namespace(void *arg)
{
	return root_of(0);
}

/* Whoever a network namespace belongs to may listen there: to what happens to instances of that one, and there are none. */
#define LISTENS_THERE	16

/* There it has CAP_SYS_ADMIN over the network, which an instance belongs to. */
static int in_net_namespace(void *arg)
{
	return root_of(CLONE_NEWNET) & ~LISTENS_THERE;
}

/* nobody makes one, as anybody may who wants rights. */
static int nobody_in_namespaces(void *arg)
{
	become_nobody();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET))
		return 201;
	return tries() & ~LISTENS_THERE;
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

static void refused_in(int (*fn)(void *arg), const char *where)
{
	int ret = reap(spawn(fn, NULL), SOON);

	if (ret == 201)
		tap_skip("no user namespaces");
	else
		is(ret, 0, "%s is refused everywhere", where);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "permissions");
	id = env_filled(&e, "public", MiB, 1);
	must(id && env_filled(&e, "secret", MiB, 1));
	snprintf(secret, sizeof(secret), "%s", env_path(&e, "secret"));
	snprintf(public, sizeof(public), "%s", env_path(&e, "public"));
	must(chmod(e.dir, 0755) == 0 && chmod(secret, 0600) == 0);
	is(reap(spawn(as_nobody, NULL), SOON), 0, "nobody is refused everywhere");
	is(reap(spawn(as_net_admin, NULL), SOON), 0, "CAP_NET_ADMIN alone is refused everywhere");
	is(reap(spawn(names_as_nobody, NULL), SOON), 0, "nobody does not learn which instances there are");
	is(reap(spawn(with_roots_socket, NULL), SOON), 0, "nobody is refused on a socket that root has opened");
	refused_in(in_user_namespace, "root of a user namespace");
	refused_in(in_net_namespace, "root of a user and a network namespace");
	refused_in(nobody_in_namespaces, "nobody who has made namespaces");
	is(reap(spawn(files_as_nobody, NULL), SOON), 0, "files obey their mode bits");
	return tap_done();
}

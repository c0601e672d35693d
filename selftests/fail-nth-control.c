// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once in the control plane: netlink commands and mounts. A command that was refused has done nothing, so it can
 * be given again; where only its answer was lost (ENOBUFS, EFAULT) it may have been done.
 * timeout: 300
 */
#include <sys/mount.h>

#include "lib/failnth-file.h"

static bool lost;			/* the answer to what was asked before */

/* ---- asking ---- */

static void ask_region(uint8_t cmd)
{
	env_ask(&nf.e, cmd, nf.id);
}

/* @done: what it comes to where it was done before, and its answer lost. */
static int answered(int err, int done)
{
	if (lost && err == done)
		err = 0;
	if (err != -EBUSY)	/* it is being done */
		lost = err == -ENOBUFS || err == -EFAULT;
	return err;
}

static int call(int done)
{
	return answered(env_call(&nf.e), done);
}

static int call_long(int done)
{
	return answered(env_call_long(&nf.e), done);
}

/* ---- instances ---- */

static void stop_other(void)
{
	nthother_stop();
	lost = false;
}

static void start_other(void)
{
	nthother_start();
	lost = false;
}

static int new_other(void)
{
	nthother_ask(REGIONFS_CMD_INSTANCE_NEW);
	return call(-EEXIST);
}

static int stop_it(void)
{
	nthother_ask(REGIONFS_CMD_INSTANCE_STOP);
	return call_long(-ENOENT);
}

static int get_instance(void)
{
	env_ask(&nf.e, REGIONFS_CMD_INSTANCE_GET, 0);
	return call(0);
}

static int set_instance(void)
{
	env_ask(&nf.e, REGIONFS_CMD_INSTANCE_SET, 0);
	nlq_u32(&nf.e.q, REGIONFS_A_TAKEBACK, 9000);
	nlq_u32(&nf.e.q, REGIONFS_A_DIRTY_RATIO, 30);
	return call(0);
}

static int dump(uint8_t cmd, const char *instance)
{
	long n;

	nlq_start(&nf.e.q, &nf.e.nl, cmd, 0);
	if (instance)
		nlq_str(&nf.e.q, REGIONFS_A_INSTANCE, instance);
	n = nl_dump(&nf.e.nl, &nf.e.q, NULL, NULL);
	return n < 0 ? n : n ? 0 : -ENOENT;
}

static int list_instances(void)
{
	return dump(REGIONFS_CMD_INSTANCE_GET, NULL);
}

/* ---- mounts ---- */

static void mountable(void)
{
	nthother_unmount();
	start_other();
}

static void mounted(void)
{
	mountable();
	must(!nthother_mount());
}

static int unmount(void)
{
	return umount2(nthother_dir, 0) ? -errno : 0;
}

/* ---- regions ---- */

static void no_region(void)
{
	lost = false;
	unlink(env_path(&nf.e, "a/b/new"));
	rmdir(env_path(&nf.e, "a/b"));
	rmdir(env_path(&nf.e, "a"));
}

static int add(void)
{
	env_ask(&nf.e, REGIONFS_CMD_REGION_ADD, 0);
	nlq_str(&nf.e.q, REGIONFS_A_PATH, "a/b/new");
	nlq_str(&nf.e.q, REGIONFS_A_SOURCE, "fake:new");
	nlq_u64(&nf.e.q, REGIONFS_A_SIZE, 4096);
	return call(-EEXIST);
}

static void a_region(void)
{
	no_region();
	must(!add());
}

static bool is_added(void)
{
	return !access(env_path(&nf.e, "a/b/new"), F_OK);
}

static int del(void)
{
	env_ask(&nf.e, REGIONFS_CMD_REGION_DEL, 0);
	nlq_str(&nf.e.q, REGIONFS_A_PATH, "a/b/new");
	return call(-ENOENT);
}

static bool is_deleted(void)
{
	return !is_added();
}

static int get(void)
{
	ask_region(REGIONFS_CMD_REGION_GET);
	return call(0);
}

static int get_by_path(void)
{
	env_ask(&nf.e, REGIONFS_CMD_REGION_GET, 0);
	nlq_str(&nf.e.q, REGIONFS_A_PATH, "a/b/new");
	return call(0);
}

static int set(void)
{
	ask_region(REGIONFS_CMD_REGION_SET);
	nlq_str(&nf.e.q, REGIONFS_A_SOURCE, failnth_n() & 1 ? "fake:1" : "fake:0");
	nlq_u32(&nf.e.q, REGIONFS_A_MODE, 0640);
	nlq_u64(&nf.e.q, REGIONFS_A_SIZE, FILE_SIZE);
	nlq_u32(&nf.e.q, REGIONFS_A_TIMEOUT, 0);
	return call(0);
}

static bool is_set(void)
{
	return !get() && !strcmp(nlr_str(&nf.e.r, REGIONFS_A_SOURCE), failnth_n() & 1 ? "fake:1" : "fake:0");
}

static int list_regions(void)
{
	return dump(REGIONFS_CMD_REGION_GET, nf.e.name);
}

/* ---- the state of a region ---- */

static void dirty(void)
{
	lost = false;
	env_simple(&nf.e, REGIONFS_CMD_THAW, nf.id);
	env_simple(&nf.e, REGIONFS_CMD_UNLOCK, nf.id);
	nthfile_will_write(5000, 5000);
	must(pwrite(nf.fd, nf.buf, 5000, 5000) == 5000);
}

static int plain(uint8_t cmd)
{
	ask_region(cmd);
	return call(0);
}

static int long_one(uint8_t cmd)
{
	ask_region(cmd);
	return call_long(0);
}

static int freeze(void) { return long_one(REGIONFS_CMD_FREEZE); }
static int thaw(void) { return plain(REGIONFS_CMD_THAW); }
static int lock(void) { return long_one(REGIONFS_CMD_LOCK); }
static int unlock(void) { return plain(REGIONFS_CMD_UNLOCK); }
static int invalidate(void) { return long_one(REGIONFS_CMD_INVALIDATE); }
static int writeback(void) { return long_one(REGIONFS_CMD_WRITEBACK); }

static int rate(void)
{
	ask_region(REGIONFS_CMD_WRITE_RATE);
	nlq_u64(&nf.e.q, REGIONFS_A_WRITE_RATE, 0);
	return call(0);
}

static void frozen(void)
{
	dirty();
	must(!freeze());
}

static void locked(void)
{
	dirty();
	must(!lock());
}

static bool has_flag(uint32_t flag)
{
	return env_region_u32(&nf.e, nf.id, REGIONFS_A_FLAGS) & flag;
}

static bool is_frozen(void) { return has_flag(REGIONFS_REGION_FROZEN); }
static bool is_locked(void) { return has_flag(REGIONFS_REGION_LOCKED); }

static int moved(void)
{
	env_ask(&nf.e, REGIONFS_CMD_MOVED, 0);
	nlq_str(&nf.e.q, REGIONFS_A_PATH, "a/b/new");
	nlq_u64(&nf.e.q, REGIONFS_A_EPOCH, 9);
	return call_long(-EINVAL);
}

static const struct failnth_op ops[] = {
	{ "INSTANCE_NEW", stop_other, new_other, NULL },
	{ "INSTANCE_STOP", start_other, stop_it, NULL },
	{ "INSTANCE_GET", NULL, get_instance, NULL },
	{ "INSTANCE_GET, all", NULL, list_instances, NULL },
	{ "INSTANCE_SET", NULL, set_instance, NULL },
	{ "mount", mountable, nthother_mount, NULL },
	{ "unmount", mounted, unmount, NULL },
	{ "REGION_ADD", no_region, add, is_added },
	{ "REGION_GET", NULL, get, NULL },
	{ "REGION_GET by its path", NULL, get_by_path, NULL },
	{ "REGION_GET, all", NULL, list_regions, NULL },
	{ "REGION_SET", NULL, set, is_set },
	{ "REGION_DEL", a_region, del, is_deleted },
	{ "FREEZE", dirty, freeze, is_frozen },
	{ "THAW", frozen, thaw, nthfile_right },
	{ "LOCK", dirty, lock, is_locked },
	{ "UNLOCK", locked, unlock, nthfile_right },
	{ "INVALIDATE", dirty, invalidate, nthfile_right },
	{ "WRITEBACK", dirty, writeback, nthfile_right },
	{ "WRITE_RATE", NULL, rate, NULL },
	{ "MOVED", a_region, moved, NULL },
};

int main(void)
{
	tap_start(1100);
	nthfile_start("fail-nth-control");
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		failnth_run(&ops[i]);
	nthother_unmount();
	stop_other();
	no_region();
	return nthfile_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The device file carries authority over its own instance: an attached helper controls that without any capability, and nothing else;
 * nobody else gets it from there: not its children, not whoever it gives the file to, nor itself after it has detached or on a
 * socket that was opened without the right.
 */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/chan.h"
#include "lib/env.h"

static struct env mine, other;
static uint64_t id, other_id;

/* What is effective counts; what is permitted is for the test's own end. */
static void capabilities(bool all)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	must(!syscall(SYS_capget, &h, d));
	for (int i = 0; i < 2; i++)
		d[i].effective = all ? d[i].permitted : 0;
	must(!syscall(SYS_capset, &h, d));
}

/* What a helper asks of its instance; the last that was refused, or 0. */
static int own_commands(struct env *e, uint64_t region)
{
	static const uint8_t cmds[] = {
		REGIONFS_CMD_INSTANCE_GET, REGIONFS_CMD_INSTANCE_SET, REGIONFS_CMD_REGION_GET, REGIONFS_CMD_REGION_SET,
		REGIONFS_CMD_THAW, REGIONFS_CMD_UNLOCK,
	};
	static const uint8_t long_cmds[] = {
		REGIONFS_CMD_INVALIDATE, REGIONFS_CMD_WRITEBACK, REGIONFS_CMD_FREEZE, REGIONFS_CMD_LOCK,
	};
	int refused = 0;

	for (unsigned int i = 0; i < sizeof(long_cmds); i++)
		refused = env_long(e, long_cmds[i], region) ?: refused;
	for (unsigned int i = 0; i < sizeof(cmds); i++)
		refused = env_simple(e, cmds[i], region) ?: refused;
	env_ask(e, REGIONFS_CMD_WRITE_RATE, region);
	nlq_u64(&e->q, REGIONFS_A_WRITE_RATE, 0);
	refused = env_call(e) ?: refused;
	env_ask(e, REGIONFS_CMD_REGION_GET, 0);
	return nl_dump(&e->nl, &e->q, NULL, NULL) == 1 ? refused : -ENODATA;
}

static int ask_once(struct env *e)
{
	return env_simple(e, REGIONFS_CMD_INSTANCE_GET, 0);
}

static int new_instance(void)
{
	nlq_start(&mine.q, &mine.nl, REGIONFS_CMD_INSTANCE_NEW, 0);
	nlq_str(&mine.q, REGIONFS_A_INSTANCE, "not-mine");
	return nl_call(&mine.nl, &mine.q, NULL);
}

static int no_such_instance(void)
{
	nlq_start(&mine.q, &mine.nl, REGIONFS_CMD_INSTANCE_GET, 0);
	nlq_str(&mine.q, REGIONFS_A_INSTANCE, "there-is-none");
	return nl_call(&mine.nl, &mine.q, NULL);
}

static long dump_instances(void)
{
	nlq_start(&mine.q, &mine.nl, REGIONFS_CMD_INSTANCE_GET, NLM_F_DUMP);
	return nl_dump(&mine.nl, &mine.q, NULL, NULL);
}

static int forked(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(-ask_once(&mine));
	must(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* The commands of the tests' own environment name its instance; asked of another's, by its name. */
static int of_other(uint8_t cmd)
{
	struct nl own = other.nl;
	int ret;

	other.nl = mine.nl;
	ret = env_simple(&other, cmd, other_id);
	mine.nl.seq = other.nl.seq;
	other.nl = own;
	return ret;
}

static int on_late_socket(void)
{
	struct nl before = mine.nl;
	int ret;

	must(!nl_open(&mine.nl));
	ret = ask_once(&mine);
	nl_close(&mine.nl);
	mine.nl = before;
	return ret;
}

static void try_others(void)
{
	static const uint8_t cmds[] = {
		REGIONFS_CMD_INSTANCE_GET, REGIONFS_CMD_INSTANCE_SET, REGIONFS_CMD_INSTANCE_STOP, REGIONFS_CMD_REGION_ADD,
		REGIONFS_CMD_REGION_DEL, REGIONFS_CMD_REGION_GET, REGIONFS_CMD_REGION_SET, REGIONFS_CMD_FREEZE, REGIONFS_CMD_THAW,
		REGIONFS_CMD_LOCK, REGIONFS_CMD_UNLOCK, REGIONFS_CMD_INVALIDATE, REGIONFS_CMD_WRITEBACK, REGIONFS_CMD_MOVED,
		REGIONFS_CMD_WRITE_RATE,
	};

	for (unsigned int i = 0; i < sizeof(cmds); i++)
		is(of_other(cmds[i]), -EPERM, "command %u of another instance is refused", cmds[i]);
}

static void add_and_delete(void)
{
	uint64_t made = env_region(&mine, "made", MiB);

	ok(made, "it adds a region");
	is(env_simple(&mine, REGIONFS_CMD_REGION_DEL, made), 0, "and deletes it");
	is(env_long(&mine, REGIONFS_CMD_INSTANCE_STOP, 0), -EBUSY, "it may ask for the end of its instance, which is mounted");
}

/* The test program is the helper, so that all is asked by one thread group. It answers nothing: nothing is dirty. */
int main(void)
{
	struct chan c;

	tap_start(300);
	env_start_bare(&mine, "mine");
	env_start(&other, "other");
	id = env_region(&mine, "r", MiB);
	other_id = env_region(&other, "r", MiB);
	must(id && other_id && !chan_open(&c, 16));
	capabilities(false);
	is(ask_once(&mine), -EPERM, "without capabilities and not attached, it is refused");
	must(!chan_attach(&c, mine.name, 1, 4));
	is(own_commands(&mine, id), 0, "attached, it controls its instance without capabilities");
	add_and_delete();
	try_others();
	is(no_such_instance(), -ENOENT, "it is told when an instance is gone");
	is(new_instance(), -EPERM, "it makes no instance");
	is(dump_instances(), -EPERM, "it does not list instances");
	is(on_late_socket(), -EPERM, "a socket that was opened without the right gives none");
	is(forked(), -EPERM, "a child of the helper is refused, though it has the device and the socket");
	chan_close(&c);
	is(ask_once(&mine), -EPERM, "detached, it is refused");
	capabilities(true);
	return tap_done();
}

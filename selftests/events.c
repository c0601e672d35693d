// SPDX-License-Identifier: GPL-2.0
/* The multicast group tells what happens to regions and helpers, within the network namespace of the instance only. */
#include <sched.h>

#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static struct nl events;
static struct nlr r;
static char path[128];

/* The next event of this kind; others may come between. */
static bool event(int what)
{
	int got;

	do {
		got = nl_event(&events, &r, SOON);
	} while (got > 0 && got != what);
	return got == what;
}

static void on_files(void)
{
	char to[160];
	uint64_t id;
	int fd = open(path, O_RDWR | O_CREAT, 0640);

	snprintf(to, sizeof(to), "%s2", path);
	must(fd >= 0);
	ok(event(REGIONFS_EVENT_CREATED), "created");
	id = nlr_u64(&r, REGIONFS_A_REGION);
	ok(id && !strcmp(nlr_str(&r, REGIONFS_A_PATH), "new"), "with id and path");
	ok(!strcmp(nlr_str(&r, REGIONFS_A_INSTANCE), e.name), "and instance");
	ok(event(REGIONFS_EVENT_OPENED), "opened");
	must(ftruncate(fd, MiB) == 0);
	ok(event(REGIONFS_EVENT_RESIZED), "resized");
	is(nlr_u64(&r, REGIONFS_A_SIZE), MiB, "to its new size");
	must(fchmod(fd, 0600) == 0);
	ok(event(REGIONFS_EVENT_CHANGED), "mode changed");
	is(nlr_u32(&r, REGIONFS_A_MODE) & 07777, 0600, "to the new mode");
	close(fd);
	ok(event(REGIONFS_EVENT_CLOSED), "closed");
	must(rename(path, to) == 0);
	ok(event(REGIONFS_EVENT_RENAMED), "renamed");
	ok(!strcmp(nlr_str(&r, REGIONFS_A_PATH), "new2"), "to its new path");
	must(unlink(to) == 0);
	ok(event(REGIONFS_EVENT_UNLINKED), "unlinked");
	is(nlr_u64(&r, REGIONFS_A_REGION), id, "the same region");
}

static void on_states(void)
{
	uint64_t id = env_region(&e, "r", MiB);

	ok(event(REGIONFS_EVENT_CREATED), "added by netlink");
	is(env_long(&e, REGIONFS_CMD_FREEZE, id), 0, "FREEZE");
	ok(event(REGIONFS_EVENT_FROZEN), "frozen");
	is(env_simple(&e, REGIONFS_CMD_THAW, id), 0, "THAW");
	ok(event(REGIONFS_EVENT_THAWED), "thawed");
	is(env_long(&e, REGIONFS_CMD_LOCK, id), 0, "LOCK");
	ok(event(REGIONFS_EVENT_LOCKED), "locked");
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "UNLOCK");
	ok(event(REGIONFS_EVENT_UNLOCKED), "unlocked");
	env_ask(&e, REGIONFS_CMD_MOVED, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 9);
	is(env_call_long(&e), 0, "MOVED");
	ok(event(REGIONFS_EVENT_MOVED), "moved");
}

/* Another network namespace hears nothing; a fence of our own says when it would have. */
static int elsewhere(void *arg)
{
	static struct nl there;
	static struct nlr got;
	int *pipes = arg;
	char go;

	if (unshare(CLONE_NEWNET) || nl_open(&there) || nl_subscribe(&there))
		return 77;
	if (write(pipes[3], "r", 1) != 1 || read(pipes[0], &go, 1) != 1)
		return 78;
	return nl_event(&there, &got, 200) == -ETIMEDOUT ? 0 : 1;
}

static void namespaces(void)
{
	int pipes[4];
	char ready;
	pid_t pid;

	must(pipe(pipes) == 0 && pipe(pipes + 2) == 0);
	pid = spawn(elsewhere, pipes);
	must(read(pipes[2], &ready, 1) == 1);
	must(env_region(&e, "quiet", 4096));
	ok(event(REGIONFS_EVENT_CREATED), "heard here");
	must(write(pipes[1], "g", 1) == 1);
	is(reap(pid, SOON), 0, "not in another network namespace");
}

int main(void)
{
	tap_start(300);
	env_start_bare(&e, "events");
	must(!nl_open(&events) && !nl_subscribe(&events));
	snprintf(path, sizeof(path), "%s", env_path(&e, "new"));
	must(fh_start(e.fh) == 0);
	ok(event(REGIONFS_EVENT_ATTACHED), "helper attached");
	on_files();
	on_states();
	namespaces();
	fh_kill(e.fh);
	ok(event(REGIONFS_EVENT_LOST), "helper lost");
	must(fh_start(e.fh) == 0);
	env_end(&e);
	ok(event(REGIONFS_EVENT_INSTANCE_GONE), "instance gone");
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A helper whose device is a registered file of its ring, and no descriptor any more, and one that shares its descriptors with another process: neither has
 * anything to be closed when it is killed. It is gone all the same: the next one is let in, and what it had in hand comes again.
 */
#include <sched.h>
#include <sys/wait.h>

#include "lib/app.h"
#include "lib/chan.h"
#include "lib/env.h"

static struct env e;
static char *buf;

static void put(struct chan *c, uint32_t op, uint64_t addr, bool fixed)
{
	struct regionfs_io_cmd cmd = { .addr = addr };
	struct io_uring_sqe *sqe = chan_sqe(c, op, &cmd, 0);

	if (fixed) {
		sqe->fd = 0;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	must(io_uring_submit(&c->ring) == 1);
}

static void set_up(struct chan *c)
{
	must(chan_open(c, 8) == 0);
	c->desc = aligned_alloc(64, sizeof(*c->desc));
	c->at = (struct regionfs_attach){
		.size = sizeof(c->at), .abi = REGIONFS_ABI, .nr_queues = 1, .depth = 1, .desc_addr = (uintptr_t)c->desc,
	};
	snprintf((char *)c->at.name, sizeof(c->at.name), "%s", e.name);
}

/* Attached, and its only tag parked; then it waits to be killed. */
static void serve_none(struct chan *c, bool fixed)
{
	struct io_uring_cqe *cqe;

	put(c, REGIONFS_IO_ATTACH, (uintptr_t)&c->at, fixed);
	must(!io_uring_wait_cqe(&c->ring, &cqe) && !cqe->res);
	io_uring_cqe_seen(&c->ring, cqe);
	put(c, REGIONFS_IO_FETCH, (uintptr_t)buf, fixed);
	pause();
}

static int registered(void *arg)
{
	struct chan c;

	set_up(&c);
	must(!io_uring_register_files(&c.ring, &c.fd, 1));
	close(c.fd);
	serve_none(&c, true);
	return 0;
}

static int sharing(void *arg)
{
	struct chan c;

	set_up(&c);
	serve_none(&c, false);
	return 0;
}

static int holds(void *arg)
{
	pause();
	return 0;
}

static bool attached(void *arg)
{
	return !env_simple(&e, REGIONFS_CMD_INSTANCE_GET, 0) && !nlr_u32(&e.r, REGIONFS_A_ATTACHED) == !arg;
}

static void comes_and_goes(pid_t pid, const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	must(wait_until(attached, &e, SOON));
	ok(kill_in_time(pid, SOON), "%s is killed", what);
	ok(wait_until(attached, NULL, SOON), "and is not attached any more");
	is(fh_start(e.fh), 0, "the next one is let in");
	is(app_run(path, APP_READ, 0, 4096, 1), 0, "and serves");
	fh_kill(e.fh);
	must(wait_until(attached, NULL, SOON));
}

static char stack[2][64 << 10] __attribute__((aligned(16)));

int main(void)
{
	pid_t holder, sharer;

	tap_start(300);
	env_start_bare(&e, "regfile");
	must(env_filled(&e, "r", MiB, 1));
	buf = aligned_alloc(4096, FH_REQUEST);
	comes_and_goes(spawn(registered, NULL), "one with a registered file");
	/* a table of descriptors that both have, and which stays when one goes */
	holder = clone(holds, stack[0] + sizeof(stack[0]), CLONE_FILES | SIGCHLD, NULL);
	sharer = clone(sharing, stack[1] + sizeof(stack[1]), CLONE_FILES | SIGCHLD, NULL);
	must(holder > 0 && sharer > 0);
	comes_and_goes(sharer, "one that shares its descriptors");
	ok(kill_in_time(holder, SOON), "who shared them is killed");
	return tap_done();
}

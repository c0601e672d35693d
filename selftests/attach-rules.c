// SPDX-License-Identifier: GPL-2.0
/* What ATTACH, FETCH and COMMIT refuse: wrong structs, a second helper, tags out of range, other threads, io workers, SQPOLL. */
#include <pthread.h>

#include "lib/chan.h"
#include "lib/env.h"

static struct env e;
static char *bufs;

static int attach_with(void (*spoil)(struct regionfs_attach *a), const char *name)
{
	struct regionfs_io_cmd cmd;
	struct chan c;
	int ret;

	must(chan_open(&c, 8) == 0);
	c.desc = aligned_alloc(64, 4 * sizeof(*c.desc));
	c.at = (struct regionfs_attach){
		.size = sizeof(c.at), .abi = REGIONFS_ABI, .nr_queues = 1, .depth = 4,
		.desc_addr = (uintptr_t)c.desc,
	};
	snprintf((char *)c.at.name, sizeof(c.at.name), "%s", name);
	spoil(&c.at);
	cmd = (struct regionfs_io_cmd){ .addr = (uintptr_t)&c.at };
	ret = chan_sync(&c, REGIONFS_IO_ATTACH, &cmd);
	chan_close(&c);
	return ret;
}

#define SPOIL(name, change) static void name(struct regionfs_attach *a) { change; }
SPOIL(nothing, (void)a)
SPOIL(size, a->size = 8)
SPOIL(abi, a->abi = REGIONFS_ABI + 1)
SPOIL(flag, a->flags = 1u << 31)
SPOIL(reserved, a->reserved[2] = 1)
SPOIL(queues, a->nr_queues = REGIONFS_QUEUES_MAX + 1)
SPOIL(no_queue, a->nr_queues = 0)
SPOIL(depth, a->depth = REGIONFS_DEPTH_MAX + 1)
SPOIL(request, a->max_request = 3000)
SPOIL(long_request, a->max_request = REGIONFS_REQUEST_MAX * 2)
SPOIL(unaligned, a->desc_addr++)
SPOIL(endless, memset(a->name, 'x', sizeof(a->name)))

static void attach_refused(void)
{
	is(attach_with(nothing, "no-such-instance"), -ENOENT, "an unknown instance");
	is(attach_with(size, e.name), -EPROTO, "a wrong size");
	is(attach_with(abi, e.name), -EPROTO, "another ABI");
	is(attach_with(flag, e.name), -EOPNOTSUPP, "an unknown flag");
	is(attach_with(reserved, e.name), -EINVAL, "a reserved field");
	is(attach_with(queues, e.name), -EINVAL, "too many queues");
	is(attach_with(no_queue, e.name), -EINVAL, "no queue");
	is(attach_with(depth, e.name), -EINVAL, "too deep");
	is(attach_with(request, e.name), -EINVAL, "an odd request size");
	is(attach_with(long_request, e.name), -EINVAL, "too large a request size");
	is(attach_with(unaligned, e.name), -EINVAL, "unaligned descriptors");
	is(attach_with(endless, e.name), -EINVAL, "a name without an end");
}

static int fetch(struct chan *c, uint16_t tag, uint64_t addr)
{
	struct regionfs_io_cmd cmd = { .tag = tag, .addr = addr };

	return chan_sync(c, REGIONFS_IO_FETCH, &cmd);
}

/* Another thread, with a ring of its own on the same file. */
static void *stranger(void *arg)
{
	struct chan *c = arg, mine = *c;
	long ret;

	if (io_uring_queue_init(8, &mine.ring, 0))
		return (void *)1;
	ret = fetch(&mine, 1, (uintptr_t)bufs);
	io_uring_queue_exit(&mine.ring);
	return (void *)ret;
}

/* Commands on tags, before anything is parked. */
static void tags_refused(struct chan *c)
{
	struct regionfs_io_cmd cmd = { .tag = 2, .cookie = 5 };

	is(fetch(c, 8, (uintptr_t)bufs), -EINVAL, "a tag out of range");
	is(fetch(c, 65535, (uintptr_t)bufs), -EINVAL, "far out of range");
	ok(chan_sync(c, REGIONFS_IO_COMMIT, &cmd) < 0, "COMMIT of an idle tag");
	ok(chan_sync(c, REGIONFS_IO_COMMIT_AND_FETCH, &cmd) < 0, "COMMIT_AND_FETCH of an idle tag");
	cmd = (struct regionfs_io_cmd){ 0 };
	is(chan_sync(c, _IOWR('R', 0x70, struct regionfs_io_cmd), &cmd), -EOPNOTSUPP,
	   "an unknown command");
	cmd.addr = 4096;
	is(chan_sync(c, REGIONFS_IO_STORE, &cmd), -EFAULT, "STORE from a bad address");
	is(chan_sync(c, REGIONFS_IO_TOKEN, &cmd), -EFAULT, "TOKEN at a bad address");
	ok(chan_sync(c, REGIONFS_IO_ATTACH, &cmd) < 0, "a second ATTACH");
}

static int park(struct chan *c, uint16_t tag)
{
	struct regionfs_io_cmd cmd = { .tag = tag, .addr = (uintptr_t)bufs };

	chan_sqe(c, REGIONFS_IO_FETCH, &cmd, 100 + tag);
	return io_uring_submit(&c->ring);
}

static void parked(struct chan *c)
{
	pthread_t thread;
	void *ret;

	is(park(c, 0), 1, "a tag is parked");
	is(fetch(c, 0, (uintptr_t)bufs), -EBUSY, "parking it twice is refused");
	must(pthread_create(&thread, NULL, stranger, c) == 0);
	must(pthread_join(thread, &ret) == 0);
	is((long)ret, -EPERM, "another thread on the same queue is refused");
	is(attach_with(nothing, e.name), -EBUSY, "a second helper is refused");
}

/* IOSQE_ASYNC makes an io worker issue the command. */
static int from_worker(struct chan *c, const struct regionfs_io_cmd *cmd)
{
	struct io_uring_cqe *cqe;
	int ret;

	chan_sqe(c, REGIONFS_IO_FETCH, cmd, 0)->flags |= IOSQE_ASYNC;
	must(io_uring_submit_and_wait(&c->ring, 1) == 1 && !io_uring_peek_cqe(&c->ring, &cqe));
	ret = cqe->res;
	io_uring_cqe_seen(&c->ring, cqe);
	return ret;
}

/* A ring whose commands come from a kernel thread. */
static void kernel_thread(struct chan *c)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 100 };
	struct chan mine = *c;
	struct regionfs_io_cmd cmd = { .tag = 3, .addr = (uintptr_t)bufs };

	if (io_uring_queue_init_params(8, &mine.ring, &p)) {
		tap_skip("no SQPOLL here");
	} else {
		is(fetch(&mine, 3, (uintptr_t)bufs), -EOPNOTSUPP, "SQPOLL is refused");
		io_uring_queue_exit(&mine.ring);
	}
	must(io_uring_queue_init(8, &mine.ring, 0) == 0);
	is(from_worker(&mine, &cmd), -EOPNOTSUPP, "an io worker is refused");
	io_uring_queue_exit(&mine.ring);
}

/* The ring goes away with a tag parked: the file, then a new helper can attach. */
static void goes_away(struct chan *c)
{
	int ret;

	chan_close(c);
	ret = fh_start(e.fh);
	is(ret, 0, "after the ring and file are closed another helper attaches");
	fh_kill(e.fh);
	is(fh_start(e.fh), 0, "and after its death one more");
}

int main(void)
{
	struct chan c;

	tap_start(300);
	env_start_bare(&e, "attach");
	bufs = mmap(NULL, 4 * FH_REQUEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	attach_refused();
	must(chan_open(&c, 16) == 0);
	ok(fetch(&c, 0, (uintptr_t)bufs) < 0, "FETCH before ATTACH");
	c.at.features = REGIONFS_F_STORE;
	is(chan_attach(&c, e.name, 2, 4), 0, "ATTACH");
	is(c.at.max_request, REGIONFS_REQUEST_DEFAULT, "the default request size is told");
	is(c.at.features & ~REGIONFS_F_RECOVER, REGIONFS_F_STORE, "only what was asked for is granted");
	tags_refused(&c);
	kernel_thread(&c);
	parked(&c);
	goes_away(&c);
	return tap_done();
}

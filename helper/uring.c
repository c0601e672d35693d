// SPDX-License-Identifier: GPL-2.0
/* uring: the ring below a loop, and the operations of loop.h. The only user of liburing. */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "polling.h"
#include "uring.h"

#define URING_ENTRIES	256
#define URING_BATCH	64
#define URING_CLOSE_MS	2000

_Static_assert(sizeof(((struct loop_op *)0)->sqe) == sizeof(struct io_uring_sqe), "an op keeps one whole sqe");

struct uring {
	struct io_uring ring;
	struct list pending;		/* ops that found the submission queue full */
	struct list cancelled;		/* of these, ops that were given up */
	uint64_t in_flight;
	bool may_poll;			/* else nothing is ever expected */
	/* whether to, after requests of programs that poll, and of others: one comes soon, of many others any */
	struct poll polled, demand;
	bool closing;
};

struct completion {
	struct loop_op *op;
	int res;
};

/* Task work is run when the loop waits, not by interrupting it; where the kernel refuses, it does without. */
static int setup(struct io_uring *ring, unsigned int entries)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && err == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = entries * 8,
		};

		err = io_uring_queue_init_params(entries, ring, &params);
	}
	return err;
}

int uring_open(struct uring **out, unsigned int entries)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int err;

	if (!uring)
		return -ENOMEM;
	err = setup(&uring->ring, entries ? entries : URING_ENTRIES);
	if (err) {
		free(uring);
		return err;
	}
	/* saves looking the file up with each system call; nothing depends on it */
	io_uring_register_ring_fd(&uring->ring);
	list_init(&uring->pending);
	list_init(&uring->cancelled);
	*out = uring;
	return 0;
}

void uring_may_poll(struct uring *uring, bool on)
{
	uring->may_poll = on && poll_possible();
}

void uring_expect(struct uring *uring, bool polled)
{
	if (!uring->may_poll)
		return;
	if (polled) {
		uring->polled.expected = true;
	} else {
		uring->demand.expected = true;
		poll_rest(&uring->polled);
	}
}

/* A ring is its thread's: what another one writes to it is lost, or waits until that thread happens to submit something. */
static struct uring *own_uring(struct loop *loop)
{
#ifdef REGIONFS_CHECKS
	if (loop_current() && loop_current() != loop)
		abort();
#endif
	return loop_uring(loop);
}

/* The place to write op's submission to: the ring, or op itself when that is full or others wait already. */
static struct io_uring_sqe *uring_sqe(struct uring *uring, struct loop_op *op)
{
	struct io_uring_sqe *sqe = list_empty(&uring->pending) ? io_uring_get_sqe(&uring->ring) : NULL;

	uring->in_flight++;
	list_init(&op->pending);
	if (sqe)
		return sqe;
	list_add(&uring->pending, &op->pending);
	return (struct io_uring_sqe *)op->sqe;
}

static void uring_fill(struct uring *uring)
{
	while (!list_empty(&uring->pending)) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
		struct loop_op *op;

		if (!sqe)
			return;
		op = list_entry(list_pop(&uring->pending), struct loop_op, pending);
		memcpy(sqe, op->sqe, sizeof(*sqe));
	}
}

static int uring_sleep(struct uring *uring, uint64_t ns)
{
	struct __kernel_timespec ts = { .tv_sec = (int64_t)(ns / 1000000000), .tv_nsec = (long long)(ns % 1000000000) };
	struct io_uring_cqe *cqe;

	if (ns == UINT64_MAX)
		return io_uring_submit_and_wait(&uring->ring, 1);
	return io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &ts, NULL);
}

static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* Is a completion there, or task work that makes one? The kernel says both in memory that is shared. */
static bool uring_due(struct uring *uring)
{
	return io_uring_cq_ready(&uring->ring) || IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

/*
 * Looks for something to come, for POLL_NS and at most ns. For how long it had to; UINT64_MAX: nothing came. Who waits for this CPU gets it; alone on
 * it, to yield costs a system call.
 */
static uint64_t uring_look(struct uring *uring, uint64_t ns)
{
	uint64_t since = loop_now_ns(), now = since;

	for (unsigned int i = 1; !uring_due(uring); i++) {
		if (now - since >= (ns < POLL_NS ? ns : POLL_NS))
			return UINT64_MAX;
		if (i % 4)
			cpu_pause();
		else
			sched_yield();
		now = loop_now_ns();
	}
	return now - since;
}

/* Nothing has come, for ns at most. What a timer has cut short says nothing. */
static int uring_looked_in_vain(struct uring *uring, struct poll *poll, uint64_t ns)
{
	if (ns < POLL_NS)
		return 0;
	poll_looked(poll, UINT64_MAX);
	return uring_sleep(uring, ns == UINT64_MAX ? ns : ns - POLL_NS);
}

/* What was started is submitted before it is looked for more. Task work that has made no completion is nothing that was found. */
static int uring_wait_polling(struct uring *uring, struct poll *poll, uint64_t ns)
{
	int err = io_uring_sq_ready(&uring->ring) ? io_uring_submit_and_get_events(&uring->ring) : 0;
	uint64_t took;

	if (err < 0 || io_uring_cq_ready(&uring->ring))
		return err;
	took = uring_look(uring, ns);
	if (took == UINT64_MAX)
		return uring_looked_in_vain(uring, poll, ns);
	if (!io_uring_cq_ready(&uring->ring))
		err = io_uring_get_events(&uring->ring);
	poll_looked(poll, io_uring_cq_ready(&uring->ring) ? took : UINT64_MAX);
	return err;
}

static int uring_enter(struct uring *uring, uint64_t ns)
{
	bool polled, demand;

	uring_fill(uring);
	if (!ns || !list_empty(&uring->pending))
		return io_uring_submit_and_get_events(&uring->ring);
	polled = poll_worth(&uring->polled);
	demand = poll_worth(&uring->demand);
	if (polled || demand)
		return uring_wait_polling(uring, polled ? &uring->polled : &uring->demand, ns);
	return uring_sleep(uring, ns);
}

/* Copied out first: a callback may submit, and so overwrite the queue. */
static unsigned int uring_reap(struct uring *uring, struct completion *done)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0, seen = 0;

	io_uring_for_each_cqe(&uring->ring, head, cqe) {
		if (seen == URING_BATCH)
			break;
		seen++;
		if (!cqe->user_data)
			continue;
		done[n].op = io_uring_cqe_get_data(cqe);
		done[n++].res = cqe->res;
	}
	io_uring_cq_advance(&uring->ring, seen);
	uring->in_flight -= n;
	return n;
}

/* Ops that were given up before the kernel had seen them. */
static void uring_drop(struct uring *uring)
{
	struct list *entry;

	while ((entry = list_pop(&uring->cancelled))) {
		struct loop_op *op = list_entry(entry, struct loop_op, pending);

		uring->in_flight--;
		if (!uring->closing)
			op->done(op, -ECANCELED);
	}
}

int uring_turn(struct uring *uring, uint64_t ns)
{
	struct completion done[URING_BATCH];
	unsigned int n;
	int err;

	if (io_uring_cq_ready(&uring->ring) || !list_empty(&uring->cancelled))
		ns = 0;
	uring_drop(uring);
	err = uring_enter(uring, ns);
	if (err < 0 && err != -ETIME && err != -EINTR && err != -EAGAIN && err != -EBUSY)
		return err;
	n = uring_reap(uring, done);
	for (unsigned int i = 0; i < n && !uring->closing; i++)
		done[i].op->done(done[i].op, done[i].res);
	return (int)n;
}

void uring_close(struct uring *uring)
{
	struct io_uring_sqe *sqe;
	uint64_t end = loop_now_ns() + URING_CLOSE_MS * 1000000ULL;

	uring->closing = true;
	list_splice(&uring->cancelled, &uring->pending);
	sqe = io_uring_get_sqe(&uring->ring);
	if (sqe) {
		io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
		sqe->user_data = 0;
	}
	while (uring->in_flight && loop_now_ns() < end && uring_turn(uring, 10000000) >= 0)
		;
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

/* Every operation: its place, its preparation, and whose it is. */
#define START(loop, op, prepare, ...) do {						\
	struct io_uring_sqe *sqe = uring_sqe(own_uring(loop), op);			\
	prepare(sqe, __VA_ARGS__);							\
	io_uring_sqe_set_data(sqe, op);							\
} while (0)

void loop_read(struct loop *loop, struct loop_op *op, int fd, void *buf, uint32_t len, uint64_t offset)
{
	START(loop, op, io_uring_prep_read, fd, buf, len, offset);
}

void loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset)
{
	START(loop, op, io_uring_prep_write, fd, buf, len, offset);
}

void loop_readv(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov, unsigned int n, uint64_t offset)
{
	START(loop, op, io_uring_prep_readv, fd, iov, n, offset);
}

void loop_writev(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov, unsigned int n,
		 uint64_t offset)
{
	START(loop, op, io_uring_prep_writev, fd, iov, n, offset);
}

void loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only)
{
	START(loop, op, io_uring_prep_fsync, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
}

void loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len)
{
	struct io_uring_sqe *sqe = uring_sqe(own_uring(loop), op);

	/* io_uring_prep_fallocate() of 2.3 takes off_t; this says what the kernel reads */
	io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, fd, (const void *)(uintptr_t)len, (unsigned int)mode, offset);
	io_uring_sqe_set_data(sqe, op);
}

void loop_openat(struct loop *loop, struct loop_op *op, int dirfd, const char *path, int flags, uint32_t mode)
{
	START(loop, op, io_uring_prep_openat, dirfd, path, flags, mode);
}

void loop_unlinkat(struct loop *loop, struct loop_op *op, int dirfd, const char *path, int flags)
{
	START(loop, op, io_uring_prep_unlinkat, dirfd, path, flags);
}

void loop_closefd(struct loop *loop, struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = uring_sqe(own_uring(loop), op);

	io_uring_prep_close(sqe, fd);
	io_uring_sqe_set_data(sqe, op);
}

void loop_recv(struct loop *loop, struct loop_op *op, int fd, void *buf, uint32_t len)
{
	START(loop, op, io_uring_prep_recv, fd, buf, len, 0);
}

void loop_send(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len)
{
	START(loop, op, io_uring_prep_send, fd, buf, len, MSG_NOSIGNAL);
}

void loop_recvmsg(struct loop *loop, struct loop_op *op, int fd, struct msghdr *msg, int flags)
{
	START(loop, op, io_uring_prep_recvmsg, fd, msg, (unsigned int)flags);
}

void loop_sendmsg(struct loop *loop, struct loop_op *op, int fd, const struct msghdr *msg, int flags)
{
	START(loop, op, io_uring_prep_sendmsg, fd, msg, (unsigned int)flags | MSG_NOSIGNAL);
}

void loop_accept(struct loop *loop, struct loop_op *op, int fd)
{
	START(loop, op, io_uring_prep_accept, fd, NULL, NULL, SOCK_CLOEXEC);
}

void loop_connect(struct loop *loop, struct loop_op *op, int fd, const struct sockaddr *addr, socklen_t len)
{
	START(loop, op, io_uring_prep_connect, fd, addr, len);
}

void loop_shutdown(struct loop *loop, struct loop_op *op, int fd, int how)
{
	START(loop, op, io_uring_prep_shutdown, fd, how);
}

void loop_poll(struct loop *loop, struct loop_op *op, int fd, unsigned int events)
{
	START(loop, op, io_uring_prep_poll_add, fd, events);
}

void loop_command(struct loop *loop, struct loop_op *op, int fd, uint32_t cmd_op, const void *cmd16)
{
	struct io_uring_sqe *sqe = uring_sqe(own_uring(loop), op);

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = cmd_op;
	memcpy(sqe->cmd, cmd16, 16);
	io_uring_sqe_set_data(sqe, op);
}

void loop_cancel(struct loop *loop, struct loop_op *op)
{
	struct uring *uring = loop_uring(loop);
	struct io_uring_sqe *sqe;

	if (!list_empty(&op->pending)) {
		list_del(&op->pending);
		list_add(&uring->cancelled, &op->pending);
		return;
	}
	sqe = io_uring_get_sqe(&uring->ring);
	if (!sqe) {
		io_uring_submit(&uring->ring);
		sqe = io_uring_get_sqe(&uring->ring);
	}
	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, (uintptr_t)op, 0);
	sqe->user_data = 0;
}

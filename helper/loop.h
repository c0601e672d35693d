/* SPDX-License-Identifier: GPL-2.0 */
/*
 * loop: the reactor. One io_uring and one thread each; nothing in a loop's thread may block.
 *
 * Everything is intrusive: the caller embeds a struct loop_op (loop_timer, loop_task, loop_work) in its own
 * object and finds that with container_of in the callback. The loop allocates nothing per operation, and no
 * call that starts one can fail: errors come through the callback, as negative errno.
 *
 * An op belongs to the loop from its start to its callback; the memory that it points to (buffer, msghdr,
 * iovec, path, address) must live as long. Callbacks come only out of loop_run(), never from within the
 * call that started the op; in the callback the op may be started again or freed.
 *
 * Except for loop_post(), loop_stop(), loop_current() and loop_now_ns(), functions may be called only by the loop's own thread.
 */
#ifndef REGIONFS_LOOP_H
#define REGIONFS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "list.h"

struct loop;
struct statx;

/* One asynchronous operation of the kernel's. */
struct loop_op {
	/* set by the caller; res is the operation's result (bytes, a new fd, poll's events) or a negative errno */
	void (*done)(struct loop_op *op, int res);
	/* the loop's */
	struct list pending;
	uint8_t sqe[64];
};

/* ---- life ---- */

/* A loop for the calling thread; entries: submissions per batch (0: a default). Not submitted ones queue without limit. */
int loop_open(struct loop **loop, unsigned int entries);
/* May the loop look for what comes for a moment before it sleeps (polling.h)? Not at first; for one that serves programs of this host. */
void loop_may_poll(struct loop *loop, bool on);
/* More may come soon after what is done now, and from who polls sooner: if it may, it looks for that. */
void loop_expect(struct loop *loop, bool polled);
/* Runs callbacks until loop_stop(), and may be called again after it; returns 0, or a negative errno when the ring is broken. */
int loop_run(struct loop *loop);
/* Any thread, any number of times. */
void loop_stop(struct loop *loop);
/* After loop_run(): it may be run again. */
void loop_again(struct loop *loop);
/* After loop_run(). Operations that are still under way are cancelled and their callbacks are not called. */
void loop_close(struct loop *loop);
/* The loop of the calling thread, NULL where there is none. */
struct loop *loop_current(void);
/* CLOCK_MONOTONIC */
uint64_t loop_now_ns(void);

/* ---- files; short reads and writes are the caller's to continue ---- */

void loop_read(struct loop *loop, struct loop_op *op, int fd, void *buf, uint32_t len, uint64_t offset);
void loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset);
void loop_readv(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov, unsigned int n, uint64_t offset);
void loop_writev(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov, unsigned int n,
		 uint64_t offset);
/* offset for streams: pipes, eventfd, signalfd, a terminal */
#define LOOP_STREAM UINT64_MAX
void loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only);
/* mode as in fallocate(2); 32 bits are enough for it, lengths are whole */
void loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len);
void loop_openat(struct loop *loop, struct loop_op *op, int dirfd, const char *path, int flags, uint32_t mode);
void loop_unlinkat(struct loop *loop, struct loop_op *op, int dirfd, const char *path, int flags);
void loop_closefd(struct loop *loop, struct loop_op *op, int fd);

/* ---- sockets ---- */

void loop_recv(struct loop *loop, struct loop_op *op, int fd, void *buf, uint32_t len);
void loop_send(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len);
void loop_recvmsg(struct loop *loop, struct loop_op *op, int fd, struct msghdr *msg, int flags);
/* MSG_NOSIGNAL is added here and in loop_send */
void loop_sendmsg(struct loop *loop, struct loop_op *op, int fd, const struct msghdr *msg, int flags);
void loop_accept(struct loop *loop, struct loop_op *op, int fd);	/* the new fd is CLOEXEC */
void loop_connect(struct loop *loop, struct loop_op *op, int fd, const struct sockaddr *addr, socklen_t len);
void loop_shutdown(struct loop *loop, struct loop_op *op, int fd, int how);

/* ---- others ---- */

/* Once: res is the events that came (POLLIN ...). For everything without an operation of its own: pidfd, netlink. */
void loop_poll(struct loop *loop, struct loop_op *op, int fd, unsigned int events);
/* IORING_OP_URING_CMD with 16 bytes of command. */
void loop_command(struct loop *loop, struct loop_op *op, int fd, uint32_t cmd_op, const void *cmd16);
/* Asks the kernel to give op up; its callback still comes, with -ECANCELED or its result. */
void loop_cancel(struct loop *loop, struct loop_op *op);

/* ---- timers ---- */

struct loop_timer {
	void (*fire)(struct loop_timer *timer);
	/* the loop's; all zero is a timer that is not set */
	uint64_t at;
	size_t slot;		/* 1 + its place in the heap, 0: not set */
};

/* (Re)arms it, ms from now. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ms);
/* A timer that is not set is left alone. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* ---- across threads ---- */

struct loop_task {
	void (*run)(struct loop_task *task);
	struct loop_task *next;		/* the loop's */
};

/* Any thread: run the task in loop's thread, after those posted before. Wakes the loop when it sleeps. */
void loop_post(struct loop *loop, struct loop_task *task);
/* The same, but at once where this is loop's thread: then it has been run, and may be gone, when this returns. */
void loop_call(struct loop *loop, struct loop_task *task);

/*
 * Something that blocks (ftruncate, readdir, getaddrinfo) in a small pool of threads that all loops share.
 * At most LOOP_WORKERS run at a time, the others queue. work runs in the pool, done in the loop's thread.
 */
#define LOOP_WORKERS 8

struct loop_work {
	int (*work)(struct loop_work *work);
	void (*done)(struct loop_work *work, int res);
	/* the loop's */
	struct loop *loop;
	struct loop_work *next;
	struct loop_task task;
	int res;
};

void loop_work(struct loop *loop, struct loop_work *work);

#endif

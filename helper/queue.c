// SPDX-License-Identifier: GPL-2.0
/*
 * queue: takes requests of the kernel's and answers them. A tag is parked with FETCH, comes back with a descriptor,
 * is given to its region as a backend request, and is answered and parked again with COMMIT_AND_FETCH.
 * What is answered in one turn of the loop goes to the kernel in one system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/regionfs.h>

#include "backend.h"
#include "colour.h"
#include "queue.h"
#include "region.h"

#define QUEUE_STACK (512u << 10)

struct tag {
	struct loop_op op;
	struct backend_req req;
	struct queue *queue;
	char *buffer;
	uint32_t cookie;
	uint16_t number;
	bool held;		/* it has a request to answer */
	bool last;		/* its last answer is on its way: it won't be parked again */
};

struct queue {
	struct queue_options options;
	pthread_t thread;
	struct loop *loop;
	struct tag *tags;
	char *buffers;
	size_t buffers_len;
	unsigned int nr_parked;
	unsigned int nr_held;
	bool draining;
	bool abandoned;
	void (*idle)(void *arg);
	int error;
	struct loop_task drain_task, abandon_task, idle_task, broken_task;
	/* the start: the thread tells how it went */
	pthread_mutex_t lock;
	pthread_cond_t started;
	bool running;
};

static void queue_report_idle(struct loop_task *task)
{
	struct queue *queue = container_of(task, struct queue, idle_task);

	queue->idle(queue->options.arg);
}

static void queue_report_broken(struct loop_task *task)
{
	struct queue *queue = container_of(task, struct queue, broken_task);

	queue->options.broken(queue->options.arg, queue->error);
}

static void queue_break(struct queue *queue, int error)
{
	if (queue->error || queue->draining)
		return;
	queue->error = error;
	queue->broken_task.run = queue_report_broken;
	loop_post(queue->options.home, &queue->broken_task);
}

/* Looks whether the thread can end, or the device be told that all is answered. */
static void queue_settle(struct queue *queue)
{
	if (!queue->draining)
		return;
	if (!queue->nr_held && queue->idle_task.run == NULL) {
		queue->idle_task.run = queue_report_idle;
		loop_post(queue->options.home, &queue->idle_task);
	}
	if (!queue->nr_parked && (!queue->nr_held || queue->abandoned))
		loop_stop(queue->loop);
}

/* ---- requests ---- */

static void tag_park(struct tag *tag, uint32_t cmd_op, uint64_t addr, int error)
{
	struct queue *queue = tag->queue;
	struct regionfs_io_cmd cmd = {
		.addr = addr,
		.cookie = tag->cookie,
		.error = (int16_t)error,
		.tag = tag->number,
	};

	queue->nr_parked++;
	loop_command(queue->loop, &tag->op, queue->options.fd, cmd_op, &cmd);
}

/* The kernel takes 0 and errno values that it knows; the rest would be a surprise to a program. */
static int tag_error(enum backend_op op, int error)
{
	/* else it would be tried for ever */
	if (op == BACKEND_RESIZE && (error == -EPERM || error == -EACCES))
		return error;
	switch (error) {
	case 0:
	case -EIO:
	case -ENOSPC:
	case -EDQUOT:
	case -EROFS:
	case -EFBIG:
	case -EOPNOTSUPP:
	case -ESTALE:
	case -ENOMEM:
	case -EAGAIN:
	case -ETIMEDOUT:
		return error;
	default:
		return -EIO;
	}
}

static void tag_answered(struct backend_req *req, int error)
{
	struct tag *tag = container_of(req, struct tag, req);
	struct queue *queue = tag->queue;
	uint64_t addr = req->op == BACKEND_READ && !error ? (uintptr_t)req->data : 0;

	tag->held = false;
	queue->nr_held--;
	tag->last = queue->draining;
	if (queue->abandoned)
		queue_settle(queue);
	else
		tag_park(tag, tag->last ? REGIONFS_IO_COMMIT : REGIONFS_IO_COMMIT_AND_FETCH, addr, tag_error(req->op, error));
}

static unsigned int req_flags(const struct queue *queue, const struct regionfs_io_desc *desc)
{
	unsigned int flags = desc->flags & REGIONFS_REQ_DEMAND ? BACKEND_DEMAND : 0;

	if (desc->op == REGIONFS_OP_READ && !flags)
		flags |= BACKEND_BULK;
	if (desc->flags & REGIONFS_REQ_REPEATED)
		flags |= BACKEND_REPEATED;
	/* the kernel copies the bytes: what is gone from there is an EFAULT to it, see tag_ready() */
	if (queue->options.any_addr)
		flags |= BACKEND_ANY_ADDR;
	return flags | BACKEND_ZERO_NULL;
}

static void tag_dispatch(struct tag *tag, const struct regionfs_io_desc *desc)
{
	static const enum backend_op ops[] = {
		[REGIONFS_OP_READ] = BACKEND_READ,
		[REGIONFS_OP_WRITE] = BACKEND_WRITE,
		[REGIONFS_OP_SYNC] = BACKEND_SYNC,
		[REGIONFS_OP_DISCARD] = BACKEND_DISCARD,
		[REGIONFS_OP_RESIZE] = BACKEND_RESIZE,
		[REGIONFS_OP_DESTROY] = BACKEND_DESTROY,
	};
	struct backend_req *req = &tag->req;

	req->op = desc->op < sizeof(ops) / sizeof(ops[0]) ? ops[desc->op] : BACKEND_OPS;
	req->flags = req_flags(tag->queue, desc);
	req->offset = desc->offset;
	req->length = desc->length;
	req->arg = desc->arg;
	req->data = tag->buffer;
	req->attach_gen = desc->attach_gen;
	req->epoch = desc->epoch;
	req->id = desc->id;
	req->loop = tag->queue->loop;
	req->done = tag_answered;
	region_submit(tag->queue->options.regions, desc->region, req);
}

static void tag_ready(struct loop_op *op, int res)
{
	struct tag *tag = container_of(op, struct tag, op);
	struct queue *queue = tag->queue;
	const struct regionfs_io_desc *desc = &queue->options.desc[tag->number - queue->options.first_tag];

	queue->nr_parked--;
	/*
	 * While draining, none is taken any more: the device may have been told that all is answered, and then its loop, which
	 * backends need to answer, waits for this thread. The kernel hands the request to the next helper.
	 */
	if (res == 0 && !tag->last && !queue->draining) {
		tag->cookie = (uint32_t)desc->id;
		tag->held = true;
		queue->nr_held++;
		if (desc->flags & REGIONFS_REQ_DEMAND)
			loop_expect(queue->loop, desc->flags & REGIONFS_REQ_POLLED);
		tag_dispatch(tag, desc);
		return;
	}
	if (res == -EFAULT && !queue->draining) {
		/* the bytes that a READ was answered with are gone from under us: say so instead */
		tag_park(tag, REGIONFS_IO_COMMIT_AND_FETCH, 0, -EIO);
		return;
	}
	/* -ECANCELED: it was sent home, which is meant only while draining */
	if (res)
		queue_break(queue, res);
	queue_settle(queue);
}

/* ---- the thread ---- */

static void queue_park_all(struct queue *queue)
{
	for (unsigned int i = 0; i < queue->options.depth; i++) {
		struct tag *tag = &queue->tags[i];

		tag->queue = queue;
		tag->op.done = tag_ready;
		tag->number = (uint16_t)(queue->options.first_tag + i);
		tag->buffer = queue->buffers + (size_t)i * queue->options.max_request;
		tag_park(tag, REGIONFS_IO_FETCH, (uintptr_t)tag->buffer, 0);
	}
}

static void queue_tell_started(struct queue *queue, int error)
{
	pthread_mutex_lock(&queue->lock);
	queue->error = error;
	queue->running = true;
	pthread_cond_signal(&queue->started);
	pthread_mutex_unlock(&queue->lock);
}

static void *queue_thread(void *arg)
{
	struct queue *queue = arg;
	int err = loop_open(&queue->loop, queue->options.depth * 4);

	queue_tell_started(queue, err);
	if (err)
		return NULL;
	loop_may_poll(queue->loop, queue->options.poll);
	queue_park_all(queue);
	err = loop_run(queue->loop);
	if (err)
		queue_break(queue, err);
	/* a backend that still has a request of ours would call back: then all is left as it is, for the process to end */
	if (!queue->nr_held && !err) {
		loop_close(queue->loop);
		close(queue->options.fd);
		queue->loop = NULL;
	}
	return NULL;
}

/* Locked: a WRITE that frees memory must not wait for memory. Not dumped: it is other programs' data. */
static int queue_alloc(struct queue *queue)
{
	queue->buffers_len = (size_t)queue->options.depth * queue->options.max_request;
	queue->tags = calloc(queue->options.depth, sizeof(*queue->tags));
	queue->buffers = colour_map(COLOUR_BUFFERS, queue->buffers_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!queue->tags || queue->buffers == MAP_FAILED)
		return -ENOMEM;
	madvise(queue->buffers, queue->buffers_len, MADV_DONTDUMP);
	madvise(queue->buffers, queue->buffers_len, MADV_POPULATE_WRITE);
	mlock(queue->buffers, queue->buffers_len);
	return 0;
}

static void queue_free(struct queue *queue)
{
	if (queue->buffers && queue->buffers != MAP_FAILED)
		munmap(queue->buffers, queue->buffers_len);
	free(queue->tags);
	pthread_cond_destroy(&queue->started);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static int queue_thread_start(struct queue *queue)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, QUEUE_STACK);
	err = pthread_create(&queue->thread, &attr, queue_thread, queue);
	pthread_attr_destroy(&attr);
	if (err)
		return -err;
	pthread_mutex_lock(&queue->lock);
	while (!queue->running)
		pthread_cond_wait(&queue->started, &queue->lock);
	err = queue->error;
	pthread_mutex_unlock(&queue->lock);
	if (err)
		pthread_join(queue->thread, NULL);
	return err;
}

int queue_start(struct queue **out, const struct queue_options *options)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	queue->options = *options;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->started, NULL);
	err = queue_alloc(queue);
	/* its own, so that it can still answer while the device is being closed, which sends the parked tags home */
	queue->options.fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
	if (!err && queue->options.fd < 0)
		err = -errno;
	if (!err)
		err = queue_thread_start(queue);
	if (err) {
		if (queue->options.fd >= 0)
			close(queue->options.fd);
		queue_free(queue);
		return err;
	}
	*out = queue;
	return 0;
}

static void drain_here(struct loop_task *task)
{
	struct queue *queue = container_of(task, struct queue, drain_task);

	queue->draining = true;
	queue_settle(queue);
}

void queue_drain(struct queue *queue, void (*idle)(void *arg))
{
	queue->idle = idle;
	queue->drain_task.run = drain_here;
	loop_post(queue->loop, &queue->drain_task);
}

static void abandon_here(struct loop_task *task)
{
	struct queue *queue = container_of(task, struct queue, abandon_task);

	queue->abandoned = true;
	queue_settle(queue);
}

void queue_abandon(struct queue *queue)
{
	queue->abandon_task.run = abandon_here;
	loop_post(queue->loop, &queue->abandon_task);
}

void queue_join(struct queue *queue)
{
	pthread_join(queue->thread, NULL);
	if (!queue->loop)
		queue_free(queue);
}

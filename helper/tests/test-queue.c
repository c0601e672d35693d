// SPDX-License-Identifier: GPL-2.0
/*
 * A queue that is drained: what it holds is answered, what comes after that is left to the next helper. The kernel is this
 * file: loop_command() is replaced by the linker (--wrap), and completes when the test says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <linux/regionfs.h>

#include "tap.h"
#include "../device.h"
#include "../queue.h"
#include "../region.h"

#define DEPTH 2

void __wrap_loop_command(struct loop *loop, struct loop_op *op, int fd, uint32_t cmd_op, const void *cmd16);

/* ---- the kernel ---- */

static struct tag_state {
	struct loop_task task;
	struct loop *loop;
	struct loop_op *op;	/* parked */
	uint32_t cmd_op;
	int res;
} tags[DEPTH];

static struct regionfs_io_desc desc[DEPTH];
static sem_t parked, submitted;

void __wrap_loop_command(struct loop *loop, struct loop_op *op, int fd, uint32_t cmd_op, const void *cmd16)
{
	const struct regionfs_io_cmd *cmd = cmd16;

	tags[cmd->tag].loop = loop;
	tags[cmd->tag].op = op;
	tags[cmd->tag].cmd_op = cmd_op;
	sem_post(&parked);
}

static void complete_there(struct loop_task *task)
{
	struct tag_state *tag = container_of(task, struct tag_state, task);
	struct loop_op *op = tag->op;

	tag->op = NULL;
	op->done(op, tag->res);
}

/* The command of a parked tag completes. */
static void complete(unsigned int n, int res)
{
	tags[n].res = res;
	tags[n].task.run = complete_there;
	loop_post(tags[n].loop, &tags[n].task);
}

/* ---- the regions ---- */

static struct backend_req *request;
static unsigned int nr_submitted;

void region_submit(struct regions *regions, uint64_t id, struct backend_req *req)
{
	nr_submitted++;
	request = req;
	sem_post(&submitted);
}

/* ---- the device ---- */

static struct loop *home;

static void on_idle(void *arg)
{
	loop_stop(home);
}

static void on_broken(void *arg, int error)
{
	tap_ok(false, "the queue goes on");
}

static struct queue *start(void)
{
	struct queue_options options = {
		.fd = open("/dev/null", O_RDWR), .depth = DEPTH, .max_request = REGIONFS_REQUEST_MIN, .desc = desc,
		.home = home, .broken = on_broken,
	};
	struct queue *queue;

	if (queue_start(&queue, &options))
		exit(99);
	close(options.fd);
	for (int i = 0; i < DEPTH; i++)
		sem_wait(&parked);
	return queue;
}

static void answer_there(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	req->done(req, 0);
}

static void drain(struct queue *queue)
{
	queue_drain(queue, on_idle);
	loop_run(home);
	loop_again(home);
}

int main(void)
{
	struct queue *queue;

	if (loop_open(&home, 0) || sem_init(&parked, 0, 0) || sem_init(&submitted, 0, 0))
		return 99;
	alarm(60);
	queue = start();
	complete(0, 0);
	sem_wait(&submitted);
	tap_number(nr_submitted, 1, "a request is taken");
	request->task.run = answer_there;
	loop_post(request->loop, &request->task);
	sem_wait(&parked);
	tap_ok(tags[0].cmd_op == REGIONFS_IO_COMMIT_AND_FETCH, "and answered");

	drain(queue);
	tap_ok(true, "the queue says that all is answered");
	complete(0, 0);		/* the kernel did not know yet */
	complete(1, -ECANCELED);
	queue_join(queue);
	tap_number(nr_submitted, 1, "a request that comes after that is left to the next helper, and the thread ends");
	loop_close(home);
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chan.h"

int chan_open(struct chan *c, unsigned int entries)
{
	int ret;

	memset(c, 0, sizeof(*c));
	c->fd = open(REGIONFS_DEVICE, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return -errno;
	ret = io_uring_queue_init(entries, &c->ring, 0);
	if (ret)
		close(c->fd);
	return ret;
}

void chan_close(struct chan *c)
{
	io_uring_queue_exit(&c->ring);
	close(c->fd);
	free(c->desc);
	c->desc = NULL;
}

struct io_uring_sqe *chan_sqe(struct chan *c, uint32_t op, const struct regionfs_io_cmd *cmd,
			      uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);

	if (!sqe) {
		io_uring_submit(&c->ring);
		sqe = io_uring_get_sqe(&c->ring);
	}
	if (!sqe)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = c->fd;
	sqe->cmd_op = op;
	sqe->user_data = user_data;
	memcpy(sqe->cmd, cmd, sizeof(*cmd));
	return sqe;
}

int chan_sync(struct chan *c, uint32_t op, const struct regionfs_io_cmd *cmd)
{
	struct io_uring_cqe *cqe;
	int ret;

	chan_sqe(c, op, cmd, 0);
	do {
		ret = io_uring_submit_and_wait(&c->ring, 1);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(&c->ring, &cqe);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&c->ring, cqe);
	return ret;
}

int chan_attach(struct chan *c, const char *instance, unsigned int queues, unsigned int depth)
{
	struct regionfs_io_cmd cmd = { .addr = (uintptr_t)&c->at };

	if (!c->desc)
		c->desc = aligned_alloc(64, queues * depth * sizeof(*c->desc));
	c->at.size = sizeof(c->at);
	c->at.abi = REGIONFS_ABI;
	c->at.nr_queues = queues;
	c->at.depth = depth;
	c->at.desc_addr = (uintptr_t)c->desc;
	snprintf((char *)c->at.name, sizeof(c->at.name), "%s", instance);
	return chan_sync(c, REGIONFS_IO_ATTACH, &cmd);
}

/* SPDX-License-Identifier: GPL-2.0 */
/* The data plane as it is: the device, one ring, and the commands of <linux/regionfs.h>. */
#ifndef SELFTESTS_CHAN_H
#define SELFTESTS_CHAN_H

#include <liburing.h>
#include <linux/regionfs.h>

struct chan {
	int fd;
	struct io_uring ring;
	struct regionfs_attach at;
	struct regionfs_io_desc *desc;
};

int chan_open(struct chan *c, unsigned int entries);	/* 0 or -errno */
void chan_close(struct chan *c);
/* Attaches with what c->at says (size, abi, desc_addr are filled in here); 0 or -errno. */
int chan_attach(struct chan *c, const char *instance, unsigned int queues, unsigned int depth);
/* Puts a command into the ring; it is submitted later. */
struct io_uring_sqe *chan_sqe(struct chan *c, uint32_t op, const struct regionfs_io_cmd *cmd,
			      uint64_t user_data);
/* Submits one command and waits for it; only while nothing else is under way. */
int chan_sync(struct chan *c, uint32_t op, const struct regionfs_io_cmd *cmd);

#endif

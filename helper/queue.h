/* SPDX-License-Identifier: GPL-2.0 */
/* queue: one thread with its loop, its tags and their buffers. Only device.c uses it. */
#ifndef REGIONFS_QUEUE_H
#define REGIONFS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct queue;
struct regions;
struct regionfs_io_desc;

struct queue_options {
	int fd;
	unsigned int first_tag;
	unsigned int depth;
	uint32_t max_request;
	bool any_addr;
	bool poll;			/* loop_may_poll() */
	const struct regionfs_io_desc *desc;	/* of first_tag */
	struct regions *regions;
	struct loop *home;			/* where the callbacks come */
	void (*broken)(void *arg, int error);
	void *arg;
};

/* The thread runs, and has parked its tags or is about to. */
int queue_start(struct queue **queue, const struct queue_options *options);
/* No request is taken any more; idle(arg) on home when none is held. */
void queue_drain(struct queue *queue, void (*idle)(void *arg));
/* Don't wait for the answers that are missing: end as soon as the parked tags are home. */
void queue_abandon(struct queue *queue);
/* After the device was closed: waits for the thread, frees the queue. */
void queue_join(struct queue *queue);

#endif

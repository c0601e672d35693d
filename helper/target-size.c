// SPDX-License-Identifier: GPL-2.0
/*
 * target-size: what peers write past the end of a region makes it longer here, too. The kernel is told before the range is dropped
 * from the page cache and the peer's request is answered, so that readers here find the bytes, and the next program here
 * that appends does so behind them. One after the other, in the order in which the backend has done them.
 *
 * The kernel takes no larger size while the last page is dirty: then that is written back first. No program writes here
 * while a peer does, so that comes to an end.
 */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "regiond.h"
#include "target-private.h"

#define SIZE_TRIES 16

static void size_next(struct shared *shared);

/* The first one is done. */
static void size_end(struct shared *shared, int error)
{
	struct size_step *step = list_entry(list_pop(&shared->sizing), struct size_step, list);

	step->then(step, error);
	size_next(shared);
}

static void size_send(struct shared *shared, uint8_t cmd,
		      void (*done)(struct netlink_call *call, int error, const char *why))
{
	struct netlink_call *call = &shared->size_call;

	memset(call, 0, sizeof(*call));
	call->cmd = cmd;
	call->done = done;
	netlink_set(&call->attrs, REGION, region, shared->region->info.id);
	if (cmd == REGIONFS_CMD_REGION_SET)
		netlink_set(&call->attrs, SIZE, size, list_entry(shared->sizing.next, struct size_step, list)->size);
	netlink_call(shared->region->regiond->netlink, call);
}

static void size_told(struct netlink_call *call, int error, const char *why);

static void size_written(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, size_call);

	if (error)
		size_end(shared, error);
	else
		size_send(shared, REGIONFS_CMD_REGION_SET, size_told);
}

static void size_told(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, size_call);
	uint64_t size = call->attrs.size;

	if (error == -EBUSY && shared->size_tries++ < SIZE_TRIES) {
		size_send(shared, REGIONFS_CMD_WRITEBACK, size_written);
		return;
	}
	if (error)
		log_warning("the kernel did not take the new size of %s: %s", shared->region->info.path,
			    *why ? why : strerror(-error));
	else
		shared->size = size;
	size_end(shared, error);
}

static void size_next(struct shared *shared)
{
	struct size_step *step;

	if (list_empty(&shared->sizing))
		return;
	step = list_entry(shared->sizing.next, struct size_step, list);
	shared->size_tries = 0;
	if (!step->exact && step->size <= shared->size)
		size_end(shared, 0);
	else
		size_send(shared, REGIONFS_CMD_REGION_SET, size_told);
}

void shared_size(struct shared *shared, struct size_step *step)
{
	bool first = list_empty(&shared->sizing);

	if (first && !step->exact && step->size <= shared->size) {
		step->then(step, 0);
		return;
	}
	list_add(&shared->sizing, &step->list);
	if (first)
		size_next(shared);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * pull: a few slots, each with a buffer, go through the range: take a token, read from the source, store. A token that
 * was overtaken by a write is taken anew; what is there already, or is being written, is left alone by the kernel.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"
#include "device.h"
#include "pull.h"
#include "region.h"
#include "regiond.h"

#define SLOTS	4
#define TRIES	5
#define PAGE	4096u

struct slot {
	struct pull *pull;
	struct loop_op op;
	struct backend_req req;
	struct regionfs_token token;
	struct regionfs_store store;
	char *buffer;
	uint64_t offset;
	uint32_t length;
	unsigned int tries;
};

struct pull {
	struct pull_options options;
	struct regiond *regiond;
	struct loop_task begin;
	uint64_t next, end, done, stored;
	uint32_t step;
	unsigned int running;
	bool stopped;
	int error;
	char why[256];
	struct slot slot[SLOTS];
};

static void pull_free(struct pull *pull)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (pull->slot[i].buffer)
			munmap(pull->slot[i].buffer, pull->step);
	region_put(pull->options.region);
	free(pull);
}

static void pull_fail(struct pull *pull, int error, const char *why)
{
	if (pull->error)
		return;
	pull->error = error;
	snprintf(pull->why, sizeof(pull->why), "%s", *why ? why : strerror(-error));
}

static void pull_end(struct pull *pull)
{
	pull->options.done(pull->options.arg, pull->error, pull->why, pull->stored);
	pull_free(pull);
}

static void slot_token(struct slot *slot);

static void slot_next(struct slot *slot)
{
	struct pull *pull = slot->pull;

	if (pull->stopped)
		pull_fail(pull, -ECANCELED, "the pull was given up");
	if (pull->error || pull->next >= pull->end) {
		if (!--pull->running)
			pull_end(pull);
		return;
	}
	slot->offset = pull->next;
	slot->length = pull->end - pull->next < pull->step ? (uint32_t)(pull->end - pull->next) : pull->step;
	slot->tries = 0;
	pull->next += slot->length;
	slot_token(slot);
}

static void slot_fail(struct slot *slot, int error, const char *why)
{
	pull_fail(slot->pull, error, why);
	slot_next(slot);
}

static void slot_finish(struct slot *slot, uint64_t stored)
{
	struct pull *pull = slot->pull;

	pull->stored += stored;
	pull->done += slot->length;
	if (pull->options.progress)
		pull->options.progress(pull->options.arg, pull->done, pull->options.length);
	slot_next(slot);
}

static void slot_stored(struct loop_op *op, int res)
{
	struct slot *slot = container_of(op, struct slot, op);

	if (res >= 0)
		slot_finish(slot, (uint64_t)res);
	else if (res == -ESTALE && ++slot->tries < TRIES)
		slot_token(slot);
	else if (res == -ESTALE)
		slot_finish(slot, 0);	/* it is being written all the time: then it is near anyway */
	else
		slot_fail(slot, res, "the kernel did not take the bytes");
}

static void slot_command(struct slot *slot, uint32_t cmd_op, void *arg, void (*done)(struct loop_op *op, int res))
{
	struct regionfs_io_cmd cmd = { .addr = (uintptr_t)arg };
	struct regiond *regiond = slot->pull->regiond;

	slot->op.done = done;
	if (!regiond->device || device_command(regiond->device, regiond->loop, &slot->op, cmd_op, &cmd))
		slot_fail(slot, -ENODEV, "regiond is stopping");
}

static void slot_read(struct backend_req *req, int error)
{
	struct slot *slot = container_of(req, struct slot, req);

	if (error) {
		slot_fail(slot, error, "the source could not be read");
		return;
	}
	slot->store = (struct regionfs_store){
		.region = slot->token.region,
		.offset = slot->offset,
		.addr = (uintptr_t)slot->buffer,
		.token = slot->token.token,
		.epoch = slot->pull->options.region->info.epoch,
		.length = slot->length,
	};
	slot_command(slot, REGIONFS_IO_STORE, &slot->store, slot_stored);
}

static void slot_has_token(struct loop_op *op, int res)
{
	struct slot *slot = container_of(op, struct slot, op);
	struct backend_req *req = &slot->req;

	if (res < 0) {
		slot_fail(slot, res, "the kernel gave no token for the region");
		return;
	}
	memset(req, 0, sizeof(*req));
	req->op = BACKEND_READ;
	req->flags = BACKEND_BULK;
	req->offset = slot->offset;
	req->length = slot->length;
	req->data = slot->buffer;
	req->attach_gen = slot->pull->regiond->attach_gen;
	req->epoch = slot->pull->options.region->info.epoch;
	req->loop = slot->pull->regiond->loop;
	req->done = slot_read;
	region_submit(slot->pull->regiond->regions, slot->token.region, req);
}

static void slot_token(struct slot *slot)
{
	slot->token = (struct regionfs_token){ .region = slot->pull->options.region->info.id };
	slot_command(slot, REGIONFS_IO_TOKEN, &slot->token, slot_has_token);
}

static bool slot_alloc(struct pull *pull, struct slot *slot)
{
	void *buffer = mmap(NULL, pull->step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	slot->pull = pull;
	slot->buffer = buffer == MAP_FAILED ? NULL : buffer;
	return slot->buffer != NULL;
}

static void start_slots(struct region *region, int error, void *arg)
{
	struct pull *pull = arg;

	if (error)
		pull_fail(pull, error, region->why);
	/* one more, so that the end doesn't come while they are being started */
	pull->running = SLOTS + 1;
	for (size_t i = 0; i < SLOTS; i++)
		slot_next(&pull->slot[i]);
	if (!--pull->running)
		pull_end(pull);
}

static void pull_begin(struct loop_task *task)
{
	struct pull *pull = container_of(task, struct pull, begin);

	region_open(pull->options.region, start_slots, pull);
}

struct pull *pull_start(const struct pull_options *options)
{
	struct pull *pull = calloc(1, sizeof(*pull));
	uint64_t size = atomic_load(&options->region->size);

	if (!pull)
		return NULL;
	pull->options = *options;
	pull->regiond = options->region->regiond;
	pull->step = device_max_request(pull->regiond->device);
	region_get(options->region);
	for (size_t i = 0; i < SLOTS; i++)
		if (!slot_alloc(pull, &pull->slot[i])) {
			pull_free(pull);
			return NULL;
		}
	pull->next = options->offset & ~(uint64_t)(PAGE - 1);
	pull->end = options->length > size - pull->next ? size : options->offset + options->length;
	if (pull->end < size)
		pull->end = (pull->end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	pull->options.length = pull->next < pull->end ? pull->end - pull->next : 0;
	pull->begin.run = pull_begin;
	loop_post(pull->regiond->loop, &pull->begin);
	return pull;
}

void pull_stop(struct pull *pull)
{
	pull->stopped = true;
}

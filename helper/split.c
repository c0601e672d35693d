// SPDX-License-Identifier: GPL-2.0
/* split: see split.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "split.h"

#define PARTS 4u

struct split {
	struct backend_req *req;
	uint64_t next, end;
	unsigned int running;
	bool stepping;
	int error;
	struct part {
		struct split *split;
		struct backend_req req;
		bool busy;
	} part[PARTS];
};

static void split_step(struct split *split);

static void part_done(struct backend_req *req, int error)
{
	struct part *part = container_of(req, struct part, req);
	struct split *split = part->split;

	part->busy = false;
	split->running--;
	if (error && !split->error)
		split->error = error;
	split_step(split);
}

/* Each part's bytes have to come where the whole's do: no other address, and no NULL. */
static void part_start(struct split *split, struct part *part)
{
	struct backend_req *req = split->req;
	uint64_t max = req->backend->caps.max_request, room = max - split->next % max, left = split->end - split->next;

	part->split = split;
	part->busy = true;
	part->req = (struct backend_req){
		.op = req->op, .flags = req->flags & ~(BACKEND_ZERO_NULL | BACKEND_ANY_ADDR),
		.offset = split->next, .length = left < room ? left : room,
		.data = (char *)req->data + (split->next - req->offset),
		.batch = req->batch, .first = req->first && split->next == req->offset, .attach_gen = req->attach_gen, .epoch = req->epoch, .id = req->id,
		.loop = req->loop, .done = part_done, .backend = req->backend,
	};
	split->next += part->req.length;
	split->running++;
	req->backend->ops->submit(req->backend, &part->req);
}

static struct part *free_part(struct split *split)
{
	for (unsigned int i = 0; i < PARTS; i++)
		if (!split->part[i].busy)
			return &split->part[i];
	return NULL;
}

/* What begins a batch is answered before the rest of it comes. */
static bool is_beginning(const struct split *split)
{
	return split->running && split->part[0].busy && split->part[0].req.first;
}

/* A part may end at once, and so come back here: then the loop that is running goes on. */
static void split_step(struct split *split)
{
	struct backend_req *req = split->req;
	struct part *part;
	int error;

	if (split->stepping)
		return;
	split->stepping = true;
	while (!split->error && split->next < split->end && !is_beginning(split) && (part = free_part(split)))
		part_start(split, part);
	split->stepping = false;
	if (split->running)
		return;
	error = split->error;
	free(split);
	backend_done(req, error);
}

void split_submit(struct backend *backend, struct backend_req *req)
{
	struct split *split = calloc(1, sizeof(*split));

	if (!split) {
		backend_done(req, -ENOMEM);
		return;
	}
	split->req = req;
	split->next = req->offset;
	split->end = req->offset + req->length;
	split_step(split);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * managed: WRITE, DISCARD and RESIZE into the store. The store takes whole pages; where a change touches one in part, that page is read
 * first (from the source, where it isn't here), so a writer waits for the pages that it touches in part and for no other.
 *
 * A change is done in up to three steps: the edges of a DISCARD are zeroes that are written, and so is what a RESIZE leaves of its last
 * page. Changes that touch the same page are done one after the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "managed-private.h"
#include "region.h"
#include "regiond.h"

#define PAGE_MASK	((uint64_t)PAGES_SIZE - 1)
#define STEPS_MAX	3

struct step {
	enum backend_op op;
	uint64_t offset, length, arg;	/* RESIZE: length is the size, arg the lowest */
	const char *data;		/* WRITE: NULL is zeroes */
};

struct change {
	struct list list;		/* managed->changes, ->blocked or ->no_room */
	struct managed *managed;
	struct backend_req *outer;
	uint64_t start, end;		/* the pages that it touches */
	struct step step[STEPS_MAX];
	unsigned int nr, at;
	uint64_t since;			/* no_room: from when on; 0: there was always room */
	bool begun;			/* a step of it is done */
	/* of the step under way */
	struct store_io io;
	struct backend_req edge;	/* reads a page that is touched in part */
	char *bounce;			/* whole pages, where the step's own bytes are not */
	uint64_t bounce_start, bounce_end;
	bool tail_read;
};

static uint64_t page_down(uint64_t offset)
{
	return offset & ~PAGE_MASK;
}

static uint64_t page_up(uint64_t offset)
{
	return offset > UINT64_MAX - PAGE_MASK ? page_down(offset) : (offset + PAGE_MASK) & ~PAGE_MASK;
}

/* ---- which steps ---- */

static void add_step(struct change *change, enum backend_op op, uint64_t offset, uint64_t length, const char *data)
{
	if (length)
		change->step[change->nr++] = (struct step){ .op = op, .offset = offset, .length = length, .data = data };
}

/* Pages that are touched in part by themselves: only they are read first, and copied. */
static void add_write(struct change *change, uint64_t offset, uint64_t length, const char *data, uint64_t size)
{
	uint64_t end = offset + length, from = page_up(offset) < end ? page_up(offset) : end;
	uint64_t to = end >= size ? end : page_down(end);

	to = to < from ? from : to;
	add_step(change, BACKEND_WRITE, offset, from - offset, data);
	add_step(change, BACKEND_WRITE, from, to - from, data ? data + (from - offset) : NULL);
	add_step(change, BACKEND_WRITE, to, end - to, data ? data + (to - offset) : NULL);
}

static void plan_discard(struct change *change, uint64_t size)
{
	const struct backend_req *req = change->outer;
	uint64_t end = req->length > UINT64_MAX - req->offset ? UINT64_MAX : req->offset + req->length;
	uint64_t from = page_up(req->offset), to;

	end = end > size ? size : end;
	if (req->offset >= end)
		return;
	to = end >= size ? page_up(end) : page_down(end);
	if (from >= to) {
		add_write(change, req->offset, end - req->offset, NULL, size);
		return;
	}
	add_step(change, BACKEND_WRITE, req->offset, from - req->offset, NULL);
	add_step(change, BACKEND_DISCARD, from, to - from, NULL);
	add_step(change, BACKEND_WRITE, to, end > to ? end - to : 0, NULL);
}

/* Does a RESIZE say what the region is, and cut nothing off? */
static bool tells_size(const struct managed *managed)
{
	return managed->adopting.on && !managed->adopting.owned;
}

/* First what is left of the last page is zeroed: the store cuts whole pages. Where it is not here, the source's is cut when it comes. */
static void plan_resize(struct change *change, uint64_t size)
{
	const struct backend_req *req = change->outer;
	uint64_t low = req->arg < size ? req->arg : size, end = page_up(low) < size ? page_up(low) : size;
	uint64_t arg = tells_size(change->managed) ? STORE_KEEPS : req->arg;

	add_step(change, BACKEND_WRITE, low, end - low, NULL);
	change->step[change->nr++] = (struct step){ .op = BACKEND_RESIZE, .length = req->length, .arg = arg };
}

/*
 * A region that was cut while there was no helper, or none that lived to answer, is as short as the kernel has told when it was opened; but what the
 * store has of changes goes as far as before, up to this RESIZE.
 */
static void follow_store(struct managed *managed)
{
	uint64_t here = store_size(managed->store);

	if (here > managed_size(managed) && !tells_size(managed))
		backend_set_size(&managed->backend, here);
}

static void plan(struct change *change)
{
	const struct backend_req *req = change->outer;
	uint64_t size;

	if (req->op == BACKEND_RESIZE)
		follow_store(change->managed);
	size = managed_size(change->managed);
	if (req->op == BACKEND_WRITE)
		add_write(change, req->offset, req->length, req->data, size);
	else if (req->op == BACKEND_DISCARD)
		plan_discard(change, size);
	else
		plan_resize(change, size);
	change->start = page_down(req->op == BACKEND_RESIZE ? (req->arg < size ? req->arg : size) : req->offset);
	change->end = req->op == BACKEND_RESIZE || req->length > UINT64_MAX - req->offset ? UINT64_MAX :
		      page_up(req->offset + req->length);
	/* a WRITE past the end makes more of the last page */
	if (req->op == BACKEND_WRITE && req->offset > size)
		change->start = page_down(size);
}

/* ---- the end ---- */

static void unblock(struct managed *managed);

static void change_end(struct change *change, int error)
{
	struct managed *managed = change->managed;
	struct backend_req *outer = change->outer;

	list_del(&change->list);
	free(change->bounce);
	free(change);
	managed_new_version(managed);
	managed->nr_busy--;
	/* also one that has failed: a generation in which a change is under way isn't pushed */
	if (managed->pusher)
		pusher_kick(managed->pusher);
	backend_done(outer, error);
	managed_room_settle(managed);
	unblock(managed);
	managed_idle(managed);
}

static void step_start(struct change *change);

/* Until there is room, or the region's deadline is over. */
static void wait_for_room(struct change *change)
{
	struct managed *managed = change->managed;

	if (!change->since)
		change->since = loop_now_ns();
	list_del(&change->list);
	list_add(&managed->no_room, &change->list);
	/* it may have waited for this one, and makes the room */
	if (managed->pusher)
		pusher_kick(managed->pusher);
	managed_set_deadline(managed);
	managed_room_make(managed);
}

/* What is on its way of the step's bytes is older than they are: what was begun before the step, and what was while the store had it. */
static void spoil(const struct change *change)
{
	const struct store_io *io = &change->io;

	managed_fetch_spoil(change->managed, io->op == BACKEND_RESIZE ? page_down(io->arg) : io->offset,
			    io->op == BACKEND_RESIZE ? UINT64_MAX : io->length);
}

/* The end of what will be the last page is zero already: a RESIZE that can't go on now must later. */
static bool is_half(const struct change *change)
{
	return change->begun && change->outer->op == BACKEND_RESIZE;
}

static bool may_wait(const struct change *change, int error)
{
	return !change->managed->closing && (error == -ENOSPC || error == -EDQUOT || (error == -ENOMEM && is_half(change)));
}

static void step_over(struct change *change);

static void step_done(struct store_io *io, int error)
{
	struct change *change = container_of(io, struct change, io);

	spoil(change);
	if (may_wait(change, error)) {
		wait_for_room(change);
		return;
	}
	if (error) {
		change_end(change, error);
		return;
	}
	step_over(change);
}

static void step_over(struct change *change)
{
	struct managed *managed = change->managed;
	const struct step *step = &change->step[change->at];

	managed_room_taken(managed);
	change->begun = true;
	managed_follow_size(managed, &(struct backend_req){ .op = step->op, .offset = step->offset,
							    .length = step->length });
	free(change->bounce);
	change->bounce = NULL;
	change->tail_read = false;
	if (++change->at < change->nr)
		step_start(change);
	else
		change_end(change, 0);
}

/* ---- a step ---- */

static void step_submit(struct change *change)
{
	struct managed *managed = change->managed;
	const struct step *step = &change->step[change->at];
	struct store_io *io = &change->io;

	io->done = step_done;
	io->op = step->op;
	io->offset = change->bounce ? change->bounce_start : step->offset;
	io->length = change->bounce ? change->bounce_end - change->bounce_start : step->length;
	io->arg = step->arg;
	io->data = change->bounce ? change->bounce : (char *)(uintptr_t)step->data;
	io->gen = pusher_gen(managed->pusher);
	spoil(change);
	store_change(managed->store, io);
}

static void put_into_bounce(struct change *change)
{
	const struct step *step = &change->step[change->at];
	char *to = change->bounce + (step->offset - change->bounce_start);

	if (step->data)
		memcpy(to, step->data, step->length);
	else
		memset(to, 0, step->length);
}

static bool needs_head(const struct step *step)
{
	return step->offset & PAGE_MASK;
}

static bool needs_tail(const struct managed *managed, const struct step *step)
{
	uint64_t end = step->offset + step->length;

	if (!(end & PAGE_MASK) || end >= managed_size(managed))
		return false;
	/* the page of the head is read once */
	return !needs_head(step) || page_down(end) != page_down(step->offset);
}

static void edge_read(struct backend_req *req, int error);

static void read_edge(struct change *change, uint64_t page)
{
	struct managed *managed = change->managed;
	struct backend_req *req = &change->edge;

	memset(req, 0, sizeof(*req));
	req->op = BACKEND_READ;
	req->flags = BACKEND_DEMAND;
	req->offset = page;
	req->length = PAGES_SIZE;
	req->data = change->bounce + (page - change->bounce_start);
	req->backend = &managed->backend;
	req->loop = managed_loop(managed);
	req->done = edge_read;
	managed_read_start(managed, req);
}

static void edges_more(struct change *change)
{
	struct managed *managed = change->managed;
	const struct step *step = &change->step[change->at];

	if (needs_tail(managed, step) && !change->tail_read) {
		change->tail_read = true;
		read_edge(change, page_down(step->offset + step->length));
		return;
	}
	put_into_bounce(change);
	step_submit(change);
}

static void edge_read(struct backend_req *req, int error)
{
	struct change *change = container_of(req, struct change, edge);

	if (error)
		change_end(change, error);
	else
		edges_more(change);
}

static bool make_bounce(struct change *change)
{
	const struct step *step = &change->step[change->at];
	uint64_t end = step->offset + step->length, size = managed_size(change->managed);

	change->bounce_start = page_down(step->offset);
	/* up to the region's end, and not beyond, or it would grow */
	change->bounce_end = page_up(end);
	if (change->bounce_end > size)
		change->bounce_end = end > size ? end : size;
	change->bounce = calloc(1, page_up(change->bounce_end) - change->bounce_start);
	return change->bounce;
}

/* Zeroes at the end of what will be the last page: only where that is here, or is about to be. */
static bool is_moot(const struct change *change)
{
	struct managed *managed = change->managed;
	const struct step *step = &change->step[change->at];
	uint64_t page = page_down(step->offset);

	return change->outer->op == BACKEND_RESIZE && step->op == BACKEND_WRITE && !managed_fetch_any(managed, page) &&
	       store_checked(managed->store, page, PAGES_SIZE) && !store_present(managed->store, page, PAGES_SIZE);
}

static void step_start(struct change *change)
{
	struct managed *managed = change->managed;
	struct step *step = &change->step[change->at];

	if (is_moot(change))
		step = &change->step[++change->at];
	if (step->op != BACKEND_WRITE || (!needs_head(step) && !needs_tail(managed, step))) {
		step_submit(change);
		return;
	}
	if (!make_bounce(change))
		change_end(change, -ENOMEM);
	else if (needs_head(step))
		read_edge(change, page_down(step->offset));
	else
		edges_more(change);
}

/* ---- one after the other ---- */

static bool overlaps(const struct change *change, const struct list *list)
{
	const struct list *at;

	list_for_each(at, list) {
		const struct change *other = list_entry(at, struct change, list);

		if (other->start < change->end && change->start < other->end)
			return true;
	}
	return false;
}

static void change_go(struct change *change)
{
	struct managed *managed = change->managed;

	if (overlaps(change, &managed->changes) || overlaps(change, &managed->no_room)) {
		list_add(&managed->blocked, &change->list);
		return;
	}
	list_add(&managed->changes, &change->list);
	change->nr = change->at = 0;
	plan(change);
	if (change->nr)
		step_start(change);
	else
		change_end(change, 0);
}

static void unblock(struct managed *managed)
{
	struct list list, *entry;

	list_init(&list);
	list_splice(&list, &managed->blocked);
	managed->nr_busy++;
	while ((entry = list_pop(&list)))
		change_go(list_entry(entry, struct change, list));
	managed->nr_busy--;
}

/* Each is in one of the lists all the time, so that no other one that overlaps it gets in between. */
void managed_retry_no_room(struct managed *managed)
{
	unsigned int n = 0;
	struct list *at;

	if (managed->room.retrying)
		return;
	managed->room.retrying = true;
	managed->nr_busy++;
	list_for_each(at, &managed->no_room)
		n++;
	while (n-- && (at = list_pop(&managed->no_room))) {
		list_add(&managed->changes, at);
		step_submit(list_entry(at, struct change, list));
	}
	managed->room.retrying = false;
	managed_room_settle(managed);
	managed->nr_busy--;
	managed_idle(managed);
}

uint64_t managed_change_since(const struct managed *managed)
{
	uint64_t since = UINT64_MAX;
	const struct list *at;

	list_for_each(at, &managed->no_room)
		if (list_entry(at, struct change, list)->since < since)
			since = list_entry(at, struct change, list)->since;
	return since;
}

void managed_fail_no_room(struct managed *managed, uint64_t before, int error)
{
	struct list late, *at, *next;

	list_init(&late);
	list_for_each_safe(at, next, &managed->no_room) {
		const struct change *change = list_entry(at, struct change, list);

		if (change->since > before || (is_half(change) && !managed->leaving))
			continue;
		list_del(at);
		list_add(&late, at);
	}
	while ((at = list_pop(&late)))
		change_end(list_entry(at, struct change, list), error);
}

void managed_change_start(struct managed *managed, struct backend_req *req)
{
	struct change *change;

	if (managed->closing || managed->backend.caps.read_only) {
		backend_done(req, managed->closing ? -ESHUTDOWN : -EROFS);
		return;
	}
	change = calloc(1, sizeof(*change));
	if (!change) {
		backend_done(req, -ENOMEM);
		return;
	}
	list_init(&change->list);
	change->managed = managed;
	change->outer = req;
	managed->nr_busy++;
	plan(change);
	change_go(change);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * pusher-send: the requests of a batch. Each takes neighbouring ranges together, reads their bytes from the log into a buffer of its own, and goes out.
 * The buffers of a pusher are WINDOW_MAX together at most, those of all pushers PUSHERS_MAX.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "pusher-private.h"
#include "zero.h"

/* Whatever the source would take. */
#define SENDS_MAX	256u
/* A longer one may keep a source busy for long. */
#define DISCARD_MOST	(1u << 30)
/* Where the source works by chunks, a request has whole ones, up to this length. */
#define CHUNK_MOST	(WINDOW_MAX / 4)

/* Of all pushers, which share the home loop. */
static uint64_t all_in_flight;

struct send {
	struct list list;
	struct pusher *pusher;
	struct backend_req req;
	struct store_io io;
	struct window_mark mark;
	char *buffer;
	uint64_t read;			/* bytes of it that are there */
};

void send_prepare(struct pusher *pusher, struct backend_req *req, enum backend_op op)
{
	struct batch *batch = &pusher->batch;

	memset(req, 0, sizeof(*req));
	req->op = op;
	req->flags = BACKEND_BULK;
	if (batch->publish) {
		req->flags |= op == BACKEND_PUBLISH ? 0 : BACKEND_STAGED;
		req->batch = batch->id;
	}
	req->attach_gen = pusher->options.attach_gen;
	req->epoch = pusher->options.epoch;
	req->loop = pusher->options.loop;
}

/* ---- its end ---- */

static void note_error(struct pusher *pusher, const struct send *send, int error)
{
	struct batch *batch = &pusher->batch;

	if (!error || batch->error || pusher->closing)
		return;
	batch->error = error;
	if (send->buffer && send->read < send->req.length)
		snprintf(batch->why, sizeof(batch->why), "what is unpushed could not be read from the local store: %s",
			 strerror(-error));
	else
		remote_error(pusher->options.remote, batch->why, sizeof(batch->why));
}

static void send_end(struct send *send, int error)
{
	struct pusher *pusher = send->pusher;

	note_error(pusher, send, error);
	if (send->buffer) {
		pusher->in_flight -= send->req.length;
		all_in_flight -= send->req.length;
		window_done(&pusher->window, loop_now_ns(), &send->mark, error || send->req.op != BACKEND_WRITE);
		pusher->arrived += error ? 0 : send->req.length;
	}
	if (!error)
		pusher->batch.answered = true;
	if (!error && send->req.op == BACKEND_WRITE)
		pusher->stats.pushed += send->req.length;
	if (!error && send->req.op != BACKEND_RESIZE)
		pusher_was_sent(pusher, send->req.offset, send->req.offset + send->req.length);
	list_del(&send->list);
	pusher->nr_sends--;
	buffer_free(send->buffer, send->req.length);
	free(send);
	pusher_kick(pusher);
}

static void send_done(struct backend_req *req, int error)
{
	send_end(container_of(req, struct send, req), error);
}

/* ---- its bytes ---- */

/*
 * One that cuts nothing (STORE_KEEPS) is of a region that was on its way here, and may have been shorter then than it came to be: what the source has
 * beyond may be nowhere else.
 */
uint64_t pusher_resize_to(const struct pusher *pusher, const struct store_gen *gen)
{
	uint64_t size = store_size(pusher->options.store);

	return gen->low == STORE_KEEPS && size > gen->size ? size : gen->size;
}

/* How long the source is at least, before the batch's WRITEs. Zeroes beyond have to be written: they make it as long as it is. */
static uint64_t known_size(struct pusher *pusher)
{
	const struct store_gen *gen = pusher->batch.gen;
	uint64_t size = remote_caps(pusher->options.remote)->size;

	if (gen->resized)
		return pusher_resize_to(pusher, gen);
	return size < pusher->size ? size : pusher->size;
}

static void send_submit(struct send *send)
{
	struct pusher *pusher = send->pusher;
	struct backend_req *req = &send->req;
	uint64_t end = req->offset + req->length;

	if (req->op == BACKEND_WRITE && end <= known_size(pusher) && is_zero(send->buffer, req->length))
		req->op = BACKEND_DISCARD;
	if (req->op == BACKEND_WRITE && pusher->batch.reach < end)
		pusher->batch.reach = end;
	remote_submit(pusher->options.remote, req);
}

static void send_read(struct send *send);

static void read_done(struct store_io *io, int error)
{
	struct send *send = container_of(io, struct send, io);

	if (send->pusher->closing || error) {
		send_end(send, error ? error : -ESHUTDOWN);
		return;
	}
	send->read += io->length;
	send_read(send);
}

/* The next of the ranges that it is made of, or out. */
static void send_read(struct send *send)
{
	uint64_t from = send->req.offset + send->read, left = send->req.length - send->read;
	struct store_io *io = &send->io;
	struct extent extent;

	if (!left) {
		send_submit(send);
		return;
	}
	if (!extents_next(&send->pusher->batch.gen->changed, from, &extent) || extent.start > from) {
		send_end(send, -EIO);
		return;
	}
	memset(io, 0, sizeof(*io));
	io->done = read_done;
	io->offset = from;
	io->length = extent.end - from < left ? extent.end - from : left;
	io->data = send->buffer + send->read;
	if (extent.at == EXTENT_ZERO) {
		/* the last page of all; or a change got late into its generation, and the batch is sent once more */
		memset(io->data, 0, io->length);
		read_done(io, 0);
		return;
	}
	store_log_read(send->pusher->options.store, io, extent.at + (from - extent.start));
}

/* ---- its beginning ---- */

static struct send *send_new(struct pusher *pusher, enum backend_op op, uint64_t offset, uint64_t length)
{
	struct batch *batch = &pusher->batch;
	struct send *send = calloc(1, sizeof(*send));

	if (!send)
		return NULL;
	if (op == BACKEND_WRITE)
		send->buffer = buffer_alloc(length);
	if (op == BACKEND_WRITE && !send->buffer) {
		free(send);
		return NULL;
	}
	send->pusher = pusher;
	send_prepare(pusher, &send->req, op);
	send->req.first = batch->publish && !batch->requests;
	send->req.offset = offset;
	send->req.length = length;
	send->req.data = send->buffer;
	send->req.done = send_done;
	list_add(&pusher->sends, &send->list);
	pusher->nr_sends++;
	batch->requests++;
	return send;
}

/* Without memory what is under way goes on, and the rest waits for it; or, without that, for the next try. */
static bool no_memory(struct pusher *pusher)
{
	if (!pusher->nr_sends) {
		pusher->batch.error = -ENOMEM;
		pusher_kick(pusher);
	}
	return false;
}

static bool send_resize(struct pusher *pusher)
{
	const struct store_gen *gen = pusher->batch.gen;
	uint64_t size = pusher_resize_to(pusher, gen);
	struct send *send = send_new(pusher, BACKEND_RESIZE, 0, size);

	if (!send)
		return no_memory(pusher);
	send->req.arg = gen->low < size ? gen->low : size;
	pusher->batch.resized = true;
	remote_submit(pusher->options.remote, &send->req);
	return true;
}

static bool send_discard(struct pusher *pusher, uint64_t start, uint64_t end)
{
	struct send *send = send_new(pusher, BACKEND_DISCARD, start, end - start);

	if (!send)
		return no_memory(pusher);
	remote_submit(pusher->options.remote, &send->req);
	return true;
}

static bool send_data(struct pusher *pusher, uint64_t start, uint64_t end, uint64_t now)
{
	struct send *send;

	if (pusher->in_flight && (pusher->in_flight + (end - start) > WINDOW_MAX || all_in_flight + (end - start) > PUSHERS_MAX))
		return false;
	send = send_new(pusher, BACKEND_WRITE, start, end - start);
	if (!send)
		return no_memory(pusher);
	pusher->in_flight += end - start;
	all_in_flight += end - start;
	window_sent(&pusher->window, now, (uint32_t)(end - start), &send->mark);
	send_read(send);
	return true;
}

/* ---- what is next ---- */

struct run {
	uint64_t start, end;
	bool zero;
};

/* Neighbours of a kind, from the cursor on: a little more than most, if there is as much. */
static bool next_run(const struct batch *batch, uint64_t most, struct run *run)
{
	const struct extents *changed = &batch->gen->changed;
	struct extent extent;

	if (!extents_next(changed, batch->cursor, &extent))
		return false;
	run->start = extent.start > batch->cursor ? extent.start : batch->cursor;
	run->end = extent.end;
	run->zero = extent.at == EXTENT_ZERO;
	while (run->end - run->start <= most && extents_next(changed, run->end, &extent) && extent.start == run->end &&
	       (extent.at == EXTENT_ZERO) == run->zero)
		run->end = extent.end;
	return true;
}

/* The others have all the memory: there are as many of these as regions. */
static uint64_t cut_short(const struct run *run)
{
	return run->end - run->start > WINDOW_UNIT_MIN ? run->start + WINDOW_UNIT_MIN : run->end;
}

/* Cut between chunks where it can be: half a chunk has to be read and written by the source. */
static uint64_t cut(const struct backend_caps *caps, const struct run *run, uint64_t room)
{
	uint64_t most = room < caps->max_request ? room : caps->max_request;
	uint64_t chunk = caps->chunk ? caps->chunk : 1, grain = caps->align ? caps->align : 1, end;

	if (chunk <= caps->max_request && chunk <= CHUNK_MOST && chunk - run->start % chunk > most)
		most = chunk - run->start % chunk;
	if (run->end - run->start <= most)
		return run->end;
	if (chunk <= most)
		grain = chunk;
	end = (run->start + most) / grain * grain;
	return end > run->start ? end : run->start + most;
}

/*
 * Zeroes: to be discarded. But where they are what the region ends with, and that is longer than the source, their last page is for
 * send_data(): nothing else would make it so long.
 */
static bool is_for_discard(struct pusher *pusher, struct run *run)
{
	uint64_t last = (run->end - 1) & ~(uint64_t)4095;

	if (!run->zero)
		return false;
	if (run->end > known_size(pusher) && !extents_any(&pusher->batch.gen->changed, run->end, UINT64_MAX)) {
		if (last <= run->start)
			return false;
		run->end = last;
	}
	if (run->end - run->start > DISCARD_MOST)
		run->end = run->start + DISCARD_MOST;
	return true;
}

static bool send_run(struct pusher *pusher, struct run *run, uint64_t room, uint64_t now)
{
	bool sent;

	if (is_for_discard(pusher, run)) {
		sent = send_discard(pusher, run->start, run->end);
	} else {
		/* zeroes have not waited for room */
		run->end = cut(remote_caps(pusher->options.remote), run, room ? room : 4096);
		if (!pusher->in_flight && all_in_flight + (run->end - run->start) > PUSHERS_MAX)
			run->end = cut_short(run);
		sent = send_data(pusher, run->start, run->end, now);
	}
	if (sent)
		pusher->batch.cursor = run->end;
	return sent;
}

/* May another one go out? It may wait for the beginning of the batch, or for those that are under way. */
static bool has_slot(struct pusher *pusher)
{
	const struct backend_caps *caps = remote_caps(pusher->options.remote);
	const struct batch *batch = &pusher->batch;
	unsigned int most = caps->parallel && caps->parallel < SENDS_MAX ? caps->parallel : SENDS_MAX;

	if (pusher->nr_sends && (batch->resized || batch->publish) && !batch->answered)
		return false;
	return pusher->nr_sends < most && !batch->error && remote_state(pusher->options.remote) == REMOTE_UP;
}

static bool send_next(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;
	uint64_t room = window_room(&pusher->window, now);
	struct run run;

	if (batch->gen->resized && !batch->resized)
		return send_resize(pusher);
	if (!next_run(batch, CHUNK_MOST, &run)) {
		batch->cursor = UINT64_MAX;
		return false;
	}
	if (!room && !run.zero) {
		if (window_wake(&pusher->window, now))
			pusher_wake_at(pusher, window_wake(&pusher->window, now));
		return false;
	}
	return send_run(pusher, &run, room, now);
}

bool send_more(struct pusher *pusher, uint64_t now)
{
	while (pusher->batch.cursor != UINT64_MAX && has_slot(pusher) && send_next(pusher, now))
		;
	return pusher->batch.cursor == UINT64_MAX && !pusher->batch.error;
}

void pusher_each(struct pusher *pusher, void (*fn)(void *arg, uint64_t offset, uint64_t length), void *arg)
{
	struct list *pos;

	list_for_each(pos, &pusher->sends) {
		const struct backend_req *req = &list_entry(pos, struct send, list)->req;

		if (req->op == BACKEND_WRITE || req->op == BACKEND_DISCARD)
			fn(arg, req->offset, req->length);
	}
}

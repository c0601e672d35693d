// SPDX-License-Identifier: GPL-2.0
/*
 * leech: requests. One that needs chunks that are not here waits until they have been fetched; one that overwrites a chunk whole
 * need not: the chunk counts as under way until that is done, and as present if it was. If it fails, or we die before, what
 * the other side has of it is fetched as if nobody had tried.
 */
#include <errno.h>
#include <stdlib.h>

#include "backends/leech-elsewhere.h"
#include "backends/leech-private.h"

static struct leech *to_leech(struct backend *backend)
{
	return container_of(backend, struct leech, backend);
}

/* ---- what it touches ---- */

struct span {
	uint64_t first, end;		/* chunks it touches */
	uint64_t whole_first, whole_end;	/* of these, those that it overwrites whole */
};

static uint64_t chunks_up_to(const struct leech *leech, uint64_t offset)
{
	uint32_t chunk = chunkmap_chunk(leech->map);

	return offset / chunk + (offset % chunk != 0);
}

static struct span span_of(const struct leech *leech, const struct backend_req *req)
{
	uint32_t chunk = chunkmap_chunk(leech->map);
	uint64_t from = req->op == BACKEND_RESIZE ? req->arg : req->offset;
	uint64_t size = chunkmap_size(leech->map);
	uint64_t to = req->op == BACKEND_RESIZE ? size : req->offset + req->length;
	struct span span = { .first = from / chunk, .end = chunks_up_to(leech, to) };
	uint64_t chunks = chunkmap_chunks(leech->map);

	span.end = span.end > chunks ? chunks : span.end;
	span.first = span.first > span.end ? span.end : span.first;
	span.whole_first = span.whole_end = span.end;
	if (req->op == BACKEND_READ)
		return span;
	span.whole_first = chunks_up_to(leech, from);
	span.whole_end = to >= size ? span.end : to / chunk;
	return span;
}

static bool is_whole(const struct span *span, uint64_t chunk)
{
	return chunk >= span->whole_first && chunk < span->whole_end;
}

/* May it go to the local store? If not, what it needs is on its way. */
static bool leech_ready(struct leech *leech, const struct backend_req *req)
{
	struct span span = span_of(leech, req);
	bool demand = req->op != BACKEND_READ || req->flags & BACKEND_DEMAND, ready = true;

	if (leech->all_here)
		return true;
	for (uint64_t i = span.first; i < span.end; i++) {
		bool busy = bitmap_get(leech->busy, i);

		if (chunkmap_present(leech->map, i) || (is_whole(&span, i) && !busy))
			continue;
		ready = false;
		if (!busy)
			leech_want(leech, i, span.end, demand);
	}
	return ready;
}

/* ---- what changes the map, when it has been done ---- */

struct change {
	struct backend_req inner;
	struct backend_req *outer;
	uint64_t first, end;		/* chunks that it overwrites whole: busy while it is under way */
};

static void mark_busy(struct leech *leech, const struct change *change, bool busy)
{
	for (uint64_t i = change->first; i < change->end; i++) {
		if (busy)
			bitmap_put(leech->busy, i);
		else
			bitmap_clear(leech->busy, i);
	}
}

/*
 * What lies beyond the size that the map has was made here, and the other side has nothing of it: programs made the region grow,
 * which is told by their WRITEs alone, so that the kernel's size may have been ahead of ours.
 */
static int grown(struct leech *leech, uint64_t size, uint64_t zero_from)
{
	uint64_t before = chunkmap_chunks(leech->map);
	int error = chunkmap_resize(leech->map, size);

	if (!error)
		error = leech_record_resize(leech->record, size);
	if (!error)
		error = leech_fit_busy(leech);
	if (error)
		return error;
	leech_outdate(leech, chunkmap_chunks(leech->map), UINT64_MAX);
	chunkmap_set(leech->map, zero_from < before ? zero_from : before, chunkmap_chunks(leech->map), true);
	__atomic_store_n(&leech->backend.caps.size, size, __ATOMIC_RELAXED);
	return 0;
}

static int change_map(struct leech *leech, const struct change *change)
{
	const struct backend_req *outer = change->outer;
	uint64_t end = outer->offset + outer->length;

	if (outer->op == BACKEND_RESIZE)
		return grown(leech, outer->length, chunks_up_to(leech, outer->arg));
	chunkmap_set(leech->map, change->first, change->end, true);
	if (outer->op == BACKEND_WRITE && end > chunkmap_size(leech->map))
		return grown(leech, end, UINT64_MAX);
	return 0;
}

static void change_done(struct backend_req *inner, int error)
{
	struct change *change = container_of(inner, struct change, inner);
	struct backend_req *outer = change->outer;
	struct leech *leech = to_leech(outer->backend);

	bool resized = outer->op == BACKEND_RESIZE;

	if (resized)
		leech->keep_off = UINT64_MAX;
	mark_busy(leech, change, false);
	if (!error)
		error = change_map(leech, change);
	free(change);
	leech_unblock(leech);
	leech_pull_more(leech);
	/* what was cut off here must not come back from the other side */
	if (resized && !error)
		leech_flush_for(leech, outer);
	else
		backend_done(outer, error);
}

static bool changes_map(const struct leech *leech, const struct backend_req *req, const struct span *span)
{
	if (req->op == BACKEND_RESIZE)
		return true;
	if (req->op == BACKEND_WRITE && req->offset + req->length > chunkmap_size(leech->map))
		return true;
	for (uint64_t i = span->whole_first; i < span->whole_end; i++)
		if (!chunkmap_present(leech->map, i))
			return true;
	return false;
}

/* What was not fetched because of it is again. */
static void start_failed(struct leech *leech, struct backend_req *req, int error)
{
	if (req->op == BACKEND_RESIZE) {
		leech->keep_off = UINT64_MAX;
		leech_unblock(leech);
		leech_pull_later(leech);
	}
	backend_done(req, error);
}

static void change_start(struct leech *leech, struct backend_req *req, const struct span *span)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		start_failed(leech, req, -ENOMEM);
		return;
	}
	change->inner = *req;
	change->inner.loop = leech->backend.loop;
	change->inner.done = change_done;
	change->outer = req;
	change->first = span->whole_first;
	change->end = req->op == BACKEND_RESIZE ? span->whole_first : span->whole_end;
	mark_busy(leech, change, true);
	backend_submit(leech->local, &change->inner);
}

/* ---- how long programs waited ---- */

/* A request's part, until it goes to the local store. */
struct waiting {
	uint64_t since;			/* 0: it has not */
};

static void begin_wait(struct backend_req *req)
{
	struct waiting *waiting = backend_private(req, struct waiting);

	if (!waiting->since)
		waiting->since = loop_now_ns();
}

static void end_wait(struct leech *leech, const struct backend_req *req)
{
	const struct waiting *waiting = backend_private(req, struct waiting);
	uint64_t ns = waiting->since ? loop_now_ns() - waiting->since : 0, us = ns / 1000;
	unsigned int slot = us < 2 ? 0 : 63 - (unsigned int)__builtin_clzll(us);

	if (!waiting->since || (req->op == BACKEND_READ && !(req->flags & BACKEND_DEMAND)))
		return;
	leech->stats.demand++;
	leech->stats.demand_ns += ns;
	if (ns > leech->stats.demand_max_ns)
		leech->stats.demand_max_ns = ns;
	leech->stats.wait[slot < LEECH_HISTOGRAM ? slot : LEECH_HISTOGRAM - 1]++;
}

/* ---- their way ---- */

/* Is it worth waiting, now that the other side is not asked any more? */
static bool may_come(const struct leech *leech, const struct span *span)
{
	for (uint64_t i = span->first; i < span->end; i++) {
		if (chunkmap_present(leech->map, i) || bitmap_get(leech->busy, i) || is_whole(span, i))
			continue;
		if (!leech_may_come(leech, i))
			return false;
	}
	return !leech->closing;
}

static void wait_for_chunks(struct leech *leech, struct backend_req *req, const struct span *span)
{
	begin_wait(req);
	if (!leech->parting || may_come(leech, span)) {
		list_add(&leech->blocked, &req->list);
		leech_seek(leech);
		return;
	}
	leech_mourn(leech, span->first, span->end);
	start_failed(leech, req, leech->closing ? -ESHUTDOWN : -EIO);
}

/* What has come. */
static void find_data(struct leech *leech, struct backend_req *req)
{
	uint64_t chunks = chunkmap_chunks(leech->map), chunk = chunkmap_chunk(leech->map);
	uint64_t first = bitmap_next(chunkmap_bits(leech->map), req->offset / chunk, chunks, true);
	uint64_t end = first < chunks ? chunkmap_absent(leech->map, first) : chunks, from = req->offset;

	if (first >= chunks || !(req->flags & BACKEND_HERE)) {
		backend_done(req, req->flags & BACKEND_HERE ? -ENXIO : -EOPNOTSUPP);
		return;
	}
	req->offset = first * chunk > from ? first * chunk : from;
	req->length = end * chunk - req->offset;
	backend_done(req, 0);
}

static void passed_on(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	backend_submit(to_leech(req->backend)->local, req);
}

/* To the local store, which does it in the loop of who asks: nobody else may touch that loop's ring. */
static void pass_on(struct backend_req *req)
{
	req->task.run = passed_on;
	loop_call(req->loop, &req->task);
}

static void leech_start(struct backend_req *req)
{
	struct leech *leech = to_leech(req->backend);
	struct span span;

	if (req->op == BACKEND_RESIZE)
		leech->keep_off = chunks_up_to(leech, req->arg);
	if (req->op == BACKEND_DESTROY)
		chunkmap_unlink(leech->map_path);
	if (req->op == BACKEND_SYNC && !leech->all_here && chunkmap_state(leech->map) == CHUNKMAP_OWNED) {
		leech_flush_for(leech, req);
		return;
	}
	if (req->op == BACKEND_DATA) {
		find_data(leech, req);
		return;
	}
	if (req->op == BACKEND_SYNC || req->op == BACKEND_DESTROY) {
		pass_on(req);
		return;
	}
	span = span_of(leech, req);
	if (!leech_ready(leech, req)) {
		wait_for_chunks(leech, req, &span);
		return;
	}
	end_wait(leech, req);
	if (changes_map(leech, req, &span))
		change_start(leech, req, &span);
	else
		pass_on(req);
}

/* A request that ends from within one's start may be what an earlier one in the list waits for: then all are looked at again. */
void leech_unblock(struct leech *leech)
{
	struct list list, *entry;

	leech->unblock_again = true;
	if (leech->unblocking)
		return;
	leech->unblocking = true;
	list_init(&list);
	while (leech->unblock_again) {
		leech->unblock_again = false;
		list_splice(&list, &leech->blocked);
		while ((entry = list_pop(&list)))
			leech_start(list_entry(entry, struct backend_req, list));
	}
	leech->unblocking = false;
	leech_rest_more(leech);
	leech_seek_skipped(leech);
}

bool leech_wanted(const struct leech *leech, bool (*fits)(const struct leech *leech, uint64_t chunk), uint64_t *chunk)
{
	struct list *at;

	list_for_each(at, &leech->blocked) {
		struct span span = span_of(leech, list_entry(at, struct backend_req, list));

		for (*chunk = span.first; *chunk < span.end; (*chunk)++)
			if ((!is_whole(&span, *chunk) || bitmap_get(leech->busy, *chunk)) && fits(leech, *chunk))
				return true;
	}
	return false;
}

void leech_drop(struct leech *leech, bool (*drop)(const struct backend_req *req, const void *arg), const void *arg)
{
	struct list dropped, *at, *next;

	list_init(&dropped);
	list_for_each_safe(at, next, &leech->blocked) {
		const struct backend_req *req = list_entry(at, struct backend_req, list);

		if (!(req->flags & BACKEND_PEER) || !drop(req, arg))
			continue;
		list_del(at);
		list_add(&dropped, at);
	}
	while ((at = list_pop(&dropped)))
		start_failed(leech, list_entry(at, struct backend_req, list), -ECANCELED);
}

/* What overwrites a chunk whole only waits until nobody else is at it. */
static bool needs_any(const struct span *span, uint64_t first, uint64_t end)
{
	first = first > span->first ? first : span->first;
	end = end < span->end ? end : span->end;
	for (uint64_t i = first; i < end; i++)
		if (!is_whole(span, i))
			return true;
	return false;
}

void leech_fail_blocked(struct leech *leech, uint64_t first, uint64_t end, int error)
{
	struct list failed, *at, *next;

	list_init(&failed);
	list_for_each_safe(at, next, &leech->blocked) {
		struct span span = span_of(leech, list_entry(at, struct backend_req, list));

		if (!needs_any(&span, first, end))
			continue;
		list_del(at);
		list_add(&failed, at);
	}
	while ((at = list_pop(&failed)))
		start_failed(leech, list_entry(at, struct backend_req, list), error);
}

static void leech_moved(struct loop_task *task)
{
	leech_start(container_of(task, struct backend_req, task));
}

void leech_submit(struct backend *backend, struct backend_req *req)
{
	backend_private(req, struct waiting)->since = 0;
	req->task.run = leech_moved;
	loop_call(backend->loop, &req->task);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * managed: bytes on their way from the source. A fetch has a buffer of its own, from which those who wait are answered first; then the
 * store gets it. Changes that come meanwhile mark their pages in it: those are not stored, and nobody new waits for them.
 *
 * With LOCAL_CACHE the kernel's page cache is the store: see managed-cache.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap.h"
#include "buffer.h"
#include "device.h"
#include "managed-private.h"
#include "region.h"
#include "regiond.h"
#include "zero.h"

/* A bulk fetch that takes longer than this is not waited for: the other connection may do better. */
#define OVERDUE_NS	1000000000ULL
/* And one that a program waits for, not longer than two trips and this: the window may be long. */
#define LATE_NS		20000000ULL
/* How long the store's word about its room is good. */
#define TIGHT_NS	1000000000ULL
/* Bytes, from which on it is worth to see whether all are zero. */
#define ZEROES_LEAST	(64u << 10)

/* ---- what is on its way ---- */

static uint64_t fetch_end(const struct fetch *fetch)
{
	return fetch->offset + fetch->length;
}

static bool is_spoiled(const struct fetch *fetch, uint64_t offset)
{
	return bitmap_get(fetch->skip, (offset - fetch->offset) / PAGES_SIZE);
}

/* How far from offset on its pages are as good as this one. */
static uint64_t good_until(const struct fetch *fetch, uint64_t offset)
{
	uint64_t at = offset;

	while (at < fetch_end(fetch) && !is_spoiled(fetch, at))
		at = (at / PAGES_SIZE + 1) * PAGES_SIZE;
	return at < fetch_end(fetch) ? at : fetch_end(fetch);
}

static uint64_t patience(struct managed *managed, bool demand)
{
	uint64_t trip = demand && managed->puller ? puller_stats(managed->puller)->trip : 0, late = trip * 2 + LATE_NS;

	return trip && late < OVERDUE_NS ? late : OVERDUE_NS;
}

/* Does waiting for it pay? What the store has by now is read there; the page cache is the kernel's, which asks. */
static bool is_of_use(struct managed *managed, const struct fetch *fetch, bool demand, uint64_t now)
{
	if (fetch->landed)
		return !managed->store;
	return fetch->demand || now - fetch->started <= patience(managed, demand);
}

struct fetch *managed_fetch_find(struct managed *managed, uint64_t offset, bool demand, uint64_t *end)
{
	uint64_t now = loop_now_ns();
	struct list *at;

	list_for_each(at, &managed->fetches) {
		struct fetch *fetch = list_entry(at, struct fetch, list);

		if (offset < fetch->offset || offset >= fetch_end(fetch) || is_spoiled(fetch, offset) ||
		    !is_of_use(managed, fetch, demand, now))
			continue;
		*end = good_until(fetch, offset);
		return fetch;
	}
	return NULL;
}

uint64_t managed_fetch_next(struct managed *managed, uint64_t from, uint64_t to, bool demand)
{
	uint64_t now = loop_now_ns();
	struct list *at;

	list_for_each(at, &managed->fetches) {
		const struct fetch *fetch = list_entry(at, struct fetch, list);
		uint64_t good = fetch->offset > from ? fetch->offset : from;

		if (!is_of_use(managed, fetch, demand, now))
			continue;
		while (good < fetch_end(fetch) && good < to && is_spoiled(fetch, good))
			good = (good / PAGES_SIZE + 1) * PAGES_SIZE;
		if (good < fetch_end(fetch) && good < to)
			to = good;
	}
	return to;
}

bool managed_fetch_any(struct managed *managed, uint64_t offset)
{
	struct list *at;

	list_for_each(at, &managed->fetches) {
		const struct fetch *fetch = list_entry(at, struct fetch, list);

		if (fetch->offset <= offset && offset < fetch_end(fetch))
			return true;
	}
	return false;
}

static void spoil(struct fetch *fetch, uint64_t from, uint64_t to)
{
	uint64_t first = (from - fetch->offset) / PAGES_SIZE;
	uint64_t end = (to - fetch->offset + PAGES_SIZE - 1) / PAGES_SIZE;

	for (uint64_t i = first; i < end; i++)
		bitmap_put(fetch->skip, i);
}

void managed_fetch_spoil(struct managed *managed, uint64_t offset, uint64_t length)
{
	uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
	struct list *at;

	list_for_each(at, &managed->fetches) {
		struct fetch *fetch = list_entry(at, struct fetch, list);
		uint64_t from = offset > fetch->offset ? offset : fetch->offset;
		uint64_t to = end < fetch_end(fetch) ? end : fetch_end(fetch);

		if (from >= to)
			continue;
		spoil(fetch, from, to);
		/* a RESIZE, that puts nothing in its place */
		fetch->spoiled |= end == UINT64_MAX;
	}
}

/* ---- the end of one ---- */

void managed_fetch_free(struct fetch *fetch, int error)
{
	struct managed *managed = fetch->managed;
	struct pull_io *pull = fetch->pull;

	list_del(&fetch->list);
	buffer_free(fetch->buffer, fetch->length);
	free(fetch->skip);
	free(fetch);
	/* what was spoiled has no bit, and what waits may want it anew */
	if (pull)
		pull->done(pull, error);
	/* not before: the puller's end may be the region's */
	managed->nr_busy--;
	managed_idle(managed);
}

static void answer_want(struct want *want, const struct fetch *fetch, int error)
{
	struct read *read = want->read;
	char *to = (char *)read->outer->data + (want->offset - read->outer->offset);

	if (!error && want->offset + want->length > fetch->stale) {
		read->again = true;
		managed_read_part(read, 0);
	} else if (error) {
		managed_read_part(read, error);
	} else if (!fetch->req.data) {
		memset(to, 0, want->length);
		managed_read_part(read, 0);
	} else {
		read->zero = false;
		memcpy(to, fetch->buffer + (want->offset - fetch->offset), want->length);
		managed_read_part(read, 0);
	}
	free(want);
}

void managed_fetch_answer(struct fetch *fetch, int error)
{
	struct list *entry;

	while ((entry = list_pop(&fetch->wants)))
		answer_want(list_entry(entry, struct want, list), fetch, error);
}

void managed_fetch_disown(struct fetch *fetch)
{
	spoil(fetch, fetch->offset, fetch_end(fetch));
}

void managed_fetch_dismiss(struct fetch *fetch)
{
	managed_fetch_disown(fetch);
	fetch->stale = fetch->offset;
	managed_fetch_answer(fetch, 0);
}

/* What was left out may be absent still, where no change has brought it. */
static bool is_missing(const struct fetch *fetch)
{
	uint64_t size = managed_size(fetch->managed), end = fetch_end(fetch) < size ? fetch_end(fetch) : size, offset, length;

	return fetch->spoiled && store_absent(fetch->managed->store, fetch->offset, end, &offset, &length);
}

/* Also a quota that statvfs() does not show. The puller looks at this before it goes on. */
static bool is_full(struct managed *managed, int error)
{
	if (error != -ENOSPC && error != -EDQUOT)
		return false;
	managed->tight = true;
	managed->tight_at = loop_now_ns();
	return true;
}

static void fetch_stored(struct store_io *io, int error)
{
	struct fetch *fetch = container_of(io, struct fetch, store);

	if (fetch->flowing) {
		managed_flow_end(&fetch->managed->bypass.store, error ? 0 : fetch->length);
		managed_bypass_look(fetch->managed);
	}
	managed_fetch_free(fetch, is_full(fetch->managed, error) || (!error && is_missing(fetch)) ? -EAGAIN : error);
}

/*
 * The source may have been read before it heard of a RESIZE: what that took away is zero. Where it has heard of it since the fetch was begun, nobody
 * can tell what the bytes are: they are not used.
 */
static void clip(struct fetch *fetch)
{
	uint64_t cut = store_cut(fetch->managed->store);

	if (cut > fetch->cut && fetch->cut < fetch_end(fetch)) {
		fetch->stale = fetch->cut > fetch->offset ? fetch->cut & ~(uint64_t)(PAGES_SIZE - 1) : fetch->offset;
		spoil(fetch, fetch->stale, fetch_end(fetch));
		fetch->spoiled = true;
	}
	if (!fetch->req.data || cut >= fetch_end(fetch))
		return;
	if (cut <= fetch->offset)
		fetch->req.data = NULL;
	else
		memset(fetch->buffer + (cut - fetch->offset), 0, fetch_end(fetch) - cut);
}

/* Sources of this host have zeroes as bytes, where a peer says that they are zeroes. In the store they are a hole; for less that isn't worth it. */
static void find_zeroes(struct fetch *fetch)
{
	if (fetch->req.data && fetch->length >= ZEROES_LEAST && is_zero(fetch->req.data, fetch->length))
		fetch->req.data = NULL;
}

static void fetch_came(struct backend_req *req, int error)
{
	struct fetch *fetch = container_of(req, struct fetch, req);
	struct managed *managed = fetch->managed;

	fetch->landed = true;
	if (!error) {
		atomic_fetch_add_explicit(&managed->fetched, req->data ? fetch->length : 0, memory_order_relaxed);
		clip(fetch);
		find_zeroes(fetch);
	}
	/* what the store does not count, below, would make its source look fast */
	managed_flow_end(&managed->bypass.source, !error && req->data ? fetch->length : 0);
	managed_fetch_answer(fetch, error);
	if (error || managed->closing) {
		managed_fetch_free(fetch, error ? error : -ESHUTDOWN);
		return;
	}
	if (managed_bypassed(managed)) {
		managed_fetch_free(fetch, -EAGAIN);
		return;
	}
	/* zeroes are no measure: they are no bytes */
	fetch->flowing = req->data;
	if (fetch->flowing)
		managed_flow_begin(&managed->bypass.store);
	fetch->store.done = fetch_stored;
	fetch->store.offset = fetch->offset;
	fetch->store.length = fetch->length;
	fetch->store.data = req->data;
	fetch->store.skip = fetch->skip;
	store_fill(managed->store, &fetch->store);
}

/* ---- its beginning ---- */

static struct fetch *fetch_new(struct managed *managed, uint64_t offset, uint32_t length, bool demand)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	fetch->buffer = buffer_alloc(length);
	fetch->skip = calloc(BITMAP_WORDS(length / PAGES_SIZE + 1), sizeof(uint64_t));
	if (!fetch->buffer || !fetch->skip) {
		buffer_free(fetch->buffer, length);
		free(fetch->skip);
		free(fetch);
		return NULL;
	}
	fetch->managed = managed;
	fetch->offset = offset;
	fetch->length = length;
	fetch->demand = demand;
	fetch->started = loop_now_ns();
	fetch->cut = managed->store ? store_cut(managed->store) : UINT64_MAX;
	fetch->stale = UINT64_MAX;
	list_init(&fetch->wants);
	list_add(&managed->fetches, &fetch->list);
	managed->nr_busy++;
	return fetch;
}

void managed_fetch_submit(struct fetch *fetch, void (*done)(struct backend_req *req, int error))
{
	struct managed *managed = fetch->managed;
	struct backend_req *req = &fetch->req;

	req->op = BACKEND_READ;
	req->flags = BACKEND_ZERO_NULL | (fetch->demand ? BACKEND_DEMAND : BACKEND_BULK);
	req->offset = fetch->offset;
	req->length = fetch->length;
	req->data = fetch->buffer;
	req->attach_gen = managed->region->regiond->attach_gen;
	req->epoch = managed->region->info.epoch;
	req->loop = managed_loop(managed);
	req->done = done;
	remote_submit(managed->remote, req);
}

struct fetch *managed_fetch(struct managed *managed, uint64_t offset, uint32_t length, bool demand)
{
	return fetch_new(managed, offset, length, demand);
}

void managed_fetch_start(struct fetch *fetch)
{
	managed_flow_begin(&fetch->managed->bypass.source);
	managed_fetch_submit(fetch, fetch_came);
}

/* ---- for the puller: into the store ---- */

/* Cuts what lies in a fetch already off the range; false: all of it does, *next is where to go on. */
static bool not_coming(struct managed *managed, uint64_t offset, uint64_t *length, uint64_t *next)
{
	uint64_t end = offset + *length;
	struct list *at;

	list_for_each(at, &managed->fetches) {
		const struct fetch *fetch = list_entry(at, struct fetch, list);

		/* without a store not all come to stay */
		if (!managed->store && !fetch->pull && !fetch->kept)
			continue;
		if (fetch->offset <= offset && offset < fetch_end(fetch)) {
			*next = (fetch_end(fetch) + PAGES_SIZE - 1) & ~(uint64_t)(PAGES_SIZE - 1);
			return false;
		}
		if (fetch->offset > offset && fetch->offset < end)
			end = fetch->offset;
	}
	*length = end - offset;
	return true;
}

static bool host_absent(void *arg, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length)
{
	struct managed *managed = arg;
	uint64_t next;

	for (;; from = next) {
		bool found = from >= limit ? false :
			     managed->store ? store_absent(managed->store, from, limit, offset, length) :
			     managed_cache_absent(managed, from, limit, offset, length);

		if (!found)
			return false;
		if (not_coming(managed, *offset, length, &next))
			return true;
	}
}

/* ---- the puller's host ---- */

static void host_fetch(void *arg, struct pull_io *io)
{
	struct managed *managed = arg;
	uint64_t size = (managed_size(managed) + PAGES_SIZE - 1) & ~(uint64_t)(PAGES_SIZE - 1);
	uint64_t left = size > io->offset ? size - io->offset : 0;
	/* the region's last page, too, is a whole one here: there is no telling how it goes on */
	uint32_t length = (io->length + PAGES_SIZE - 1) & ~(uint32_t)(PAGES_SIZE - 1);
	struct fetch *fetch;

	if (managed->closing || !left) {
		io->done(io, managed->closing ? -ESHUTDOWN : 0);
		return;
	}
	fetch = fetch_new(managed, io->offset, length < left ? length : (uint32_t)left, false);
	if (!fetch) {
		io->done(io, -EAGAIN);
		return;
	}
	fetch->pull = io;
	if (managed->store)
		managed_fetch_start(fetch);
	else
		managed_cache_fetch(fetch);
}

static bool is_tight(struct managed *managed)
{
	uint64_t now = loop_now_ns();

	if (!managed->tight_at || now - managed->tight_at >= TIGHT_NS) {
		managed->tight = store_is_tight(managed->store);
		managed->tight_at = now;
	}
	return managed->tight;
}

static bool host_room(void *arg)
{
	struct managed *managed = arg;
	uint64_t budget = managed_budget(managed);
	struct store_stats stats;

	/* the source is another host's, which pushes to it: what was handed over is in the store, or was never wanted there */
	if (managed->handed)
		return false;
	if (managed->store && (is_tight(managed) || managed_bypassed(managed)))
		return false;
	if (!budget)
		return true;
	if (!managed->store)
		return atomic_load(&managed->fetched) < budget;
	store_stats(managed->store, &stats);
	return stats.present < budget;
}

static void host_complete(void *arg)
{
	managed_pull_complete(arg);
}

int managed_puller_open(struct managed *managed, char *why, size_t why_len)
{
	const struct backend_caps *caps = remote_caps(managed->remote);
	uint32_t max = caps && caps->max_request < WINDOW_UNIT_MAX ? caps->max_request : WINDOW_UNIT_MAX;
	struct device *device = managed->region->regiond->device;
	struct puller_host host = {
		.loop = managed_loop(managed), .arg = managed, .absent = host_absent, .fetch = host_fetch,
		.room = host_room, .complete = host_complete,
	};

	/* what goes into the page cache is a request of the device's */
	if (!managed->store && device && device_max_request(device) < max)
		max = device_max_request(device);
	return puller_open(&managed->puller, &host, &managed->policy, managed_size(managed), max, why, why_len);
}

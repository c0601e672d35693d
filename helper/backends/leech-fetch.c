// SPDX-License-Identifier: GPL-2.0
/* leech: fetching chunks from the peer into the local store, on demand and behind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech-private.h"

#define RETRY_MS 1000u
#define RETRY_MOST_MS 60000u

/* How many chunks one READ has that is no single program's. */
static uint64_t bulk_chunks(const struct leech *leech)
{
	return leech->piecemeal || chunkmap_chunk(leech->map) > LEECH_BULK ? 1 : LEECH_BULK / chunkmap_chunk(leech->map);
}

/* And behind: a slow path brings few at a time, and who waits for one of them waits for all. */
static uint64_t pull_chunks(const struct leech *leech)
{
	uint64_t most = session_max_data(leech_session(leech), true) / chunkmap_chunk(leech->map), bulk = bulk_chunks(leech);

	return !most ? 1 : most < bulk ? most : bulk;
}

/*
 * May another one be begun behind? As late as keeps the path full: a program that wants a chunk which is on its way already has to wait for all that
 * was asked for before it, and one that is not is asked for at once.
 */
static bool may_pull(const struct leech *leech)
{
	const struct session *session = leech_session(leech);

	if (!leech->pulling || !session || leech_goes_elsewhere(leech))
		return false;
	return !leech->nr_pulls || (leech->nr_pulls < LEECH_PULLS && session_wants(session));
}

/* ---- what is under way ---- */

int leech_fit_busy(struct leech *leech)
{
	uint64_t bits = BITMAP_WORDS(chunkmap_chunks(leech->map) + 1) * 64;

	return bitmap_fit(&leech->busy, &leech->busy_bits, bits);
}

bool leech_is_busy(const struct leech *leech, uint64_t first, uint64_t end)
{
	end = end < leech->busy_bits ? end : leech->busy_bits;
	return bitmap_next(leech->busy, first, end, true) < end;
}

void leech_outdate(struct leech *leech, uint64_t first, uint64_t end)
{
	struct list *at;

	list_for_each(at, &leech->fetches) {
		struct fetch *fetch = list_entry(at, struct fetch, list);

		if (fetch->first < end && fetch->end > first)
			fetch->stale = true;
	}
}

void leech_forget(struct leech *leech, uint64_t first, uint64_t count)
{
	uint64_t chunks = chunkmap_chunks(leech->map), end;
	struct list *at;

	/* What lies beyond the size that is known here is absent anyway, when that grows. */
	end = first < chunks && count > chunks - first ? chunks : first + count;
	if (first >= chunks)
		return;
	chunkmap_set(leech->map, first, end, false);
	leech_record_forget(leech->record, first, end);
	leech_retry_soon(leech);
	/* what comes anew was not there when they began */
	list_for_each(at, &leech->flushes) {
		struct leech_flush *flush = list_entry(at, struct leech_flush, list);

		if (flush->snapshot)
			leech_snapshot_forget(flush->snapshot, first, end);
	}
	leech_outdate(leech, first, end);
}

void leech_forget_all(struct leech *leech)
{
	leech_forget(leech, 0, UINT64_MAX);
	chunkmap_set_round(leech->map, 0);
}

/* ---- one fetch ---- */

static void retry_pull(struct loop_timer *timer)
{
	struct leech *leech = container_of(timer, struct leech, retry);

	leech->unreadable = 0;
	if (!leech->local)
		return;	/* it is being closed, and nobody waits any more */
	/* Those for whom there was no memory, too. */
	leech_unblock(leech);
	if (chunkmap_state(leech->map) == CHUNKMAP_OWNED)
		leech->pulling = true;
	leech_pull_more(leech);
}

static void retry_in(struct leech *leech, uint64_t ms)
{
	if (leech->parting)
		return;
	leech->retry.fire = retry_pull;
	loop_timer_set(leech->backend.loop, &leech->retry, ms);
}

void leech_pull_later(struct leech *leech)
{
	retry_in(leech, RETRY_MS);
}

/* Nothing that is missing can be read over there; as a rule nobody has it. So it is asked for less and less often. */
static void pull_unreadable_later(struct leech *leech)
{
	if (leech->retry.slot)
		return;
	leech->retry_ms = leech->retry_ms ? 2 * leech->retry_ms : RETRY_MS;
	if (leech->retry_ms > RETRY_MOST_MS)
		leech->retry_ms = RETRY_MOST_MS;
	retry_in(leech, leech->retry_ms);
}

void leech_retry_soon(struct leech *leech)
{
	leech->retry_ms = 0;
	leech->unreadable = 0;
	if (leech->retry.slot)
		leech_pull_later(leech);
}

static void fetch_free(struct fetch *fetch)
{
	free(fetch->buffer);
	free(fetch);
}

static void fetch_leave(struct fetch *fetch)
{
	list_del(&fetch->list);
	fetch->leech->nr_fetches--;
	fetch->leech->nr_pulls -= !fetch->demand;
}

static bool is_taken(const struct fetch *fetch, uint64_t chunk)
{
	return fetch->taken & 1ULL << (chunk - fetch->first);
}

static bool is_orphan(const struct fetch *fetch)
{
	for (uint64_t i = fetch->first; i < fetch->end; i++)
		if (!is_taken(fetch, i))
			return false;
	return true;
}

void leech_take_from(struct fetch *fetch, uint64_t chunk)
{
	fetch->taken |= 1ULL << (chunk - fetch->first);
	if (!is_orphan(fetch))
		return;
	fetch_leave(fetch);
	fetch->leech->nr_orphans++;
}

/* Nothing of it is wanted any more. */
static void orphan_end(struct fetch *fetch)
{
	struct leech *leech = fetch->leech;

	fetch_free(fetch);
	leech->nr_orphans--;
	leech_close_more(leech);	/* may free it */
}

/* Those who wait for a chunk that may come from elsewhere go on waiting. */
static void fetch_failed(struct fetch *fetch, int error)
{
	for (uint64_t i = fetch->first; i < fetch->end; i++)
		if (!is_taken(fetch, i))
			leech_fail_blocked(fetch->leech, i, i + 1, error);
}

/* Only the other side is all right, and not all of its bytes: those after them are tried at once, until all were. */
static bool tries_next(struct leech *leech, uint64_t chunks)
{
	leech->piecemeal |= chunks > 1;
	leech->unreadable += chunks == 1;
	return leech->unreadable < chunkmap_missing(leech->map);
}

static void fetch_end(struct fetch *fetch, int error)
{
	struct leech *leech = fetch->leech;
	uint64_t chunks = fetch->end - fetch->first;
	bool unreadable = error == -EIO && !fetch->storing;	/* over there: what this side's store fails with may go by */

	if (fetch->taken && is_orphan(fetch)) {
		orphan_end(fetch);
		return;
	}
	for (uint64_t i = fetch->first; i < fetch->end; i++)
		if (!is_taken(fetch, i))
			bitmap_clear(leech->busy, i);
	fetch_leave(fetch);
	if (!error && !fetch->stale && !fetch->taken)
		chunkmap_set(leech->map, fetch->first, fetch->end, true);
	if (error && !leech_goes_elsewhere(leech))
		fetch_failed(fetch, error);
	fetch_free(fetch);
	leech_unblock(leech);
	leech_size_more(leech);
	if (!error && leech->retry_ms)
		leech_retry_soon(leech);
	if (!error || (unreadable && tries_next(leech, chunks)))
		leech_pull_more(leech);
	else if (unreadable)
		pull_unreadable_later(leech);
	else
		leech_pull_later(leech);
	leech_seek(leech);
	leech_close_more(leech);	/* may free it */
}

static void fetch_stored(struct backend_req *req, int error)
{
	fetch_end(container_of(req, struct fetch, local), error);
}

/* Zeroes were not sent; here they become a hole. */
static void fetch_came(struct backend_req *req, int error)
{
	struct fetch *fetch = container_of(req, struct fetch, peer);
	struct leech *leech = fetch->leech;
	struct backend_req *local = &fetch->local;

	if (error || fetch->stale || fetch->taken) {
		fetch_end(fetch, error);
		return;
	}
	fetch->storing = true;
	if (req->data) {
		leech->stats.fetched += req->length;
		if (chunkmap_state(leech->map) == CHUNKMAP_OWNED)
			leech->stats.fetched_owned += req->length;
	}
	local->op = req->data ? BACKEND_WRITE : BACKEND_DISCARD;
	local->flags = fetch->demand ? BACKEND_DEMAND : BACKEND_BULK;
	local->offset = req->offset;
	local->length = req->length;
	local->data = req->data;
	local->loop = leech->backend.loop;
	local->done = fetch_stored;
	/* the path does not wait for the store */
	leech_pull_more(leech);
	backend_submit(leech->local, local);
}

static struct fetch *fetch_new(struct leech *leech, uint64_t first, uint64_t end, bool demand)
{
	uint32_t chunk = chunkmap_chunk(leech->map);
	uint64_t offset = first * chunk, size = chunkmap_size(leech->map);
	uint64_t length = (end - first) * chunk;
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	length = length > size - offset ? size - offset : length;
	fetch->buffer = malloc(length);
	if (!fetch->buffer) {
		free(fetch);
		return NULL;
	}
	fetch->leech = leech;
	fetch->first = first;
	fetch->end = end;
	fetch->demand = demand;
	fetch->peer.op = BACKEND_READ;
	fetch->peer.flags = BACKEND_ZERO_NULL | (demand ? BACKEND_DEMAND : BACKEND_BULK);
	fetch->peer.offset = offset;
	fetch->peer.length = length;
	fetch->peer.data = fetch->buffer;
	fetch->peer.loop = leech->backend.loop;
	fetch->peer.done = fetch_came;
	return fetch;
}

/* Chunks from first on that are absent and not under way, at most up to end. */
static uint64_t run_end(const struct leech *leech, uint64_t first, uint64_t end)
{
	uint64_t at = first;

	while (at < end && !chunkmap_present(leech->map, at) && !bitmap_get(leech->busy, at))
		at++;
	return at;
}

static struct fetch *fetch_begin(struct leech *leech, uint64_t first, uint64_t end, bool demand)
{
	struct fetch *fetch = fetch_new(leech, first, end, demand);

	if (!fetch)
		return NULL;
	for (uint64_t i = first; i < end; i++)
		bitmap_put(leech->busy, i);
	list_add(&leech->fetches, &fetch->list);
	leech->nr_fetches++;
	leech->nr_pulls += !demand;
	return fetch;
}

static bool fetch_start(struct leech *leech, uint64_t first, uint64_t end, bool demand)
{
	struct fetch *fetch = fetch_begin(leech, first, end, demand);

	if (fetch)
		backend_submit(leech->peer, &fetch->peer);
	return fetch;
}

struct fetch *leech_fetch_hold(struct leech *leech, uint64_t chunk)
{
	if (leech->parting || !leech->peer || chunk >= chunkmap_chunks(leech->map) || run_end(leech, chunk, chunk + 1) == chunk)
		return NULL;
	return fetch_begin(leech, chunk, chunk + 1, true);
}

void leech_fetch_given(struct fetch *fetch, bool zero)
{
	if (zero)
		fetch->peer.data = NULL;
	fetch_came(&fetch->peer, 0);
}

void leech_fetch_ask(struct fetch *fetch)
{
	struct leech *leech = fetch->leech;

	if (leech->parting || !leech->peer || fetch->taken)
		fetch_end(fetch, -ESHUTDOWN);
	else
		backend_submit(leech->peer, &fetch->peer);
}

void leech_want(struct leech *leech, uint64_t chunk, uint64_t end, bool demand)
{
	uint64_t most = demand ? 1 : bulk_chunks(leech);
	unsigned int room = demand ? LEECH_FETCHES : LEECH_FETCHES - LEECH_URGENT;

	if (leech->nr_fetches >= room || leech->parting || !leech->peer || bitmap_get(leech->busy, chunk))
		return;
	/* what is being cut off; who waits for it is looked at when that is done */
	if (chunk >= leech->keep_off)
		return;
	end = end > leech->keep_off ? leech->keep_off : end;
	/* what waits in vain would be asked for again and again */
	if (leech_goes_elsewhere(leech))
		return;
	end = end > chunk + most ? chunk + most : end;
	end = end > leech->keep_off ? leech->keep_off : end;
	end = run_end(leech, chunk, end);
	if (end > chunk)
		fetch_start(leech, chunk, end, demand);
	/* What a program looks at now, it will look at the neighbours of. */
	if (demand)
		leech->cursor = chunk + 1;
}

void leech_hurry(struct leech *leech, uint64_t first, uint64_t count)
{
	uint64_t chunks = chunkmap_chunks(leech->map), end = first + count < chunks ? first + count : chunks;

	for (uint64_t chunk = first; chunk < end; chunk++)
		leech_want(leech, chunk, end, true);
}

/* ---- behind ---- */

/* The next run to pull, or false: all that is missing is under way. */
static bool next_run(struct leech *leech, uint64_t *first, uint64_t *end)
{
	uint64_t chunks = chunkmap_chunks(leech->map), at = leech->cursor, most;
	uint64_t limit = leech->keep_off < chunks ? leech->keep_off : chunks;
	unsigned int wraps = 0;

	most = pull_chunks(leech);
	for (;;) {
		at = chunkmap_absent(leech->map, at);
		if (at >= limit) {
			if (wraps++)
				return false;
			at = 0;
		} else if (bitmap_get(leech->busy, at)) {
			at = bitmap_next(leech->busy, at, limit, false);
		} else {
			break;
		}
	}
	*first = at;
	*end = run_end(leech, at, at + most < limit ? at + most : limit);
	leech->cursor = *end;
	return true;
}

void leech_pull_more(struct leech *leech)
{
	uint64_t first, end;

	while (may_pull(leech) && next_run(leech, &first, &end))
		if (!fetch_start(leech, first, end, false)) {
			leech_pull_later(leech);
			break;
		}
	/* of one whose other side is lost, what is missing is overwritten, or never there */
	if (leech->parting && leech_record_head(leech->record)->state == LEECH_RECORD_LOST && !chunkmap_missing(leech->map))
		leech_complete(leech);
	if (!leech->pulling || leech->parting || leech->nr_fetches || chunkmap_missing(leech->map))
		return;
	leech->pulling = false;
	if (chunkmap_state(leech->map) == CHUNKMAP_OWNED)
		leech_complete(leech);
	if (leech->watch)
		leech->watch->settled(leech->watch);
}

void leech_share_path(struct leech *leech)
{
	struct session *session = leech_session(leech);

	if (session)
		session->bulk_alone = chunkmap_state(leech->map) == CHUNKMAP_PULLING;
}

void leech_pull(struct leech *leech, bool on)
{
	leech->pulling = on;
	leech_share_path(leech);
	leech_pull_more(leech);
}

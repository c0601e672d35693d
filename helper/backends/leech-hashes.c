// SPDX-License-Identifier: GPL-2.0
/*
 * leech: once it is owned here, what the other side has of it changes no more, and the hashes of what is missing are had from there, some at a time, beside the chunks
 * themselves: on a link that is slow they are here long before. Whoever has such a chunk later on, it can be told from any other.
 */
#include <errno.h>
#include <string.h>

#include "backends/leech-elsewhere.h"
#include "backends/leech-private.h"
#include "log.h"

/* Asks between two syncs: what a power cut takes of them is asked for again, if there is still somebody to ask. */
#define SYNC_EVERY 16u
/* What lies behind so many chunks in a row that are here is asked for by itself: the other side would read them in vain. */
#define GAP 8u

static void next(struct leech_elsewhere *elsewhere);

static bool may_ask(const struct leech *leech)
{
	return leech->peer && !leech->parting && !leech->closing && peer_session(leech->peer)->features & WIRE_FEAT_HASHES;
}

static void stop(struct leech_elsewhere *elsewhere, int error)
{
	struct leech *leech = elsewhere->leech;

	elsewhere->asking = false;
	elsewhere->refused = error && !leech->parting;
	if (elsewhere->refused)
		log_warning("%s: what is missing could not be told from other bytes, should the other side be lost: %s", leech->backend.uri.text,
			    strerror(-error));
	elsewhere->holds--;
	leech_close_more(leech);	/* may free it */
}

static void pool(struct leech_elsewhere *elsewhere, int (*work)(struct loop_work *work), void (*done)(struct loop_work *work, int res))
{
	elsewhere->work.work = work;
	elsewhere->work.done = done;
	loop_work(elsewhere->leech->backend.loop, &elsewhere->work);
}

static void ask(struct leech_elsewhere *elsewhere, uint8_t type, uint32_t len, void *into, uint32_t into_len,
		void (*done)(struct link_req *req, int error))
{
	struct link_req *req = &elsewhere->message;

	memset(req, 0, sizeof(*req));
	req->type = type;
	req->data = elsewhere->body;
	req->data_len = len;
	req->into = into;
	req->into_len = into_len;
	req->done = done;
	session_urgent(peer_session(elsewhere->leech->peer), req);
}

/* ---- a few of them ---- */

static int put_work(struct loop_work *work)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);
	int ret = hash_file_put(elsewhere->file, elsewhere->first, elsewhere->count, elsewhere->hashes);

	return ret || ++elsewhere->unsynced % SYNC_EVERY ? ret : hash_file_sync(elsewhere->file);
}

static void put_done(struct loop_work *work, int res)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);

	if (res) {
		stop(elsewhere, res);
		return;
	}
	elsewhere->leech->stats.hashed += elsewhere->count;
	elsewhere->cursor = elsewhere->first + elsewhere->count;
	next(elsewhere);
}

/* It tells of no chunks beyond its end: of those that were made here nothing is missing. */
static void hashes_came(struct link_req *req, int error)
{
	struct leech_elsewhere *elsewhere = container_of(req, struct leech_elsewhere, message);
	uint32_t told = req->got / CHUNK_HASH;

	if (!error && !told)
		error = -EPROTO;
	if (error) {
		stop(elsewhere, error);
		return;
	}
	elsewhere->count = told < elsewhere->count ? told : elsewhere->count;
	/* what has not come there, either */
	for (uint32_t i = 0; i < elsewhere->count; i++)
		elsewhere->some_unknown |= !hash_is_known(elsewhere->hashes + i * CHUNK_HASH);
	pool(elsewhere, put_work, put_done);
}

static int look_work(struct loop_work *work)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);

	return hash_file_get(elsewhere->file, elsewhere->first, elsewhere->count, elsewhere->hashes);
}

/* An earlier helper may have asked for them; those of chunks that have come since need not be. */
static void looked(struct loop_work *work, int res)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);
	struct wire_extent extent = { .chunk = elsewhere->first, .count = elsewhere->count };
	const struct chunkmap *map = elsewhere->leech->map;
	bool known = true;

	for (uint32_t i = 0; i < elsewhere->count; i++)
		known &= hash_is_known(elsewhere->hashes + i * CHUNK_HASH) || elsewhere->first + i >= chunkmap_chunks(map) ||
			 chunkmap_present(map, elsewhere->first + i);
	if (res || !may_ask(elsewhere->leech)) {
		stop(elsewhere, res);
		return;
	}
	if (known) {
		elsewhere->cursor = elsewhere->first + elsewhere->count;
		next(elsewhere);
		return;
	}
	ask(elsewhere, WIRE_HASHES, (uint32_t)wire_encode(WIRE_S_EXTENT, &extent, elsewhere->body, sizeof(elsewhere->body)), elsewhere->hashes,
	    sizeof(elsewhere->hashes), hashes_came);
}

static int sync_work(struct loop_work *work)
{
	return hash_file_sync(container_of(work, struct leech_elsewhere, work)->file);
}

static void all_synced(struct loop_work *work, int res)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);

	elsewhere->all_known = !res && !elsewhere->some_unknown;
	stop(elsewhere, res);
}

static uint32_t count_from(const struct chunkmap *map, uint64_t first)
{
	uint64_t end = first + 1;

	for (uint64_t at = end; at < first + LEECH_ASK && at < chunkmap_chunks(map) && at < end + GAP; at++)
		if (!chunkmap_present(map, at))
			end = at + 1;
	return (uint32_t)(end - first);
}

static void next(struct leech_elsewhere *elsewhere)
{
	const struct chunkmap *map = elsewhere->leech->map;
	uint64_t first = chunkmap_absent(map, elsewhere->cursor);

	if (!may_ask(elsewhere->leech)) {
		stop(elsewhere, 0);
		return;
	}
	if (first >= chunkmap_chunks(map) || !hash_file_length(elsewhere->file, first)) {
		pool(elsewhere, sync_work, all_synced);
		return;
	}
	elsewhere->first = first;
	elsewhere->count = count_from(map, first);
	pool(elsewhere, look_work, looked);
}

/* ---- the file ---- */

static int create_work(struct loop_work *work)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);

	return hash_file_create(elsewhere->file, chunkmap_chunk(elsewhere->leech->map), elsewhere->size);
}

static void created(struct loop_work *work, int res)
{
	struct leech_elsewhere *elsewhere = container_of(work, struct leech_elsewhere, work);

	if (res) {
		stop(elsewhere, res);
		return;
	}
	/* rescues that have begun before do not look at it */
	hash_file_use(elsewhere->file);
	elsewhere->ready = true;
	next(elsewhere);
}

/* How long it is there: here programs may have changed that already. */
static void info_came(struct link_req *req, int error)
{
	struct leech_elsewhere *elsewhere = container_of(req, struct leech_elsewhere, message);
	struct wire_info info;

	if (!error && (wire_decode(WIRE_S_INFO, elsewhere->info, req->got, &info) < 0 || info.size > INT64_MAX))
		error = -EPROTO;
	if (error) {
		stop(elsewhere, error);
		return;
	}
	elsewhere->size = info.size;
	pool(elsewhere, create_work, created);
}

void leech_ask_hashes(struct leech *leech)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;

	if (elsewhere->asking || elsewhere->all_known || elsewhere->refused || !may_ask(leech) || !chunkmap_missing(leech->map) ||
	    chunkmap_state(leech->map) != CHUNKMAP_OWNED)
		return;
	elsewhere->asking = true;
	elsewhere->some_unknown = false;
	elsewhere->cursor = 0;
	elsewhere->holds++;
	if (elsewhere->ready)
		next(elsewhere);
	else
		ask(elsewhere, WIRE_INFO, 0, elsewhere->info, sizeof(elsewhere->info), info_came);
}

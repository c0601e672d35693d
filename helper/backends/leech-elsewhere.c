// SPDX-License-Identifier: GPL-2.0
/*
 * leech: chunks from elsewhere. It is owned here, and the other side is away, or lost: a chunk that a program waits for, and then the rest, is looked for at the
 * places that were named, and taken where its hash is the one that the other side has told. What was asked of that side already may come
 * from there yet: whichever is first has it, and the other one is dropped.
 *
 * A chunk that nobody has is waited for as ever; but once the other side is said to be lost an access to it fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech-elsewhere.h"
#include "backends/leech-private.h"
#include "log.h"
#include "places.h"
#include "zero.h"

#define RESCUES		16u	/* at a time */
#define AGAIN_MS	5000u	/* those who could not be asked are asked again, less and less often */
#define AGAIN_MOST_MS	300000u
#define MOURN_NS	1000000000ULL

struct rescue {
	struct list list;
	struct leech *leech;
	uint64_t chunk;
	struct places_search *search;
	struct loop_work work;
	uint8_t hash[CHUNK_HASH];
	uint8_t *data;
	struct backend_req local;
	bool demand;
	bool ready;			/* the file of hashes was there when it began */
};

static bool is_lost(const struct leech *leech)
{
	return leech_record_head(leech->record)->state == LEECH_RECORD_LOST;
}

/* ---- life ---- */

int leech_elsewhere_new(struct leech *leech, const char *dir)
{
	struct leech_elsewhere *elsewhere = calloc(1, sizeof(*elsewhere));
	char path[4096];

	if (!elsewhere)
		return -ENOMEM;
	hash_file_path(path, sizeof(path), dir, leech->backend.uri.path);
	elsewhere->file = hash_file_new(path);
	if (!elsewhere->file) {
		free(elsewhere);
		return -ENOMEM;
	}
	elsewhere->leech = leech;
	elsewhere->skipped = UINT64_MAX;
	elsewhere->again_ms = AGAIN_MS;
	list_init(&elsewhere->rescues);
	leech->elsewhere = elsewhere;
	return 0;
}

void leech_elsewhere_free(struct leech_elsewhere *elsewhere)
{
	if (!elsewhere)
		return;
	loop_timer_cancel(elsewhere->leech->backend.loop, &elsewhere->again);
	hash_file_free(elsewhere->file);
	places_put(elsewhere->places);
	free(elsewhere->nowhere);
	free(elsewhere);
}

/* ---- who is there ---- */

static bool is_away(const struct leech *leech)
{
	return is_lost(leech) || (!leech->parting && (!leech->peer || peer_session(leech->peer)->links[0].state != LINK_UP));
}

bool leech_goes_elsewhere(const struct leech *leech)
{
	const struct leech_elsewhere *elsewhere = leech->elsewhere;

	return !leech->closing && leech->served && (places_nr(elsewhere->places) || (elsewhere->ready && is_lost(leech))) && chunkmap_state(leech->map) == CHUNKMAP_OWNED && is_away(leech);
}

void leech_look_anew(struct leech *leech)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;

	if (elsewhere->nowhere)
		memset(elsewhere->nowhere, 0, elsewhere->nowhere_bits / 8);
	elsewhere->at = 0;
	elsewhere->skipped = UINT64_MAX;
	elsewhere->unsure = elsewhere->told = false;
}

static void changed(struct loop_task *task)
{
	struct leech_elsewhere *elsewhere = container_of(task, struct leech_elsewhere, change);
	struct leech *leech = elsewhere->leech;

	elsewhere->changed = false;
	leech_look_anew(leech);
	if (is_away(leech)) {
		leech_seek(leech);
	} else if (!leech->closing && !leech->parting) {
		/* what was not asked for while it was away */
		elsewhere->refused = false;
		leech_retry_soon(leech);
		leech_unblock(leech);
		leech_pull_more(leech);
		leech_ask_hashes(leech);
	}
	elsewhere->holds--;
	leech_close_more(leech);	/* may free it */
}

/* From within what the session does. */
static void peer_changed(void *arg)
{
	struct leech_elsewhere *elsewhere = arg;

	if (elsewhere->changed || elsewhere->leech->closing)
		return;
	elsewhere->changed = true;
	elsewhere->holds++;
	elsewhere->change.run = changed;
	loop_post(elsewhere->leech->backend.loop, &elsewhere->change);
}

void leech_watch_peer(struct leech *leech)
{
	struct session *session = peer_session(leech->peer);

	session->changed = peer_changed;
	session->changed_arg = leech->elsewhere;
}

void leech_set_places(struct leech *leech, struct places *places)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;
	struct places *before = elsewhere->places;

	elsewhere->places = places ? places_get(places) : NULL;
	places_put(before);
	elsewhere->again_ms = AGAIN_MS;
	leech_look_anew(leech);
	leech_retry_soon(leech);
	leech_unblock(leech);
	leech_seek(leech);
}

/* ---- what is looked for ---- */

static int fit_nowhere(struct leech_elsewhere *elsewhere)
{
	uint64_t bits = BITMAP_WORDS(chunkmap_chunks(elsewhere->leech->map) + 1) * 64;

	return bitmap_fit(&elsewhere->nowhere, &elsewhere->nowhere_bits, bits);
}

static bool is_nowhere(const struct leech_elsewhere *elsewhere, uint64_t chunk)
{
	return chunk < elsewhere->nowhere_bits && bitmap_get(elsewhere->nowhere, chunk);
}

static bool is_sought(const struct leech_elsewhere *elsewhere, uint64_t chunk)
{
	struct list *at;

	list_for_each(at, &elsewhere->rescues)
		if (list_entry(at, struct rescue, list)->chunk == chunk)
			return true;
	return false;
}

/* The fetch that waits for the other side to send it; NULL: none does. */
static struct fetch *fetch_of(const struct leech *leech, uint64_t chunk)
{
	struct list *at;

	list_for_each(at, &leech->fetches) {
		struct fetch *fetch = list_entry(at, struct fetch, list);

		if (fetch->first <= chunk && chunk < fetch->end)
			return fetch->storing || fetch->taken & 1ULL << (chunk - fetch->first) ? NULL : fetch;
	}
	return NULL;
}

/* Is it missing, and nobody about to bring or overwrite it but the other side? */
static bool may_take(const struct leech *leech, uint64_t chunk)
{
	return chunk < chunkmap_chunks(leech->map) && !chunkmap_present(leech->map, chunk) && chunk < leech->keep_off &&
	       (!bitmap_get(leech->busy, chunk) || fetch_of(leech, chunk));
}

static bool may_seek(const struct leech *leech, uint64_t chunk)
{
	return !is_nowhere(leech->elsewhere, chunk) && !is_sought(leech->elsewhere, chunk) && may_take(leech, chunk);
}

/* A program is about to overwrite it, or it is being stored: it may be missing afterwards, nevertheless. */
static void skip(struct leech *leech, uint64_t chunk)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;

	if (chunk < elsewhere->skipped && chunk < chunkmap_chunks(leech->map) && !chunkmap_present(leech->map, chunk) && !may_take(leech, chunk))
		elsewhere->skipped = chunk;
}

void leech_seek_skipped(struct leech *leech)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;
	uint64_t chunk = elsewhere->skipped;

	if (chunk == UINT64_MAX || (chunk < chunkmap_chunks(leech->map) && !chunkmap_present(leech->map, chunk) && !may_take(leech, chunk)))
		return;
	elsewhere->skipped = UINT64_MAX;
	elsewhere->at = chunk < elsewhere->at ? chunk : elsewhere->at;
	leech_seek(leech);
}

bool leech_may_come(const struct leech *leech, uint64_t chunk)
{
	return is_lost(leech) && leech_goes_elsewhere(leech) && !is_nowhere(leech->elsewhere, chunk);
}

/* ---- one chunk ---- */

static void rescue_end(struct rescue *rescue)
{
	struct leech *leech = rescue->leech;
	struct leech_elsewhere *elsewhere = leech->elsewhere;

	list_del(&rescue->list);
	elsewhere->nr_rescues--;
	free(rescue->data);
	free(rescue);
	leech_unblock(leech);
	leech_pull_more(leech);
	leech_seek(leech);
	elsewhere->holds--;
	leech_close_more(leech);	/* may free it */
}

static void not_found(struct rescue *rescue, int error)
{
	struct leech_elsewhere *elsewhere = rescue->leech->elsewhere;

	elsewhere->unsure |= error != -ENODATA;
	if (rescue->chunk < elsewhere->nowhere_bits)
		bitmap_put(elsewhere->nowhere, rescue->chunk);
	rescue_end(rescue);
}

static void stored(struct backend_req *req, int error)
{
	struct rescue *rescue = container_of(req, struct rescue, local);
	struct leech *leech = rescue->leech;

	bitmap_clear(leech->busy, rescue->chunk);
	if (!error) {
		chunkmap_set(leech->map, rescue->chunk, rescue->chunk + 1, true);
		leech->stats.elsewhere += rescue->data ? req->length : 0;
		leech->elsewhere->again_ms = AGAIN_MS;
		rescue_end(rescue);
		return;
	}
	/* it is the store here that does not take it */
	leech_fail_blocked(leech, rescue->chunk, rescue->chunk + 1, error);
	not_found(rescue, error);
}

/* Whatever comes from the other side now is too late. */
static void take_over(struct leech *leech, uint64_t chunk)
{
	struct fetch *fetch = fetch_of(leech, chunk);

	if (fetch)
		leech_take_from(fetch, chunk);
	bitmap_put(leech->busy, chunk);
}

/* It may be longer here than it was there, which is zeroes. */
static int fit_data(struct rescue *rescue, uint32_t length, uint32_t have)
{
	uint8_t *longer;

	if (length <= have)
		return 0;
	longer = realloc(rescue->data, length);
	if (!longer)
		return -ENOMEM;
	memset(longer + have, 0, length - have);
	rescue->data = longer;
	return 0;
}

/* data NULL: zeroes */
static void store(struct rescue *rescue)
{
	struct leech *leech = rescue->leech;
	uint32_t chunk = chunkmap_chunk(leech->map);
	uint64_t offset = rescue->chunk * chunk, left = chunkmap_size(leech->map) - offset;
	uint32_t length = left < chunk ? (uint32_t)left : chunk;
	struct backend_req *local = &rescue->local;
	bool zero;

	if (rescue->data && fit_data(rescue, length, hash_file_length(leech->elsewhere->file, rescue->chunk))) {
		not_found(rescue, -ENOMEM);
		return;
	}
	zero = !rescue->data || is_zero(rescue->data, length);
	take_over(leech, rescue->chunk);
	local->op = zero ? BACKEND_DISCARD : BACKEND_WRITE;
	local->flags = rescue->demand ? BACKEND_DEMAND : BACKEND_BULK;
	local->offset = offset;
	local->length = length;
	local->data = zero ? NULL : rescue->data;
	local->loop = leech->backend.loop;
	local->done = stored;
	backend_submit(leech->local, local);
}

/* It was overwritten, or has come, or is about to. */
static void overtaken(struct rescue *rescue)
{
	skip(rescue->leech, rescue->chunk);
	rescue_end(rescue);
}

static void found(void *arg, int error, uint8_t *data)
{
	struct rescue *rescue = arg;
	struct leech *leech = rescue->leech;

	rescue->search = NULL;
	rescue->data = data;
	if (error)
		not_found(rescue, error);
	else if (!leech->closing && may_take(leech, rescue->chunk))
		store(rescue);
	else
		overtaken(rescue);
}

static int hash_work(struct loop_work *work)
{
	struct rescue *rescue = container_of(work, struct rescue, work);

	return rescue->ready ? hash_file_get(rescue->leech->elsewhere->file, rescue->chunk, 1, rescue->hash) : 0;
}

static void hash_known(struct loop_work *work, int res)
{
	struct rescue *rescue = container_of(work, struct rescue, work);
	struct leech *leech = rescue->leech;
	uint32_t length = hash_file_length(leech->elsewhere->file, rescue->chunk);

	if (!res && length && hash_file_is_zero(leech->elsewhere->file, rescue->chunk, rescue->hash)) {
		found(rescue, 0, NULL);
		return;
	}
	if (res || leech->closing || !length || !hash_is_known(rescue->hash) || !leech->elsewhere->places) {
		not_found(rescue, res ? res : -ENODATA);
		return;
	}
	rescue->search = places_search(leech->elsewhere->places, rescue->chunk * chunkmap_chunk(leech->map), length, rescue->hash, found, rescue);
	if (!rescue->search)
		not_found(rescue, -ENOMEM);
}

static bool rescue_start(struct leech *leech, uint64_t chunk, bool demand)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;
	struct rescue *rescue = calloc(1, sizeof(*rescue));

	if (!rescue)
		return false;
	rescue->leech = leech;
	rescue->chunk = chunk;
	rescue->demand = demand;
	rescue->ready = elsewhere->ready;
	list_add(&elsewhere->rescues, &rescue->list);
	elsewhere->nr_rescues++;
	elsewhere->holds++;
	rescue->work.work = hash_work;
	rescue->work.done = hash_known;
	loop_work(leech->backend.loop, &rescue->work);
	return true;
}

/* ---- all of them ---- */

static void look_again(struct loop_timer *timer)
{
	struct leech_elsewhere *elsewhere = container_of(timer, struct leech_elsewhere, again);

	leech_look_anew(elsewhere->leech);
	leech_seek(elsewhere->leech);
}

static void seek_later(struct leech_elsewhere *elsewhere)
{
	if (elsewhere->again.slot)
		return;
	elsewhere->again.fire = look_again;
	loop_timer_set(elsewhere->leech->backend.loop, &elsewhere->again, elsewhere->again_ms);
	elsewhere->again_ms = elsewhere->again_ms * 2 < AGAIN_MOST_MS ? elsewhere->again_ms * 2 : AGAIN_MOST_MS;
}

/* All has been looked for. */
static void pass_over(struct leech *leech)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;

	if (!chunkmap_missing(leech->map) || elsewhere->nr_rescues)
		return;
	if (elsewhere->unsure || elsewhere->skipped != UINT64_MAX)
		seek_later(elsewhere);
	if (elsewhere->told || elsewhere->skipped != UINT64_MAX)
		return;
	elsewhere->told = true;
	if (is_lost(leech) && leech->watch && leech->watch->nowhere)
		leech->watch->nowhere(leech->watch);
}

static bool next_chunk(struct leech *leech, uint64_t *chunk, bool *demand)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;
	uint64_t chunks = chunkmap_chunks(leech->map);

	*demand = leech_wanted(leech, may_seek, chunk);
	if (*demand)
		return true;
	while ((elsewhere->at = chunkmap_absent(leech->map, elsewhere->at)) < chunks) {
		*chunk = elsewhere->at++;
		if (may_seek(leech, *chunk))
			return true;
		skip(leech, *chunk);
	}
	return false;
}

void leech_seek(struct leech *leech)
{
	struct leech_elsewhere *elsewhere = leech->elsewhere;
	uint64_t chunk;
	bool demand;

	if (!leech_goes_elsewhere(leech) || fit_nowhere(elsewhere))
		return;
	while (elsewhere->nr_rescues < RESCUES) {
		if (!next_chunk(leech, &chunk, &demand)) {
			pass_over(leech);
			return;
		}
		if (!rescue_start(leech, chunk, demand)) {
			seek_later(elsewhere);
			return;
		}
	}
}

/* Those who are asked may never answer. */
bool leech_elsewhere_ends(struct leech *leech)
{
	struct list *at, *next;

	if (!leech->elsewhere)
		return true;
	list_for_each_safe(at, next, &leech->elsewhere->rescues) {
		struct rescue *rescue = list_entry(at, struct rescue, list);

		if (!rescue->search)
			continue;
		places_cancel(leech->elsewhere->places, rescue->search);
		list_del(&rescue->list);
		leech->elsewhere->nr_rescues--;
		leech->elsewhere->holds--;
		free(rescue);
	}
	return !leech->elsewhere->holds;
}

void leech_mourn(struct leech *leech, uint64_t first, uint64_t end)
{
	uint32_t chunk = chunkmap_chunk(leech->map);
	uint64_t now = loop_now_ns();

	if (!is_lost(leech) || leech->closing || now - leech->elsewhere->mourned_at < MOURN_NS)
		return;
	leech->elsewhere->mourned_at = now;
	log_error("%s: an access to bytes %llu to %llu fails, since the other side is lost, and nobody else has them all", leech->backend.uri.text,
		  (unsigned long long)(first * chunk), (unsigned long long)(end * chunk - 1));
}

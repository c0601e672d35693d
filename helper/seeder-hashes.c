// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: HASHES: the leecher has bytes of an earlier life of the region, and asks which of them are still the same. The region's backend is read as
 * for READ, so what is dirty in the page cache is not in the hash, but in a later round. Once it is handed over there is no later round, nothing is dirty, and the
 * hashes are what any other copy can be told by. A piece at a time, hashed in the pool. Of what has not come here yet there is none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech.h"
#include "chunk-hash.h"
#include "regiond.h"
#include "seeder-private.h"

/* Holes are not read. */
#define PIECE	(1u << 20)	/* bytes that are read at a time; whole chunks */

struct hashing {
	struct serve_req *req;
	struct region *region;		/* a reference */
	uint32_t chunk;
	uint64_t at, end;		/* bytes */
	uint64_t size;
	struct backend_req read;
	struct loop_work work;
	uint8_t *buffer;		/* PIECE bytes */
	uint32_t length;		/* of the piece */
	uint8_t *hashes, *next;
	uint8_t zero[CHUNK_HASH];	/* of a chunk of zeroes */
};

static void hashing_end(struct hashing *hashing, int error)
{
	if (error)
		serve_fail(hashing->req, error, "it could not be read");
	else
		serve_reply(hashing->req, 0, hashing->hashes, (uint32_t)(hashing->next - hashing->hashes));
	region_put(hashing->region);
	free(hashing->hashes);
	free(hashing->buffer);
	free(hashing);
}

static void hash_more(struct hashing *hashing);

static int hash_piece(struct loop_work *work)
{
	struct hashing *hashing = container_of(work, struct hashing, work);

	return chunk_hashes(hashing->buffer, hashing->length, hashing->chunk, hashing->next);
}

static void piece_hashed(struct loop_work *work, int res)
{
	struct hashing *hashing = container_of(work, struct hashing, work);

	hashing->next += (hashing->length + hashing->chunk - 1) / hashing->chunk * CHUNK_HASH;
	hashing->at += hashing->length;
	if (res || hashing->at >= hashing->end)
		hashing_end(hashing, res);
	else
		hash_more(hashing);
}

static void piece_read(struct backend_req *req, int error)
{
	struct hashing *hashing = container_of(req, struct hashing, read);

	if (error) {
		hashing_end(hashing, error);
		return;
	}
	hashing->work.work = hash_piece;
	hashing->work.done = piece_hashed;
	loop_work(hashing->region->regiond->loop, &hashing->work);
}

/* Would any of the chunk have to come from the host before, which may be away? */
static bool is_absent(const struct hashing *hashing, uint64_t at)
{
	struct leech *leech = leech_of(hashing->region->backend);
	const struct chunkmap *map = leech ? leech_map(leech) : NULL;
	uint64_t end = hashing->end - at < hashing->chunk ? hashing->end : at + hashing->chunk;

	if (!map)
		return false;
	for (uint64_t i = at / chunkmap_chunk(map); i <= (end - 1) / chunkmap_chunk(map) && i < chunkmap_chunks(map); i++)
		if (!chunkmap_present(map, i))
			return true;
	return false;
}

/* Zeroes, which is the hash of nothing: who asks may ask again, or read it. */
static void skip_absent(struct hashing *hashing)
{
	while (hashing->at < hashing->end && is_absent(hashing, hashing->at)) {
		hashing->next += CHUNK_HASH;
		hashing->at += hashing->chunk;
	}
}

static void hash_read(struct hashing *hashing)
{
	struct backend_req *read = &hashing->read;
	uint32_t most = hashing->chunk > PIECE ? hashing->chunk : PIECE;
	uint64_t left = hashing->end - hashing->at, length = hashing->chunk;

	while (length < most && length < left && !is_absent(hashing, hashing->at + length))
		length += hashing->chunk;
	hashing->length = (uint32_t)(left < length ? left : length);
	memset(read, 0, sizeof(*read));
	read->op = BACKEND_READ;
	read->flags = BACKEND_BULK;
	read->offset = hashing->at;
	read->length = hashing->length;
	read->data = hashing->buffer;
	read->loop = hashing->region->regiond->loop;
	read->done = piece_read;
	region_submit(hashing->region->regiond->regions, hashing->region->info.id, read);
}

/* Whole chunks of a hole; what is left of it is read as any bytes. */
static void skip_hole(struct hashing *hashing, uint64_t data)
{
	while (hashing->end - hashing->at >= hashing->chunk && data >= hashing->chunk && hashing->at <= data - hashing->chunk) {
		memcpy(hashing->next, hashing->zero, CHUNK_HASH);
		hashing->next += CHUNK_HASH;
		hashing->at += hashing->chunk;
	}
}

static void data_found(struct backend_req *req, int error)
{
	struct hashing *hashing = container_of(req, struct hashing, read);

	if (!error || error == -ENXIO)
		skip_hole(hashing, error ? UINT64_MAX : req->offset);
	if (hashing->at >= hashing->end)
		hashing_end(hashing, 0);
	else
		hash_read(hashing);
}

static void hash_more(struct hashing *hashing)
{
	struct backend_req *find = &hashing->read;

	skip_absent(hashing);
	if (hashing->at >= hashing->end) {
		hashing_end(hashing, 0);
		return;
	}
	memset(find, 0, sizeof(*find));
	find->op = BACKEND_DATA;
	find->offset = hashing->at;
	find->loop = hashing->region->regiond->loop;
	find->done = data_found;
	region_submit(hashing->region->regiond->regions, hashing->region->info.id, find);
}

static struct hashing *hashing_new(struct seeder *seeder, uint32_t chunk, struct serve_req *req, const struct wire_extent *extent)
{
	struct hashing *hashing = calloc(1, sizeof(*hashing));
	uint64_t size = atomic_load(&seeder->handover.region->size), end;

	if (!hashing)
		return NULL;
	hashing->req = req;
	hashing->chunk = chunk;
	hashing->at = extent->chunk * chunk;
	end = hashing->at + extent->count * (uint64_t)chunk;
	hashing->end = end < size ? end : size;
	hashing->buffer = calloc(1, chunk > PIECE ? chunk : PIECE);
	hashing->hashes = calloc(extent->count, CHUNK_HASH);
	hashing->next = hashing->hashes;
	if (!hashing->buffer || !hashing->hashes || chunk_hash(hashing->buffer, chunk, hashing->zero)) {
		free(hashing->buffer);
		free(hashing->hashes);
		free(hashing);
		return NULL;
	}
	hashing->region = region_get(seeder->handover.region);
	return hashing;
}

void seeder_hash(struct seeder *seeder, uint32_t chunk, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_extent extent;
	struct hashing *hashing;

	if (wire_decode(WIRE_S_EXTENT, body, len, &extent) < 0 || !extent.count || extent.count > WIRE_HASHES_MAX ||
	    !chunk || extent.chunk >= (uint64_t)INT64_MAX / chunk - extent.count) {
		serve_fail(req, -EPROTO, "not a HASHES");
		return;
	}
	hashing = hashing_new(seeder, chunk, req, &extent);
	if (!hashing)
		serve_fail(req, -ENOMEM, "out of memory");
	else if (hashing->at >= hashing->end)
		hashing_end(hashing, 0);
	else
		hash_more(hashing);
}

void seeder_take_hashes(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	if (seeder->state == WIRE_SEED_TRACKING || seeder->state == WIRE_SEED_HANDED_OFF || seeder->state == WIRE_SEED_MOVED)
		seeder_hash(seeder, seeder->chunk, req, body, len);
	else
		serve_fail(req, -EINVAL, "it is %s", wire_seed_state_name(seeder->state));
}

// SPDX-License-Identifier: GPL-2.0
/*
 * leech: the local store may have the region from its last stay here, and other regions here some of its bytes. What is there is compared with what the other side has, by
 * hashes, before anything is pulled: equal chunks are present, or copied. That side tracks by then, so what changes while it is asked is in a later round.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech-private.h"
#include "chunk-hash.h"
#include "log.h"
#include "places.h"

#define SPAN	WIRE_HASHES_MAX	/* chunks that are compared at a time */

/* A chunk that is here, but not where it belongs. */
struct copy {
	struct reuse *reuse;
	uint64_t chunk;
	uint8_t *data;
	struct backend_req local;
};

struct reuse {
	struct leech *leech;
	bool own;
	struct places *others;		/* a reference, or NULL */
	uint8_t zero[CHUNK_HASH];	/* of a chunk of zeroes */
	struct copy copies[SPAN];
	unsigned int copying;
	uint64_t first, count;		/* chunks */
	uint32_t length;		/* bytes */
	struct backend_req read;
	struct loop_work work;
	struct link_req message;
	uint8_t body[16];
	uint8_t *buffer;
	uint8_t ours[SPAN * CHUNK_HASH], theirs[SPAN * CHUNK_HASH];
	unsigned int waits;		/* for the hashes of both sides */
	int error;
	void (*done)(void *arg);
	void *arg;
};

static void reuse_next(struct reuse *reuse);

static void reuse_end(struct reuse *reuse)
{
	struct leech *leech = reuse->leech;

	if (reuse->error && !leech->parting)
		log_info("%s: what is in the local store is not compared further: %s", leech->backend.uri.text, strerror(-reuse->error));
	log_info("%s: %llu bytes need not be sent", leech->backend.uri.text, (unsigned long long)leech->stats.reused);
	leech->nr_flushes--;
	reuse->done(reuse->arg);
	places_put(reuse->others);
	free(reuse->buffer);
	free(reuse);
	leech_close_more(leech);	/* may free it */
}

static void window_end(struct reuse *reuse)
{
	reuse->first += reuse->count;
	if (reuse->error || reuse->leech->parting)
		reuse_end(reuse);
	else
		reuse_next(reuse);
}

/* ---- what has to be copied ---- */

static uint32_t length_of(const struct reuse *reuse, uint64_t chunk)
{
	const struct chunkmap *map = reuse->leech->map;
	uint64_t left = chunkmap_size(map) - chunk * chunkmap_chunk(map);

	return left < chunkmap_chunk(map) ? (uint32_t)left : chunkmap_chunk(map);
}

static void copy_end(struct copy *copy)
{
	free(copy->data);
	copy->data = NULL;
	if (!--copy->reuse->copying)
		window_end(copy->reuse);
}

static void copied(struct backend_req *req, int error)
{
	struct copy *copy = container_of(req, struct copy, local);
	struct leech *leech = copy->reuse->leech;

	if (error && !copy->reuse->error)
		copy->reuse->error = error;
	if (!error)
		chunkmap_set(leech->map, copy->chunk, copy->chunk + 1, true);
	if (!error && req->op == BACKEND_WRITE)
		leech->stats.reused += req->length;
	copy_end(copy);
}

/* data NULL: zeroes */
static void store(struct copy *copy)
{
	struct leech *leech = copy->reuse->leech;

	copy->local = (struct backend_req){
		.op = copy->data ? BACKEND_WRITE : BACKEND_DISCARD, .flags = BACKEND_BULK, .offset = copy->chunk * chunkmap_chunk(leech->map),
		.length = length_of(copy->reuse, copy->chunk), .data = copy->data, .loop = leech->backend.loop, .done = copied,
	};
	backend_submit(leech->local, &copy->local);
}

/* One that is not to be had here comes from the other side. */
static void found(void *arg, int error, uint8_t *data)
{
	struct copy *copy = arg;

	copy->data = data;
	if (error || copy->reuse->leech->parting)
		copy_end(copy);
	else
		store(copy);
}

static void copy_start(struct reuse *reuse, uint64_t i)
{
	struct copy *copy = &reuse->copies[i];
	const uint8_t *hash = reuse->theirs + i * CHUNK_HASH;
	uint64_t chunk = reuse->first + i;

	*copy = (struct copy){ .reuse = reuse, .chunk = chunk };
	if (!memcmp(hash, reuse->zero, CHUNK_HASH)) {
		reuse->copying++;
		store(copy);
		return;
	}
	if (!reuse->others)
		return;
	reuse->copying++;
	if (!places_search(reuse->others, chunk * chunkmap_chunk(reuse->leech->map), length_of(reuse, chunk), hash, found, copy))
		copy_end(copy);
}

/* Chunks that the other side has not told of, since its region is shorter by now, are not equal. */
static void compare(struct reuse *reuse)
{
	struct leech *leech = reuse->leech;
	uint64_t told = reuse->message.got / CHUNK_HASH;

	reuse->copying = 1;	/* this */
	for (uint64_t i = 0; i < reuse->count && i < told; i++) {
		if (!reuse->own || memcmp(reuse->ours + i * CHUNK_HASH, reuse->theirs + i * CHUNK_HASH, CHUNK_HASH)) {
			copy_start(reuse, i);
			continue;
		}
		chunkmap_set(leech->map, reuse->first + i, reuse->first + i + 1, true);
		leech->stats.reused += chunkmap_chunk(leech->map);
	}
	if (!--reuse->copying)
		window_end(reuse);
}

/* ---- the hashes of both sides ---- */

static void side_done(struct reuse *reuse, int error)
{
	if (error && !reuse->error)
		reuse->error = error;
	if (--reuse->waits)
		return;
	if (!reuse->error && !reuse->leech->parting)
		compare(reuse);
	else
		window_end(reuse);
}

static void theirs_came(struct link_req *req, int error)
{
	side_done(container_of(req, struct reuse, message), error);
}

static int hash_ours(struct loop_work *work)
{
	struct reuse *reuse = container_of(work, struct reuse, work);

	return chunk_hashes(reuse->buffer, reuse->length, chunkmap_chunk(reuse->leech->map), reuse->ours);
}

static void ours_hashed(struct loop_work *work, int res)
{
	side_done(container_of(work, struct reuse, work), res);
}

static void ours_read(struct backend_req *req, int error)
{
	struct reuse *reuse = container_of(req, struct reuse, read);

	if (error) {
		side_done(reuse, error);
		return;
	}
	reuse->work.work = hash_ours;
	reuse->work.done = ours_hashed;
	loop_work(reuse->leech->backend.loop, &reuse->work);
}

static void ask(struct reuse *reuse)
{
	struct wire_extent extent = { .chunk = reuse->first, .count = (uint32_t)reuse->count };
	struct link_req *req = &reuse->message;

	memset(req, 0, sizeof(*req));
	req->type = WIRE_HASHES;
	req->data = reuse->body;
	req->data_len = (uint32_t)wire_encode(WIRE_S_EXTENT, &extent, reuse->body, sizeof(reuse->body));
	req->into = reuse->theirs;
	req->into_len = sizeof(reuse->theirs);
	req->done = theirs_came;
	session_urgent(peer_session(reuse->leech->peer), req);
}

static void read_own(struct reuse *reuse, uint64_t offset)
{
	struct leech *leech = reuse->leech;

	memset(&reuse->read, 0, sizeof(reuse->read));
	reuse->read.op = BACKEND_READ;
	reuse->read.flags = BACKEND_BULK;
	reuse->read.offset = offset;
	reuse->read.length = reuse->length;
	reuse->read.data = reuse->buffer;
	reuse->read.loop = leech->backend.loop;
	reuse->read.done = ours_read;
	backend_submit(leech->local, &reuse->read);
}

static void reuse_next(struct reuse *reuse)
{
	struct leech *leech = reuse->leech;
	uint64_t chunks = chunkmap_chunks(leech->map), size = chunkmap_size(leech->map), offset;
	uint32_t chunk = chunkmap_chunk(leech->map);

	if (reuse->first >= chunks) {
		reuse_end(reuse);
		return;
	}
	reuse->count = chunks - reuse->first < SPAN ? chunks - reuse->first : SPAN;
	offset = reuse->first * chunk;
	reuse->length = size - offset < reuse->count * chunk ? (uint32_t)(size - offset) : (uint32_t)(reuse->count * chunk);
	reuse->waits = reuse->own ? 2 : 1;
	ask(reuse);
	if (reuse->own)
		read_own(reuse, offset);
}

static bool tells_hashes(const struct leech *leech)
{
	return leech->peer && !leech->parting && peer_session(leech->peer)->features & WIRE_FEAT_HASHES;
}

void leech_reuse(struct leech *leech, bool own, struct places *others, void (*done)(void *arg), void *arg)
{
	struct reuse *reuse = calloc(1, sizeof(*reuse));
	uint32_t chunk = chunkmap_chunk(leech->map);

	if (reuse)
		reuse->buffer = calloc(SPAN, chunk);
	if (!reuse || !reuse->buffer || !tells_hashes(leech) || chunk_hash(reuse->buffer, chunk, reuse->zero)) {
		if (reuse)
			free(reuse->buffer);
		free(reuse);
		done(arg);
		return;
	}
	reuse->leech = leech;
	reuse->own = own;
	reuse->others = others ? places_get(others) : NULL;
	reuse->done = done;
	reuse->arg = arg;
	leech->nr_flushes++;	/* we are not closed before the end of it */
	reuse_next(reuse);
}

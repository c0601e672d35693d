// SPDX-License-Identifier: GPL-2.0
/*
 * leech: the local store may have the region from its last stay here, and other regions here some of its bytes. What is there is compared with what the other side has, by
 * hashes, before anything is pulled: equal chunks are present, or copied. That side tracks by then, so what changes while it is asked is in a later round.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech-private.h"
#include "log.h"
#include "places.h"
#include "span-hashes.h"

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
	struct copy copies[SPAN_MAX];
	unsigned int copying;
	struct span_hashes span;
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
	free(reuse->span.buffer);
	free(reuse);
	leech_close_more(leech);	/* may free it */
}

static void window_end(struct reuse *reuse)
{
	reuse->span.first += reuse->span.count;
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
	const uint8_t *hash = reuse->span.theirs + i * CHUNK_HASH;
	uint64_t chunk = reuse->span.first + i;

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
	const struct span_hashes *span = &reuse->span;
	struct leech *leech = reuse->leech;

	reuse->copying = 1;	/* this */
	for (uint64_t i = 0; i < span->count && i < span->told; i++) {
		if (!reuse->own || !span_hashes_same(span, i)) {
			copy_start(reuse, i);
			continue;
		}
		chunkmap_set(leech->map, span->first + i, span->first + i + 1, true);
		leech->stats.reused += chunkmap_chunk(leech->map);
	}
	if (!--reuse->copying)
		window_end(reuse);
}

static void span_done(struct span_hashes *span, int error)
{
	struct reuse *reuse = container_of(span, struct reuse, span);

	reuse->error = error;
	if (!error && !reuse->leech->parting)
		compare(reuse);
	else
		window_end(reuse);
}

static void reuse_next(struct reuse *reuse)
{
	struct leech *leech = reuse->leech;
	struct span_hashes *span = &reuse->span;

	if (span->first >= chunkmap_chunks(leech->map)) {
		reuse_end(reuse);
		return;
	}
	span_hashes_ask(span, peer_session(leech->peer), span->first, chunkmap_size(leech->map), reuse->own);
	if (reuse->own)
		backend_submit(leech->local, &span->read);
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
		reuse->span.buffer = calloc(SPAN_MAX, chunk);
	if (!reuse || !reuse->span.buffer || !tells_hashes(leech) || chunk_hash(reuse->span.buffer, chunk, reuse->zero)) {
		if (reuse)
			free(reuse->span.buffer);
		free(reuse);
		done(arg);
		return;
	}
	reuse->span.loop = leech->backend.loop;
	reuse->span.chunk = chunk;
	reuse->span.most = SPAN_MAX;
	reuse->span.done = span_done;
	reuse->leech = leech;
	reuse->own = own;
	reuse->others = others ? places_get(others) : NULL;
	reuse->done = done;
	reuse->arg = arg;
	leech->nr_flushes++;	/* we are not closed before the end of it */
	reuse_next(reuse);
}

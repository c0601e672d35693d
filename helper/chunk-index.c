// SPDX-License-Identifier: GPL-2.0
/*
 * chunk-index: see chunk-index.h. A table with open addressing, of the hashes' first 64 bits alone: should two chunks share these, the second one is not
 * found, and comes as if nobody had it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk-index.h"
#include "log.h"
#include "place.h"
#include "region.h"
#include "regiond.h"
#include "zero.h"

#define PIECE		(1u << 20)	/* bytes that are read at a time; whole chunks */
#define PATIENCE_MS	30000u
#define FIRST_SLOTS	4096u
/* where: a region's number above, its chunk below */
#define CHUNK_BITS	47u
#define REGIONS_MAX	(1u << 16)

struct slot {
	uint64_t key;			/* 0: free */
	uint64_t where;
};

struct indexed {
	struct region *region;
	struct place *place;
};

struct chunk_index {
	struct places places;
	struct regiond *regiond;
	uint32_t chunk;
	struct slot *slots;
	uint64_t nr_slots, used;
	struct indexed *regions;
	unsigned int nr;
	/* while it is built */
	unsigned int now;		/* which region */
	uint64_t at, run_end;
	uint32_t length;		/* of the piece */
	uint8_t *data;
	struct place_read *read;
	struct loop_work work;
	struct loop_task task;
	bool stopped;
	void (*done)(void *arg, struct places *places);
	void *arg;
};

struct lookup {
	struct chunk_index *index;
	struct loop_task task;
	struct loop_work work;
	struct place_read *read;
	unsigned int region;
	uint64_t offset;
	uint32_t length;
	uint8_t hash[CHUNK_HASH];
	uint8_t *data;
	void (*done)(void *arg, int error, uint8_t *data);
	void *arg;
};

static struct chunk_index *to_index(struct places *places)
{
	return container_of(places, struct chunk_index, places);
}

/* ---- the table ---- */

static uint64_t key_of(const uint8_t hash[CHUNK_HASH])
{
	uint64_t key;

	memcpy(&key, hash, sizeof(key));
	return key ? key : 1;
}

/* The one that has it, or where it would be. */
static struct slot *slot_of(struct slot *slots, uint64_t nr, uint64_t key)
{
	uint64_t at = key & (nr - 1);

	while (slots[at].key && slots[at].key != key)
		at = (at + 1) & (nr - 1);
	return &slots[at];
}

static int grow(struct chunk_index *index)
{
	uint64_t nr = index->nr_slots ? index->nr_slots * 2 : FIRST_SLOTS;
	struct slot *slots;

	if (index->nr_slots && index->used < index->nr_slots / 4 * 3)
		return 0;
	slots = calloc(nr, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint64_t i = 0; i < index->nr_slots; i++)
		if (index->slots[i].key)
			*slot_of(slots, nr, index->slots[i].key) = index->slots[i];
	free(index->slots);
	index->slots = slots;
	index->nr_slots = nr;
	return 0;
}

static int insert(struct chunk_index *index, const uint8_t hash[CHUNK_HASH], uint64_t where)
{
	struct slot *slot;
	int ret = grow(index);

	if (ret)
		return ret;
	slot = slot_of(index->slots, index->nr_slots, key_of(hash));
	index->used += !slot->key;
	if (!slot->key)
		*slot = (struct slot){ .key = key_of(hash), .where = where };
	return 0;
}

/* ---- building it: a region after the other, a run of bytes, a piece ---- */

static void next_run(struct chunk_index *index);
static void next_region(struct chunk_index *index, int error);

static void built(struct chunk_index *index)
{
	void (*done)(void *, struct places *) = index->done;

	log_info("%llu chunks of regions here are known by their hashes", (unsigned long long)index->used);
	done(index->arg, &index->places);
}

static const char *path_of(const struct chunk_index *index)
{
	const char *path = index->regions[index->now].region->info.path;

	return path ? path : "?";
}

/* In the pool: also growing the table may take a while. */
static int hash_piece(struct loop_work *work)
{
	struct chunk_index *index = container_of(work, struct chunk_index, work);
	uint8_t hash[CHUNK_HASH];
	int ret = 0;

	for (uint32_t at = 0; at < index->length && !ret; at += index->chunk) {
		uint32_t length = index->length - at < index->chunk ? index->length - at : index->chunk;

		if (is_zero(index->data + at, length))
			continue;
		ret = chunk_hash(index->data + at, length, hash);
		if (!ret)
			ret = insert(index, hash, (uint64_t)index->now << CHUNK_BITS | (index->at + at) / index->chunk);
	}
	return ret;
}

static void next_piece(struct chunk_index *index);

static void piece_hashed(struct loop_work *work, int res)
{
	struct chunk_index *index = container_of(work, struct chunk_index, work);

	free(index->data);
	index->data = NULL;
	index->at += index->length;
	if (index->stopped)
		built(index);
	else if (res)
		next_region(index, res);
	else if (index->at < index->run_end)
		next_piece(index);
	else
		next_run(index);
}

static void piece_read(void *arg, int error, uint8_t *data)
{
	struct chunk_index *index = arg;

	index->read = NULL;
	if (error) {
		next_region(index, error);
		return;
	}
	index->data = data;
	index->work.work = hash_piece;
	index->work.done = piece_hashed;
	loop_work(index->regiond->loop, &index->work);
}

static void next_piece(struct chunk_index *index)
{
	uint64_t size = atomic_load(&index->regions[index->now].region->size), end = index->run_end;
	uint32_t most = index->chunk > PIECE ? index->chunk : PIECE;

	end = end < size ? end : size;
	if (index->at >= end || index->regiond->stopping) {
		next_region(index, 0);
		return;
	}
	index->length = end - index->at < most ? (uint32_t)(end - index->at) : most;
	index->read = place_read(index->regions[index->now].place, index->at, index->length, PATIENCE_MS, piece_read, index);
	if (!index->read)
		next_region(index, -ENOMEM);
}

static void run_found(void *arg, int error, uint64_t offset, uint64_t length)
{
	struct chunk_index *index = arg;
	uint64_t mask = ~(uint64_t)(index->chunk - 1), end;

	index->read = NULL;
	if (error == -EOPNOTSUPP) {
		index->run_end = UINT64_MAX;
	} else if (error) {
		next_region(index, error == -ENXIO ? 0 : error);
		return;
	} else {
		end = offset + length;
		index->at = (offset & mask) > index->at ? offset & mask : index->at;
		index->run_end = end > UINT64_MAX - index->chunk ? UINT64_MAX : (end + index->chunk - 1) & mask;
	}
	next_piece(index);
}

static void next_run(struct chunk_index *index)
{
	index->read = place_find(index->regions[index->now].place, index->at, PATIENCE_MS, run_found, index);
	if (!index->read)
		next_region(index, -ENOMEM);
}

/* error: why this one is not looked at further. */
static void next_region(struct chunk_index *index, int error)
{
	if (error)
		log_warning("region %s: what else it has is not reused: %s", path_of(index), strerror(-error));
	index->now++;
	index->at = 0;
	if (index->now < index->nr && !index->stopped && !index->regiond->stopping)
		next_run(index);
	else
		built(index);
}

static void begin(struct loop_task *task)
{
	struct chunk_index *index = container_of(task, struct chunk_index, task);

	if (index->nr && !index->stopped)
		next_run(index);
	else
		built(index);
}

static void stopped(struct loop_task *task)
{
	built(container_of(task, struct chunk_index, task));
}

/* What has not begun, or is being hashed, comes to its end by itself. */
void chunk_index_stop(struct chunk_index *index)
{
	if (index->stopped)
		return;
	index->stopped = true;
	if (!index->read)
		return;
	place_cancel(index->read);
	index->read = NULL;
	index->task.run = stopped;
	loop_post(index->regiond->loop, &index->task);
}

/* ---- looking for a hash ---- */

static void lookup_end(struct lookup *lookup, int error)
{
	uint8_t *data = lookup->data;

	if (error || !lookup->done) {
		free(data);
		data = NULL;
	}
	if (lookup->done)
		lookup->done(lookup->arg, error, data);
	places_put(&lookup->index->places);
	free(lookup);
}

static int look(struct loop_work *work)
{
	struct lookup *lookup = container_of(work, struct lookup, work);
	uint8_t hash[CHUNK_HASH];
	int ret = chunk_hash(lookup->data, lookup->length, hash);

	return ret ? ret : memcmp(hash, lookup->hash, CHUNK_HASH) ? -ENODATA : 0;
}

static void looked(struct loop_work *work, int res)
{
	lookup_end(container_of(work, struct lookup, work), res);
}

static void came(void *arg, int error, uint8_t *data)
{
	struct lookup *lookup = arg;

	lookup->read = NULL;
	lookup->data = data;
	if (error) {
		lookup_end(lookup, error);
		return;
	}
	lookup->work.work = look;
	lookup->work.done = looked;
	loop_work(lookup->index->regiond->loop, &lookup->work);
}

static void lookup_begin(struct loop_task *task)
{
	struct lookup *lookup = container_of(task, struct lookup, task);
	struct chunk_index *index = lookup->index;
	struct slot *slot = index->nr_slots ? slot_of(index->slots, index->nr_slots, key_of(lookup->hash)) : NULL;
	uint64_t at;

	if (!lookup->done || !slot || !slot->key) {
		lookup_end(lookup, -ENODATA);
		return;
	}
	at = (slot->where & ((1ULL << CHUNK_BITS) - 1)) * index->chunk;
	lookup->read = place_read(index->regions[slot->where >> CHUNK_BITS].place, at, lookup->length, PATIENCE_MS, came, lookup);
	if (!lookup->read)
		lookup_end(lookup, -ENOMEM);
}

/* Wherever it was there, it may be anywhere here. */
static struct places_search *lookup_start(struct places *places, uint64_t offset, uint32_t length, const uint8_t hash[CHUNK_HASH],
					   void (*done)(void *arg, int error, uint8_t *data), void *arg)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	lookup->index = to_index(places_get(places));
	lookup->length = length;
	memcpy(lookup->hash, hash, CHUNK_HASH);
	lookup->done = done;
	lookup->arg = arg;
	lookup->task.run = lookup_begin;
	loop_post(lookup->index->regiond->loop, &lookup->task);
	return (struct places_search *)lookup;
}

static void lookup_cancel(struct places_search *search)
{
	struct lookup *lookup = (struct lookup *)search;

	lookup->done = NULL;
	if (!lookup->read)
		return;
	place_cancel(lookup->read);
	lookup->read = NULL;
	lookup_end(lookup, -ECANCELED);
}

/* ---- life ---- */

static void index_free(struct places *places)
{
	struct chunk_index *index = to_index(places);

	for (unsigned int i = 0; i < index->nr; i++) {
		place_close(index->regions[i].place);
		region_put(index->regions[i].region);
	}
	free(index->regions);
	free(index->slots);
	free(index);
}

static const struct places_ops index_ops = { .search = lookup_start, .cancel = lookup_cancel, .free = index_free };

static int add_region(struct chunk_index *index, const char *path)
{
	struct region *region = region_find_path(index->regiond->regions, path);
	struct place *place;
	char *uri;

	if (!region) {
		log_warning("there is no region %s here any more, so nothing of it is reused", path);
		return 0;
	}
	place = asprintf(&uri, PLACE_REGION "%s", path) < 0 ? NULL : place_new(index->regiond, uri);
	if (!place) {
		region_put(region);
		return -ENOMEM;
	}
	free(uri);
	index->regions[index->nr].region = region;
	index->regions[index->nr++].place = place;
	return 0;
}

struct chunk_index *chunk_index_build(struct regiond *regiond, json_t *paths, uint32_t chunk, void (*done)(void *arg, struct places *places),
				      void *arg)
{
	size_t n = json_array_size(paths) < REGIONS_MAX ? json_array_size(paths) : REGIONS_MAX;
	struct chunk_index *index = calloc(1, sizeof(*index));
	int ret;

	if (index)
		index->regions = calloc(n + 1, sizeof(*index->regions));
	if (!index || !index->regions) {
		free(index);
		return NULL;
	}
	index->places = (struct places){ .ops = &index_ops, .users = 1, .nr = 1 };
	index->regiond = regiond;
	index->chunk = chunk;
	index->done = done;
	index->arg = arg;
	for (size_t i = 0; i < n; i++) {
		ret = add_region(index, json_string_value(json_array_get(paths, i)));
		if (ret) {
			index_free(&index->places);
			return NULL;
		}
	}
	index->task.run = begin;
	loop_post(regiond->loop, &index->task);
	return index;
}

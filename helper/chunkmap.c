// SPDX-License-Identifier: GPL-2.0
/* chunkmap: a page of head, then the bits, in a shared mapping of a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "chunkmap.h"
#include "mapped.h"

#define MAGIC	0x50414d4b4e484352ULL	/* "RCHNKMAP" */
#define VERSION	4u
#define HEAD	4096u

struct head {
	uint64_t magic;
	uint32_t version;
	uint32_t state;
	uint64_t instance;
	uint64_t size;
	uint32_t chunk;
	uint32_t round;
	struct chunkmap_owner owner;
};

struct chunkmap {
	struct mapped file;
	struct head *head;
	uint64_t *bits;
	uint64_t missing;
};

static uint64_t chunks_of(uint64_t size, uint32_t chunk)
{
	return size / chunk + (size % chunk != 0);
}

static size_t file_size(uint64_t chunks)
{
	return HEAD + (size_t)(BITMAP_WORDS(chunks) * 8 + 4095) / 4096 * 4096;
}

/* The file has room for chunks. */
static int map_file(struct chunkmap *map, uint64_t chunks)
{
	int ret = mapped_grow(&map->file, file_size(chunks));

	if (ret)
		return ret;
	map->head = map->file.addr;
	map->bits = (uint64_t *)((char *)map->file.addr + HEAD);
	return 0;
}

static int open_file(struct chunkmap **result, const char *path, int flags, uint64_t chunks)
{
	struct chunkmap *map = calloc(1, sizeof(*map));
	int ret;

	if (!map)
		return -ENOMEM;
	ret = mapped_open(&map->file, path, flags, HEAD);
	if (!ret)
		ret = map_file(map, chunks);
	if (ret) {
		chunkmap_close(map);
		return ret;
	}
	*result = map;
	return 0;
}

int chunkmap_create(struct chunkmap **result, const char *path, uint64_t instance, uint32_t chunk, uint64_t size)
{
	struct chunkmap *map = NULL;
	int ret;

	chunkmap_unlink(path);
	ret = open_file(&map, path, O_CREAT | O_EXCL, chunks_of(size, chunk));
	if (ret) {
		chunkmap_unlink(path);
		return ret;
	}
	map->head->version = VERSION;
	map->head->instance = instance;
	map->head->chunk = chunk;
	map->head->size = size;
	map->head->state = CHUNKMAP_PULLING;
	map->missing = chunks_of(size, chunk);
	atomic_thread_fence(memory_order_release);
	map->head->magic = MAGIC;
	*result = map;
	return 0;
}

static bool head_is_sound(const struct head *head, uint64_t instance, uint64_t len)
{
	return head->magic == MAGIC && head->version == VERSION && head->instance == instance &&
	       head->chunk >= 4096 && !(head->chunk & (head->chunk - 1)) &&
	       head->state >= CHUNKMAP_PULLING && head->state <= CHUNKMAP_COMPLETE &&
	       len >= file_size(chunks_of(head->size, head->chunk));
}

int chunkmap_open(struct chunkmap **result, const char *path, uint64_t instance)
{
	struct chunkmap *map = NULL;
	int ret = open_file(&map, path, 0, 0);

	if (ret)
		return ret;
	if (!head_is_sound(map->head, instance, map->file.len)) {
		chunkmap_close(map);
		return -ESTALE;
	}
	map->missing = chunkmap_chunks(map) - bitmap_count(map->bits, chunkmap_chunks(map));
	*result = map;
	return 0;
}

void chunkmap_close(struct chunkmap *map)
{
	if (!map)
		return;
	mapped_close(&map->file);
	free(map);
}

void chunkmap_unlink(const char *path)
{
	unlink(path);
}

enum chunkmap_state chunkmap_state(const struct chunkmap *map)
{
	return (enum chunkmap_state)map->head->state;
}

/* What it depends on was written before: the compiler must not move it, and a killed process leaves what it has stored. */
void chunkmap_set_state(struct chunkmap *map, enum chunkmap_state state)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)&map->head->state = state;
	atomic_thread_fence(memory_order_seq_cst);
}

void chunkmap_set_owner(struct chunkmap *map, const struct chunkmap_owner *owner)
{
	map->head->owner = *owner;
}

const struct chunkmap_owner *chunkmap_owner(const struct chunkmap *map)
{
	return &map->head->owner;
}

uint32_t chunkmap_round(const struct chunkmap *map)
{
	return map->head->round;
}

void chunkmap_set_round(struct chunkmap *map, uint32_t round)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)&map->head->round = round;
}

const uint64_t *chunkmap_bits(const struct chunkmap *map)
{
	return map->bits;
}

uint32_t chunkmap_chunk(const struct chunkmap *map)
{
	return map->head->chunk;
}

uint64_t chunkmap_size(const struct chunkmap *map)
{
	return map->head->size;
}

uint64_t chunkmap_chunks(const struct chunkmap *map)
{
	return chunks_of(map->head->size, map->head->chunk);
}

int chunkmap_resize(struct chunkmap *map, uint64_t size)
{
	uint64_t before = chunkmap_chunks(map), after = chunks_of(size, map->head->chunk);
	int ret = map_file(map, after);

	if (ret)
		return ret;
	if (after < before)
		chunkmap_set(map, after, before, false);
	map->head->size = size;
	map->missing = map->missing + after - before;
	return 0;
}

bool chunkmap_present(const struct chunkmap *map, uint64_t chunk)
{
	return bitmap_get(map->bits, chunk);
}

void chunkmap_set(struct chunkmap *map, uint64_t first, uint64_t end, bool present)
{
	uint64_t chunks = chunkmap_chunks(map);

	atomic_thread_fence(memory_order_release);
	for (uint64_t i = first; i < end && i < chunks; i++) {
		if (bitmap_get(map->bits, i) == present)
			continue;
		if (present)
			bitmap_put(map->bits, i);
		else
			bitmap_clear(map->bits, i);
		map->missing = present ? map->missing - 1 : map->missing + 1;
	}
}

uint64_t chunkmap_absent(const struct chunkmap *map, uint64_t from)
{
	uint64_t chunks = chunkmap_chunks(map);

	return from < chunks ? bitmap_next(map->bits, from, chunks, false) : chunks;
}

uint64_t chunkmap_missing(const struct chunkmap *map)
{
	return map->missing;
}

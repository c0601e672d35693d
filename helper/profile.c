// SPDX-License-Identifier: GPL-2.0
/* profile: recording. Reading one back is in profile-read.c. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "text.h"

/*
 * Which chunks were touched is a tree of tables, made where something was touched: a region may be of any size and is mostly not
 * touched. The leaves are bitmaps, 4 KiB each. Bits are looked at without the lock, and set with it.
 */
#define TABLE_BITS	8u
#define TABLE_LEVELS	4u
#define LEAF_BITS	15u
#define LEAF_WORDS	(1u << (LEAF_BITS - 6))

struct table {
	_Atomic(void *) entry[1u << TABLE_BITS];	/* tables, or leaves */
};

struct leaf {
	_Atomic uint64_t word[LEAF_WORDS];
};

struct run {
	uint64_t first, count;
};

struct profile {
	pthread_mutex_t lock;
	uint64_t size;
	struct table root;
	struct run *runs;
	size_t nr, max;
	uint64_t chunks;
	bool failed;		/* no memory: there is a gap */
};

/* ---- the tree ---- */

static unsigned int table_index(uint64_t chunk, unsigned int level)
{
	return chunk >> (LEAF_BITS + TABLE_BITS * (TABLE_LEVELS - 1 - level)) & ((1u << TABLE_BITS) - 1);
}

/* NULL: not there, or no memory to make it. */
static struct leaf *leaf_of(struct profile *profile, uint64_t chunk, bool make)
{
	struct table *table = &profile->root;
	void *next = NULL;

	for (unsigned int level = 0; level < TABLE_LEVELS; level++) {
		_Atomic(void *) *entry = &table->entry[table_index(chunk, level)];

		next = atomic_load_explicit(entry, memory_order_acquire);
		if (!next && make) {
			next = calloc(1, level + 1 < TABLE_LEVELS ? sizeof(struct table) : sizeof(struct leaf));
			atomic_store_explicit(entry, next, memory_order_release);
		}
		if (!next)
			return NULL;
		table = next;
	}
	return next;
}

static _Atomic uint64_t *word_of(struct leaf *leaf, uint64_t chunk)
{
	return &leaf->word[(chunk & ((1u << LEAF_BITS) - 1)) / 64];
}

static bool was_touched(struct profile *profile, uint64_t chunk)
{
	struct leaf *leaf = leaf_of(profile, chunk, false);

	return leaf && atomic_load_explicit(word_of(leaf, chunk), memory_order_relaxed) >> (chunk % 64) & 1;
}

/* With empty they stay, for those who look without the lock, and forget; else they are freed. */
static void tables_drop(struct table *table, unsigned int level, bool empty)
{
	for (unsigned int i = 0; i < 1u << TABLE_BITS; i++) {
		void *next = atomic_load_explicit(&table->entry[i], memory_order_relaxed);

		if (next && level + 1 < TABLE_LEVELS)
			tables_drop(next, level + 1, empty);
		else if (next && empty)
			for (unsigned int w = 0; w < LEAF_WORDS; w++)
				atomic_store_explicit(&((struct leaf *)next)->word[w], 0, memory_order_relaxed);
		if (!empty)
			free(next);
	}
}

/* ---- the order ---- */

static bool more_runs(struct profile *profile)
{
	size_t max = profile->max ? profile->max * 2 : 64;
	struct run *runs = realloc(profile->runs, max * sizeof(*runs));

	if (!runs)
		return false;
	profile->runs = runs;
	profile->max = max;
	return true;
}

static bool append(struct profile *profile, uint64_t chunk)
{
	struct run *last = profile->nr ? &profile->runs[profile->nr - 1] : NULL;

	if (last && last->first + last->count == chunk) {
		last->count++;
		return true;
	}
	/* Who touches so much, so scattered, gains nothing from the end of the order. */
	if (profile->nr == PROFILE_RANGES_MAX)
		return false;
	if (profile->nr == profile->max && !more_runs(profile)) {
		profile->failed = true;
		return false;
	}
	profile->runs[profile->nr++] = (struct run){ .first = chunk, .count = 1 };
	return true;
}

static void first_touch(struct profile *profile, uint64_t chunk)
{
	struct leaf *leaf;

	pthread_mutex_lock(&profile->lock);
	leaf = leaf_of(profile, chunk, true);
	profile->failed |= !leaf;
	if (leaf && !was_touched(profile, chunk)) {
		profile->chunks += append(profile, chunk);
		atomic_fetch_or_explicit(word_of(leaf, chunk), 1ULL << (chunk % 64), memory_order_relaxed);
	}
	pthread_mutex_unlock(&profile->lock);
}

/* ---- the calls ---- */

int profile_new(struct profile **result, uint64_t size)
{
	struct profile *profile = calloc(1, sizeof(*profile));

	if (!profile)
		return -ENOMEM;
	pthread_mutex_init(&profile->lock, NULL);
	profile->size = size;
	*result = profile;
	return 0;
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	tables_drop(&profile->root, 0, false);
	pthread_mutex_destroy(&profile->lock);
	free(profile->runs);
	free(profile);
}

void profile_touch(struct profile *profile, uint64_t offset, uint64_t length)
{
	uint64_t last;

	if (!length || offset > INT64_MAX || length > INT64_MAX - offset)
		return;
	last = (offset + length - 1) / PROFILE_CHUNK;
	for (uint64_t chunk = offset / PROFILE_CHUNK; chunk <= last; chunk++)
		if (!was_touched(profile, chunk))
			first_touch(profile, chunk);
}

void profile_reset(struct profile *profile)
{
	pthread_mutex_lock(&profile->lock);
	tables_drop(&profile->root, 0, true);
	free(profile->runs);
	profile->runs = NULL;
	profile->nr = profile->max = 0;
	profile->chunks = 0;
	profile->failed = false;
	pthread_mutex_unlock(&profile->lock);
}

static void text_pair(struct text *text, uint64_t first, uint64_t second)
{
	text_number(text, first);
	text_string(text, " ");
	text_number(text, second);
	text_string(text, "\n");
}

static void text_all(const struct profile *profile, struct text *text)
{
	text_string(text, "regionfs-profile 1\nchunk ");
	text_number(text, PROFILE_CHUNK);
	text_string(text, "\nsize ");
	text_number(text, profile->size);
	text_string(text, "\n");
	for (size_t i = 0; i < profile->nr; i++)
		text_pair(text, profile->runs[i].first, profile->runs[i].count);
}

char *profile_text(struct profile *profile, uint64_t *chunks)
{
	struct text text = { 0 };

	pthread_mutex_lock(&profile->lock);
	text_all(profile, &text);
	text.failed |= profile->failed;
	*chunks = profile->chunks;
	pthread_mutex_unlock(&profile->lock);
	if (text.failed)
		text_free(&text);
	return text.data;
}

/* SPDX-License-Identifier: GPL-2.0 */
/* bitmap: bits in 64-bit words, and runs of them. No locking. */
#ifndef REGIONFS_BITMAP_H
#define REGIONFS_BITMAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_get(const uint64_t *map, uint64_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_put(uint64_t *map, uint64_t bit)
{
	map[bit / 64] |= 1ULL << (bit % 64);
}

static inline void bitmap_clear(uint64_t *map, uint64_t bit)
{
	map[bit / 64] &= ~(1ULL << (bit % 64));
}

/* The first bit from a place on that is set (or, with set false, is not), or end. */
static inline uint64_t bitmap_next(const uint64_t *map, uint64_t bit, uint64_t end, bool set)
{
	while (bit < end) {
		uint64_t word = (set ? map[bit / 64] : ~map[bit / 64]) >> (bit % 64);

		if (word) {
			bit += (uint64_t)__builtin_ctzll(word);
			return bit < end ? bit : end;
		}
		bit = (bit / 64 + 1) * 64;
	}
	return end;
}

static inline uint64_t bitmap_count(const uint64_t *map, uint64_t bits)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < bits / 64; i++)
		n += (uint64_t)__builtin_popcountll(map[i]);
	if (bits % 64)
		n += (uint64_t)__builtin_popcountll(map[bits / 64] & ((1ULL << (bits % 64)) - 1));
	return n;
}

/* Makes a map that is malloc'ed, and has *bits, at least as long as want, a multiple of 64; what is new is clear. -ENOMEM: it is as it was. */
static inline int bitmap_fit(uint64_t **map, uint64_t *bits, uint64_t want)
{
	uint64_t *bigger;

	if (want <= *bits)
		return 0;
	bigger = realloc(*map, want / 8);
	if (!bigger)
		return -ENOMEM;
	memset((char *)bigger + *bits / 8, 0, (want - *bits) / 8);
	*map = bigger;
	*bits = want;
	return 0;
}

#endif

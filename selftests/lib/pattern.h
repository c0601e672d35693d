/* SPDX-License-Identifier: GPL-2.0 */
/* Bytes that are known by their place: byte at (seed, offset) is the same wherever it is looked at. */
#ifndef SELFTESTS_PATTERN_H
#define SELFTESTS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t pattern_word(uint64_t seed, uint64_t word)
{
	uint64_t x = (word + 1) * 0x9e3779b97f4a7c15ull + seed * 0xd1342543de82ef95ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint8_t pattern_byte(uint64_t seed, uint64_t offset)
{
	return pattern_word(seed, offset / 8) >> (offset % 8 * 8);
}

/* Fills buf with the bytes of [offset, offset + len). */
static inline void pattern_fill(void *buf, size_t len, uint64_t offset, uint64_t seed)
{
	uint8_t *p = buf;
	size_t i = 0;

	while (i < len) {
		uint64_t word = pattern_word(seed, (offset + i) / 8);

		for (int b = (offset + i) % 8; b < 8 && i < len; b++)
			p[i++] = word >> (b * 8);
	}
}

/* Gives the first place in buf that is wrong, or -1. */
static inline long long pattern_check(const void *buf, size_t len, uint64_t offset, uint64_t seed)
{
	const uint8_t *p = buf;
	size_t i = 0;

	while (i < len) {
		uint64_t word = pattern_word(seed, (offset + i) / 8);

		for (int b = (offset + i) % 8; b < 8 && i < len; b++, i++)
			if (p[i] != (uint8_t)(word >> (b * 8)))
				return i;
	}
	return -1;
}

/* Gives the first place in buf that is not value, or -1. */
static inline long long pattern_same(const void *buf, size_t len, uint8_t value)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != value)
			return i;
	return -1;
}

#endif

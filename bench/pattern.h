/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every measured file holds: word i of the file is a function of i alone, so any word that a
 * measure looks at proves that the right bytes arrived.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "../helper/measure.h"

#define BENCH_PAGE	MEASURE_PAGE
#define BENCH_WORDS	MEASURE_WORDS	/* words in a page */

static inline uint64_t pattern_word(uint64_t index)
{
	return measure_word(index);
}

/* Fill len bytes that stand at offset of the file; both are multiples of a word. */
static inline void pattern_fill(void *buf, uint64_t offset, size_t len)
{
	uint64_t *word = buf, first = offset / sizeof(*word);
	size_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		word[i] = pattern_word(first + i);
}

/* One word of a page, a different one in each: 0 when it is right. */
static inline uint64_t pattern_touch(const void *map, uint64_t page)
{
	return measure_look(map, page);
}

/* Every word: 0 when all are right. */
static inline uint64_t pattern_check(const void *map, size_t len)
{
	const uint64_t *word = map;
	uint64_t bad = 0;
	size_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		bad |= word[i] ^ pattern_word(i);
	return bad;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every measured file holds: word i of the file is a function of i alone, so any word that a
 * measure looks at proves that the right bytes arrived.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_PAGE	4096UL
#define BENCH_WORDS	(BENCH_PAGE / sizeof(uint64_t))	/* words in a page */

static inline uint64_t pattern_word(uint64_t index)
{
	return (index + 1) * 0x9e3779b97f4a7c15ULL;
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
	const volatile uint64_t *word = map;
	uint64_t index = page * BENCH_WORDS + page % BENCH_WORDS;

	return word[index] ^ pattern_word(index);
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

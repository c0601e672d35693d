/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the measuring programs share: the helper's samples.h, and the same where an error ends the program.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../helper/samples.h"

static inline void *allocate(size_t count, size_t size)
{
	void *mem = calloc(count ? count : 1, size);

	if (!mem)
		err(1, "memory");
	memset(mem, 0, count * size);	/* no fault of our own while the clock runs */
	return mem;
}

static inline uint64_t *choose(size_t pages, size_t stride, uint64_t seed, size_t *count)
{
	uint64_t *page = choose_pages(pages, stride, seed, count);

	if (!page)
		err(1, "memory");
	return page;
}

#endif

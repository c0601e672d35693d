/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the measuring programs share: a clock, a random order, percentiles.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* splitmix64 */
static inline uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline void *allocate(size_t count, size_t size)
{
	void *mem = calloc(count ? count : 1, size);

	if (!mem)
		err(1, "memory");
	memset(mem, 0, count * size);	/* no fault of our own while the clock runs */
	return mem;
}

/* The first count of a permutation of all multiples of stride below pages; count is cut to what there is. */
static inline uint64_t *choose(size_t pages, size_t stride, uint64_t seed, size_t *count)
{
	size_t all = pages / stride, i, other;
	uint64_t *page = allocate(all, sizeof(*page)), swap;

	if (!*count || *count > all)
		*count = all;
	for (i = 0; i < all; i++)
		page[i] = i * stride;
	for (i = 0; i < *count; i++) {
		other = i + draw(&seed) % (all - i);
		swap = page[i];
		page[i] = page[other];
		page[other] = swap;
	}
	return page;
}

static inline int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static inline void sort_ns(uint64_t *ns, size_t samples)
{
	qsort(ns, samples, sizeof(*ns), compare_ns);
}

/* Of sorted samples. */
static inline uint64_t percentile(const uint64_t *ns, size_t samples, unsigned int percent)
{
	return samples ? ns[(samples - 1) * percent / 100] : 0;
}

#endif

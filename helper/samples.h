/* SPDX-License-Identifier: GPL-2.0 */
/*
 * samples: what all that measures needs: a clock, an order at random that repeats, and what many figures come to.
 */
#ifndef REGIONFS_SAMPLES_H
#define REGIONFS_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* splitmix64 */
static inline uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Puts the first count of a permutation of all multiples of stride in front; page has room for all of them. */
static inline void shuffle_pages(uint64_t *page, size_t all, size_t stride, uint64_t seed, size_t count)
{
	uint64_t swap;
	size_t other;

	for (size_t i = 0; i < all; i++)
		page[i] = i * stride;
	for (size_t i = 0; i < count; i++) {
		other = i + draw(&seed) % (all - i);
		swap = page[i];
		page[i] = page[other];
		page[other] = swap;
	}
}

/* The same of those below pages, which the caller frees; count is cut to what there is, and 0 is all. NULL: no memory. */
static inline uint64_t *choose_pages(size_t pages, size_t stride, uint64_t seed, size_t *count)
{
	size_t all = pages / stride;
	uint64_t *page = calloc(all ? all : 1, sizeof(*page));

	if (!*count || *count > all)
		*count = all;
	if (page)
		shuffle_pages(page, all, stride, seed, *count);
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

/* What several rounds come to. */
struct spread {
	double median, least, most;
};

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts value. */
static inline struct spread spread_of(double *value, size_t n)
{
	if (!n)
		return (struct spread){ 0 };
	qsort(value, n, sizeof(*value), compare_doubles);
	return (struct spread){ .median = (value[(n - 1) / 2] + value[n / 2]) / 2, .least = value[0], .most = value[n - 1] };
}

#endif

// SPDX-License-Identifier: GPL-2.0
/* Measures of bench-touch that look at the mapping. */
#include <stdlib.h>

#include "job.h"
#include "pattern.h"
#include "samples.h"

#define THREADS	8u

/*
 * Look at count pages, one a sample. Called on a page of our own first, so that this code, and the
 * clock's, is in memory when it counts.
 */
static void __attribute__((noinline)) touch_pages(struct job *job, const char *map,
						  const uint64_t *page, size_t count)
{
	uint64_t before, start = now();
	size_t i;

	for (i = 0; i < count; i++) {
		before = now();
		job->bad |= pattern_touch(map, page[i]);
		job->ns[i] = now() - before;
	}
	job->total_ns = now() - start;
	job->samples = count;
	job->total_bytes = count * BENCH_PAGE;
}

/* Look at every page in order, a MiB a sample. */
static void __attribute__((noinline)) touch_all(struct job *job, const char *map, size_t size)
{
	uint64_t before, start = now();
	size_t page = 0, end, i;

	for (i = 0; i < size / MIB; i++) {
		before = now();
		for (end = page + MIB / BENCH_PAGE; page < end; page++)
			job->bad |= pattern_touch(map, page);
		job->ns[i] = now() - before;
	}
	job->total_ns = now() - start;
	job->samples = size / MIB;
	job->total_bytes = job->samples * MIB;
}

static void warm_up(struct job *job, int sequential)
{
	uint64_t page = 0;
	char *own = allocate(MIB, 1);

	pattern_fill(own, 0, MIB);
	if (sequential)
		touch_all(job, own, MIB);
	else
		touch_pages(job, own, &page, 1);
	free(own);
}

static void touch_chosen(struct job *job, size_t stride, size_t count)
{
	uint64_t *page = choose(job->size / BENCH_PAGE, stride, job->seed, &count);

	job->ns = allocate(count, sizeof(*job->ns));
	warm_up(job, 0);
	touch_pages(job, job->map, page, count);
	free(page);
}

void run_random(struct job *job)
{
	touch_chosen(job, 1, job->pages);
}

void run_lone(struct job *job)
{
	touch_chosen(job, WINDOW / BENCH_PAGE, 0);
}

void run_seq(struct job *job)
{
	job->ns = allocate(job->size / MIB, sizeof(*job->ns));
	warm_up(job, 1);
	touch_all(job, job->map, job->size);
}

/* Everything is in memory, and mapped: what is left is the access itself. */
void run_warm(struct job *job)
{
	job->ns = allocate(job->size / MIB, sizeof(*job->ns));
	touch_all(job, job->map, job->size);
	touch_all(job, job->map, job->size);
}

void run_check(struct job *job)
{
	uint64_t start = now();

	job->bad = pattern_check(job->map, job->size);
	job->total_ns = now() - start;
	job->total_bytes = job->size;
}

/* ---- several at once ---- */

static void touch_slice(struct slice *slice)
{
	struct job own = *slice->job;

	own.ns = slice->ns;
	warm_up(&own, 0);
	touch_pages(&own, own.map, slice->page, slice->count);
	slice->bad = own.bad;
}

void run_threads(struct job *job)
{
	run_slices(job, THREADS, -1, touch_slice);
}

// SPDX-License-Identifier: GPL-2.0
/* measure: what looks at the mapping. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "measure.h"
#include "samples.h"

#define THREADS 8u

/*
 * Look at count pages, one a sample. Called on a page of our own first, so that this code, and the
 * clock's, is in memory when it counts.
 */
static void __attribute__((noinline)) touch_pages(struct measure_job *job, const char *map, const uint64_t *page,
						  size_t count)
{
	uint64_t before, start = now();
	size_t i;

	for (i = 0; i < count; i++) {
		before = now();
		job->bad |= measure_look(map, page[i]) & job->check;
		job->ns[i] = now() - before;
	}
	job->total_ns = now() - start;
	job->samples = count;
	job->total_bytes = count * MEASURE_PAGE;
}

/* Look at every page in order, a step a sample. */
static void __attribute__((noinline)) touch_all(struct measure_job *job, const char *map, size_t size)
{
	uint64_t before, start = now();
	size_t page = 0, end, i;

	for (i = 0; i < size / job->step; i++) {
		before = now();
		for (end = page + job->step / MEASURE_PAGE; page < end; page++)
			job->bad |= measure_look(map, page) & job->check;
		job->ns[i] = now() - before;
	}
	job->total_ns = now() - start;
	job->samples = size / job->step;
	job->total_bytes = job->samples * job->step;
}

/* Zeroes of our own, which are never what is checked for; one sample. */
static int warm_up(struct measure_job *job, bool in_order)
{
	struct measure_job own = *job;
	uint64_t page = 0, ns;
	char *memory = measure_alloc(job, job->step, 1);

	if (!memory)
		return -ENOMEM;
	own.check = 0;
	own.ns = &ns;
	if (in_order)
		touch_all(&own, memory, job->step);
	else
		touch_pages(&own, memory, &page, 1);
	free(memory);
	return 0;
}

static int touch_chosen(struct measure_job *job, size_t stride, size_t count)
{
	int err = measure_choose(job, stride, &count);

	if (!err)
		err = warm_up(job, false);
	if (!err)
		touch_pages(job, job->map, job->page, count);
	return err;
}

int measure_random(struct measure_job *job)
{
	return touch_chosen(job, 1, job->pages);
}

int measure_lone(struct measure_job *job)
{
	size_t window = job->size < MEASURE_WINDOW ? job->size : MEASURE_WINDOW;

	return touch_chosen(job, window / MEASURE_PAGE, 0);
}

int measure_seq(struct measure_job *job)
{
	int err = measure_begin(job);

	if (!err)
		err = warm_up(job, true);
	if (!err)
		touch_all(job, job->map, job->size);
	return err;
}

/* ---- warm: what is left is the access itself ---- */

int measure_warm(struct measure_job *job)
{
	int err = measure_begin(job);

	if (err)
		return err;
	touch_all(job, job->map, job->size);
	touch_all(job, job->map, job->size);
	return 0;
}

static uint64_t touch_batch(struct measure_job *job, const uint64_t *page, size_t batch)
{
	uint64_t before = now();

	for (size_t i = 0; i < batch; i++)
		job->bad |= measure_look(job->map, page[i]) & job->check;
	return (now() - before) / batch;
}

static void touch_batches(struct measure_job *job, size_t count, size_t batch)
{
	uint64_t start = now();

	job->samples = count / batch;
	job->total_bytes = job->samples * batch * MEASURE_PAGE;
	for (size_t i = 0; i < job->samples; i++)
		job->ns[i] = touch_batch(job, job->page + i * batch, batch);
	job->total_ns = now() - start;
}

int measure_warm_random(struct measure_job *job)
{
	size_t count = 0;
	int err = measure_choose(job, 1, &count);

	if (err)
		return err;
	for (size_t page = 0; page < count; page++)
		job->bad |= measure_look(job->map, page) & job->check;
	touch_batches(job, count, count < MEASURE_BATCH ? count : MEASURE_BATCH);
	return 0;
}

/* ---- several at once ---- */

static void touch_slice(struct measure_slice *slice)
{
	struct measure_job own = *slice->job;

	own.ns = slice->ns;
	touch_pages(&own, own.map, slice->page, slice->count);
	slice->bad = own.bad;
}

/* Before they begin: threads that make themselves warm cost more than what is measured. */
int measure_threads(struct measure_job *job)
{
	int err = warm_up(job, false);

	return err ? err : measure_slices(job, job->threads ? job->threads : THREADS, -1, touch_slice);
}

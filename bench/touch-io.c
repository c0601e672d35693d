// SPDX-License-Identifier: GPL-2.0
/* Measures of bench-touch alone: stores and msync, write and fsync, and a look at every word. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "job.h"
#include "pattern.h"
#include "samples.h"

static int fail(struct measure_job *job, const char *what)
{
	job->failed = what;
	return -errno;
}

static void store_step(struct measure_job *job, size_t from)
{
	volatile uint64_t *word = (volatile uint64_t *)job->map;

	for (size_t at = from; at < from + job->step; at += BENCH_PAGE)
		word[at / sizeof(*word)] = pattern_word(at / sizeof(*word));
}

/* One word of each page is stored, which is what is there; all is in memory, and clean, before. The last sample has the msync. */
int run_msync(struct measure_job *job)
{
	uint64_t start, before;

	for (size_t page = 0; page < job->size / BENCH_PAGE; page++)
		job->bad |= pattern_touch(job->map, page);
	if (measure_begin(job))
		return -ENOMEM;
	start = now();
	for (size_t i = 0; i < job->samples; i++) {
		before = now();
		store_step(job, i * job->step);
		if (i + 1 == job->samples && msync(job->map, job->size, MS_SYNC))
			return fail(job, "msync");
		job->ns[i] = now() - before;
	}
	job->total_ns = now() - start;
	return 0;
}

/* The time that its own bytes take to be made does not count. */
int run_fsync(struct measure_job *job)
{
	char *buf = allocate(job->step, 1);
	uint64_t before;

	if (measure_begin(job))
		return -ENOMEM;
	for (size_t i = 0; i < job->samples; i++) {
		pattern_fill(buf, i * job->step, job->step);
		before = now();
		if (pwrite(job->fd, buf, job->step, i * job->step) != (ssize_t)job->step)
			return fail(job, "write");
		if (i + 1 == job->samples && fsync(job->fd))
			return fail(job, "fsync");
		job->ns[i] = now() - before;
		job->total_ns += job->ns[i];
	}
	free(buf);
	return 0;
}

int run_check(struct measure_job *job)
{
	uint64_t start = now();

	job->bad = pattern_check(job->map, job->size);
	job->total_ns = now() - start;
	job->total_bytes = job->size;
	return 0;
}

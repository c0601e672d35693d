// SPDX-License-Identifier: GPL-2.0
/* Several threads that share the pages that a measure of bench-touch has chosen. */
#include <err.h>
#include <pthread.h>
#include <stdlib.h>

#include "job.h"
#include "pattern.h"
#include "samples.h"

struct worker {
	struct slice slice;
	void (*run)(struct slice *slice);
	pthread_barrier_t *begin;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(worker->begin);
	worker->run(&worker->slice);
	return NULL;
}

void run_slices(struct job *job, unsigned int nr, int fd, void (*run)(struct slice *slice))
{
	struct worker *workers = allocate(nr, sizeof(*workers));
	size_t count = job->pages, each;
	uint64_t *page = choose(job->size / BENCH_PAGE, 1, job->seed, &count), start;
	pthread_barrier_t begin;

	each = count / nr;
	job->samples = each * nr;
	job->total_bytes = job->samples * BENCH_PAGE;
	job->ns = allocate(job->samples, sizeof(*job->ns));
	pthread_barrier_init(&begin, NULL, nr + 1);
	for (unsigned int i = 0; i < nr; i++) {
		workers[i].slice = (struct slice){ .job = job, .page = page + i * each, .ns = job->ns + i * each, .count = each, .fd = fd };
		workers[i].run = run;
		workers[i].begin = &begin;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			errx(1, "no thread");
	}
	pthread_barrier_wait(&begin);
	start = now();
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(workers[i].thread, NULL);
		job->bad |= workers[i].slice.bad;
	}
	job->total_ns = now() - start;
	pthread_barrier_destroy(&begin);
	free(workers);
	free(page);
}

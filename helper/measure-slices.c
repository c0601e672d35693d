// SPDX-License-Identifier: GPL-2.0
/* measure: several threads that share the pages that a measure has chosen. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "measure.h"
#include "samples.h"

/* Where all wait until the last one is there. No barrier: when there are not as many threads as wanted, they are sent home. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int waiting;
	bool open, go;
};

struct worker {
	struct measure_slice slice;
	void (*run)(struct measure_slice *slice);
	struct gate *gate;
	pthread_t thread;
};

static bool gate_pass(struct gate *gate)
{
	bool go;

	pthread_mutex_lock(&gate->lock);
	gate->waiting++;
	pthread_cond_broadcast(&gate->changed);
	while (!gate->open)
		pthread_cond_wait(&gate->changed, &gate->lock);
	go = gate->go;
	pthread_mutex_unlock(&gate->lock);
	return go;
}

/* When nr wait there. The time at which it was opened. */
static uint64_t gate_open(struct gate *gate, unsigned int nr, bool go)
{
	uint64_t start;

	pthread_mutex_lock(&gate->lock);
	while (gate->waiting < nr)
		pthread_cond_wait(&gate->changed, &gate->lock);
	gate->open = true;
	gate->go = go;
	start = now();
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
	return start;
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	if (gate_pass(worker->gate))
		worker->run(&worker->slice);
	return NULL;
}

/* How many were begun. */
static unsigned int begin_all(struct worker *worker, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (pthread_create(&worker[i].thread, NULL, work, &worker[i]))
			break;
	return i;
}

static int end_all(struct measure_job *job, struct worker *worker, unsigned int nr)
{
	int err = 0;

	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(worker[i].thread, NULL);
		job->bad |= worker[i].slice.bad;
		if (!worker[i].slice.error)
			continue;
		err = worker[i].slice.error;
		job->failed = worker[i].slice.failed;
	}
	return err;
}

static int run_all(struct measure_job *job, struct worker *worker, unsigned int nr)
{
	unsigned int begun = begin_all(worker, nr);
	uint64_t start = gate_open(worker->gate, begun, begun == nr);
	int err = end_all(job, worker, begun);

	job->total_ns = now() - start;
	if (begun == nr)
		return err;
	job->failed = "thread";
	return -EAGAIN;
}

int measure_slices(struct measure_job *job, unsigned int nr, int fd, void (*run)(struct measure_slice *slice))
{
	struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct worker *worker = measure_alloc(job, nr, sizeof(*worker));
	size_t count = job->pages, each;
	int err = worker ? measure_choose(job, 1, &count) : -ENOMEM;

	each = count / nr;
	job->samples = each * nr;
	job->total_bytes = job->samples * MEASURE_PAGE;
	for (unsigned int i = 0; !err && i < nr; i++) {
		worker[i].slice = (struct measure_slice){ .job = job, .page = job->page + i * each, .ns = job->ns + i * each,
							  .count = each, .fd = fd };
		worker[i].run = run;
		worker[i].gate = &gate;
	}
	if (!err)
		err = run_all(job, worker, nr);
	free(worker);
	return err;
}

// SPDX-License-Identifier: GPL-2.0
/* measure: the memory of a measure, what of a mapping is in memory, and pages that can't be had. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "measure.h"
#include "samples.h"

void *measure_alloc(struct measure_job *job, size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	if (memory)
		memset(memory, 0, count * size);
	else
		job->failed = "memory";
	return memory;
}

int measure_choose(struct measure_job *job, size_t stride, size_t *count)
{
	job->page = choose_pages(job->size / MEASURE_PAGE, stride, job->seed, count);
	job->ns = measure_alloc(job, *count, sizeof(*job->ns));
	if (job->page && job->ns)
		return 0;
	job->failed = "memory";
	return -ENOMEM;
}

int measure_begin(struct measure_job *job)
{
	job->samples = job->size / job->step;
	job->total_bytes = job->samples * job->step;
	job->ns = measure_alloc(job, job->samples, sizeof(*job->ns));
	return job->ns ? 0 : -ENOMEM;
}

void measure_clear(struct measure_job *job)
{
	free(job->page);
	free(job->ns);
	job->page = job->ns = NULL;
	job->bad = job->total_ns = 0;
	job->samples = job->total_bytes = 0;
	job->failed = NULL;
}

int measure_resident(const struct measure_job *job, size_t *bytes)
{
	size_t pages = (job->size + MEASURE_PAGE - 1) / MEASURE_PAGE;
	unsigned char *in = malloc(pages ? pages : 1);
	int err = 0;

	*bytes = 0;
	if (!in)
		return -ENOMEM;
	if (mincore(job->map, job->size, in))
		err = -errno;
	for (size_t i = 0; !err && i < pages; i++)
		*bytes += in[i] & 1 ? MEASURE_PAGE : 0;
	free(in);
	return err;
}

/* ---- SIGBUS ---- */

static sigjmp_buf no_page;

static void jump(int sig)
{
	siglongjmp(no_page, sig);
}

/* All that a measure holds when it touches the mapping is the job's, so nothing is lost by the jump. */
int measure_run(struct measure_job *job, const struct measure *what)
{
	struct sigaction action = { .sa_handler = jump }, before;
	int err;

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before);
	if (!sigsetjmp(no_page, 1)) {
		err = what->run(job);
	} else {
		job->failed = "access";
		err = -EIO;
	}
	sigaction(SIGBUS, &before, NULL);
	return err;
}

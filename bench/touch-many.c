// SPDX-License-Identifier: GPL-2.0
/*
 * Measure of bench-touch: random pages by several processes. Threads have one mmap_lock between them, which each fault takes; what is as
 * slow by processes is not that lock's doing.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"
#include "pattern.h"
#include "samples.h"

/* What the processes share. */
struct many {
	pthread_barrier_t ready, begin;
	uint64_t bad, end;		/* when the last one ended: who waits for that may get a CPU long after */
	uint64_t ns[];			/* a sample each */
};

static struct many *many_new(unsigned int nr, size_t samples)
{
	size_t size = sizeof(struct many) + samples * sizeof(uint64_t);
	struct many *many = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pthread_barrierattr_t shared;

	if (many == MAP_FAILED)
		return NULL;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&many->ready, &shared, nr + 1);
	pthread_barrier_init(&many->begin, &shared, nr + 1);
	return many;
}

/* As a program that was started by itself: another opening of the file, with a count and a readahead of its own. */
static const char *map_again(const struct measure_job *job)
{
	int fd = open(job->path, O_RDONLY);
	char *map = mmap(NULL, job->size, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED || madvise(map, job->size, MADV_RANDOM)) {
		warn("%s", job->path);
		kill(getppid(), SIGTERM);	/* all the others wait for this one, and end with it */
		_exit(1);
	}
	close(fd);
	return map;
}

static void note_end(struct many *many, uint64_t ns)
{
	uint64_t end = __atomic_load_n(&many->end, __ATOMIC_RELAXED);

	while (end < ns && !__atomic_compare_exchange_n(&many->end, &end, ns, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* The child's own page tables for the samples are made before the clock runs. */
static void touch_some(const struct measure_job *job, struct many *many, size_t from, size_t count)
{
	const char *map = map_again(job);
	uint64_t before, bad = 0;

	for (size_t i = from; i < from + count; i++)
		many->ns[i] = now();
	pthread_barrier_wait(&many->ready);
	pthread_barrier_wait(&many->begin);
	for (size_t i = from; i < from + count; i++) {
		before = now();
		bad |= pattern_touch(map, job->page[i]);
		many->ns[i] = now() - before;
	}
	note_end(many, now());
	__atomic_or_fetch(&many->bad, bad, __ATOMIC_RELAXED);
}

static void start_all(const struct measure_job *job, struct many *many, unsigned int nr, size_t each)
{
	for (unsigned int i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);	/* when one can't be begun, the others would wait for it */
			touch_some(job, many, i * each, each);
			_exit(0);
		}
	}
}

static int end_all(struct measure_job *job, unsigned int nr)
{
	int status, failed = 0;

	for (unsigned int i = 0; i < nr; i++)
		if (wait(&status) < 0 || status)
			failed = -EIO;
	if (failed)
		job->failed = "process";
	return failed;
}

int run_processes(struct measure_job *job)
{
	unsigned int nr = job->threads ? job->threads : 8;
	size_t count = job->pages, each;
	struct many *many;
	uint64_t start;
	int error = measure_choose(job, 1, &count);

	if (error)
		return error;
	if (job->fd < 0) {
		job->failed = "file to map again";
		return -EOPNOTSUPP;
	}
	each = count / nr;
	many = many_new(nr, count);
	if (!many)
		return -ENOMEM;
	start_all(job, many, nr, each);
	pthread_barrier_wait(&many->ready);
	start = now();
	pthread_barrier_wait(&many->begin);
	error = end_all(job, nr);
	job->total_ns = many->end - start;
	job->bad = many->bad;
	job->samples = each * nr;
	job->total_bytes = job->samples * BENCH_PAGE;
	for (size_t i = 0; i < job->samples; i++)
		job->ns[i] = many->ns[i];
	munmap(many, sizeof(*many) + count * sizeof(uint64_t));
	return error;
}

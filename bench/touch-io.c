// SPDX-License-Identifier: GPL-2.0
/* Measures of bench-touch that make system calls: read, write and fsync, stores and msync, direct I/O. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "job.h"
#include "pattern.h"
#include "samples.h"

#define IN_FLIGHT 8u

/* A sample a MiB. */
static void begin(struct job *job)
{
	job->samples = job->size / MIB;
	job->ns = allocate(job->samples, sizeof(*job->ns));
	job->total_bytes = job->samples * MIB;
}

void run_read(struct job *job)
{
	char *buf = allocate(MIB, 1);
	uint64_t start, before;

	begin(job);
	start = now();
	for (size_t i = 0; i < job->samples; i++) {
		before = now();
		if (pread(job->fd, buf, MIB, i * MIB) != (ssize_t)MIB)
			err(1, "read of %s", job->path);
		job->ns[i] = now() - before;
		job->bad |= *(uint64_t *)buf ^ pattern_word(i * MIB / sizeof(uint64_t));
	}
	job->total_ns = now() - start;
	free(buf);
}

/* One word of each page is stored, which is what is there; all is in memory, and clean, before. The last sample has the msync. */
void run_msync(struct job *job)
{
	volatile uint64_t *word = (volatile uint64_t *)job->map;
	uint64_t start, before;

	for (size_t page = 0; page < job->size / BENCH_PAGE; page++)
		job->bad |= pattern_touch(job->map, page);
	begin(job);
	start = now();
	for (size_t i = 0; i < job->samples; i++) {
		before = now();
		for (size_t at = i * MIB; at < (i + 1) * MIB; at += BENCH_PAGE)
			word[at / sizeof(*word)] = pattern_word(at / sizeof(*word));
		if (i + 1 == job->samples && msync(job->map, job->size, MS_SYNC))
			err(1, "msync of %s", job->path);
		job->ns[i] = now() - before;
	}
	job->total_ns = now() - start;
}

/* The time that its own bytes take to be made does not count. */
void run_fsync(struct job *job)
{
	char *buf = allocate(MIB, 1);
	uint64_t before;

	begin(job);
	for (size_t i = 0; i < job->samples; i++) {
		pattern_fill(buf, i * MIB, MIB);
		before = now();
		if (pwrite(job->fd, buf, MIB, i * MIB) != (ssize_t)MIB)
			err(1, "write to %s", job->path);
		if (i + 1 == job->samples && fsync(job->fd))
			err(1, "fsync of %s", job->path);
		job->ns[i] = now() - before;
		job->total_ns += job->ns[i];
	}
	free(buf);
}

/* ---- direct I/O: 4 KiB at random ---- */

static void read_slice(struct slice *slice)
{
	char *buf = aligned_alloc(BENCH_PAGE, BENCH_PAGE);
	uint64_t before;

	if (!buf)
		err(1, "memory");
	for (size_t i = 0; i < slice->count; i++) {
		before = now();
		if (pread(slice->fd, buf, BENCH_PAGE, slice->page[i] * BENCH_PAGE) != (ssize_t)BENCH_PAGE)
			err(1, "direct read of %s", slice->job->path);
		slice->ns[i] = now() - before;
		slice->bad |= *(uint64_t *)buf ^ pattern_word(slice->page[i] * BENCH_WORDS);
	}
	free(buf);
}

static int open_direct(const struct job *job)
{
	int fd = open(job->path, O_RDONLY | O_DIRECT);

	if (fd < 0 && errno == EINVAL)
		errx(EXIT_SKIPPED, "%s: no direct I/O", job->path);
	if (fd < 0)
		err(1, "%s", job->path);
	return fd;
}

static void read_at_once(struct job *job, unsigned int nr)
{
	int fd = open_direct(job);

	run_slices(job, nr, fd, read_slice);
	close(fd);
}

void run_direct(struct job *job)
{
	read_at_once(job, 1);
}

void run_direct8(struct job *job)
{
	read_at_once(job, IN_FLIGHT);
}

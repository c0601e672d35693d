// SPDX-License-Identifier: GPL-2.0
/* measure: what makes system calls: read(), and direct I/O. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "measure.h"
#include "samples.h"

#define IN_FLIGHT 8u

/* All of it, or a negative errno; the file may be shorter by now. */
static int read_whole(int fd, char *buf, size_t length, uint64_t offset)
{
	ssize_t n = pread(fd, buf, length, (off_t)offset);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -ENODATA;
}

static int read_steps(struct measure_job *job, char *buf)
{
	uint64_t start = now(), before;
	int err = 0;

	for (size_t i = 0; i < job->samples && !err; i++) {
		before = now();
		err = read_whole(job->fd, buf, job->step, i * job->step);
		job->ns[i] = now() - before;
		job->bad |= (*(uint64_t *)buf ^ measure_word(i * job->step / sizeof(uint64_t))) & job->check;
	}
	job->total_ns = now() - start;
	if (err)
		job->failed = "read";
	return err;
}

int measure_read(struct measure_job *job)
{
	char *buf = measure_alloc(job, job->step, 1);
	int err = buf ? measure_begin(job) : -ENOMEM;

	if (!err)
		err = read_steps(job, buf);
	free(buf);
	return err;
}

/* ---- direct I/O: 4 KiB at random ---- */

static void read_slice(struct measure_slice *slice)
{
	char *buf = aligned_alloc(MEASURE_PAGE, MEASURE_PAGE);
	uint64_t before;

	slice->error = buf ? 0 : -ENOMEM;
	slice->failed = buf ? "direct read" : "memory";
	for (size_t i = 0; i < slice->count && !slice->error; i++) {
		before = now();
		slice->error = read_whole(slice->fd, buf, MEASURE_PAGE, slice->page[i] * MEASURE_PAGE);
		slice->ns[i] = now() - before;
		slice->bad |= (*(uint64_t *)buf ^ measure_word(slice->page[i] * MEASURE_WORDS)) & slice->job->check;
	}
	free(buf);
}

static int open_direct(struct measure_job *job)
{
	int fd = open(job->path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	job->failed = errno == EINVAL ? "direct I/O" : "open";
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

static int read_at_once(struct measure_job *job, unsigned int nr)
{
	int fd = open_direct(job), err;

	if (fd < 0)
		return fd;
	err = measure_slices(job, nr, fd, read_slice);
	close(fd);
	return err;
}

int measure_direct(struct measure_job *job)
{
	return read_at_once(job, 1);
}

int measure_direct8(struct measure_job *job)
{
	return read_at_once(job, IN_FLIGHT);
}

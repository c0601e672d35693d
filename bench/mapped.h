/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that map a file, or a device, share: how long it is, and what of it is in memory. Errors end the program.
 */
#ifndef BENCH_MAPPED_H
#define BENCH_MAPPED_H

#include <err.h>
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "pattern.h"
#include "samples.h"

static inline size_t mapped_size(int fd, const char *path)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st))
		err(1, "%s", path);
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	if (ioctl(fd, BLKGETSIZE64, &size))
		err(1, "size of %s", path);
	return size;
}

/* Bytes. */
static inline size_t mapped_resident(char *map, size_t size)
{
	struct measure_job job = { .map = map, .size = size - size % BENCH_PAGE };
	size_t bytes;

	errno = -measure_resident(&job, &bytes);
	if (errno)
		err(1, "mincore");
	return bytes;
}

#endif

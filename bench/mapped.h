/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that map a file, or a device, share: how long it is, and what of it is in memory. Errors end the program.
 */
#ifndef BENCH_MAPPED_H
#define BENCH_MAPPED_H

#include <err.h>
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
	size_t pages = size / BENCH_PAGE, count = 0, i;
	unsigned char *in = allocate(pages, 1);

	if (mincore(map, size, in))
		err(1, "mincore");
	for (i = 0; i < pages; i++)
		count += in[i] & 1;
	free(in);
	return count * BENCH_PAGE;
}

#endif

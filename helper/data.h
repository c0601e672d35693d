/* SPDX-License-Identifier: GPL-2.0 */
/* data: where a file has bytes that are no hole. Blocks, but briefly. */
#ifndef REGIONFS_DATA_H
#define REGIONFS_DATA_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

/* The first run from a place on. -ENXIO: there is none; -EOPNOTSUPP: its file system can't tell. */
static inline int data_find(int fd, uint64_t from, uint64_t *start, uint64_t *end)
{
	off_t data = from <= INT64_MAX ? lseek(fd, (off_t)from, SEEK_DATA) : -1, hole;

	if (data < 0)
		return from > INT64_MAX || errno == ENXIO ? -ENXIO : -EOPNOTSUPP;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole <= data)
		return -EOPNOTSUPP;
	*start = (uint64_t)data;
	*end = (uint64_t)hole;
	return 0;
}

#endif

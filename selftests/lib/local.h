/* SPDX-License-Identifier: GPL-2.0 */
/* For the tests of LOCAL: a file on a tmpfs and the map of its bytes; and a reader that must never see what is no region's. */
#ifndef REGIONFS_TEST_LOCAL_H
#define REGIONFS_TEST_LOCAL_H

#include <stdint.h>
#include <sys/types.h>

#include <linux/regionfs.h>

struct local_map {
	char file[64], path[64];	/* the bytes, and the map */
	int bytes;			/* open */
	struct regionfs_local_map *map;
	size_t length;			/* of the map */
};

/* For a region of so many bytes. */
void local_map_open(struct local_map *local, uint64_t size);
void local_map_close(struct local_map *local);
/* As the contract has it: the bits of the first so many chunks, then the count; only then may the bytes change. */
void local_map_take_back(struct local_map *local, unsigned int chunks);

/* Reads the region at path, all size bytes of it, cold, over and over; flags are of open(). */
pid_t local_reader_start(const char *path, int flags, uint64_t size);
/* 0: it has seen the pattern of seed 1 alone. */
int local_reader_stop(pid_t pid);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * colour: memory from and to which the kernel copies. On its side that is mostly a block of a page cache, which begins at a multiple of its size. If ours did as
 * well, pages that are read and written in turn would compete, each pair of them, for the same places of a TLB or a cache with few ways; an emulated CPU's TLB has
 * one way, and there a copy takes up to eight times as long. So ours begins beside such a place; and a store not where the buffers do, between which the helper copies.
 */
#ifndef REGIONFS_COLOUR_H
#define REGIONFS_COLOUR_H

#include <stddef.h>

/* Pages from a multiple of 2 MiB; neither these nor their difference is a multiple of many. */
enum colour {
	COLOUR_BUFFERS = 37,
	COLOUR_STORE = 66,
};

/* As mmap(2) at offset 0, which says what to do with it; but flags are without MAP_FIXED. MAP_FAILED and errno; else it goes by munmap(). */
void *colour_map(enum colour colour, size_t len, int prot, int flags, int fd);

#endif

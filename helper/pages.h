/* SPDX-License-Identifier: GPL-2.0 */
/* pages: a bit for each 4 KiB page of a file, set and read by several threads. Costs memory only where bits are set. */
#ifndef REGIONFS_PAGES_H
#define REGIONFS_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define PAGES_SHIFT 12
#define PAGES_SIZE (1u << PAGES_SHIFT)

struct pages;

enum pages_state {
	PAGES_NONE,
	PAGES_SOME,
	PAGES_ALL,
};

/* A map for a file of size bytes, and for a good deal more: what lies beyond is told apart no longer. NULL: no memory. */
struct pages *pages_new(uint64_t size);
void pages_free(struct pages *pages);
/* Every page that the bytes touch. */
void pages_set(struct pages *pages, uint64_t offset, uint64_t length);
/* Only pages that lie wholly inside; what lies beyond the map's end is ignored. */
void pages_clear(struct pages *pages, uint64_t offset, uint64_t length);
/* Of the pages that the bytes touch. Beyond the map's end: PAGES_SOME. */
enum pages_state pages_test(const struct pages *pages, uint64_t offset, uint64_t length);

#endif

// SPDX-License-Identifier: GPL-2.0
/* pages: a bit for each page, in a flat map that the kernel fills with zero pages as it is touched. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pages.h"

/*
 * 4 KiB of map are for 128 MiB of file. It can't grow under those who use it, so it begins large: that costs address
 * space alone.
 */
#define MAP_MIN (2ULL << 20)
#define MAP_MAX (1ULL << 30)

struct pages {
	size_t bytes;
	uint64_t nr;		/* pages that it has bits for */
	_Atomic uint64_t *word;
};

struct pages *pages_new(uint64_t size)
{
	struct pages *pages = malloc(sizeof(*pages));
	void *map;

	if (!pages)
		return NULL;
	pages->bytes = MAP_MIN;
	while (pages->bytes < MAP_MAX && pages->bytes / 4 < size >> (PAGES_SHIFT + 3))
		pages->bytes *= 2;
	map = mmap(NULL, pages->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(pages);
		return NULL;
	}
	munlock(map, pages->bytes);
	pages->nr = (uint64_t)pages->bytes * 8;
	pages->word = map;
	return pages;
}

void pages_free(struct pages *pages)
{
	if (!pages)
		return;
	munmap((void *)pages->word, pages->bytes);
	free(pages);
}

/* The bits of page .. end - 1 that are in page's word. */
static uint64_t word_mask(uint64_t page, uint64_t end)
{
	uint64_t first = page % 64, count = end - page;

	if (count > 64 - first)
		count = 64 - first;
	return (count == 64 ? UINT64_MAX : (1ULL << count) - 1) << first;
}

static uint64_t page_end(uint64_t offset, uint64_t length)
{
	return (offset + length + PAGES_SIZE - 1) >> PAGES_SHIFT;
}

void pages_set(struct pages *pages, uint64_t offset, uint64_t length)
{
	uint64_t end = page_end(offset, length);

	for (uint64_t page = offset >> PAGES_SHIFT; page < end && page < pages->nr; page = (page | 63) + 1) {
		uint64_t mask = word_mask(page, end);

		/* mostly set already, and then the cache line stays shared */
		if ((atomic_load_explicit(&pages->word[page / 64], memory_order_relaxed) & mask) != mask)
			atomic_fetch_or(&pages->word[page / 64], mask);
	}
}

void pages_clear(struct pages *pages, uint64_t offset, uint64_t length)
{
	uint64_t end = length > UINT64_MAX - offset ? pages->nr : (offset + length) >> PAGES_SHIFT;

	if (end > pages->nr)
		end = pages->nr;
	for (uint64_t page = page_end(offset, 0); page < end; page = (page | 63) + 1) {
		uint64_t mask = word_mask(page, end);

		/* a word that is zero already is not touched: its memory may not even be there */
		if (atomic_load_explicit(&pages->word[page / 64], memory_order_relaxed) & mask)
			atomic_fetch_and(&pages->word[page / 64], ~mask);
	}
}

enum pages_state pages_test(const struct pages *pages, uint64_t offset, uint64_t length)
{
	uint64_t end = page_end(offset, length);
	bool some = false, all = true;

	if (end > pages->nr)
		return PAGES_SOME;
	for (uint64_t page = offset >> PAGES_SHIFT; page < end; page = (page | 63) + 1) {
		uint64_t mask = word_mask(page, end);
		uint64_t bits = atomic_load_explicit(&pages->word[page / 64], memory_order_relaxed) & mask;

		some |= bits != 0;
		all &= bits == mask;
	}
	return all ? PAGES_ALL : some ? PAGES_SOME : PAGES_NONE;
}

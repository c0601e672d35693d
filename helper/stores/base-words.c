// SPDX-License-Identifier: GPL-2.0
/* base-words: the words in memory, in a file that the kernel looks at as well (REGIONFS_LOCAL_MAP). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../log.h"
#include "stores/base-internal.h"

_Static_assert(BASE_CHUNK == REGIONFS_LOCAL_CHUNK && PAGE == REGIONFS_LOCAL_PAGE, "as the kernel has them");

/* Of a segment, in the file of the words. Behind the head they are not aligned: each mapping has the beginning of the next one's. */
#define WORDS_BYTES	((uint64_t)SEGMENT_CHUNKS * sizeof(uint32_t))
#define WORDS_HEAD	sizeof(struct regionfs_local_map)
#define WORDS_MAPPED	(WORDS_BYTES + (64u << 10))

struct segment *base_segment(struct base *base, uint64_t chunk)
{
	if (chunk >= BASE_CHUNKS)
		return NULL;
	return atomic_load_explicit(&base->segment[chunk / SEGMENT_CHUNKS], memory_order_acquire);
}

/* Under mlockall() what is never touched would count as locked; and a huge page is there whole where one word of it is. */
static void *map_sparse(size_t length, int flags, int fd, uint64_t offset)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, (off_t)offset);

	if (map == MAP_FAILED)
		return NULL;
	munlock(map, length);
	madvise(map, length, MADV_NOHUGEPAGE);
	return map;
}

/* Segments come in no order, and the file never gets shorter. */
static void *map_words(struct base *base, uint64_t nr)
{
	uint64_t from = nr * WORDS_BYTES, end = from + WORDS_MAPPED;
	off_t size = lseek(base->words_fd, 0, SEEK_END);

	if (size < 0 || ((uint64_t)size < end && ftruncate(base->words_fd, (off_t)end)))
		return NULL;
	return map_sparse(WORDS_MAPPED, MAP_SHARED, base->words_fd, from);
}

static void segment_free(struct segment *segment)
{
	if (segment->map)
		munmap(segment->map, WORDS_MAPPED);
	munmap(segment, sizeof(*segment));
}

struct segment *base_segment_make(struct base *base, uint64_t chunk)
{
	struct segment *segment = base_segment(base, chunk);

	if (segment || chunk >= BASE_CHUNKS)
		return segment;
	segment = map_sparse(sizeof(*segment), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!segment)
		return NULL;
	segment->map = map_words(base, chunk / SEGMENT_CHUNKS);
	if (!segment->map) {
		segment_free(segment);
		return NULL;
	}
	segment->word = (_Atomic uint32_t *)((char *)segment->map + WORDS_HEAD);
	atomic_store_explicit(&base->segment[chunk / SEGMENT_CHUNKS], segment, memory_order_release);
	return segment;
}

static bool is_ready(const struct segment *segment, uint64_t chunk)
{
	return segment && atomic_load_explicit(&segment->ready[chunk % SEGMENT_CHUNKS / BLOCK_CHUNKS], memory_order_acquire);
}

/* A store where there is no memory left would be a SIGBUS; this is an error. */
static int allocate(struct base *base, uint64_t first)
{
	int err;

	do
		err = fallocate(base->words_fd, 0, (off_t)(WORDS_HEAD + first * sizeof(uint32_t)), BLOCK_CHUNKS * sizeof(uint32_t));
	while (err && errno == EINTR);
	return err;
}

bool base_words_make(struct base *base, uint64_t chunk)
{
	struct segment *segment = base_segment_make(base, chunk);
	uint64_t first = chunk / BLOCK_CHUNKS * BLOCK_CHUNKS;

	if (!segment)
		return false;
	if (is_ready(segment, chunk))
		return true;
	if (allocate(base, first))
		return false;
	/* It lies in two pages, which its neighbours have as well: what is not touched would go with a neighbour that fails */
	atomic_fetch_or(&segment->word[first % SEGMENT_CHUNKS], 0);
	atomic_fetch_or(&segment->word[first % SEGMENT_CHUNKS + BLOCK_CHUNKS - 1], 0);
	atomic_store_explicit(&segment->ready[chunk % SEGMENT_CHUNKS / BLOCK_CHUNKS], true, memory_order_release);
	return true;
}

uint32_t base_word(struct base *base, uint64_t chunk)
{
	struct segment *segment = base_segment(base, chunk);

	return is_ready(segment, chunk) ? atomic_load(&segment->word[chunk % SEGMENT_CHUNKS]) : 0;
}

/* ---- what the kernel has read ---- */

bool base_touched(struct base *base, uint64_t *chunk)
{
	for (; *chunk < BASE_CHUNKS; ++*chunk) {
		struct segment *segment = base_segment(base, *chunk);

		if (!segment)
			*chunk = (*chunk / SEGMENT_CHUNKS + 1) * SEGMENT_CHUNKS - 1;
		else if (!is_ready(segment, *chunk))
			*chunk = (*chunk / BLOCK_CHUNKS + 1) * BLOCK_CHUNKS - 1;
		else if (base_word(base, *chunk) & (CHUNK_READ | CHUNK_TOUCHED))
			return true;
	}
	return false;
}

void base_untouch(struct base *base)
{
	for (uint64_t chunk = 0; base_touched(base, &chunk); chunk++) {
		uint32_t seen = base_word(base, chunk) & (CHUNK_READ | CHUNK_TOUCHED);

		base_word_change(base, chunk, seen & CHUNK_READ ? CHUNK_USED : 0, seen);
	}
}

int base_words_open(struct base *base)
{
	struct segment *segment;

	base->words_fd = memfd_create("regionfs-words", MFD_CLOEXEC);
	if (base->words_fd < 0)
		return -errno;
	segment = base_words_make(base, 0) ? base_segment(base, 0) : NULL;
	if (!segment)
		return -ENOMEM;
	base->seq = segment->map;
	return 0;
}

void base_words_close(struct base *base)
{
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		struct segment *segment = atomic_load(&base->segment[i]);

		if (segment)
			segment_free(segment);
	}
	if (base->words_fd < 0)
		return;
	/* the kernel has it still, and whoever opens the base next changes the bytes */
	if (ftruncate(base->words_fd, 0))
		log_error("%s: what the kernel may read of the bytes can't be taken back: %s", base->map_path, strerror(errno));
	close(base->words_fd);
}

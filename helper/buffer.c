// SPDX-License-Identifier: GPL-2.0
/* buffer: see buffer.h. Lengths are rounded up to powers of two, each of which has a list of its own; the links are in the buffers. */
#include <pthread.h>
#include <sys/mman.h>

#include "buffer.h"
#include "list.h"

#define SHORTEST	16384u
/* 16 KiB to 1 MiB; what is longer is never kept. */
#define LENGTHS		7u

static struct {
	pthread_mutex_t lock;
	struct list free[LENGTHS];
	size_t kept;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* LENGTHS: none */
static unsigned int index_of(size_t length)
{
	unsigned int i = 0;

	while (i < LENGTHS && (size_t)SHORTEST << i < length)
		i++;
	return i;
}

static size_t whole(size_t length)
{
	unsigned int i = index_of(length);

	return i < LENGTHS ? (size_t)SHORTEST << i : length;
}

/* The lock is held. */
static struct list *list_of(size_t length)
{
	struct list *list = &pool.free[index_of(length)];

	if (!list->next)
		list_init(list);
	return list;
}

static void *take(size_t length)
{
	struct list *entry = NULL;

	pthread_mutex_lock(&pool.lock);
	if (!list_empty(list_of(length))) {
		entry = list_pop(list_of(length));
		pool.kept -= whole(length);
	}
	pthread_mutex_unlock(&pool.lock);
	return entry;
}

static bool keep(void *buffer, size_t length)
{
	bool kept;

	pthread_mutex_lock(&pool.lock);
	kept = pool.kept + whole(length) <= BUFFERS_KEPT;
	if (kept) {
		/* in front: its pages are the warmest */
		list_add_head(list_of(length), buffer);
		pool.kept += whole(length);
	}
	pthread_mutex_unlock(&pool.lock);
	return kept;
}

void *buffer_alloc(size_t length)
{
	void *buffer = index_of(length) < LENGTHS ? take(length) : NULL;

	if (buffer)
		return buffer;
	buffer = mmap(NULL, whole(length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return buffer == MAP_FAILED ? NULL : buffer;
}

void buffer_free(void *buffer, size_t length)
{
	if (!buffer || (index_of(length) < LENGTHS && keep(buffer, length)))
		return;
	munmap(buffer, whole(length));
}

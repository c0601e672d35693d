// SPDX-License-Identifier: GPL-2.0
/* dir-chunk: the chunk files that are open, a bounded number of them. On the backend's home loop alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/dir.h"

static struct list *bucket_of(struct dir *dir, uint64_t number)
{
	return &dir->bucket[number % DIR_BUCKETS];
}

void chunks_init(struct dir *dir)
{
	for (unsigned int i = 0; i < DIR_BUCKETS; i++)
		list_init(&dir->bucket[i]);
	list_init(&dir->idle);
}

static struct chunk *chunk_find(struct dir *dir, uint64_t number)
{
	struct list *bucket = bucket_of(dir, number), *entry;

	list_for_each(entry, bucket) {
		struct chunk *chunk = list_entry(entry, struct chunk, bucket);

		if (chunk->number == number)
			return chunk;
	}
	return NULL;
}

/* Closing a file that was only read or written is no wait: its bytes stay in the page cache. */
static void chunk_free(struct chunk *chunk)
{
	list_del(&chunk->bucket);
	list_del(&chunk->idle);
	chunk->dir->nr_open--;
	if (chunk->fd >= 0)
		close(chunk->fd);
	free(chunk);
}

/* An error of its write-back may be forgotten with a file that nobody has open: then SYNC has to ask the file system. */
static void make_room(struct dir *dir)
{
	while (dir->nr_open > DIR_OPEN_MAX && !list_empty(&dir->idle)) {
		struct chunk *chunk = list_entry(dir->idle.next, struct chunk, idle);

		dir->unclean |= dir_is_dirty(dir, chunk->number);
		chunk_free(chunk);
	}
}

void chunk_put(struct chunk *chunk)
{
	if (--chunk->users)
		return;
	if (chunk->doomed)
		chunk_free(chunk);
	else
		list_add(&chunk->dir->idle, &chunk->idle);
}

static void chunk_use(struct chunk *chunk, struct chunk_user *user)
{
	if (!chunk->users++)
		list_del(&chunk->idle);
	user->ready(user, chunk, 0);
}

static void chunk_open(struct chunk *chunk, bool create);

static bool wants_creation(const struct chunk *chunk)
{
	struct list *entry;

	list_for_each(entry, &chunk->waiting)
		if (list_entry(entry, struct chunk_user, list)->create)
			return true;
	return false;
}

static void chunk_opened(struct loop_op *op, int res)
{
	struct chunk *chunk = container_of(op, struct chunk, op);
	struct list waiting, *entry;

	/* a reader asked first, a writer came meanwhile */
	if (res == -ENOENT && !chunk->creating && wants_creation(chunk)) {
		chunk_open(chunk, true);
		return;
	}
	list_init(&waiting);
	list_splice(&waiting, &chunk->waiting);
	if (res >= 0) {
		chunk->fd = res;
		chunk->state = CHUNK_OPEN;
		chunk->dir->names_stale |= chunk->creating;
	} else {
		chunk_free(chunk);
	}
	/* held, so that it doesn't go with its first user */
	if (res >= 0)
		chunk->users++;
	while ((entry = list_pop(&waiting))) {
		struct chunk_user *user = list_entry(entry, struct chunk_user, list);

		if (res >= 0)
			chunk_use(chunk, user);
		else
			user->ready(user, NULL, res);
	}
	if (res >= 0)
		chunk_put(chunk);
}

static void chunk_open(struct chunk *chunk, bool create)
{
	struct dir *dir = chunk->dir;
	int mode = dir->backend.caps.read_only ? O_RDONLY : O_RDWR;

	chunk->creating = create;
	chunk->op.done = chunk_opened;
	loop_openat(dir->backend.loop, &chunk->op, dir->fd, chunk->name, mode | (create ? O_CREAT : 0) | O_CLOEXEC, 0600);
}

static struct chunk *chunk_new(struct dir *dir, uint64_t number)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return NULL;
	chunk->dir = dir;
	chunk->number = number;
	chunk->fd = -1;
	chunk->state = CHUNK_OPENING;
	list_init(&chunk->waiting);
	list_init(&chunk->idle);
	list_add(bucket_of(dir, number), &chunk->bucket);
	dir->nr_open++;
	dir_chunk_name(dir, number, chunk->name);
	return chunk;
}

void chunk_get(struct dir *dir, struct chunk_user *user)
{
	struct chunk *chunk = chunk_find(dir, user->number);

	if (chunk && chunk->state == CHUNK_OPEN) {
		chunk_use(chunk, user);
		return;
	}
	if (!chunk) {
		make_room(dir);
		chunk = chunk_new(dir, user->number);
		if (!chunk) {
			user->ready(user, NULL, -ENOMEM);
			return;
		}
		list_add(&chunk->waiting, &user->list);
		chunk_open(chunk, user->create);
		return;
	}
	list_add(&chunk->waiting, &user->list);
}

/*
 * Who has one goes on with it, be it deleted; who comes later must not find it: a WRITE would go into a file that has no
 * name.
 */
static void chunk_drop(struct chunk *chunk)
{
	if (chunk->state == CHUNK_OPEN && !chunk->users) {
		chunk_free(chunk);
		return;
	}
	chunk->doomed = true;
	list_del(&chunk->bucket);
}

void chunks_drop(struct dir *dir, uint64_t number, uint64_t count)
{
	for (unsigned int i = 0; i < DIR_BUCKETS; i++) {
		struct list *entry, *next;

		list_for_each_safe(entry, next, &dir->bucket[i]) {
			struct chunk *chunk = list_entry(entry, struct chunk, bucket);

			if (chunk->number >= number && chunk->number - number < count)
				chunk_drop(chunk);
		}
	}
}

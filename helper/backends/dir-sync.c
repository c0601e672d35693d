// SPDX-License-Identifier: GPL-2.0
/*
 * dir-sync: what is not durable yet, and SYNC. One is under way at a time: a second one beside it would find nothing left to
 * do, and be answered before the first has done it, or has failed to.
 */
#include <string.h>

#include "backends/dir.h"

void dir_sync_init(struct dir *dir)
{
	list_init(&dir->sync.waiting);
	list_init(&dir->sync.running);
}

bool dir_is_dirty(const struct dir *dir, uint64_t number)
{
	for (unsigned int i = 0; i < dir->nr_dirty; i++)
		if (dir->dirty[i] == number)
			return true;
	return false;
}

void dir_note_dirty(struct dir *dir, uint64_t number)
{
	if (dir_is_dirty(dir, number))
		return;
	if (dir->nr_dirty == DIR_DIRTY_MAX)
		dir->unclean = true;
	else
		dir->dirty[dir->nr_dirty++] = number;
}

static int sync_work(struct loop_work *work)
{
	struct dir_sync *sync = container_of(work, struct dir_sync, work);
	struct dir *dir = container_of(sync, struct dir, sync);
	int err = sync->meta ? dir_files_write_meta(dir) : 0;

	return err ? err : dir_files_sync(dir, sync->dirty, sync->nr_dirty, sync->all, sync->names);
}

static void take_dirty(struct dir *dir, struct dir_sync *sync)
{
	sync->nr_dirty = dir->nr_dirty;
	memcpy(sync->dirty, dir->dirty, dir->nr_dirty * sizeof(dir->dirty[0]));
	sync->all = dir->unclean;
	sync->meta = dir->meta_stale;
	sync->names = dir->names_stale || sync->meta;
	dir->nr_dirty = 0;
	dir->unclean = dir->meta_stale = dir->names_stale = false;
}

/* Which of it is durable, an error doesn't say: the next one does it all again. */
static void put_back(struct dir *dir, const struct dir_sync *sync, int error)
{
	dir->unclean = true;
	dir->meta_stale |= sync->meta;
	dir->names_stale |= sync->names;
	backend_error(&dir->backend, error, "%s: can't sync: %s", dir->backend.uri.path, strerror(-error));
}

static void sync_next(struct dir *dir);

/* The last answer may close the dir. */
static void sync_done(struct loop_work *work, int res)
{
	struct dir_sync *sync = container_of(work, struct dir_sync, work);
	struct dir *dir = container_of(sync, struct dir, sync);
	struct list done, *entry;

	if (res)
		put_back(dir, sync, res);
	sync->busy = false;
	list_init(&done);
	list_splice(&done, &sync->running);
	sync_next(dir);
	while ((entry = list_pop(&done)))
		backend_done(list_entry(entry, struct backend_req, list), res);
}

static void sync_next(struct dir *dir)
{
	struct dir_sync *sync = &dir->sync;

	if (sync->busy || list_empty(&sync->waiting))
		return;
	sync->busy = true;
	list_splice(&sync->running, &sync->waiting);
	take_dirty(dir, sync);
	sync->work.work = sync_work;
	sync->work.done = sync_done;
	loop_work(dir->backend.loop, &sync->work);
}

void dir_sync(struct dir *dir, struct backend_req *req)
{
	list_add(&dir->sync.waiting, &req->list);
	sync_next(dir);
}

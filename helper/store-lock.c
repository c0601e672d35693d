// SPDX-License-Identifier: GPL-2.0
/*
 * store-lock: a store's directory is one store's alone: DIR/lock, from before the first file is opened until the last one is closed, or
 * gone. (Its files have locks of their own against the I/O of a dead helper: stores/hold.h.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store-private.h"

/* Its last user may be on its way out. */
#define PATIENCE_MS	2000

void store_lock_init(struct store *store)
{
	store->dir_fd = -1;
	store->lock.fd[0] = store->lock.fd[1] = -1;
}

void store_lock_drop(struct store *store)
{
	if (store->lock.fd[0] >= 0)
		close(store->lock.fd[0]);
	if (store->dir_fd >= 0)
		close(store->dir_fd);
	store_lock_init(store);
}

static int lock_open(struct store *store)
{
	store->dir_fd = open(store->options.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir_fd < 0)
		return -errno;
	store->lock.fd[0] = openat(store->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return store->lock.fd[0] < 0 ? -errno : 0;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is what is locked what is there? A removal may have come in between. */
static bool lock_is_there(const struct store *store)
{
	struct stat dir, dir_there, lock, lock_there;

	return !fstat(store->dir_fd, &dir) && !stat(store->options.dir, &dir_there) && same(&dir, &dir_there) &&
	       !fstat(store->lock.fd[0], &lock) && !fstatat(store->dir_fd, "lock", &lock_there, AT_SYMLINK_NOFOLLOW) &&
	       same(&lock, &lock_there);
}

static void lock_begin(struct store *store);

static void lock_taken(struct lock *lock, int error)
{
	struct store *store = container_of(lock, struct store, lock);

	if (!error && !lock_is_there(store)) {
		store_lock_drop(store);
		if (++store->lock_tries < LOCK_TRIES) {
			lock_begin(store);
			return;
		}
		error = -EBUSY;
	}
	if (error == -EBUSY)
		snprintf(store->why, sizeof(store->why), "%s: in use by another region", store->options.dir);
	store->locked(store, error);
}

static int lock_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, work);
	int err = store_make_dir(store);

	if (!err)
		err = lock_open(store);
	if (err)
		store_lock_drop(store);
	if (err && err != -ENOENT && !*store->why)
		snprintf(store->why, sizeof(store->why), "%s: can't be made: %s", store->options.dir, strerror(-err));
	return err;
}

static void lock_worked(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, work);

	/* removed right after it was made */
	if (res == -ENOENT && ++store->lock_tries < LOCK_TRIES) {
		lock_begin(store);
		return;
	}
	if (res) {
		store->locked(store, res);
		return;
	}
	store->lock.done = lock_taken;
	lock_take(&store->lock, store->loop, PATIENCE_MS);
}

static void lock_begin(struct store *store)
{
	store->work.work = lock_work;
	store->work.done = lock_worked;
	loop_work(store->loop, &store->work);
}

void store_lock(struct store *store, void (*locked)(struct store *store, int error))
{
	store->locked = locked;
	lock_begin(store);
}

int store_lock_remove(struct store *store)
{
	struct stat dir, there;

	unlinkat(store->dir_fd, "version.new", 0);
	unlinkat(store->dir_fd, "mark.new", 0);
	if (unlinkat(store->dir_fd, "pushing", 0) && errno != ENOENT)
		return -errno;
	if (unlinkat(store->dir_fd, "version", 0) && errno != ENOENT)
		return -errno;
	if (unlinkat(store->dir_fd, "lock", 0) && errno != ENOENT)
		return -errno;
	if (fstat(store->dir_fd, &dir) || stat(store->options.dir, &there) || !same(&dir, &there))
		return 0;
	return rmdir(store->options.dir) ? -errno : 0;
}

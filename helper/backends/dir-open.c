// SPDX-License-Identifier: GPL-2.0
/* dir-open: the dir backend's beginning and end. Found, locked, and only then read. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/dir.h"
#include "backends/lock-reach.h"
#include "confine.h"

static void close_fds(struct dir *dir)
{
	if (dir->lock.fd[0] >= 0)
		close(dir->lock.fd[0]);
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = dir->lock.fd[0] = -1;
}

static void dir_free(struct dir *dir)
{
	chunks_drop(dir, 0, UINT64_MAX);
	dir_version_free(dir);
	pthread_mutex_destroy(&dir->meta_lock);
	close_fds(dir);
}

static void dir_failed(struct dir *dir, int error)
{
	if (!dir->backend.why)
		backend_error(&dir->backend, error, "%s: %s%s", dir->backend.uri.path, strerror(-error), confine_hint(error));
	dir_free(dir);
	backend_opened(&dir->backend, error);
}

static void dir_ready(struct dir *dir)
{
	struct backend_caps *caps = &dir->backend.caps;

	dir->reach = caps->size;
	caps->chunk = dir->chunk;
	caps->local = true;
	caps->version = true;
	caps->fence = dir->lock.unsupported || !dir->reaches_all ? FENCE_NONE : FENCE_LOCK;
	caps->durability = DURABLE_SYNC;
	backend_opened(&dir->backend, 0);
}

static void dir_start(struct dir *dir);

static bool start_again(struct dir *dir, int error)
{
	if (error != -ESTALE || dir->tries++ >= LOCK_TRIES)
		return false;
	close_fds(dir);
	dir_start(dir);
	return true;
}

static int find_work(struct loop_work *work)
{
	struct dir *dir = container_of(work, struct dir, work);

	const struct backend_open *open = dir->backend.open;
	int err = dir_files_find(dir, open), fd = dir->lock.fd[0];

	dir->reaches_all = !open->fenced;
	/* to be written later */
	if (!err && open->fenced && open->read_only && faccessat(dir->fd, ".", W_OK, AT_EACCESS))
		return backend_error(&dir->backend, -errno, "%s can't be written: %s", dir->backend.uri.path, strerror(errno));
	if (!err && open->fenced)
		dir->reaches_all = lock_reaches_all(fd < 0 ? dir->fd : fd);
	return err;
}

static int open_work(struct loop_work *work)
{
	struct dir *dir = container_of(work, struct dir, work);

	return dir_files_open(dir, dir->backend.open);
}

static void dir_read(struct loop_work *work, int res)
{
	struct dir *dir = container_of(work, struct dir, work);

	if (!res)
		dir_ready(dir);
	else if (!start_again(dir, res))
		dir_failed(dir, res);
}

static void dir_locked(struct lock *lock, int error)
{
	struct dir *dir = container_of(lock, struct dir, lock);

	if (error == -EBUSY)
		backend_error(&dir->backend, error, "%s: another region or another regiond uses it", dir->backend.uri.path);
	if (error) {
		dir_failed(dir, error);
		return;
	}
	if (dir->lock.fd[0] >= 0 && dir->backend.open->fenced && (lock->unsupported || !dir->reaches_all)) {
		dir_failed(dir, backend_unfenced(&dir->backend));
		return;
	}
	dir->work.work = open_work;
	dir->work.done = dir_read;
	loop_work(dir->backend.loop, &dir->work);
}

static void dir_found(struct loop_work *work, int res)
{
	struct dir *dir = container_of(work, struct dir, work);

	if (res && start_again(dir, res))
		return;
	if (res) {
		dir_failed(dir, res);
		return;
	}
	dir->lock.done = dir_locked;
	if (dir->lock.fd[0] >= 0)
		lock_take(&dir->lock, dir->backend.loop, dir->backend.open->patience_ms);
	else
		dir_locked(&dir->lock, 0);
}

static void dir_start(struct dir *dir)
{
	dir->work.work = find_work;
	dir->work.done = dir_found;
	loop_work(dir->backend.loop, &dir->work);
}

void dir_open(struct backend *backend)
{
	struct dir *dir = container_of(backend, struct dir, backend);

	dir->fd = -1;
	dir->lock.fd[0] = -1;
	dir->lock.fd[1] = -1;
	chunks_init(dir);
	dir_sync_init(dir);
	dir_version_init(dir);
	pthread_mutex_init(&dir->meta_lock, NULL);
	dir->backend.caps.read_only = backend->open->read_only;
	dir_start(dir);
}

static int close_work(struct loop_work *work)
{
	struct dir *dir = container_of(work, struct dir, work);

	return dir_files_write_meta(dir);
}

static void close_end(struct loop_work *work, int res)
{
	struct dir *dir = container_of(work, struct dir, work);

	dir_free(dir);
	backend_closed(&dir->backend);
}

void dir_close(struct backend *backend)
{
	struct dir *dir = container_of(backend, struct dir, backend);

	dir->work.work = close_work;
	dir->work.done = close_end;
	if (dir->meta_stale && !backend->caps.read_only)
		loop_work(backend->loop, &dir->work);
	else
		close_end(&dir->work, 0);
}

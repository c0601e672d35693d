// SPDX-License-Identifier: GPL-2.0
/*
 * file: the bytes are a file's or a block device's. Past the page cache (O_DIRECT) where file, offset, length and memory
 * allow it, since the region has a page cache of its own; else through a second descriptor without O_DIRECT,
 * whose readahead is off, so that it caches nothing that wasn't asked for.
 *
 * Options: ?direct=no.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "backend.h"
#include "backends/file-journal.h"
#include "backends/file-version.h"
#include "backends/lock.h"
#include "backends/lock-reach.h"
#include "confine.h"
#include "data.h"
#include "dirs.h"
#include "journal.h"

#define DIRECT_ALIGN 4096u
#define ZEROES (64u << 10)

struct file {
	struct backend backend;
	int fd;				/* through the page cache */
	int direct_fd;			/* -1: can't */
	bool block_device;
	struct lock lock;
	enum backend_fence fence;	/* what its locks are worth */
	unsigned int tries;		/* to have the lock of a file that is still there */
	struct loop_work work;		/* open */
};

struct file_req {
	struct loop_op op;
	struct loop_work work;
	uint64_t done;
	bool direct;
};

static const char zeroes[ZEROES] __attribute__((aligned(4096)));

static struct file *file_of(struct backend *backend)
{
	return container_of(backend, struct file, backend);
}

/* ---- open ---- */

static int file_check(const struct uri *uri, char *why, size_t why_len)
{
	if (!uri->host && *uri->path == '/' && journal_is_name(uri->path)) {
		snprintf(why, why_len, "%s: names that end in %s are those of journals", uri->text, JOURNAL_SUFFIX);
		return -EINVAL;
	}
	if (!uri->host && *uri->path == '/')
		return 0;
	snprintf(why, why_len, "%s: file: is followed by an absolute path, as in file:/srv/data", uri->text);
	return -EINVAL;
}

/* The directory of an instance's default source need not be there yet; if that fails, open() says it. */
static void make_parent(const char *path)
{
	char *copy = strdup(path);

	if (copy)
		dirs_make(dirname(copy), 0700);
	free(copy);
}

static int file_create(struct file *file, const struct backend_open *open_args)
{
	const char *path = file->backend.uri.path;
	int err;

	if (uri_option(&file->backend.uri, "owned"))
		make_parent(path);
	file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return -errno;
	err = ftruncate(file->fd, (off_t)open_args->size) ? -errno : dirs_sync_parent(path);
	/* not half: the next one would take it for the source */
	if (err)
		unlink(path);
	return err;
}

static int file_open_fd(struct file *file, const struct backend_open *open_args)
{
	const char *path = file->backend.uri.path;

	file->fd = open(path, (open_args->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (file->fd < 0 && (errno == EACCES || errno == EROFS) && !open_args->read_only) {
		file->fd = open(path, O_RDONLY | O_CLOEXEC);
		file->backend.caps.read_only = file->fd >= 0;
	}
	if (file->fd >= 0)
		return 0;
	return errno == ENOENT && open_args->create ? file_create(file, open_args) : -errno;
}

static int file_look(struct file *file)
{
	struct stat st;
	uint64_t size;

	if (fstat(file->fd, &st))
		return -errno;
	size = (uint64_t)st.st_size;
	file->block_device = S_ISBLK(st.st_mode);
	if (file->block_device && ioctl(file->fd, BLKGETSIZE64, &size))
		return -errno;
	if (!file->block_device && !S_ISREG(st.st_mode))
		return backend_error(&file->backend, -EINVAL, "%s is neither a file nor a block device",
				     file->backend.uri.path);
	backend_set_size(&file->backend, size);
	return 0;
}

static void file_open_direct(struct file *file, bool read_only)
{
	const char *direct = uri_option(&file->backend.uri, "direct");
	char self[64];

	if (direct && !strcmp(direct, "no"))
		return;
	/* the very same file, whatever became of its name */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	file->direct_fd = open(self, (read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
}

static int file_work(struct loop_work *work)
{
	struct file *file = container_of(work, struct file, work);
	const struct backend_open *open_args = file->backend.open;
	int err = file_open_fd(file, open_args);

	if (!err)
		err = file_look(file);
	if (err == -EISDIR)
		return backend_error(&file->backend, err, "%s is a directory: name a file in it, or use dir:",
				     file->backend.uri.path);
	if (err && !file->backend.why)
		return backend_error(&file->backend, err, "%s: %s%s", file->backend.uri.path, strerror(-err), confine_hint(err));
	if (err)
		return err;
	/* to be written later */
	if (open_args->fenced && open_args->read_only && access(file->backend.uri.path, W_OK))
		return backend_error(&file->backend, -errno, "%s can't be written: %s%s", file->backend.uri.path, strerror(errno),
				     confine_hint(-errno));
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
	file_open_direct(file, open_args->read_only || file->backend.caps.read_only);
	file->fence = !open_args->fenced || lock_reaches_all(file->fd) ? FENCE_LOCK : FENCE_NONE;
	return 0;
}

static void file_free(struct file *file)
{
	if (file->direct_fd >= 0)
		close(file->direct_fd);
	if (file->fd >= 0)
		close(file->fd);
}

static void file_failed(struct file *file, int error)
{
	file_free(file);
	backend_opened(&file->backend, error);
}

static void file_ready(struct file *file)
{
	struct backend_caps *caps = &file->backend.caps;

	caps->align = file->direct_fd >= 0 ? DIRECT_ALIGN : 1;
	caps->fixed_size = file->block_device;
	caps->version = !file->block_device;
	caps->local = true;
	caps->durability = DURABLE_SYNC;
	backend_opened(&file->backend, 0);
}

static void file_start(struct file *file);

/*
 * The one who had the lock may have deleted the file, or have changed its size. Who would go on with a file that has no name
 * any more, would lose all that is written.
 */
static int named_work(struct loop_work *work)
{
	struct file *file = container_of(work, struct file, work);
	struct stat here, named;

	if (fstat(file->fd, &here))
		return -errno;
	if (stat(file->backend.uri.path, &named))
		return errno == ENOENT ? -ESTALE : -errno;
	if (here.st_dev != named.st_dev || here.st_ino != named.st_ino)
		return -ESTALE;
	return file_look(file);
}

static void file_named(struct loop_work *work, int res)
{
	struct file *file = container_of(work, struct file, work);

	if (res == -ESTALE && file->tries++ < LOCK_TRIES) {
		file_free(file);
		file_start(file);
	} else if (res) {
		file_failed(file, res);
	} else {
		file_ready(file);
	}
}

static void file_locked(struct lock *lock, int error)
{
	struct file *file = container_of(lock, struct file, lock);

	if (error) {
		backend_error(&file->backend, error, "%s: %s", file->backend.uri.path, error == -EBUSY ?
			      "another region or another regiond uses it, or writes of a dead one are still under way" :
			      strerror(-error));
		file_failed(file, error);
		return;
	}
	file->backend.caps.fence = lock->unsupported ? FENCE_NONE : file->fence;
	if (file->backend.open->fenced && file->backend.caps.fence == FENCE_NONE) {
		file_failed(file, backend_unfenced(&file->backend));
		return;
	}
	file->work.work = named_work;
	file->work.done = file_named;
	loop_work(file->backend.loop, &file->work);
}

static void file_worked(struct loop_work *work, int res)
{
	struct file *file = container_of(work, struct file, work);

	if (res) {
		file_failed(file, res);
	} else if (file->backend.open->read_only || file->backend.caps.read_only) {
		file->backend.caps.fence = file->fence;
		file_ready(file);
	} else {
		file->lock.fd[0] = file->fd;
		file->lock.fd[1] = file->direct_fd;
		file->lock.done = file_locked;
		lock_take(&file->lock, file->backend.loop, file->backend.open->patience_ms);
	}
}

static void file_start(struct file *file)
{
	file->fd = -1;
	file->direct_fd = -1;
	file->work.work = file_work;
	file->work.done = file_worked;
	loop_work(file->backend.loop, &file->work);
}

static void file_open(struct backend *backend)
{
	file_start(file_of(backend));
}

static void file_close(struct backend *backend)
{
	file_free(file_of(backend));
	backend_closed(backend);
}

static char *file_journal(const struct backend *backend)
{
	const struct file *file = container_of(backend, struct file, backend);

	return file_journal_path(backend, file->fd, file->block_device);
}

static int file_identity(const struct backend *backend, uint64_t identity[BACKEND_IDENTITY])
{
	return file_journal_identity(container_of(backend, struct file, backend)->fd, identity);
}

static uint64_t file_missing(const struct backend *backend, uint64_t offset, uint64_t length)
{
	const struct file *file = container_of(backend, struct file, backend);

	return file->block_device ? 0 : file_journal_missing(file->fd, offset, length);
}

static int file_reserve(const struct backend *backend, uint64_t offset, uint64_t length)
{
	const struct file *file = container_of(backend, struct file, backend);

	return file->block_device ? 0 : file_journal_reserve(file->fd, offset, length);
}

/* ---- READ, WRITE ---- */

static void req_continue(struct backend_req *req);

/* What a WRITE has done before it failed is in the file: a DISCARD has to reach it. */
static void req_failed(struct backend_req *req, int error)
{
	uint64_t done = backend_private(req, struct file_req)->done;

	if (req->op == BACKEND_WRITE && done)
		backend_grow(req->backend, req->offset + done);
	backend_done(req, backend_error(req->backend, error, "%s: %s at %llu: %s", req->backend->uri.path,
					req->op == BACKEND_READ ? "can't read" : "can't write",
					(unsigned long long)req->offset, strerror(-error)));
}

static void req_moved(struct loop_op *op, int res)
{
	struct file_req *mine = container_of(op, struct file_req, op);
	struct backend_req *req = backend_req_of(mine);

	/* alignment that this file system didn't like: the other way takes all */
	if (res == -EINVAL && mine->direct) {
		mine->direct = false;
		req_continue(req);
		return;
	}
	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (res == 0 && req->op == BACKEND_WRITE)
		res = -ENOSPC;
	else if (res == 0)
		memset((char *)req->data + mine->done, 0, (res = (int)(req->length - mine->done)));
	if (res < 0) {
		req_failed(req, res);
		return;
	}
	mine->done += (uint64_t)res;
	/* the rest of a short one need not be aligned */
	mine->direct = false;
	req_continue(req);
}

static void req_continue(struct backend_req *req)
{
	struct file_req *mine = backend_private(req, struct file_req);
	struct file *file = file_of(req->backend);
	int fd = mine->direct ? file->direct_fd : file->fd;
	uint32_t len = (uint32_t)(req->length - mine->done);

	if (!len) {
		if (req->op == BACKEND_WRITE)
			backend_grow(req->backend, req->offset + req->length);
		backend_done(req, 0);
		return;
	}
	mine->op.done = req_moved;
	if (req->op == BACKEND_READ)
		loop_read(req->loop, &mine->op, fd, (char *)req->data + mine->done, len, req->offset + mine->done);
	else
		loop_write(req->loop, &mine->op, fd, (char *)req->data + mine->done, len, req->offset + mine->done);
}

static void file_move(struct file *file, struct backend_req *req)
{
	struct file_req *mine = backend_private(req, struct file_req);

	mine->done = 0;
	mine->direct = file->direct_fd >= 0 && !((req->offset | req->length | (uintptr_t)req->data) % DIRECT_ALIGN);
	req_continue(req);
}

/* ---- the others ---- */

static void zero_more(struct backend_req *req);

static void zeroed(struct loop_op *op, int res)
{
	struct file_req *mine = container_of(op, struct file_req, op);
	struct backend_req *req = backend_req_of(mine);

	if (res <= 0 && res != -EINTR && res != -EAGAIN) {
		req_failed(req, res ? res : -ENOSPC);
		return;
	}
	mine->done += res > 0 ? (uint64_t)res : 0;
	zero_more(req);
}

/* Where there are no holes: zeroes, as far as the file reaches. */
static void zero_more(struct backend_req *req)
{
	struct file_req *mine = backend_private(req, struct file_req);
	struct file *file = file_of(req->backend);
	uint64_t size = backend_size(req->backend), at = req->offset + mine->done, left = req->length - mine->done;

	if (at >= size || !left) {
		backend_done(req, 0);
		return;
	}
	if (left > size - at)
		left = size - at;
	mine->op.done = zeroed;
	loop_write(req->loop, &mine->op, file->fd, zeroes, left < ZEROES ? (uint32_t)left : ZEROES, at);
}

static void file_discard(struct file *file, struct backend_req *req);

static void punched(struct loop_op *op, int res)
{
	struct file_req *mine = container_of(op, struct file_req, op);
	struct backend_req *req = backend_req_of(mine);

	mine->done = 0;
	if (res == -EINTR || res == -EAGAIN)
		file_discard(file_of(req->backend), req);
	else if (res == -EOPNOTSUPP || res == -ENODEV || res == -EINVAL)
		zero_more(req);
	else if (res < 0)
		req_failed(req, res);
	else
		backend_done(req, 0);
}

static void file_discard(struct file *file, struct backend_req *req)
{
	struct file_req *mine = backend_private(req, struct file_req);

	if (!req->length) {
		backend_done(req, 0);
		return;
	}
	mine->op.done = punched;
	loop_fallocate(req->loop, &mine->op, file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, req->offset, req->length);
}

static void synced(struct loop_op *op, int res)
{
	struct backend_req *req = backend_req_of(container_of(op, struct file_req, op));

	if (res < 0)
		res = backend_error(req->backend, res, "%s: can't sync: %s", req->backend->uri.path, strerror(-res));
	backend_done(req, res);
}

static void file_sync(struct file *file, struct backend_req *req)
{
	struct file_req *mine = backend_private(req, struct file_req);

	mine->op.done = synced;
	loop_fsync(req->loop, &mine->op, file->fd, true);
}

static int resize_work(struct loop_work *work)
{
	struct backend_req *req = backend_req_of(container_of(work, struct file_req, work));
	struct file *file = file_of(req->backend);
	int err;

	if (file->block_device)
		return req->length == backend_size(req->backend) && req->arg == req->length ? 0 : -EOPNOTSUPP;
	err = file_journal_resize(file->fd, req->arg, req->length);
	if (err)
		return backend_error(req->backend, err, "%s: can't resize: %s", req->backend->uri.path, strerror(-err));
	backend_set_size(req->backend, req->length);
	return 0;
}

static int version_work(struct loop_work *work)
{
	struct backend_req *req = backend_req_of(container_of(work, struct file_req, work));

	return file_version(file_of(req->backend)->fd, req->data);
}

static int destroy_work(struct loop_work *work)
{
	struct backend_req *req = backend_req_of(container_of(work, struct file_req, work));

	if (file_of(req->backend)->block_device)
		return 0;
	return unlink(req->backend->uri.path) && errno != ENOENT ? -errno : 0;
}

static void worked(struct loop_work *work, int res)
{
	backend_done(backend_req_of(container_of(work, struct file_req, work)), res);
}

static void start_work(struct backend_req *req, int (*work)(struct loop_work *))
{
	struct file_req *mine = backend_private(req, struct file_req);

	mine->work.work = work;
	mine->work.done = worked;
	loop_work(req->loop, &mine->work);
}

static void file_submit(struct backend *backend, struct backend_req *req)
{
	struct file *file = file_of(backend);

	if (backend->caps.read_only && req->op != BACKEND_READ && req->op != BACKEND_SYNC &&
	    req->op != BACKEND_VERSION) {
		backend_done(req, -EROFS);
		return;
	}
	switch (req->op) {
	case BACKEND_READ:
	case BACKEND_WRITE:
		file_move(file, req);
		break;
	case BACKEND_SYNC:
		file_sync(file, req);
		break;
	case BACKEND_DISCARD:
		file_discard(file, req);
		break;
	case BACKEND_RESIZE:
		start_work(req, resize_work);
		break;
	case BACKEND_VERSION:
		start_work(req, version_work);
		break;
	case BACKEND_DESTROY:
		start_work(req, destroy_work);
		break;
	default:
		backend_done(req, -EOPNOTSUPP);
	}
}

static int file_data(const struct backend *backend, uint64_t from, uint64_t *start, uint64_t *end)
{
	const struct file *file = container_of(backend, const struct file, backend);

	return file->block_device ? -EOPNOTSUPP : data_find(file->fd, from, start, end);
}

const struct backend_ops file_backend = {
	.scheme = "file",
	.summary = "file:PATH: one file, or a block device",
	.size = sizeof(struct file),
	.local = true,
	.check = file_check,
	.open = file_open,
	.close = file_close,
	.submit = file_submit,
	.journal = file_journal,
	.identity = file_identity,
	.missing = file_missing,
	.data = file_data,
	.reserve = file_reserve,
	.one_file = true,
};

// SPDX-License-Identifier: GPL-2.0
/*
 * dir: the bytes are a directory's, one file for each chunk, named by its offset; what isn't there reads zero. The files
 * go through the page cache, so nothing is in flight when a helper has died and its lock is gone.
 *
 * Requests move to the home loop, are cut at chunk borders, and a few parts of each are under way at once.
 *
 * Options: ?chunk=SIZE for a new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/dir.h"
#include "backends/file-journal.h"
#include "journal.h"

#define PARTS 8
#define ZEROES (64u << 10)

struct job;

/* What a request wants of one chunk. */
struct part {
	struct job *job;
	struct chunk_user user;
	struct chunk *chunk;
	struct loop_op op;
	uint64_t at;			/* in the chunk */
	uint32_t len, done;
	char *data;
	char name[32];			/* of a file that is being unlinked */
};

struct job {
	struct backend_req *req;
	struct dir *dir;
	uint64_t next, end;
	unsigned int running;
	int error;
	bool stepping;
	struct part part[PARTS];
};

/* A request that is done by one blocking step. */
struct dir_req {
	struct loop_work work;
	bool has_more;			/* RESIZE: there may be bytes to cut off */
};

static const char zeroes[ZEROES] __attribute__((aligned(4096)));

static struct dir *dir_of(struct backend *backend)
{
	return container_of(backend, struct dir, backend);
}

static int dir_check(const struct uri *uri, char *why, size_t why_len)
{
	if (!uri->host && *uri->path == '/' && journal_is_name(uri->path)) {
		snprintf(why, why_len, "%s: that is the name of a journal", uri->text);
		return -EINVAL;
	}
	if (!uri->host && *uri->path == '/')
		return 0;
	snprintf(why, why_len, "%s: dir: is followed by an absolute path, as in dir:/srv/data", uri->text);
	return -EINVAL;
}

/* ---- parts ---- */

static void job_step(struct job *job);

static void part_end(struct part *part, int error)
{
	struct job *job = part->job;

	if (part->chunk && job->req->op != BACKEND_READ)
		dir_note_dirty(job->dir, part->user.number);
	if (job->req->op != BACKEND_READ)
		dir_touch(job->dir, part->user.number);
	if (part->chunk)
		chunk_put(part->chunk);
	part->chunk = NULL;
	part->job = NULL;
	if (error && !job->error)
		job->error = error;
	job->running--;
	job_step(job);
}

static void part_move(struct part *part);

static void part_moved(struct loop_op *op, int res)
{
	struct part *part = container_of(op, struct part, op);
	bool read = part->job->req->op == BACKEND_READ;

	if (res == -EINTR || res == -EAGAIN) {
		part_move(part);
		return;
	}
	if (res == 0 && read) {
		/* the file ends before its chunk does */
		memset(part->data + part->done, 0, part->len - part->done);
		res = (int)(part->len - part->done);
	}
	if (res <= 0) {
		part_end(part, res ? res : -ENOSPC);
		return;
	}
	part->done += (uint32_t)res;
	if (part->done < part->len)
		part_move(part);
	else
		part_end(part, 0);
}

static void part_move(struct part *part)
{
	struct loop *loop = part->job->dir->backend.loop;
	uint32_t left = part->len - part->done;

	part->op.done = part_moved;
	if (part->job->req->op == BACKEND_READ)
		loop_read(loop, &part->op, part->chunk->fd, part->data + part->done, left, part->at + part->done);
	else if (part->job->req->op == BACKEND_WRITE)
		loop_write(loop, &part->op, part->chunk->fd, part->data + part->done, left, part->at + part->done);
	else
		loop_write(loop, &part->op, part->chunk->fd, zeroes, left < ZEROES ? left : ZEROES, part->at + part->done);
}

static void part_punch(struct part *part);

static void part_punched(struct loop_op *op, int res)
{
	struct part *part = container_of(op, struct part, op);

	if (res == -EINTR || res == -EAGAIN)
		part_punch(part);
	else if (res == -EOPNOTSUPP)
		part_move(part);
	else
		part_end(part, res);
}

static void part_punch(struct part *part)
{
	part->op.done = part_punched;
	loop_fallocate(part->job->dir->backend.loop, &part->op, part->chunk->fd,
		       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, part->at, part->len);
}

static void part_ready(struct chunk_user *user, struct chunk *chunk, int error)
{
	struct part *part = container_of(user, struct part, user);
	enum backend_op op = part->job->req->op;

	part->chunk = chunk;
	if (error == -ENOENT && op == BACKEND_READ)
		memset(part->data, 0, part->len);
	if (error) {
		part_end(part, error == -ENOENT && op != BACKEND_WRITE ? 0 : error);
	} else if (op == BACKEND_DISCARD) {
		part_punch(part);
	} else {
		part_move(part);
	}
}

static void part_unlinked(struct loop_op *op, int res)
{
	struct part *part = container_of(op, struct part, op);

	chunks_drop(part->job->dir, part->user.number, 1);
	/* now, not when it began: a SYNC in between has not seen it */
	part->job->dir->names_stale = true;
	part_end(part, res == -ENOENT ? 0 : res);
}

/* A chunk that goes whole is no file any more. */
static void part_unlink(struct part *part)
{
	struct dir *dir = part->job->dir;

	chunks_drop(dir, part->user.number, 1);
	dir_chunk_name(dir, part->user.number, part->name);
	part->op.done = part_unlinked;
	loop_unlinkat(dir->backend.loop, &part->op, dir->fd, part->name, 0);
}

/* Not where only the end of the region makes it look whole: a WRITE past that may be under way. */
static bool goes_whole(const struct part *part)
{
	return part->job->req->op == BACKEND_DISCARD && part->len == part->job->dir->chunk;
}

/* ---- jobs ---- */

static void job_end(struct job *job)
{
	struct backend_req *req = job->req;
	struct dir *dir = job->dir;
	int error = job->error;

	if (error)
		backend_error(&dir->backend, error, "%s: %s", dir->backend.uri.path, strerror(-error));
	if (!error && req->op == BACKEND_WRITE && req->offset + req->length > backend_size(&dir->backend)) {
		backend_grow(&dir->backend, req->offset + req->length);
		dir->meta_stale = true;
	}
	free(job);
	backend_done(req, error);
}

static struct part *free_part(struct job *job)
{
	for (unsigned int i = 0; i < PARTS; i++)
		if (!job->part[i].job)
			return &job->part[i];
	return NULL;
}

static void part_start(struct job *job, struct part *part)
{
	struct dir *dir = job->dir;
	uint64_t offset = job->next, number = offset / dir->chunk;
	uint64_t room = dir->chunk - offset % dir->chunk, left = job->end - offset;

	part->job = job;
	part->user.number = number;
	part->user.create = job->req->op == BACKEND_WRITE;
	part->user.ready = part_ready;
	part->at = offset % dir->chunk;
	part->len = (uint32_t)(left < room ? left : room);
	part->done = 0;
	part->data = (char *)job->req->data + (offset - job->req->offset);
	job->next += part->len;
	job->running++;
	if (goes_whole(part))
		part_unlink(part);
	else
		chunk_get(dir, &part->user);
}

/* A part may end at once, and so come back here: then the loop that is running goes on. */
static void job_step(struct job *job)
{
	struct part *part;

	if (job->stepping)
		return;
	job->stepping = true;
	while (!job->error && job->next < job->end && (part = free_part(job)))
		part_start(job, part);
	job->stepping = false;
	if (!job->running)
		job_end(job);
}

static void job_start(struct dir *dir, struct backend_req *req)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job) {
		backend_done(req, -ENOMEM);
		return;
	}
	job->req = req;
	job->dir = dir;
	job->next = req->offset;
	job->end = req->offset + req->length;
	/* what lies past the end of the source is not there to be discarded */
	if (req->op == BACKEND_DISCARD && job->end > dir->reach)
		job->end = dir->reach > job->next ? dir->reach : job->next;
	if (req->op == BACKEND_WRITE && job->end > dir->reach)
		dir->reach = job->end;
	job_step(job);
}

/* ---- resize, destroy ---- */

static struct backend_req *req_of(struct loop_work *work)
{
	return backend_req_of(container_of(work, struct dir_req, work));
}

static void work_start(struct backend_req *req, int (*fn)(struct loop_work *), void (*done)(struct loop_work *, int))
{
	struct dir_req *mine = backend_private(req, struct dir_req);

	mine->work.work = fn;
	mine->work.done = done;
	loop_work(req->backend->loop, &mine->work);
}

static void work_done(struct loop_work *work, int res)
{
	struct backend_req *req = req_of(work);

	if (res)
		backend_error(req->backend, res, "%s: %s", req->backend->uri.path, strerror(-res));
	backend_done(req, res);
}

static int resize_work(struct loop_work *work)
{
	struct backend_req *req = req_of(work);

	return dir_files_resize(dir_of(req->backend), req->arg, req->length, backend_private(req, struct dir_req)->has_more);
}

static uint64_t first_cut(const struct dir *dir, const struct backend_req *req)
{
	return (req->arg + dir->chunk - 1) / dir->chunk;
}

static void resize_done(struct loop_work *work, int res)
{
	struct backend_req *req = req_of(work);
	struct dir *dir = dir_of(req->backend);

	chunks_drop(dir, first_cut(dir, req), UINT64_MAX);
	dir_touch_from(dir, req->arg / dir->chunk);
	if (req->arg % dir->chunk)
		dir_note_dirty(dir, req->arg / dir->chunk);
	dir->names_stale = true;
	dir->meta_stale |= res != 0;
	if (!res)
		dir->reach = req->length;
	work_done(work, res);
}

static void dir_resize(struct dir *dir, struct backend_req *req)
{
	backend_private(req, struct dir_req)->has_more = req->arg < dir->reach;
	chunks_drop(dir, first_cut(dir, req), UINT64_MAX);
	work_start(req, resize_work, resize_done);
}

static int destroy_work(struct loop_work *work)
{
	return dir_files_destroy(dir_of(req_of(work)->backend));
}

static void dir_destroy(struct dir *dir, struct backend_req *req)
{
	chunks_drop(dir, 0, UINT64_MAX);
	dir->meta_stale = false;
	work_start(req, destroy_work, work_done);
}

/* ---- requests ---- */

static void dir_do(struct dir *dir, struct backend_req *req)
{
	if (dir->backend.caps.read_only && req->op != BACKEND_READ && req->op != BACKEND_SYNC &&
	    req->op != BACKEND_VERSION) {
		backend_done(req, -EROFS);
		return;
	}
	switch (req->op) {
	case BACKEND_READ:
	case BACKEND_WRITE:
	case BACKEND_DISCARD:
		job_start(dir, req);
		break;
	case BACKEND_SYNC:
		dir_sync(dir, req);
		break;
	case BACKEND_RESIZE:
		dir_resize(dir, req);
		break;
	case BACKEND_VERSION:
		dir_version(dir, req);
		break;
	case BACKEND_DESTROY:
		dir_destroy(dir, req);
		break;
	default:
		backend_done(req, -EOPNOTSUPP);
	}
}

static void dir_do_task(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	dir_do(dir_of(req->backend), req);
}

/* What has no number for a name is no chunk's. */
static char *dir_journal(const struct backend *backend)
{
	char *journal;

	return asprintf(&journal, "%s/%s", backend->uri.path, DIR_JOURNAL) < 0 ? NULL : journal;
}

static uint64_t dir_missing(const struct backend *backend, uint64_t offset, uint64_t length)
{
	const struct dir *dir = container_of(backend, struct dir, backend);
	uint64_t end = offset + length, missing = 0;

	while (offset < end) {
		uint64_t at = offset % dir->chunk, len = dir->chunk - at < end - offset ? dir->chunk - at : end - offset;
		char name[32];
		int fd;

		dir_chunk_name(dir, offset / dir->chunk, name);
		fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		missing += fd < 0 ? len : file_journal_missing(fd, at, len);
		if (fd >= 0)
			close(fd);
		offset += len;
	}
	return missing;
}

static int dir_identity(const struct backend *backend, uint64_t identity[BACKEND_IDENTITY])
{
	return file_journal_identity(container_of(backend, struct dir, backend)->fd, identity);
}

static void dir_submit(struct backend *backend, struct backend_req *req)
{
	req->task.run = dir_do_task;
	loop_call(backend->loop, &req->task);
}

const struct backend_ops dir_backend = {
	.scheme = "dir",
	.summary = "dir:PATH: a directory with a file for each chunk",
	.size = sizeof(struct dir),
	.local = true,
	.check = dir_check,
	.open = dir_open,
	.close = dir_close,
	.submit = dir_submit,
	.journal = dir_journal,
	.identity = dir_identity,
	.missing = dir_missing,
};

// SPDX-License-Identifier: GPL-2.0
/*
 * dir-version: BACKEND_VERSION: the sum of what each chunk file is and when it was changed last (file-version.h). The first one looks at all files. The
 * next ones look at those alone that were changed here in between, by groups of DIR_GROUP, whose sums are kept: so it costs what was written,
 * not what there is. That holds while the lock keeps others away; without it all are looked at each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "backends/dir.h"
#include "backends/file-journal.h"
#include "backends/file-version.h"

/* More than these are not listed: all is looked at. */
#define TOUCHED_MAX 4096

struct look {
	struct timespec now;
	bool settled;
};

/* ---- what is touched: the home loop's ---- */

void dir_version_init(struct dir *dir)
{
	extents_init(&dir->version.sums);
	extents_init(&dir->version.touched);
	extents_init(&dir->version.looking);
	dir->version.cut = UINT64_MAX;
	list_init(&dir->version.waiting);
}

void dir_version_free(struct dir *dir)
{
	extents_free(&dir->version.sums);
	extents_free(&dir->version.touched);
	extents_free(&dir->version.looking);
}

void dir_touch(struct dir *dir, uint64_t number)
{
	struct dir_version *version = &dir->version;
	uint64_t group = number / DIR_GROUP;

	if (!version->wanted || version->scan)
		return;
	version->scan = version->touched.count >= TOUCHED_MAX || extents_put(&version->touched, group, group + 1, EXTENT_ZERO);
}

void dir_touch_from(struct dir *dir, uint64_t number)
{
	uint64_t group = number / DIR_GROUP;

	if (group < dir->version.cut)
		dir->version.cut = group;
}

/* ---- in the pool, one at a time ---- */

static uint64_t state_of(uint64_t number, const struct statx *st)
{
	const uint64_t word[] = {
		number, st->stx_ino, st->stx_size, (uint64_t)st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec, (uint64_t)st->stx_ctime.tv_sec,
		st->stx_ctime.tv_nsec,
	};
	uint64_t state = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		state = (state ^ word[i]) * 0x9e3779b97f4a7c15;
		state ^= state >> 29;
	}
	return state;
}

static int add_state(struct dir *dir, struct look *look, const char *name, uint64_t number, uint64_t *sum)
{
	struct statx st;

	if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, FILE_VERSION_STATX, &st))
		return errno == ENOENT ? 0 : -errno;
	look->settled &= file_version_is_settled(&st, look->now);
	/* a place in a map of extents, but not EXTENT_ZERO */
	*sum = (*sum + state_of(number, &st)) & INT64_MAX;
	return 0;
}

static uint64_t sum_of(const struct dir *dir, uint64_t group)
{
	struct extent extent;

	if (!extents_next(&dir->version.sums, group, &extent) || extent.start > group)
		return 0;
	return extent.at + (group - extent.start);
}

static int set_sum(struct dir *dir, uint64_t group, uint64_t sum)
{
	dir->version.sum += sum - sum_of(dir, group);
	return sum ? extents_put(&dir->version.sums, group, group + 1, sum) : extents_cut(&dir->version.sums, group, group + 1);
}

static int scan_file(struct dir *dir, const char *name, uint64_t chunk, void *arg)
{
	uint64_t number = chunk / dir->chunk, sum = sum_of(dir, number / DIR_GROUP);
	int err;

	if (chunk == UINT64_MAX)
		return 0;
	err = add_state(dir, arg, name, number, &sum);
	return err ? err : set_sum(dir, number / DIR_GROUP, sum);
}

static int scan(struct dir *dir, struct look *look)
{
	extents_free(&dir->version.sums);
	extents_init(&dir->version.sums);
	dir->version.sum = 0;
	return dir_files_each(dir, scan_file, look);
}

static int look_at_group(struct dir *dir, struct look *look, uint64_t group)
{
	uint64_t sum = 0;
	int err = 0;

	for (uint64_t number = group * DIR_GROUP; !err && number < (group + 1) * DIR_GROUP; number++) {
		char name[32];

		dir_chunk_name(dir, number, name);
		err = add_state(dir, look, name, number, &sum);
	}
	return err ? err : set_sum(dir, group, sum);
}

/* Groups of which there are files, from one on; nothing has been added to them. */
static int look_from(struct dir *dir, struct look *look, uint64_t group)
{
	struct extent extent;
	int err = 0;

	for (; !err && extents_next(&dir->version.sums, group, &extent); group++) {
		group = extent.start > group ? extent.start : group;
		err = look_at_group(dir, look, group);
	}
	return err;
}

static int look_at_touched(struct dir *dir, struct look *look)
{
	const struct extents *touched = &dir->version.looking;
	struct extent extent;
	int err = 0;

	for (uint64_t at = 0; !err && extents_next(touched, at, &extent); at = extent.end)
		for (uint64_t group = extent.start; !err && group < extent.end; group++)
			err = look_at_group(dir, look, group);
	return err ? err : look_from(dir, look, dir->version.looking_from);
}

static int look_work(struct loop_work *work)
{
	struct dir *dir = container_of(work, struct dir, version.work);
	struct look look = { .settled = false };
	int err = 0;

	for (int try = 0; !err && !look.settled && try < FILE_VERSION_TRIES; try++) {
		if (try)
			file_version_wait();
		look = (struct look){ .now = file_version_now(), .settled = true };
		err = dir->version.scanning ? scan(dir, &look) : look_at_touched(dir, &look);
	}
	if (!err)
		err = file_journal_identity(dir->fd, dir->version.identity);
	return err;
}

/* ---- on the home loop ---- */

static void look_next(struct dir *dir);

static void looked(struct loop_work *work, int res)
{
	struct dir *dir = container_of(work, struct dir, version.work);
	struct dir_version *version = &dir->version;
	struct backend_req *req = version->req;

	extents_free(&version->looking);
	extents_init(&version->looking);
	version->scan |= res != 0;
	if (!res)
		snprintf(req->data, BACKEND_VERSION_MAX, "dir-%" PRIx64 "-%" PRIx64 ".%" PRIx64 "-%" PRIx64 "-%" PRIx64, version->identity[1],
			 version->identity[2], version->identity[3], version->size, version->sum);
	version->req = NULL;
	look_next(dir);
	/* the last answer may close the dir */
	backend_done(req, res);
}

/* What is changed from here on is for the next one. */
static void look_next(struct dir *dir)
{
	struct dir_version *version = &dir->version;
	struct list *entry = version->req ? NULL : list_pop(&version->waiting);
	bool alone = dir->lock.fd[0] >= 0 && !dir->lock.unsupported && !dir->backend.caps.read_only;

	if (!entry)
		return;
	version->req = list_entry(entry, struct backend_req, list);
	version->scanning = !version->wanted || version->scan || !alone;
	version->wanted = true;
	version->scan = false;
	version->looking = version->touched;
	version->looking_from = version->cut;
	extents_init(&version->touched);
	version->cut = UINT64_MAX;
	version->size = backend_size(&dir->backend);
	version->work.work = look_work;
	version->work.done = looked;
	loop_work(dir->backend.loop, &version->work);
}

void dir_version(struct dir *dir, struct backend_req *req)
{
	list_add(&dir->version.waiting, &req->list);
	look_next(dir);
}

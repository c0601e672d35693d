// SPDX-License-Identifier: GPL-2.0
/*
 * memory: the bytes are a sparse file on a tmpfs under the instance's run directory, so that they outlive the
 * helper. "memory:SIZE" asks for a new one; "memory:SIZE?name=NAME" names it.
 *
 * READs that the kernel will copy itself (BACKEND_ANY_ADDR) are answered with an address in a mapping of the file; others,
 * who would die of a SIGBUS when it is truncated or punched meanwhile, get a copy. Holes are answered with "zeroes",
 * since touching them through the mapping would fill them. WRITEs go through pwrite(), since on a full tmpfs a store into the mapping would
 * be a SIGBUS, this is an ENOSPC; but long ones where all pages are there already are copied into the mapping, which takes
 * half as long, up to a last bit that tells the file's times. Both are a memory copy, so they are done at once; what may
 * take long (punch, truncate) is not.
 *
 * "memory:SIZE?delay=10ms" stands for a source that is far away: a request is begun only so long after it was asked, and each waits by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "backend.h"
#include "backends/file-journal.h"
#include "backends/file-version.h"
#include "backends/memory-uri.h"
#include "colour.h"
#include "data.h"
#include "memory-dir.h"
#include "pages.h"
#include "safe-copy.h"

#define MAP_MIN (64ULL << 20)
#define MAP_MAX (1ULL << 46)
#define COPY_MIN (64u << 10)	/* shorter WRITEs are not worth the page tables */
#define COPY_LAST 4096u

/* Mappings only grow; a smaller one may be in use until the backend is closed. */
struct mapping {
	char *addr;
	uint64_t len;
	struct mapping *smaller;
};

struct memory {
	struct backend backend;
	int fd;
	char *path;
	struct pages *present;		/* NULL: unknown, so READs copy */
	_Atomic(struct mapping *) map;
	pthread_mutex_t grow;
	uint64_t delay;			/* ms, of each request; 0: none */
	struct loop_work work;		/* open */
};

struct memory_req {
	struct loop_op op;
	struct loop_work work;
	struct loop_timer timer;
};

static struct memory *memory_of(struct backend *backend)
{
	return container_of(backend, struct memory, backend);
}

/* ---- open, in the pool ---- */

/* Which pages are there, of a file that an earlier helper has left. If that can't be told, READs copy. */
static void memory_scan(struct memory *memory, uint64_t size)
{
	off_t data = 0, hole;

	while (memory->present && (uint64_t)data < size) {
		data = lseek(memory->fd, data, SEEK_DATA);
		if (data < 0 && errno != ENXIO) {
			pages_free(memory->present);
			memory->present = NULL;
		}
		if (data < 0)
			break;
		hole = lseek(memory->fd, data, SEEK_HOLE);
		if (hole < 0)
			hole = (off_t)size;
		pages_set(memory->present, (uint64_t)data, (uint64_t)(hole - data));
		data = hole;
	}
}

static int memory_create(struct memory *memory, const struct backend_open *open)
{
	uint64_t size = open->size;
	int err;

	if (!size)
		memory_uri_size(&memory->backend.uri, &size);
	if (!ftruncate(memory->fd, (off_t)size))
		return 0;
	err = -errno;
	unlink(memory->path);
	return err;
}

static int memory_open_file(struct memory *memory, const struct backend_open *open)
{
	struct stat st;
	int err = 0;

	if (open->create) {
		memory->fd = openat(AT_FDCWD, memory->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOATIME, 0600);
		if (memory->fd >= 0)
			err = memory_create(memory, open);
	}
	if (memory->fd < 0)
		memory->fd = openat(AT_FDCWD, memory->path, O_RDWR | O_CLOEXEC | O_NOATIME);
	if (memory->fd < 0 || err || fstat(memory->fd, &st))
		return err ? err : -errno;
	memory->present = pages_new((uint64_t)st.st_size);
	memory_scan(memory, (uint64_t)st.st_size);
	backend_set_size(&memory->backend, (uint64_t)st.st_size);
	return 0;
}

static int memory_work(struct loop_work *work)
{
	struct memory *memory = container_of(work, struct memory, work);
	const struct backend_open *open = memory->backend.open;
	const char *name = memory_uri_name(&memory->backend.uri);
	char dir[4096];
	int err;

	if (!name)
		return backend_error(&memory->backend, -EINVAL, "%s has no ?name=", memory->backend.uri.text);
	if (snprintf(dir, sizeof(dir), "%s/memory", open->run_dir) >= (int)sizeof(dir) ||
	    asprintf(&memory->path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	err = memory_dir_mount(dir);
	if (!err)
		err = memory_open_file(memory, open);
	if (err == -ENOENT)
		return backend_error(&memory->backend, err, "the bytes of %s are gone: memory does not outlive a reboot",
				     memory->backend.uri.text);
	if (err)
		return backend_error(&memory->backend, err, "%s: %s", memory->path, strerror(-err));
	return 0;
}

static void memory_free(struct memory *memory)
{
	struct mapping *map = atomic_load(&memory->map);

	while (map) {
		struct mapping *smaller = map->smaller;

		munmap(map->addr, map->len);
		free(map);
		map = smaller;
	}
	pages_free(memory->present);
	if (memory->fd >= 0)
		close(memory->fd);
	free(memory->path);
	pthread_mutex_destroy(&memory->grow);
}

static void memory_opened(struct loop_work *work, int res)
{
	struct memory *memory = container_of(work, struct memory, work);
	struct backend_caps *caps = &memory->backend.caps;

	if (res) {
		memory_free(memory);
		backend_opened(&memory->backend, res);
		return;
	}
	caps->local = true;
	if (!memory->delay)	/* whoever reads the file itself waits for nothing */
		caps->local_fd = memory->fd;
	caps->version = true;
	caps->fence = FENCE_PROCESS;
	caps->durability = DURABLE_NEVER;
	backend_opened(&memory->backend, 0);
}

static void memory_open(struct backend *backend)
{
	struct memory *memory = memory_of(backend);

	memory->fd = -1;
	memory_uri_delay(&backend->uri, &memory->delay);
	pthread_mutex_init(&memory->grow, NULL);
	memory->work.work = memory_work;
	memory->work.done = memory_opened;
	loop_work(backend->loop, &memory->work);
}

static void memory_close(struct backend *backend)
{
	memory_free(memory_of(backend));
	backend_closed(backend);
}

/* No region's file has a name like it. */
static char *memory_journal(const struct backend *backend)
{
	const struct memory *memory = container_of(backend, struct memory, backend);
	int dir = (int)(strrchr(memory->path, '/') - memory->path);
	char *journal;

	return asprintf(&journal, "%.*s/.%s.journal", dir, memory->path, memory->path + dir + 1) < 0 ? NULL : journal;
}

static int memory_identity(const struct backend *backend, uint64_t identity[BACKEND_IDENTITY])
{
	return file_journal_identity(container_of(backend, struct memory, backend)->fd, identity);
}

static uint64_t memory_missing(const struct backend *backend, uint64_t offset, uint64_t length)
{
	return file_journal_missing(container_of(backend, struct memory, backend)->fd, offset, length);
}

static int memory_reserve(const struct backend *backend, uint64_t offset, uint64_t length)
{
	const struct memory *memory = container_of(backend, struct memory, backend);

	return file_journal_reserve(memory->fd, offset, length);
}

/* ---- requests ---- */

static struct mapping *memory_grow(struct memory *memory, uint64_t end)
{
	struct mapping *map = atomic_load(&memory->map), *larger;
	uint64_t len = map ? map->len : MAP_MIN;

	while (len < end && len < MAP_MAX)
		len *= 2;
	if (map && map->len >= end)
		return map;
	larger = len >= end ? malloc(sizeof(*larger)) : NULL;
	if (!larger)
		return NULL;
	/* longer than the file: what lies past its end is never touched */
	larger->addr = colour_map(COLOUR_STORE, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory->fd);
	if (larger->addr == MAP_FAILED) {
		free(larger);
		return NULL;
	}
	/* a store is not locked in memory, as all else is */
	munlock(larger->addr, len);
	madvise(larger->addr, len, MADV_DONTDUMP);
	larger->len = len;
	larger->smaller = map;
	atomic_store(&memory->map, larger);
	return larger;
}

/* Where the byte at offset is in memory; NULL: can't be mapped as far as end. */
static char *memory_address(struct memory *memory, uint64_t offset, uint64_t end)
{
	struct mapping *map = atomic_load(&memory->map);

	if (!map || map->len < end) {
		pthread_mutex_lock(&memory->grow);
		map = memory_grow(memory, end);
		pthread_mutex_unlock(&memory->grow);
	}
	return map ? map->addr + offset : NULL;
}

static int memory_copy_out(struct memory *memory, struct backend_req *req)
{
	uint64_t done = 0;

	while (done < req->length) {
		ssize_t n = pread(memory->fd, (char *)req->data + done, req->length - done, (off_t)(req->offset + done));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		done += n > 0 ? (uint64_t)n : 0;
	}
	memset((char *)req->data + done, 0, req->length - done);
	return 0;
}

static int memory_read(struct memory *memory, struct backend_req *req)
{
	uint64_t end = req->offset + req->length;
	enum pages_state state = memory->present ? pages_test(memory->present, req->offset, req->length) : PAGES_SOME;
	char *addr = NULL;

	if (state == PAGES_NONE && req->flags & BACKEND_ZERO_NULL) {
		req->data = NULL;
		return 0;
	}
	if (state == PAGES_ALL && req->flags & BACKEND_ANY_ADDR && end <= backend_size(&memory->backend))
		addr = memory_address(memory, req->offset, end);
	if (!addr)
		return memory_copy_out(memory, req);
	req->data = addr;
	return 0;
}

/* What has landed of one that fails is there, too: the next helper would find it. */
static void memory_wrote(struct memory *memory, uint64_t offset, uint64_t length)
{
	if (!length)
		return;
	backend_grow(&memory->backend, offset + length);
	if (memory->present)
		pages_set(memory->present, offset, length);
}

/*
 * How much of a WRITE was copied into the mapping: nothing, or all but its last bytes. Of stores into a mapping of a tmpfs only the first may change
 * the file's times, and so its version (BACKEND_VERSION); the pwrite() of the last bytes does, when all others are there. Up to a whole page, behind which a file
 * that was cut ends with a SIGBUS.
 */
static uint64_t memory_copy_in(struct memory *memory, const struct backend_req *req)
{
	uint64_t end = req->offset + req->length, length = (end - COPY_LAST) / PAGES_SIZE * PAGES_SIZE - req->offset;
	char *addr;

	if (req->length < COPY_MIN || !memory->present || end > backend_size(&memory->backend) ||
	    pages_test(memory->present, req->offset, req->length) != PAGES_ALL)
		return 0;
	addr = memory_address(memory, req->offset, end);
	if (!addr)
		return 0;
	if (!safe_copy(addr, req->data, length))
		return length;
	pages_set(memory->present, req->offset, length);	/* a part of it may have filled holes that somebody punched meanwhile */
	return 0;
}

static int memory_write(struct memory *memory, struct backend_req *req)
{
	uint64_t copied = memory_copy_in(memory, req), done = copied;
	int err = 0;

	while (done < req->length && !err) {
		ssize_t n = pwrite(memory->fd, (char *)req->data + done, req->length - done, (off_t)(req->offset + done));

		if (n < 0 && errno != EINTR)
			err = backend_error(&memory->backend, -errno, "%s: can't write: %s", memory->path,
					    errno == ENOSPC ? "the tmpfs is full" : strerror(errno));
		done += n > 0 ? (uint64_t)n : 0;
	}
	if (err && copied)
		futimens(memory->fd, NULL);	/* there is no last pwrite() to tell of those that were copied */
	memory_wrote(memory, req->offset, done);
	return err;
}

static int resize_work(struct loop_work *work)
{
	struct backend_req *req = backend_req_of(container_of(work, struct memory_req, work));
	struct memory *memory = memory_of(req->backend);
	int err;

	if (memory->present)
		pages_clear(memory->present, req->arg, UINT64_MAX - req->arg);
	err = file_journal_resize(memory->fd, req->arg, req->length);
	if (err)
		return err;
	backend_set_size(req->backend, req->length);
	return 0;
}

static int version_work(struct loop_work *work)
{
	struct backend_req *req = backend_req_of(container_of(work, struct memory_req, work));

	return file_version(memory_of(req->backend)->fd, req->data);
}

static int destroy_work(struct loop_work *work)
{
	struct backend_req *req = backend_req_of(container_of(work, struct memory_req, work));

	return unlink(memory_of(req->backend)->path) && errno != ENOENT ? -errno : 0;
}

static void worked(struct loop_work *work, int res)
{
	backend_done(backend_req_of(container_of(work, struct memory_req, work)), res);
}

static void memory_start_work(struct backend_req *req, int (*work)(struct loop_work *))
{
	struct memory_req *mine = backend_private(req, struct memory_req);

	mine->work.work = work;
	mine->work.done = worked;
	loop_work(req->loop, &mine->work);
}

static void memory_punch(struct backend_req *req);

static void punched(struct loop_op *op, int res)
{
	struct backend_req *req = backend_req_of(container_of(op, struct memory_req, op));

	if (res == -EINTR || res == -EAGAIN)
		memory_punch(req);
	else
		backend_done(req, res);
}

static void memory_punch(struct backend_req *req)
{
	struct memory_req *mine = backend_private(req, struct memory_req);

	mine->op.done = punched;
	loop_fallocate(req->loop, &mine->op, memory_of(req->backend)->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       req->offset, req->length);
}

static void memory_discard(struct memory *memory, struct backend_req *req)
{
	if (memory->present)
		pages_clear(memory->present, req->offset, req->length);
	memory_punch(req);
}

static void memory_begin(struct memory *memory, struct backend_req *req)
{
	switch (req->op) {
	case BACKEND_READ:
		backend_done(req, memory_read(memory, req));
		break;
	case BACKEND_WRITE:
		backend_done(req, memory_write(memory, req));
		break;
	case BACKEND_SYNC:
		backend_done(req, 0);
		break;
	case BACKEND_DISCARD:
		memory_discard(memory, req);
		break;
	case BACKEND_RESIZE:
		memory_start_work(req, resize_work);
		break;
	case BACKEND_VERSION:
		memory_start_work(req, version_work);
		break;
	case BACKEND_DESTROY:
		memory_start_work(req, destroy_work);
		break;
	default:
		backend_done(req, -EOPNOTSUPP);
	}
}

static void memory_delayed(struct loop_timer *timer)
{
	struct backend_req *req = backend_req_of(container_of(timer, struct memory_req, timer));

	memory_begin(memory_of(req->backend), req);
}

static void memory_submit(struct backend *backend, struct backend_req *req)
{
	struct memory *memory = memory_of(backend);
	struct memory_req *mine = backend_private(req, struct memory_req);

	if (!memory->delay) {
		memory_begin(memory, req);
		return;
	}
	mine->timer = (struct loop_timer){ .fire = memory_delayed };
	loop_timer_set(req->loop, &mine->timer, memory->delay);
}

static int memory_data(const struct backend *backend, uint64_t from, uint64_t *start, uint64_t *end)
{
	return data_find(container_of(backend, const struct memory, backend)->fd, from, start, end);
}

const struct backend_ops memory_backend = {
	.scheme = "memory",
	.summary = "memory:SIZE: files on a tmpfs; they outlive the helper, not a reboot",
	.size = sizeof(struct memory),
	.local = true,
	.check = memory_uri_check,
	.open = memory_open,
	.close = memory_close,
	.submit = memory_submit,
	.child = memory_uri_child,
	.generic = memory_uri_generic,
	.journal = memory_journal,
	.identity = memory_identity,
	.data = memory_data,
	.missing = memory_missing,
	.reserve = memory_reserve,
	.one_file = true,
};

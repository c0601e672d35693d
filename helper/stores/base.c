// SPDX-License-Identifier: GPL-2.0
/* base: its files, opened and closed, and its size. See base.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../log.h"
#include "dirs.h"
#include "stores/base-internal.h"
#include "stores/hold.h"
#include "zero.h"

/* Chunks */
#define DROP_STEP 4096u

/* ---- open ---- */

/* The region may have been cut within its last page while nobody was there to zero what follows. */
static int check_tail(struct base *base)
{
	uint64_t size = atomic_load(&base->size), chunk = size / BASE_CHUNK, tail = page_up(size) - size;
	char bytes[PAGE] = { 0 };

	if (!tail || !(base_word(base, chunk) & base_pages_of(chunk, page_down(size), size)))
		return 0;
	if (pread(base->fd, bytes, tail, (off_t)size) < 0)
		return -errno;
	if (!is_zero(bytes, tail))
		base_set_absent(base, page_down(size), page_up(size));
	return 0;
}

static int punch_absent(struct base *base, uint64_t at, uint64_t end)
{
	uint64_t from, len;

	for (; base_absent(base, at, end, &from, &len); at = from + len)
		if (fallocate(base->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)len))
			return -errno;
	return 0;
}

/* What an earlier life could not give back, or had not noted as present. It is in nobody's way but for its room. */
static void trim(struct base *base)
{
	off_t data = 0, hole;
	int err = 0;

	while (!err && (data = lseek(base->fd, data, SEEK_DATA)) >= 0) {
		hole = lseek(base->fd, data, SEEK_HOLE);
		if (hole < 0)
			break;
		err = punch_absent(base, (uint64_t)data, (uint64_t)hole);
		data = hole;
	}
	if (err && err != -EOPNOTSUPP)
		log_warning("%s: can't give back room: %s", base->map_path, strerror(-err));
}

/* On a tmpfs the file is as long as the region at least: the kernel may read it itself. */
static int grow_file(struct base *base, uint64_t size)
{
	struct stat st;

	size = page_up(size < BASE_MAX ? size : BASE_MAX);
	if (base->durable)
		return 0;
	if (fstat(base->fd, &st) || ((uint64_t)st.st_size < size && ftruncate(base->fd, (off_t)size)))
		return -errno;
	return 0;
}

static int open_file(const char *dir, const char *name, char **path)
{
	int fd, err;

	if (asprintf(path, "%s/%s", dir, name) < 0) {
		*path = NULL;
		return -ENOMEM;
	}
	fd = openat(AT_FDCWD, *path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : hold_file(fd);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

static int open_files(struct base *base, const struct base_options *options)
{
	char *path;
	int err;

	base->fd = open_file(options->dir, "bytes", &path);
	if (base->fd >= 0 && base->durable)
		base->direct_fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	free(path);
	if (base->fd < 0)
		return base->fd;
	base->map_fd = open_file(options->dir, "map", &base->map_path);
	if (base->map_fd < 0)
		return base->map_fd;
	/* nothing is read ahead that wasn't asked for: the region has a page cache of its own */
	posix_fadvise(base->fd, 0, 0, POSIX_FADV_RANDOM);
	err = base_words_open(base);
	/* that the files are there at all */
	if (!err && base->durable)
		err = dirs_sync(options->dir);
	if (!err)
		err = base_map_open(base, options);
	if (!err)
		err = grow_file(base, options->size);
	if (!err)
		err = check_tail(base);
	if (!err)
		trim(base);
	return err;
}

static struct base *base_new(const struct base_options *options)
{
	struct base *base = calloc(1, sizeof(*base));

	if (!base)
		return NULL;
	base->loop = options->loop;
	base->durable = options->durable;
	base->changed = CHUNK_CHANGED;
	base->enter = CHUNK_CHANGED_2;
	base->fd = -1;
	base->map_fd = -1;
	base->direct_fd = -1;
	base->words_fd = -1;
	atomic_store(&base->size, options->size);
	atomic_store(&base->budget, options->budget);
	list_init(&base->writing);
	list_init(&base->checking);
	list_init(&base->waiting);
	list_init(&base->givers);
	list_init(&base->punches);
	list_init(&base->flush.waiting);
	list_init(&base->flush.served);
	return base;
}

static void base_free(struct base *base)
{
	base_words_close(base);
	if (base->fd >= 0)
		close(base->fd);
	if (base->map_fd >= 0)
		close(base->map_fd);
	if (base->direct_fd >= 0)
		close(base->direct_fd);
	free(base->map_path);
	free(base);
}

int base_open(struct base **base, const struct base_options *options, char *why, size_t why_len)
{
	int err;

	*base = base_new(options);
	err = *base ? open_files(*base, options) : -ENOMEM;
	if (!err)
		return 0;
	snprintf(why, why_len, "can't open the local copy in %s: %s", options->dir, strerror(-err));
	if (*base)
		base_free(*base);
	*base = NULL;
	return err;
}

void base_close(struct base *base)
{
	base_punches_stop(base);
	base_room_stop(base);
	base_free(base);
}

int base_remove(int dir_fd)
{
	static const char *const name[] = { "map", "bytes" };
	int err = 0;

	for (unsigned int i = 0; i < 2; i++)
		if (unlinkat(dir_fd, name[i], 0) && errno != ENOENT)
			err = -errno;
	return err;
}

/* ---- as it is ---- */

uint64_t base_seq(const struct base *base)
{
	return atomic_load(base->seq);
}

int base_fd(const struct base *base)
{
	return base->fd;
}

int base_words_fd(const struct base *base)
{
	return base->words_fd;
}

const struct base_stats *base_stats(struct base *base)
{
	struct stat st;

	if (!fstat(base->fd, &st))
		base->stats.room = (uint64_t)st.st_blocks * 512;
	return &base->stats;
}

/* The region's last page ends where the region does. */
void base_drop(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t size = atomic_load(&base->size), end = base_end(offset, length);

	end = end >= size ? page_up(size) : page_down(end);
	if (page_up(offset) < end)
		base_lose(base, page_up(offset), end);
}

bool base_drop_some(struct base *base, uint64_t *offset)
{
	uint64_t size = base_end(0, page_up(atomic_load(&base->size))), last = chunk_end(size), from = page_up(*offset), end;
	uint64_t chunk = base_next(base, from / BASE_CHUNK, last, PAGES_MASK);
	unsigned int n = 0;

	for (; n < DROP_STEP && chunk < last; n++)
		chunk = base_next(base, chunk + 1, last, PAGES_MASK);
	end = chunk < last ? chunk * BASE_CHUNK : size;
	if (n && from < end)
		base_lose(base, from, end);
	*offset = end;
	return chunk < last;
}

/* Of a file that can't become longer no address beyond its end is given. */
void base_resize(struct base *base, uint64_t size)
{
	uint64_t old = atomic_load(&base->size);
	int err;

	if (page_up(size) < page_up(old))
		base_lose(base, page_up(size), page_up(old) < BASE_MAX ? page_up(old) : BASE_MAX);
	atomic_store(&base->size, size);
	err = size > old ? grow_file(base, size) : 0;
	if (err)
		log_error("%s: the bytes can't grow to %llu: %s", base->map_path, (unsigned long long)size, strerror(-err));
}

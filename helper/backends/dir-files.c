// SPDX-License-Identifier: GPL-2.0
/*
 * dir-files: what the dir backend does to files that may take long. Chunk files are named by their offset; the meta
 * file says how large chunks are, and how large the whole is.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/dir.h"
#include "dirs.h"
#include "units.h"

void dir_chunk_name(const struct dir *dir, uint64_t number, char name[32])
{
	snprintf(name, 32, "%" PRIu64, number * dir->chunk);
}

/* ---- listing ---- */

/* Is this the name of a chunk file? */
static bool parse_name(const struct dir *dir, const char *name, uint64_t *offset)
{
	char *end;

	if (!isdigit((unsigned char)*name) || (*name == '0' && name[1]))
		return false;
	errno = 0;
	*offset = strtoull(name, &end, 10);
	return !errno && !*end && !(*offset % dir->chunk) && *offset <= (uint64_t)INT64_MAX - dir->chunk;
}

int dir_files_each(struct dir *dir, int (*fn)(struct dir *dir, const char *name, uint64_t chunk, void *arg), void *arg)
{
	DIR *stream;
	int err = dirs_stream(dir->fd, &stream);
	struct dirent *entry;
	uint64_t offset;

	if (err)
		return err;
	while (!err && (errno = 0, entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			err = fn(dir, entry->d_name, parse_name(dir, entry->d_name, &offset) ? offset : UINT64_MAX, arg);
	}
	if (!err && errno)
		err = -errno;
	closedir(stream);
	return err;
}

/* ---- the meta file ---- */

int dir_files_write_meta(struct dir *dir)
{
	char text[128];
	int len, err;

	pthread_mutex_lock(&dir->meta_lock);
	len = snprintf(text, sizeof(text), "version=1\nchunk=%" PRIu32 "\nsize=%" PRIu64 "\n", dir->chunk,
		       backend_size(&dir->backend));
	err = dirs_replace(dir->fd, DIR_META, text, (size_t)len);
	pthread_mutex_unlock(&dir->meta_lock);
	return err;
}

static int parse_meta(struct dir *dir, const char *text)
{
	unsigned int version;
	uint64_t chunk, size;

	if (sscanf(text, "version=%u\nchunk=%" SCNu64 "\nsize=%" SCNu64, &version, &chunk, &size) != 3 || version != 1 ||
	    chunk < 4096 || chunk > 1u << 30 || (chunk & (chunk - 1)) || size > INT64_MAX)
		return backend_error(&dir->backend, -EINVAL, "%s/%s is damaged", dir->backend.uri.path, DIR_META);
	dir->chunk = (uint32_t)chunk;
	backend_set_size(&dir->backend, size);
	return 0;
}

static int read_meta(struct dir *dir)
{
	char text[256];
	int fd = openat(dir->fd, DIR_META, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return parse_meta(dir, text);
}

/* ---- open ---- */

static int is_foreign(struct dir *dir, const char *name, uint64_t chunk, void *arg)
{
	return strcmp(name, DIR_LOCK) && strcmp(name, DIR_META ".new") ? -ENOTEMPTY : 0;
}

static int create(struct dir *dir, const struct backend_open *open)
{
	const char *wanted = uri_option(&dir->backend.uri, "chunk");
	uint64_t chunk = open->chunk ? open->chunk : DIR_CHUNK;
	int err = wanted ? regionfs_size_parse(wanted, &chunk) : 0;

	if (err || chunk < 4096 || chunk > 16 << 20 || (chunk & (chunk - 1)))
		return backend_error(&dir->backend, -EINVAL, "%s: a chunk is a power of two from 4K to 16M",
				     dir->backend.uri.text);
	dir->chunk = (uint32_t)chunk;
	err = dir_files_each(dir, is_foreign, NULL);
	if (err == -ENOTEMPTY)
		return backend_error(&dir->backend, err, "%s is neither empty nor a directory that dir: has made",
				     dir->backend.uri.path);
	backend_set_size(&dir->backend, open->size);
	dir->names_stale = true;
	return err ? err : dir_files_write_meta(dir);
}

/* The meta file's size may be older than the last write: the files tell, too. */
static int find_end(struct dir *dir, const char *name, uint64_t chunk, void *arg)
{
	struct stat st;

	if (chunk == UINT64_MAX || chunk + dir->chunk <= backend_size(&dir->backend))
		return 0;
	if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	backend_grow(&dir->backend, chunk + (uint64_t)st.st_size);
	return 0;
}

static int open_lock(struct dir *dir, const struct backend_open *open_args)
{
	if (open_args->read_only)
		return 0;
	dir->lock.fd[0] = openat(dir->fd, DIR_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (dir->lock.fd[0] >= 0)
		return 0;
	if (errno == ENOENT)
		return -ESTALE;		/* the directory was deleted just now */
	if (errno != EROFS && errno != EACCES)
		return -errno;
	dir->backend.caps.read_only = true;
	return 0;
}

int dir_files_find(struct dir *dir, const struct backend_open *open_args)
{
	const char *path = dir->backend.uri.path;
	int err = open_args->create ? dirs_make(path, 0700) : 0;

	if (err)
		return err;
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir->fd < 0 ? -errno : open_lock(dir, open_args);
}

static bool is_same(int fd, int dir_fd, const char *name)
{
	struct stat here, named;

	return !fstat(fd, &here) && !fstatat(dir_fd, name, &named, 0) && here.st_dev == named.st_dev &&
	       here.st_ino == named.st_ino;
}

/* The one who had the lock may have deleted all of it: then what we have is without a name. */
static bool is_there(const struct dir *dir)
{
	return dir->lock.fd[0] < 0 || (is_same(dir->fd, AT_FDCWD, dir->backend.uri.path) &&
				       is_same(dir->lock.fd[0], dir->fd, DIR_LOCK));
}

int dir_files_open(struct dir *dir, const struct backend_open *open_args)
{
	const char *path = dir->backend.uri.path;
	int err;

	if (!is_there(dir))
		return -ESTALE;
	err = read_meta(dir);
	if (err == -ENOENT && open_args->create)
		return create(dir, open_args);
	if (err == -ENOENT)
		return backend_error(&dir->backend, err, "%s has no %s: it is no directory that dir: has made", path, DIR_META);
	dir->unclean = true;
	return err ? err : dir_files_each(dir, find_end, NULL);
}

/* ---- resize, destroy ---- */

struct cut {
	uint64_t lowest;
};

static int cut_file(struct dir *dir, const char *name, uint64_t chunk, void *arg)
{
	const struct cut *cut = arg;
	int fd, err = 0;

	if (chunk == UINT64_MAX || chunk + dir->chunk <= cut->lowest)
		return 0;
	if (chunk >= cut->lowest)
		return unlinkat(dir->fd, name, 0) && errno != ENOENT ? -errno : 0;
	fd = openat(dir->fd, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (ftruncate(fd, (off_t)(cut->lowest - chunk)))
		err = -errno;
	close(fd);
	return err;
}

/* Where nothing lies past the lowest size, there is no need to look at all the files. */
int dir_files_resize(struct dir *dir, uint64_t lowest, uint64_t size, bool has_more)
{
	struct cut cut = { .lowest = lowest };
	int err = has_more ? dir_files_each(dir, cut_file, &cut) : 0;

	if (err)
		return err;
	backend_set_size(&dir->backend, size);
	return dir_files_write_meta(dir);
}

static int remove_file(struct dir *dir, const char *name)
{
	return unlinkat(dir->fd, name, 0) && errno != ENOENT ? -errno : 0;
}

static int remove_chunk(struct dir *dir, const char *name, uint64_t chunk, void *arg)
{
	return chunk == UINT64_MAX ? 0 : remove_file(dir, name);
}

/* What tells whose directory it is goes when all else has, so that it can be tried again; the lock last of all. */
int dir_files_destroy(struct dir *dir)
{
	int err = dir_files_each(dir, remove_chunk, NULL);

	if (!err)
		err = remove_file(dir, DIR_META ".new");
	if (!err)
		err = remove_file(dir, DIR_META);
	if (!err)
		err = remove_file(dir, DIR_LOCK);
	if (!err && rmdir(dir->backend.uri.path) && errno != ENOENT)
		err = -errno;
	return err;
}

/* ---- sync ---- */

static int sync_file(struct dir *dir, uint64_t number)
{
	char name[32];
	int fd, err = 0;

	dir_chunk_name(dir, number, name);
	fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int dir_files_sync(struct dir *dir, const uint64_t *dirty, unsigned int nr_dirty, bool all, bool names)
{
	int err = 0;

	if (all)
		return syncfs(dir->fd) ? -errno : 0;
	for (unsigned int i = 0; i < nr_dirty && !err; i++)
		err = sync_file(dir, dirty[i]);
	if (!err && names && fsync(dir->fd))
		err = -errno;
	return err;
}

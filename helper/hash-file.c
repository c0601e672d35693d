// SPDX-License-Identifier: GPL-2.0
/* hash-file: see hash-file.h. A page with what it is of, then the hashes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dirs.h"
#include "hash-file.h"

#define MAGIC	0x5348534148464752ULL	/* "RGFHASHS" */
#define BEGIN	4096u			/* of the hashes */

struct head {
	uint64_t magic;
	uint32_t version;
	uint32_t chunk;
	uint64_t size;
};

struct hash_file {
	int fd;				/* -1: it is not there */
	struct head head;
	char path[];
};

void hash_file_path(char *path, size_t len, const char *dir, const char *token)
{
	snprintf(path, len, "%s/hashes-%s", dir, token);
}

struct hash_file *hash_file_new(const char *path)
{
	struct hash_file *file = calloc(1, sizeof(*file) + strlen(path) + 1);

	if (!file)
		return NULL;
	strcpy(file->path, path);
	file->fd = -1;
	return file;
}

void hash_file_free(struct hash_file *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

static bool is_head(const struct head *head)
{
	return head->magic == MAGIC && head->version == 1 && head->chunk && !(head->chunk & (head->chunk - 1)) && head->size <= INT64_MAX;
}

int hash_file_load(struct hash_file *file)
{
	int fd = open(file->path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (pread(fd, &file->head, sizeof(file->head), 0) != sizeof(file->head) || !is_head(&file->head)) {
		close(fd);
		return -ENOENT;
	}
	file->fd = fd;
	return 0;
}

static int write_all(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t n = pwrite(fd, data, len, offset);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
}

int hash_file_create(struct hash_file *file, uint32_t chunk, uint64_t size)
{
	int fd = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return -errno;
	file->head = (struct head){ .magic = MAGIC, .version = 1, .chunk = chunk, .size = size };
	ret = is_head(&file->head) ? write_all(fd, &file->head, sizeof(file->head), 0) : -EINVAL;
	if (!ret && fdatasync(fd))
		ret = -errno;
	if (!ret)
		ret = dirs_sync_parent(file->path);
	if (ret) {
		unlink(file->path);
		close(fd);
		return ret;
	}
	file->fd = fd;
	return 0;
}

bool hash_file_is_there(const struct hash_file *file)
{
	return file->fd >= 0;
}

uint32_t hash_file_length(const struct hash_file *file, uint64_t chunk)
{
	uint64_t size = file->head.size, at;

	if (file->fd < 0 || chunk > size / file->head.chunk)
		return 0;
	at = chunk * file->head.chunk;
	return size - at < file->head.chunk ? (uint32_t)(size - at) : file->head.chunk;
}

static off_t place_of(uint64_t chunk)
{
	return (off_t)(BEGIN + chunk * CHUNK_HASH);
}

int hash_file_get(const struct hash_file *file, uint64_t first, uint32_t count, uint8_t *hashes)
{
	ssize_t n;

	memset(hashes, 0, count * (size_t)CHUNK_HASH);
	if (file->fd < 0)
		return 0;
	n = pread(file->fd, hashes, count * (size_t)CHUNK_HASH, place_of(first));
	if (n < 0)
		return -errno;
	/* where it ends, nothing is known; nor of an entry that it ends within */
	memset(hashes + n / CHUNK_HASH * CHUNK_HASH, 0, (size_t)n % CHUNK_HASH);
	return 0;
}

int hash_file_put(struct hash_file *file, uint64_t first, uint32_t count, const uint8_t *hashes)
{
	return file->fd < 0 ? -EBADF : write_all(file->fd, hashes, count * (size_t)CHUNK_HASH, place_of(first));
}

int hash_file_sync(struct hash_file *file)
{
	return file->fd >= 0 && fdatasync(file->fd) ? -errno : 0;
}

bool hash_is_known(const uint8_t hash[CHUNK_HASH])
{
	static const uint8_t none[CHUNK_HASH];

	return memcmp(hash, none, CHUNK_HASH) != 0;
}

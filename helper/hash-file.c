// SPDX-License-Identifier: GPL-2.0
/* hash-file: see hash-file.h. A page with what it is of, then the hashes, then a bit for each chunk: it is all zeroes, and its hash is not there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dirs.h"
#include "hash-file.h"
#include "reserve.h"

#define MAGIC	0x5348534148464752ULL	/* "RGFHASHS" */
#define BEGIN	4096u			/* of the hashes */
#define AT_ONCE	256u			/* chunks whose bits are looked at */

struct head {
	uint64_t magic;
	uint32_t version;
	uint32_t chunk;
	uint64_t size;
};

struct opened {
	int fd;				/* -1: it is not there */
	struct head head;
	uint8_t zero[2][CHUNK_HASH];	/* of a chunk of zeroes, and of the last one, which may be shorter */
};

struct hash_file {
	struct opened now, made;	/* made: not in use yet */
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
	file->now.fd = file->made.fd = -1;
	return file;
}

void hash_file_free(struct hash_file *file)
{
	if (!file)
		return;
	if (file->now.fd >= 0)
		close(file->now.fd);
	if (file->made.fd >= 0)
		close(file->made.fd);
	free(file);
}

static bool is_head(const struct head *head)
{
	return head->magic == MAGIC && head->version == 2 && chunk_hash_is_size(head->chunk) && head->size <= INT64_MAX;
}

static int hash_zeroes(struct opened *opened)
{
	uint32_t chunk = opened->head.chunk, last = (uint32_t)(opened->head.size % chunk);
	uint8_t *zeroes = calloc(1, chunk);
	int ret = zeroes ? chunk_hash(zeroes, chunk, opened->zero[0]) : -ENOMEM;

	if (!ret)
		ret = chunk_hash(zeroes, last ? last : chunk, opened->zero[1]);
	free(zeroes);
	return ret;
}

int hash_file_load(struct hash_file *file)
{
	struct opened *now = &file->now;
	int fd = open(file->path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (pread(fd, &now->head, sizeof(now->head), 0) != sizeof(now->head) || !is_head(&now->head) || hash_zeroes(now)) {
		close(fd);
		return -ENOENT;
	}
	now->fd = fd;
	return 0;
}

static int write_all(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t n = pwrite(fd, data, len, offset);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
}

int hash_file_create(struct hash_file *file, uint32_t chunk, uint64_t size)
{
	struct opened *made = &file->made;
	int fd, ret;

	made->head = (struct head){ .magic = MAGIC, .version = 2, .chunk = chunk, .size = size };
	ret = is_head(&made->head) ? hash_zeroes(made) : -EINVAL;
	if (ret)
		return ret;
	fd = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, &made->head, sizeof(made->head), 0);
	if (!ret && fdatasync(fd))
		ret = -errno;
	if (!ret)
		ret = dirs_sync_parent(file->path);
	if (ret) {
		unlink(file->path);
		close(fd);
		return ret;
	}
	made->fd = fd;
	return 0;
}

void hash_file_use(struct hash_file *file)
{
	if (file->now.fd >= 0)
		close(file->now.fd);
	file->now = file->made;
	file->made.fd = -1;
}

bool hash_file_is_there(const struct hash_file *file)
{
	return file->now.fd >= 0;
}

static uint64_t chunks_of(const struct opened *now)
{
	return now->head.size / now->head.chunk + (now->head.size % now->head.chunk != 0);
}

uint32_t hash_file_length(const struct hash_file *file, uint64_t chunk)
{
	const struct head *head = &file->now.head;
	uint64_t at;

	if (file->now.fd < 0 || chunk >= chunks_of(&file->now))
		return 0;
	at = chunk * head->chunk;
	return head->size - at < head->chunk ? (uint32_t)(head->size - at) : head->chunk;
}

static const uint8_t *zero_of(const struct opened *now, uint64_t chunk)
{
	return now->zero[chunk + 1 == chunks_of(now)];
}

bool hash_file_is_zero(const struct hash_file *file, uint64_t chunk, const uint8_t hash[CHUNK_HASH])
{
	return file->now.fd >= 0 && !memcmp(hash, zero_of(&file->now, chunk), CHUNK_HASH);
}

static off_t place_of(uint64_t chunk)
{
	return (off_t)(BEGIN + chunk * CHUNK_HASH);
}

/* ---- the bits; where the file ends none is set ---- */

struct bits {
	uint8_t byte[AT_ONCE / 8 + 1];
	size_t len;
	off_t at;
	uint64_t first;			/* chunk, of the first bit */
};

/* count: AT_ONCE at most. */
static int bits_read(const struct opened *now, uint64_t first, uint32_t count, struct bits *bits)
{
	memset(bits, 0, sizeof(*bits));
	bits->first = first / 8 * 8;
	bits->len = (size_t)((first + count - bits->first + 7) / 8);
	bits->at = place_of(chunks_of(now)) + (off_t)(first / 8);
	return pread(now->fd, bits->byte, bits->len, bits->at) < 0 ? -errno : 0;
}

static bool bits_get(const struct bits *bits, uint64_t chunk)
{
	return bits->byte[(chunk - bits->first) / 8] >> (chunk - bits->first) % 8 & 1;
}

static void bits_put(struct bits *bits, uint64_t chunk, bool on)
{
	uint8_t *byte = &bits->byte[(chunk - bits->first) / 8], bit = (uint8_t)(1 << (chunk - bits->first) % 8);

	*byte = on ? *byte | bit : *byte & (uint8_t)~bit;
}

/* ---- the hashes ---- */

/* As many as there are of that side, and as are dealt with at a time. */
static uint32_t clip(const struct opened *now, uint64_t first, uint32_t count)
{
	uint64_t chunks = chunks_of(now), left = first < chunks ? chunks - first : 0;

	count = count < AT_ONCE ? count : AT_ONCE;
	return left < count ? (uint32_t)left : count;
}

static int get_some(const struct opened *now, uint64_t first, uint32_t count, uint8_t *hashes)
{
	ssize_t n = pread(now->fd, hashes, count * (size_t)CHUNK_HASH, place_of(first));
	struct bits bits;
	int ret;

	if (n < 0)
		return -errno;
	/* where it ends, nothing is known; nor of an entry that it ends within */
	memset(hashes + n / CHUNK_HASH * CHUNK_HASH, 0, (size_t)n % CHUNK_HASH);
	ret = bits_read(now, first, count, &bits);
	for (uint32_t i = 0; !ret && i < count; i++)
		if (bits_get(&bits, first + i))
			memcpy(hashes + i * CHUNK_HASH, zero_of(now, first + i), CHUNK_HASH);
	return ret;
}

int hash_file_get(const struct hash_file *file, uint64_t first, uint32_t count, uint8_t *hashes)
{
	const struct opened *now = &file->now;
	uint32_t n;
	int ret = 0;

	memset(hashes, 0, count * (size_t)CHUNK_HASH);
	for (; now->fd >= 0 && !ret && (n = clip(now, first, count)); first += n, count -= n, hashes += n * CHUNK_HASH)
		ret = get_some(now, first, n, hashes);
	return ret;
}

static int put_some(const struct opened *now, uint64_t first, uint32_t count, const uint8_t *hashes)
{
	struct bits before, bits;
	uint32_t begin = 0;		/* of the run that is not put yet */
	int ret = bits_read(now, first, count, &before);

	bits = before;
	for (uint32_t i = 0; !ret && i <= count; i++) {
		bool zero = i < count && !memcmp(hashes + i * CHUNK_HASH, zero_of(now, first + i), CHUNK_HASH);

		if (i < count)
			bits_put(&bits, first + i, zero);
		if (i < count && !zero)
			continue;
		if (i > begin)
			ret = write_all(now->fd, hashes + begin * CHUNK_HASH, (i - begin) * (size_t)CHUNK_HASH, place_of(first + begin));
		begin = i + 1;
	}
	return !ret && memcmp(&bits, &before, sizeof(bits)) ? write_all(now->fd, bits.byte, bits.len, bits.at) : ret;
}

int hash_file_put(struct hash_file *file, uint64_t first, uint32_t count, const uint8_t *hashes)
{
	const struct opened *now = &file->now;
	int ret = now->fd < 0 ? -EBADF : reserve_is_left(now->fd, 0) ? 0 : -ENOSPC;
	uint32_t n;

	for (; !ret && (n = clip(now, first, count)); first += n, count -= n, hashes += n * CHUNK_HASH)
		ret = put_some(now, first, n, hashes);
	return ret;
}

int hash_file_sync(struct hash_file *file)
{
	return file->now.fd >= 0 && fdatasync(file->now.fd) ? -errno : 0;
}

bool hash_is_known(const uint8_t hash[CHUNK_HASH])
{
	static const uint8_t none[CHUNK_HASH];

	return memcmp(hash, none, CHUNK_HASH) != 0;
}

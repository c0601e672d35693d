// SPDX-License-Identifier: GPL-2.0
/* The file of hashes: what it takes of a disk, and what it leaves. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "hash-file.h"
#include "tap.h"

#define CHUNK	65536u
#define CHUNKS	100000u
#define MIB	(1ULL << 20)

static char dir[] = "/tmp/test-hash-file.XXXXXX", path[256];
static uint64_t room = 100 * MIB;

/* This test is the disk. */
int fstatvfs(int fd, struct statvfs *st)
{
	(void)fd;
	*st = (struct statvfs){ .f_blocks = 1024 * MIB / 4096, .f_bavail = room / 4096, .f_frsize = 4096 };
	return 0;
}

static struct hash_file *make(void)
{
	struct hash_file *file = hash_file_new(path);

	if (!file || hash_file_create(file, CHUNK, (uint64_t)CHUNKS * CHUNK - 1000))
		exit(99);
	hash_file_use(file);
	return file;
}

static uint64_t bytes_on_disk(void)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static void test_zeroes(void)
{
	static uint8_t nothing[CHUNK], zero[CHUNKS][CHUNK_HASH], got[300][CHUNK_HASH], other[CHUNK_HASH];
	struct hash_file *file = make();
	unsigned int good = 0;

	for (unsigned int i = 0; i < CHUNKS; i++)
		chunk_hash(nothing, i + 1 < CHUNKS ? CHUNK : CHUNK - 1000, zero[i]);
	memset(other, 7, sizeof(other));
	tap_number(hash_file_put(file, 5, CHUNKS - 10, zero[5]), 0, "nearly all chunks are zeroes");
	tap_number(hash_file_put(file, CHUNKS - 1, 1, zero[CHUNKS - 1]), 0, "as is the last, shorter one");
	tap_number(hash_file_put(file, 77, 1, other), 0, "but for one");
	tap_ok(bytes_on_disk() < 64 * 1024, "which takes no room (%llu bytes)", (unsigned long long)bytes_on_disk());
	hash_file_free(file);
	file = hash_file_new(path);
	tap_number(hash_file_load(file), 0, "it is loaded again");
	tap_number(hash_file_get(file, 0, 300, got[0]), 0, "and says of each chunk");
	for (unsigned int i = 5; i < 300; i++)
		good += hash_file_is_zero(file, i, got[i]);
	tap_ok(good == 294 && !memcmp(got[77], other, CHUNK_HASH) && !hash_is_known(got[4]), "that it is zeroes, or not known");
	hash_file_get(file, CHUNKS - 2, 5, got[0]);
	tap_ok(!hash_is_known(got[0]) && hash_file_is_zero(file, CHUNKS - 1, got[1]) && !hash_is_known(got[2]) && !hash_is_known(got[4]),
	       "and nothing of what lies beyond the end");
	tap_number(hash_file_put(file, CHUNKS, 3, other), 0, "what is beyond it");
	hash_file_get(file, 0, 300, got[0]);
	tap_ok(!hash_is_known(got[4]) && hash_file_is_zero(file, 8, got[8]), "is not put anywhere");
	hash_file_free(file);
}

static void test_room(void)
{
	uint8_t hash[CHUNK_HASH];
	struct hash_file *file = make();

	memset(hash, 9, sizeof(hash));
	tap_number(hash_file_put(file, 1, 1, hash), 0, "a hash is put where there is room");
	room = 60 * MIB;
	tap_number(hash_file_put(file, 2, 1, hash), -ENOSPC, "but the last of it is left for others");
	room = 100 * MIB;
	tap_number(hash_file_put(file, 2, 1, hash), 0, "until there is some again");
	hash_file_free(file);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 99;
	hash_file_path(path, sizeof(path), dir, "token");
	test_zeroes();
	test_room();
	unlink(path);
	rmdir(dir);
	return tap_end();
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hash-file: what the chunks of a region that is owned here, and has not all come, are like on the other side, which is frozen: SHA-256 of each. In the
 * state directory, since a host may be booted, and find that the other one is lost; 32 bytes a chunk, of those that were missing, a bit for one of zeroes, the rest a hole.
 * An entry that a power cut has not left whole is of no chunk at all: nothing wrong is ever taken for right by it.
 *
 * Threads: all that blocks is the pool's, one hash_file_put() at a time; hash_file_load() before, and hash_file_use() while, nobody else uses it.
 */
#ifndef REGIONFS_HASH_FILE_H
#define REGIONFS_HASH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "chunk-hash.h"

struct hash_file;

/* Of the leech: token in this directory. */
void hash_file_path(char *path, size_t len, const char *dir, const char *token);
/* Nothing is on the disk, as far as is known. NULL: no memory. */
struct hash_file *hash_file_new(const char *path);
/* The file stays. */
void hash_file_free(struct hash_file *file);
/* What an earlier helper has left; blocks. -ENOENT: nothing that is of use. */
int hash_file_load(struct hash_file *file);
/* A new one, of a region of that size on the other side; blocks. -ENOSPC and what else a disk says. Nothing else sees of it before hash_file_use(). */
int hash_file_create(struct hash_file *file, uint32_t chunk, uint64_t size);
/* The one that was created is the one from now on. */
void hash_file_use(struct hash_file *file);
/* Once it was loaded, or created and is in use. */
bool hash_file_is_there(const struct hash_file *file);
/* How many bytes of a chunk are in its hash; 0: it is none of that side's. */
uint32_t hash_file_length(const struct hash_file *file, uint64_t chunk);
/* Into hashes, CHUNK_HASH bytes for each of count from first on; all 0 for those that are not known. Blocks. */
int hash_file_get(const struct hash_file *file, uint64_t first, uint32_t count, uint8_t *hashes);
/* Is that the hash of the chunk if it has only zeroes? */
bool hash_file_is_zero(const struct hash_file *file, uint64_t chunk, const uint8_t hash[CHUNK_HASH]);
/* The reverse; durable after hash_file_sync(). Those of chunks beyond that side's end are passed over. Blocks. -ENOSPC: others need what room there is. */
int hash_file_put(struct hash_file *file, uint64_t first, uint32_t count, const uint8_t *hashes);
int hash_file_sync(struct hash_file *file);
/* Is it known? */
bool hash_is_known(const uint8_t hash[CHUNK_HASH]);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* chunk-hash: what tells whether two hosts have the same bytes of a chunk. Any thread. */
#ifndef REGIONFS_CHUNK_HASH_H
#define REGIONFS_CHUNK_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_HASH 32u

/* Can chunks have this size? */
static inline bool chunk_hash_is_size(uint32_t chunk)
{
	return chunk >= 4096u && chunk <= 1u << 24 && !(chunk & (chunk - 1));
}

/* SHA-256: whoever wrote the bytes may wish that two chunks had the same. -EIO: the library has failed. */
int chunk_hash(const void *data, size_t len, uint8_t hash[CHUNK_HASH]);
/* Of each chunk in data, the last one may be shorter. */
int chunk_hashes(const uint8_t *data, size_t len, uint32_t chunk, uint8_t *hashes);

#endif

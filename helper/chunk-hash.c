// SPDX-License-Identifier: GPL-2.0
/* chunk-hash: see chunk-hash.h. */
#include <errno.h>
#include <openssl/evp.h>

#include "chunk-hash.h"

int chunk_hash(const void *data, size_t len, uint8_t hash[CHUNK_HASH])
{
	unsigned int n = CHUNK_HASH;

	return EVP_Digest(data, len, hash, &n, EVP_sha256(), NULL) == 1 && n == CHUNK_HASH ? 0 : -EIO;
}

int chunk_hashes(const uint8_t *data, size_t len, uint32_t chunk, uint8_t *hashes)
{
	int ret = 0;

	for (size_t at = 0; at < len && !ret; at += chunk, hashes += CHUNK_HASH)
		ret = chunk_hash(data + at, len - at < chunk ? len - at : chunk, hashes);
	return ret;
}

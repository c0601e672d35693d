// SPDX-License-Identifier: GPL-2.0
/*
 * How fast changes can be found: each algorithm over memory, a chunk at a time, MB/s. sha256 and crc32c are the helper's own functions.
 *
 *   bench-hash [--tags JSON] [--mib N] [--rounds N]
 *
 * A line of JSON for each algorithm, size of a chunk and round. What is hashed does not fit into a cache where N is large enough (default
 * 64); algorithms alternate within a round. copy (memcpy) and compare (memcmp of equal bytes) are what memory allows.
 */
#include <getopt.h>
#include <openssl/evp.h>
#include <stdio.h>

#if defined(__has_include) && __has_include(<xxhash.h>)
#define XXH_INLINE_ALL
#include <xxhash.h>
#define HAVE_XXHASH
#endif

#include "../helper/chunk-hash.h"
#include "../helper/crc32c.h"
#include "samples.h"

#define MIB	(1u << 20)

static const size_t chunk_sizes[] = { 4096, 65536, MIB };
static unsigned char *data, *other;
static volatile uint64_t sink;		/* no result is thrown away unseen */

static void digest(const EVP_MD *md, const void *p, size_t len)
{
	unsigned char out[EVP_MAX_MD_SIZE];

	if (EVP_Digest(p, len, out, NULL, md, NULL) != 1)
		errx(1, "a digest failed");
	sink += out[0];
}

static void do_sha256(size_t at, size_t len)
{
	uint8_t out[CHUNK_HASH];

	if (chunk_hash(data + at, len, out))
		errx(1, "SHA-256 failed");
	sink += out[0];
}

static void do_sha512(size_t at, size_t len)
{
	digest(EVP_sha512(), data + at, len);
}

static void do_blake2s(size_t at, size_t len)
{
	digest(EVP_blake2s256(), data + at, len);
}

static void do_blake2b(size_t at, size_t len)
{
	digest(EVP_blake2b512(), data + at, len);
}

static void do_crc32c(size_t at, size_t len)
{
	sink += crc32c(0, data + at, len);
}

#ifdef HAVE_XXHASH
static void do_xxh3_64(size_t at, size_t len)
{
	sink += XXH3_64bits(data + at, len);
}

static void do_xxh3_128(size_t at, size_t len)
{
	sink += XXH3_128bits(data + at, len).low64;
}
#endif

static void do_copy(size_t at, size_t len)
{
	memcpy(other + at, data + at, len);
	sink += other[at];
}

static void do_compare(size_t at, size_t len)
{
	sink += memcmp(other + at, data + at, len);
}

static const struct {
	const char *name;
	void (*chunk)(size_t at, size_t len);
} algorithms[] = {
	{ "sha256", do_sha256 },
	{ "sha512", do_sha512 },
	{ "blake2s", do_blake2s },
	{ "blake2b", do_blake2b },
	{ "crc32c", do_crc32c },
#ifdef HAVE_XXHASH
	{ "xxh3-64", do_xxh3_64 },
	{ "xxh3-128", do_xxh3_128 },
#endif
	{ "copy", do_copy },
	{ "compare", do_compare },
};

static void run(const char *tags, unsigned int round, size_t which, size_t chunk, size_t size)
{
	uint64_t took = now();

	for (size_t at = 0; at < size; at += chunk)
		algorithms[which].chunk(at, chunk);
	took = now() - took;
	printf("{%s%s\"measure\":\"hash\",\"algorithm\":\"%s\",\"chunk\":%zu,\"round\":%u,\"bytes\":%zu,\"total_ns\":%ju,\"mb_s\":%.1f}\n",
	       tags, *tags ? "," : "", algorithms[which].name, chunk, round, size, (uintmax_t)took, size / 1e6 / (took / 1e9));
	fflush(stdout);
}

static void run_round(const char *tags, unsigned int round, size_t size)
{
	for (size_t c = 0; c < sizeof(chunk_sizes) / sizeof(*chunk_sizes); c++)
		for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++)
			run(tags, round, i, chunk_sizes[c], size);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tags", 1, NULL, 't' }, { "mib", 1, NULL, 'm' }, { "rounds", 1, NULL, 'r' }, { 0 }
	};
	unsigned int rounds = 3;
	size_t size = 64 * MIB;
	const char *tags = "";
	uint64_t seed = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't': tags = optarg; break;
		case 'm': size = strtoull(optarg, NULL, 0) * MIB; break;
		case 'r': rounds = strtoul(optarg, NULL, 0); break;
		default: exit(2);
		}
	}
	data = allocate(size, 1);
	other = allocate(size, 1);
	for (size_t i = 0; i < size; i += sizeof(uint64_t))
		*(uint64_t *)(data + i) = draw(&seed);
	memcpy(other, data, size);
	for (unsigned int round = 1; round <= rounds; round++)
		run_round(tags, round, size);
	return 0;
}

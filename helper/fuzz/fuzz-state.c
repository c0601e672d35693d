// SPDX-License-Identifier: GPL-2.0
/*
 * What the state directory (and that of what lives as long as the host is up) is read back from: first byte which file, and MEND; with that the checksums, and
 * what is of this instance, are made right. Seeds: files that state_put(), leech_record_save(), follower_record_fit(), chunkmap_create() and
 * hash_file_put() have written.
 */
#include <sys/stat.h>

#include "chunkmap.h"
#include "config.h"
#include "crc32c.h"
#include "follower-record.h"
#include "fuzz/fuzz-dir.h"
#include "hash-file.h"
#include "leech-record-file.h"
#include "region.h"
#include "seeder-private.h"
#include "state-record.h"
#include "state.h"

#define MEND		0x80
#define MOST		(64u << 10)
#define INSTANCE	7u
#define HEAD		128u	/* of a page that is otherwise zero, as the input has it */

static char path[128], bytes[MOST + 3 * 4096] __attribute__((aligned(8)));

/* ---- the log of regions ---- */

/* The first eight characters of each line. */
static void mend_lines(char *text, size_t len)
{
	for (char *end, *line = text; (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
		char crc[9];

		if (end - line < 8)
			continue;
		snprintf(crc, sizeof(crc), "%08x", record_crc(line + 8, strnlen(line + 8, (size_t)(end - line) - 8)));
		memcpy(line, crc, 8);
	}
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* It is written as it was read. */
static int check_region(const struct region_info *info, bool unlinked, void *arg)
{
	struct text text = { 0 };
	struct record record;

	*(unsigned int *)arg += seeder_is_left(info) + seeder_gave_source(info);
	CHECK(info->id);
	record_region(&text, info, unlinked);
	CHECK(!text.failed);
	text.data[text.len - 1] = '\0';
	CHECK(record_parse(&record, text.data) == RECORD_REGION && record.unlinked == unlinked);
	CHECK(record.info.id == info->id && record.info.size == info->size && record.info.flags == info->flags && record.info.given == info->given);
	CHECK(same(record.info.path, info->path) && same(record.info.source, info->source) && same(record.info.seed, info->seed) &&
	     same(record.info.policy, info->policy) && same(record.info.behind, info->behind));
	record_free(&record);
	text_free(&text);
	return 0;
}

static void fuzz_log(const uint8_t *data, size_t size, bool mend)
{
	char why[256];
	struct state *state;
	unsigned int regions = 0;
	uint64_t damaged;

	memcpy(bytes, data, size);
	if (mend)
		mend_lines(bytes, size);
	fuzz_file("regions.log", bytes, size);
	if (state_open(&state, fuzz_path, why, sizeof(why)))
		return;
	state_each(state, check_region, &regions);
	damaged = state_damaged(state);
	CHECK(damaged <= size && !memchr(bytes, 0, size - damaged));
	state_close(state);
	CHECK(!state_open(&state, fuzz_path, why, sizeof(why)) && !state_damaged(state));
	state_close(state);
}

/* ---- a leech's ---- */

/* A size with the right checksum is believed, whatever memory it takes: so it is not any. */
static void mend_slot(char *page)
{
	struct record_slot *slot = (struct record_slot *)page;

	slot->magic ^= 0x4443524843454c52ULL;
	slot->version ^= 1;
	slot->head.size &= (1ull << 36) - 1;
	slot->crc = 0;
	slot->crc = crc32c(0, slot, sizeof(*slot));
}

static void check_leech(void)
{
	struct leech_record_head head;
	struct leech_record *record;
	int peeked = leech_record_peek(path, &head), ret;

	CHECK(!leech_record_new(&record, fuzz_loop, path));
	ret = leech_record_load(record);
	CHECK(ret == (peeked == -ENODATA ? 0 : peeked));
	if (!peeked) {
		uint64_t chunks = head.size / head.chunk + (head.size % head.chunk != 0);

		CHECK(!memcmp(&head, leech_record_head(record), sizeof(head)) && strlen(head.from) < sizeof(head.from));
		for (uint64_t i = chunks; i < (chunks / RECORD_BLOCK + 1) * RECORD_BLOCK; i++)
			CHECK(!(leech_record_bits(record)[i / 64] >> i % 64 & 1));
	}
	leech_record_free(record);
	CHECK(leech_record_lose(path) == peeked);
	CHECK(peeked || (!leech_record_peek(path, &head) && head.state == LEECH_RECORD_LOST));
}

/* Two heads, of HEAD bytes each here, and the bits. */
static void fuzz_leech(const uint8_t *data, size_t size, bool mend)
{
	size_t len = 0;

	memset(bytes, 0, RECORD_BITS);
	for (unsigned int i = 0; i < 2; i++) {
		char *page = bytes + i * RECORD_PAGE;

		len = fuzz_take(&data, &size, page, HEAD) ? RECORD_BITS : len;
		if (mend)
			mend_slot(page);
	}
	memcpy(bytes + RECORD_BITS, data, size);
	fuzz_file("leech-x", bytes, len + size);
	leech_record_path(path, sizeof(path), fuzz_path, "x");
	check_leech();
}

/* ---- a follower's, and a chunkmap: HEAD bytes, then the bits ---- */

static size_t page_and_bits(const uint8_t *data, size_t size)
{
	fuzz_take(&data, &size, bytes, HEAD);
	memset(bytes + HEAD, 0, 4096 - HEAD);
	memcpy(bytes + 4096, data, size);
	return 4096 + size;
}

static uint64_t count(const uint64_t *map, uint64_t bits)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < bits / 64; i++)
		n += (uint64_t)__builtin_popcountll(map[i]);
	return n;
}

static void check_follower(struct follower_record *record, bool unsure, size_t size)
{
	const struct follower_head *head = follower_head(record);
	uint64_t staged, zero, bits = head->bits;

	CHECK(head->phase <= FOLLOWER_APPLYING && !head->moving && bits <= size * 4);
	staged = count(follower_staged(record), bits);
	zero = count(follower_zero(record), bits);
	if (unsure || head->phase == FOLLOWER_PARTIAL)
		CHECK(!staged && !zero);
	CHECK(!follower_record_fit(record, bits + 1) && follower_bits(record) > bits);
	bits = follower_bits(record);
	CHECK(count(follower_staged(record), bits) == staged && count(follower_zero(record), bits) == zero);
}

static void fuzz_follower(const uint8_t *data, size_t size, bool mend)
{
	struct config config = { .run_dir = fuzz_path };
	struct follower_head *head = (struct follower_head *)bytes;
	static struct follower_record record;
	size_t len = page_and_bits(data, size);
	bool unsure;

	if (mend) {
		head->magic ^= 0x4c4c4f4647455221ULL;
		head->version ^= 1;
		head->instance ^= INSTANCE;
	}
	fuzz_file("follow-x", bytes, len);
	CHECK(!follower_record_open(&record, &config, INSTANCE, "x", &unsure));
	check_follower(&record, unsure, size);
	follower_record_close(&record);
}

static void fuzz_chunkmap(const uint8_t *data, size_t size, bool mend)
{
	size_t len = page_and_bits(data, size);
	struct chunkmap *map;

	if (mend) {
		*(uint64_t *)bytes ^= 0x50414d4b4e484352ULL;
		*(uint32_t *)(bytes + 8) ^= 4;
		*(uint64_t *)(bytes + 16) ^= INSTANCE;
	}
	fuzz_file("map-x", bytes, len);
	snprintf(path, sizeof(path), "%s/map-x", fuzz_path);
	if (chunkmap_open(&map, path, INSTANCE))
		return;
	CHECK(chunkmap_chunks(map) <= size * 8 && chunkmap_missing(map) <= chunkmap_chunks(map));
	CHECK(chunkmap_absent(map, 0) == chunkmap_chunks(map) || chunkmap_missing(map));
	chunkmap_set(map, 0, UINT64_MAX, true);
	CHECK(!chunkmap_missing(map) && chunkmap_absent(map, 0) == chunkmap_chunks(map));
	chunkmap_close(map);
}

/* ---- hashes: 24 bytes of head, here right before them ---- */

static void check_hashes(struct hash_file *file)
{
	static uint8_t got[600 * CHUNK_HASH], put[600 * CHUNK_HASH];
	uint64_t n = 0;

	while (n < 600 && hash_file_length(file, n))
		n++;
	CHECK(!hash_file_get(file, 0, 600, got));
	for (size_t i = n * CHUNK_HASH; i < sizeof(got); i++)
		CHECK(!got[i]);
	/* what was not known is that still, with others around it */
	CHECK(!hash_file_put(file, 0, 600, got) && !hash_file_get(file, 0, 600, put));
	CHECK(!memcmp(got, put, sizeof(got)));
}

static void fuzz_hashes(const uint8_t *data, size_t size, bool mend)
{
	struct hash_file *file;

	fuzz_take(&data, &size, bytes, 24);
	memset(bytes + 24, 0, 4096 - 24);
	memcpy(bytes + 4096, data, size);
	if (mend) {
		*(uint64_t *)bytes ^= 0x5348534148464752ULL;
		*(uint32_t *)(bytes + 8) ^= 2;
	}
	fuzz_file("hashes-x", bytes, 4096 + size);
	hash_file_path(path, sizeof(path), fuzz_path, "x");
	file = hash_file_new(path);
	if (!hash_file_load(file))
		check_hashes(file);
	hash_file_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void (*const all[])(const uint8_t *data, size_t size, bool mend) = { fuzz_log, fuzz_leech, fuzz_follower, fuzz_chunkmap, fuzz_hashes };

	if (!size || size > MOST)
		return 0;
	fuzz_begin();
	all[data[0] % MEND % 5](data + 1, size - 1, data[0] & MEND);
	return fuzz_end();
}

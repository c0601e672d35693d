// SPDX-License-Identifier: GPL-2.0
/*
 * The base of a local store, from any bytes: a byte of flags, 8 of the region's size, 2 of the map's length, the map, and the bytes, each of which is a page
 * of its like. With MEND the map's head, which isn't in the input, is right, and entries are what is right xor what is there. Seeds: maps that
 * base_write() and base_flush() have left, with their head, and without it and with their checksums zero.
 */
#include "crc32c.h"
#include "fuzz/fuzz-dir.h"
#include "stores/base-internal.h"

#define MEND	1
#define DISK	2
#define AGAIN	4
#define IDENTITY "fuzz"
#define CHUNKS	16u
#define MOST	(MAP_HEAD + CHUNKS * (CHUNK_PAGES + sizeof(struct map_entry)))

static char map[MAP_HEAD + 4096] __attribute__((aligned(8))), bytes[CHUNKS * BASE_CHUNK];
static size_t map_len, bytes_len;

static struct map_entry *entry_of(uint64_t chunk)
{
	return (struct map_entry *)(map + entry_at(chunk));
}

static void mend(bool disk)
{
	struct map_head *head = (struct map_head *)map;

	memset(head, 0, sizeof(*head));
	memcpy(head->magic, "rfsbase", 8);
	head->version = 1;
	head->durable = disk;
	head->instance = disk ? 0 : 7;
	head->identity_len = strlen(IDENTITY);
	strcpy(head->identity, IDENTITY);
	head->crc = crc32c(0, head, sizeof(*head) - sizeof(head->crc));
	for (uint64_t chunk = 0; entry_at(chunk + 1) <= map_len && chunk < CHUNKS; chunk++) {
		entry_of(chunk)->flags ^= ENTRY_VALID;
		entry_of(chunk)->crc ^= base_entry_crc(chunk, entry_of(chunk), bytes + chunk * BASE_CHUNK);
	}
}

static uint64_t write_files(const uint8_t *data, size_t size, uint8_t flags)
{
	uint64_t region;
	uint16_t len;

	fuzz_take(&data, &size, &region, sizeof(region));
	fuzz_take(&data, &size, &len, sizeof(len));
	memset(map, 0, sizeof(map));
	map_len = flags & MEND ? MAP_HEAD : 0;
	map_len += fuzz_take(&data, &size, map + map_len, len < sizeof(map) - map_len ? len : sizeof(map) - map_len);
	memset(bytes, 0, sizeof(bytes));
	for (bytes_len = 0; bytes_len < sizeof(bytes) && size; bytes_len += PAGE, data++, size--)
		memset(bytes + bytes_len, *data, PAGE);
	if (flags & MEND)
		mend(flags & DISK);
	fuzz_file("map", map, map_len);
	fuzz_file("bytes", bytes, bytes_len);
	return region;
}

/* ---- the base ---- */

static bool over;
static int result;

static void done(struct base_io *io, int error)
{
	result = error;
	over = true;
	loop_stop(fuzz_loop);
}

static int ask(void (*op)(struct base *, struct base_io *), struct base *base, uint64_t offset, uint64_t length, void *data)
{
	struct base_io io = { .done = done, .offset = offset, .length = length, .data = data };

	over = false;
	op(base, &io);
	fuzz_turn(&over);
	return result;
}

static struct base *open_base(uint64_t size, bool disk)
{
	struct base_options options = { .loop = fuzz_loop, .dir = fuzz_path, .durable = disk, .instance = 7, .identity = IDENTITY, .size = size };
	struct base *base;
	char why[256];

	return base_open(&base, &options, why, sizeof(why)) ? NULL : base;
}

/* What is present lies within the region, says its entry, matches its checksum on a disk, and is what the file has. */
static uint32_t check_chunk(struct base *base, uint64_t chunk, uint64_t size, bool disk)
{
	static char got[BASE_CHUNK];
	uint64_t from = chunk * BASE_CHUNK;
	uint32_t pages = 0;

	for (uint32_t page = 0; page < CHUNK_PAGES; page++) {
		uint64_t at = from + page * PAGE, left = size > at ? size - at : 0, length = left < PAGE ? left : PAGE;

		if (!base_present(base, at, length ? length : 1))
			continue;
		pages |= 1u << page;
		CHECK(length && !ask(base_read, base, at, length, got) && !memcmp(got, bytes + at, length));
	}
	CHECK(!(pages & ~entry_of(chunk)->pages));
	if (pages && disk)
		CHECK(pages == entry_of(chunk)->pages && entry_of(chunk)->crc == base_entry_crc(chunk, entry_of(chunk), bytes + from));
	return pages;
}

static void check_all(struct base *base, uint64_t size, bool disk, uint32_t pages[CHUNKS])
{
	uint64_t present = 0;

	CHECK(!ask(base_check, base, 0, size, NULL) && base_checked(base, 0, size));
	for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
		pages[chunk] = check_chunk(base, chunk, size, disk);
		present += (uint64_t)__builtin_popcount(pages[chunk]) * PAGE;
	}
	CHECK(base_stats(base)->present == present);
}

/* What is there is there the next time. */
static void check_again(uint64_t size, bool disk, const uint32_t before[CHUNKS])
{
	struct base *base = open_base(size, disk);
	uint32_t pages[CHUNKS];

	CHECK(base);
	check_all(base, size, disk, pages);
	CHECK(!memcmp(pages, before, sizeof(pages)));
	base_close(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t pages[CHUNKS];
	struct base *base;
	uint64_t region;

	if (!size || size > MOST)
		return 0;
	fuzz_begin();
	region = write_files(data + 1, size - 1, data[0]);
	base = open_base(region, data[0] & DISK);
	if (base) {
		check_all(base, region, data[0] & DISK, pages);
		CHECK(!ask(base_flush, base, 0, 0, NULL));
		base_close(base);
		fuzz_pass();
	}
	if (base && data[0] & AGAIN)
		check_again(region, data[0] & DISK, pages);
	return fuzz_end();
}

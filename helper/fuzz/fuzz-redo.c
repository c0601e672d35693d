// SPDX-License-Identifier: GPL-2.0
/*
 * The log of a local store, from any bytes: scanned, read, and scanned again. A byte of flags; then, for each segment, two bytes of its length, 48 of its
 * head, and its records. With MEND what would have to be right for the rest to be looked at is that which is right xor what is there: zero is right.
 * Seeds: the heads and records that redo_append() has written here, and the same with what MEND makes taken out.
 */
#include "crc32c.h"
#include "fuzz/fuzz-dir.h"
#include "stores/redo-internal.h"

#define MEND	1
#define DISK	2
#define GO_ON	12	/* both: it takes long */
#define IDENTITY "fuzz"
#define SEGMENTS 4u
#define MOST	(64u << 10)
#define FIELDS	offsetof(struct redo_head, identity)

static struct { char bytes[REDO_HEAD + MOST] __attribute__((aligned(64))); size_t len; } segments[SEGMENTS];

static void mend_head(struct redo_head *head, uint64_t nr)
{
	head->magic ^= REDO_MAGIC;
	head->version ^= REDO_VERSION;
	head->nr ^= nr;
	head->instance ^= 7;
	head->segment ^= REDO_SEGMENT_MIN;
	head->identity_len ^= strlen(IDENTITY);
	head->identity_crc ^= crc32c(0, IDENTITY, strlen(IDENTITY));
	head->crc ^= redo_head_crc(head);
}

static uint32_t mend_record(struct redo_header *header, uint64_t at, uint32_t chain, size_t room)
{
	uint32_t length = (header->magic & 255) == REDO_WRITE ? (uint32_t)header->length : 0;

	header->magic ^= REDO_RECORD_MAGIC;
	header->at ^= at;
	header->chain ^= chain;
	header->data_crc ^= crc32c(0, header + 1, length < room ? length : room);
	header->crc ^= crc32c(0, header, offsetof(struct redo_header, crc));
	return length < room ? redo_room_for(length) : REDO_ALIGN;
}

static void mend(unsigned int i, uint32_t *chain)
{
	char *bytes = segments[i].bytes;

	mend_head((struct redo_head *)bytes, i + 1);
	for (size_t at = REDO_HEAD; at + sizeof(struct redo_header) <= segments[i].len;) {
		struct redo_header *header = (struct redo_header *)(bytes + at);

		at += mend_record(header, redo_place(i + 1, (uint32_t)at), *chain, sizeof(segments[i].bytes) - at - sizeof(*header));
		*chain = header->crc;
	}
}

static void write_files(const uint8_t *data, size_t size, bool mended)
{
	uint32_t chain = 0;

	for (unsigned int i = 0; i < SEGMENTS; i++) {
		char name[32];
		uint16_t len;

		memset(&segments[i], 0, sizeof(segments[i]));
		if (!size)
			continue;
		fuzz_take(&data, &size, &len, sizeof(len));
		fuzz_take(&data, &size, segments[i].bytes, FIELDS);
		strcpy(segments[i].bytes + FIELDS, IDENTITY);
		segments[i].len = REDO_HEAD + fuzz_take(&data, &size, segments[i].bytes + REDO_HEAD, len);
		if (mended)
			mend(i, &chain);
		redo_segment_name(name, "log", i + 1);
		fuzz_file(name, segments[i].bytes, segments[i].len);
	}
}

/* ---- the log ---- */

static bool over;
static int result;

static void stop(void)
{
	over = true;
	loop_stop(fuzz_loop);
}

static void done(struct redo_io *io, int error)
{
	result = error;
	stop();
}

static void closed(void *arg)
{
	stop();
}

static struct redo *log_open(bool disk, struct redo_found *found)
{
	struct redo_options options = {
		.loop = fuzz_loop, .dir = fuzz_path, .durable = disk, .instance = 7, .identity = IDENTITY, .segment = REDO_SEGMENT_MIN,
	};
	struct redo *redo;
	char why[256] = "";

	return redo_open(&redo, &options, found, why, sizeof(why)) ? NULL : redo;
}

static void log_close(struct redo *redo)
{
	over = false;
	redo_close(redo, 0, closed, NULL);
	fuzz_turn(&over);
}

/* What the log takes for whole it gives, as it stands in the file. */
static void read_back(struct redo *redo, const struct redo_record *record)
{
	uint64_t nr = record->at >> REDO_SHIFT, at = record->at & ((1u << REDO_SHIFT) - 1);
	struct redo_io io = { .done = done, .length = record->length };

	CHECK(record->length <= REDO_PIECE && nr >= 1 && nr <= SEGMENTS);
	io.data = malloc(record->length + !record->length);
	over = false;
	redo_read(redo, &io, record->at);
	fuzz_turn(&over);
	CHECK(!record->length || (!result && !memcmp(io.data, segments[nr - 1].bytes + at, record->length)));
	free(io.data);
}

static void check_found(struct redo *redo, const struct redo_found *found)
{
	for (size_t i = 0; i < found->n; i++) {
		const struct redo_record *record = &found->records[i];

		CHECK(record->kind >= REDO_WRITE && record->kind <= REDO_FORGET && record->offset <= UINT64_MAX - record->length);
		if (record->kind == REDO_WRITE && !record->lost)
			read_back(redo, record);
	}
}

static bool append(struct redo *redo)
{
	struct redo_io io = { .done = done, .kind = REDO_DISCARD, .gen = 1, .offset = 4096, .length = 4096, .size = 8192 };

	over = false;
	redo_append(redo, &io);
	fuzz_turn(&over);
	return !result;
}

/* What was whole is whole the next time, what was put aside is not there, and what was added is. */
static void check_again(const struct redo_found *first, bool disk, bool added)
{
	struct redo_found found;
	struct redo *redo = log_open(disk, &found);
	size_t n = 0, whole = 0;

	CHECK(redo && !found.damaged);
	for (size_t i = 0; i < first->n; i++)
		n += !first->records[i].lost;
	for (size_t i = 0; i < found.n; i++)
		whole += !found.records[i].lost;
	CHECK(whole == n + added);
	log_close(redo);
	free(found.records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redo_found found;
	struct redo *redo;
	bool added;

	if (!size || size > MOST)
		return 0;
	fuzz_begin();
	write_files(data + 1, size - 1, data[0] & MEND);
	redo = log_open(data[0] & DISK, &found);
	CHECK(redo);
	check_found(redo, &found);
	added = (data[0] & GO_ON) == GO_ON && append(redo);
	log_close(redo);
	if ((data[0] & GO_ON) == GO_ON) {
		fuzz_pass();
		check_again(&found, data[0] & DISK, added);
	}
	free(found.records);
	return fuzz_end();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A file: source with any journal: a byte of flags, 128 of each head, then the records. With MEND heads and records are what is right xor what is there,
 * and the source is compared with what the batch makes of it. Seeds: journals of batches as BACKEND_PUBLISH has decided on them, one with a RESIZE, and
 * the same with what MEND makes taken out.
 */
#include <sys/stat.h>

#include "backends/file-journal.h"
#include "crc32c.h"
#include "fuzz/fuzz-source.h"
#include "journal-private.h"

#define MEND	1
#define NAME	"source"
#define SIZE	(64u << 10)
#define MOST	(64u << 10)
#define SPACE	(1u << 20)

static char journal[JOURNAL_START + MOST] __attribute__((aligned(8))), model[SPACE], got[SPACE];
static size_t len;
static uint64_t model_size;

static void make_source(uint64_t identity[BACKEND_IDENTITY])
{
	int fd = openat(fuzz_dir, NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	memset(model, 0, sizeof(model));
	memset(model, 'x', SIZE);
	model_size = SIZE;
	CHECK(fd >= 0 && write(fd, model, SIZE) == SIZE && !file_journal_identity(fd, identity));
	close(fd);
}

/* ---- what is right ---- */

static void mend_head(struct journal_head *head, const uint64_t identity[BACKEND_IDENTITY])
{
	struct journal_head copy;

	head->magic ^= JOURNAL_MAGIC;
	head->version ^= JOURNAL_VERSION;
	head->end ^= head->batch ? len : 0;
	for (unsigned int i = 0; i < BACKEND_IDENTITY; i++)
		head->identity[i] ^= identity[i];
	copy = *head;
	copy.crc = 0;
	head->crc ^= crc32c(0, &copy, sizeof(copy));
}

static uint64_t mend_record(struct journal_record *record, uint64_t batch, uint64_t at)
{
	const char *bytes = journal + at + sizeof(*record);
	uint64_t data = journal_record_data(record), room = len - at - sizeof(*record);

	data = data < room ? data : room;
	record->batch ^= batch;
	record->at ^= at;
	record->data_crc ^= data ? crc32c(0, bytes, data) : 0;
	record->crc ^= journal_record_crc(record);
	return sizeof(*record) + data;
}

static void mend_records(uint64_t batch)
{
	struct journal_record record;

	for (size_t at = JOURNAL_START; at + sizeof(record) <= len;) {
		char *place = journal + at;

		memcpy(&record, place, sizeof(record));
		at += mend_record(&record, batch, at);
		memcpy(place, &record, sizeof(record));
	}
}

static bool is_head(const struct journal_head *head)
{
	struct journal_head copy = *head;

	copy.crc = 0;
	return head->magic == JOURNAL_MAGIC && head->version == JOURNAL_VERSION && head->crc == crc32c(0, &copy, sizeof(copy));
}

/* The newer one, of those that are right, as the backend takes it. NULL: none. */
static const struct journal_head *head_of(void)
{
	const struct journal_head *first = (void *)journal, *second = (void *)(journal + JOURNAL_SLOT);

	if (!is_head(first) || (is_head(second) && second->seq > first->seq))
		return is_head(second) ? second : NULL;
	return first;
}

static void write_journal(const uint8_t *data, size_t size, bool mend)
{
	uint64_t identity[BACKEND_IDENTITY];

	make_source(identity);
	memset(journal, 0, JOURNAL_START);
	fuzz_take(&data, &size, journal, 128);
	fuzz_take(&data, &size, journal + JOURNAL_SLOT, 128);
	memcpy(journal + JOURNAL_START, data, size);
	len = JOURNAL_START + size;
	if (mend) {
		mend_head((struct journal_head *)journal, identity);
		mend_head((struct journal_head *)(journal + JOURNAL_SLOT), identity);
		mend_records(head_of() ? head_of()->batch : 0);
	}
	fuzz_file(NAME JOURNAL_SUFFIX, journal, len);
}

/* ---- what a batch makes of the source; false: it is larger than is compared ---- */

static bool do_record(const struct journal_record *record, const char *bytes)
{
	uint64_t end = record->offset + record->length;

	if (record->op == BACKEND_RESIZE) {
		if (record->length > SPACE)
			return false;
		if (record->arg < SPACE)
			memset(model + record->arg, 0, SPACE - record->arg);
		model_size = record->length;
		return true;
	}
	if (record->op == BACKEND_DISCARD)
		end = end < model_size ? end : model_size;
	if (end > SPACE)
		return false;
	if (record->offset < end && journal_record_data(record))
		memcpy(model + record->offset, bytes, record->length);
	else if (record->offset < end)
		memset(model + record->offset, 0, end - record->offset);
	if (record->op == BACKEND_WRITE && end > model_size)
		model_size = end;
	return true;
}

static bool do_batch(uint64_t end)
{
	struct journal_record record;
	bool fits = true;

	for (uint64_t at = JOURNAL_START; fits && at < end;) {
		const char *bytes = journal + at + sizeof(record);

		CHECK(end <= len && end - at >= sizeof(record));
		memcpy(&record, journal + at, sizeof(record));
		at += sizeof(record) + journal_record_data(&record);
		CHECK(at <= end);
		fits = do_record(&record, bytes);
	}
	return fits;
}

static void check_source(void)
{
	int fd = openat(fuzz_dir, NAME, O_RDONLY | O_CLOEXEC);
	struct stat st;

	CHECK(fd >= 0 && !fstat(fd, &st) && (uint64_t)st.st_size == model_size);
	CHECK(pread(fd, got, model_size, 0) == (ssize_t)model_size && !memcmp(got, model, model_size));
	close(fd);
}

static void check_again(void)
{
	int error;
	struct backend *backend = fuzz_open("file", NAME, &error);

	CHECK(backend && backend_size(backend) == model_size);
	fuzz_close(backend);
	check_source();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backend *backend;
	bool fits = true;
	int error;

	if (!size || size > MOST)
		return 0;
	fuzz_begin();
	write_journal(data + 1, size - 1, data[0] & MEND);
	backend = fuzz_open("file", NAME, &error);
	/* what is damaged has not been begun; what fails in between was, and would be again */
	if (backend && head_of() && head_of()->batch)
		fits = do_batch(head_of()->end);
	if (fits && (backend || error == -EUCLEAN))
		check_source();
	if (backend) {
		fuzz_close(backend);
		if (fits)
			check_again();
	}
	return fuzz_end();
}

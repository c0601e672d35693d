// SPDX-License-Identifier: GPL-2.0
/* Lines of a state log, each given the checksum that it should have; and two lines as the key and the value of a setting. */
#include "fuzz/fuzz-text.h"
#include "state-record.h"

static void write_record(struct text *text, enum record_kind kind, const struct record *record)
{
	if (kind == RECORD_REGION)
		record_region(text, &record->info, record->unlinked);
	else if (kind == RECORD_FORGET)
		record_forget(text, record->info.id);
	else if (kind == RECORD_INSTANCE)
		record_instance(text, record->info.id);
	else
		record_setting(text, record->key, record->value);
}

/* What is written of it is read as the same, and written as that. */
static void check_anew(enum record_kind kind, const struct record *record)
{
	struct text text = { .len = 0 }, again = { .len = 0 };
	struct record parsed;
	char *line;

	write_record(&text, kind, record);
	CHECK(!text.failed && text.data[text.len - 1] == '\n');
	line = fuzz_text((uint8_t *)text.data, text.len - 1);
	CHECK(record_parse(&parsed, line) == kind);
	write_record(&again, kind, &parsed);
	CHECK(again.len == text.len && !memcmp(again.data, text.data, text.len));
	free(line);
	record_free(&parsed);
	text_free(&text);
	text_free(&again);
}

static void check_line(const char *rest)
{
	enum record_kind kind;
	struct record record;
	char *line, *spaced;

	CHECK(asprintf(&spaced, " %s", rest) >= 0 && asprintf(&line, "%08x%s", record_crc(spaced, strlen(spaced)), spaced) >= 0);
	kind = record_parse(&record, line);
	CHECK(kind <= RECORD_UNKNOWN);
	CHECK((kind != RECORD_REGION && kind != RECORD_FORGET) || record.info.id);
	if (kind != RECORD_BAD && kind != RECORD_UNKNOWN)
		check_anew(kind, &record);
	record_free(&record);
	free(spaced);
	free(line);
}

static void check_setting(char *key, char *value)
{
	struct record setting = { .key = key, .value = value };

	check_anew(RECORD_SETTING, &setting);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *line, *before = NULL;
	struct record record;

	for (const char *rest = text; *rest; before = line) {
		line = fuzz_cut(&rest, "\n");
		check_line(line);
		if (before)
			check_setting(before, line);
		free(before);
	}
	/* and as they are */
	record_parse(&record, text);
	record_free(&record);
	free(before);
	free(text);
	return 0;
}

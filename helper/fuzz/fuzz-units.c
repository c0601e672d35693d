// SPDX-License-Identifier: GPL-2.0
/* Sizes, durations, modes and keys, from a text and back; and the text itself as one word, and as JSON. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "fuzz/fuzz-text.h"
#include "key16.h"
#include "text.h"
#include "units.h"

/* Three digits of it. */
static void check_size_text(uint64_t size)
{
	static const char names[] = "BKMGTPE";
	char text[REGIONFS_UNITS_TEXT], *unit;
	double value, wrong;

	CHECK(regionfs_size_format(size, text) == text);
	value = strtod(text, &unit);
	CHECK(*unit == ' ' && strchr(names, unit[1]) && unit - text <= 4);
	for (const char *at = strchr(names, unit[1]); at > names; at--)
		value *= 1024;
	wrong = value - (double)size;
	CHECK(wrong <= (double)size / 100 && -wrong <= (double)size / 100);
}

/* To a minute where there are hours, and to half of what is shown below. */
static void check_duration_text(uint64_t ms)
{
	char text[REGIONFS_UNITS_TEXT], unit[3] = "";
	uint64_t big, value = 0, least = 0;
	unsigned int small = 0;

	CHECK(regionfs_duration_format(ms, text) == text);
	if (sscanf(text, "%" SCNu64 "h%2um", &big, &small) == 2) {
		value = big * 3600000 + small * 60000;
		least = 60000;
	} else if (sscanf(text, "%" SCNu64 "m%2us", &big, &small) == 2) {
		value = big * 60000 + small * 1000;
		least = 500;
	} else if (sscanf(text, "%" SCNu64 ".%1u %2s", &big, &small, unit) == 3) {
		value = big * 1000 + small * 100;
		least = 50;
	} else {
		CHECK(sscanf(text, "%" SCNu64 " %2s", &value, unit) == 2 && !strcmp(unit, "ms"));
	}
	CHECK(small < 60 && (value > ms ? value - ms <= 500 : ms - value <= least));
}

/* One that was not read is left alone; one without a unit is a number. */
static void check_sizes(const char *text)
{
	uint64_t size = 4711, ms = 4711, number = 4711;
	int err = regionfs_size_parse(text, &size), late = regionfs_duration_parse(text, &ms);
	int plain = regionfs_number_parse(text, 10, 1 << 20, &number);

	CHECK(!err || ((err == -EINVAL || err == -ERANGE) && size == 4711));
	CHECK(!late || ((late == -EINVAL || late == -ERANGE) && ms == 4711));
	CHECK(plain ? (plain == -EINVAL || plain == -ERANGE) && number == 4711 : number >= 10 && number <= 1 << 20);
	CHECK(plain || (!err && size == number && !late && ms == number * 1000));
	CHECK((err && late) || isdigit((unsigned char)*text));
	check_size_text(size);
	check_duration_text(ms);
}

static void check_mode(const char *text)
{
	uint32_t mode = 4711, again = 0;
	char shown[REGIONFS_UNITS_TEXT], octal[8];
	int err = regionfs_mode_parse(text, &mode);

	CHECK(err ? mode == 4711 : mode <= 07777);
	if (err)
		return;
	snprintf(octal, sizeof(octal), "%o", mode);
	CHECK(!regionfs_mode_parse(octal, &again) && again == mode);
	CHECK(strlen(regionfs_mode_format(mode, shown)) == 9 && (shown[0] == 'r') == !!(mode & 0400));
	CHECK((tolower(shown[8]) == 't') == !!(mode & 01000) && (tolower(shown[2]) == 's') == !!(mode & 04000));
}

/* A key is what key16_text() writes, but for the case of letters. */
static void check_key(const char *text)
{
	uint8_t key[KEY16];
	char again[2 * KEY16 + 1];

	if (!key16_take(text, key))
		return;
	key16_text(again, key);
	CHECK(!strncasecmp(again, text, 2 * KEY16));
}

static void check_text(const char *string)
{
	struct text word = { .len = 0 }, quoted = { .len = 0 };
	json_t *plain = json_string(string), *json;

	text_encoded(&word, string);
	for (size_t i = 0; i < word.len; i++)
		CHECK((unsigned char)word.data[i] > ' ' && word.data[i] != 0x7f);
	text_json(&quoted, string);
	json = json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY, NULL);
	CHECK(json_is_string(json) && quoted.len == strlen(quoted.data));
	CHECK(plain ? json_equal(json, plain) : json_string_length(json) == strlen(string));
	json_decref(json);
	json_decref(plain);
	text_free(&quoted);
	text_free(&word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	uint64_t number = 0;

	memcpy(&number, data, size < sizeof(number) ? size : sizeof(number));
	check_size_text(number);
	check_duration_text(number);
	check_sizes(text);
	check_mode(text);
	check_key(text);
	check_text(text);
	free(text);
	return 0;
}

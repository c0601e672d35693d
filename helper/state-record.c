// SPDX-License-Identifier: GPL-2.0
/* state-record: "CRC32 KIND KEY=VALUE KEY=VALUE ...", values percent-encoded, so that any path will do. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state-record.h"

#define CRC_DIGITS 8

uint32_t record_crc(const char *data, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= (uint8_t)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* ---- writing ---- */

static void add_string(struct text *text, const char *key, const char *value)
{
	text_add(text, " ", 1);
	text_add(text, key, strlen(key));
	text_add(text, "=", 1);
	text_encoded(text, value);
}

static void add_number(struct text *text, const char *key, uint64_t value)
{
	text_add(text, " ", 1);
	text_string(text, key);
	text_add(text, "=", 1);
	text_number(text, value);
}

/* Room for the checksum, filled in when the line is complete. */
static size_t line_begin(struct text *text, const char *kind)
{
	size_t start = text->len;

	text_add(text, "00000000 ", CRC_DIGITS + 1);
	text_add(text, kind, strlen(kind));
	return start;
}

static void line_end(struct text *text, size_t start)
{
	char crc[CRC_DIGITS + 1];

	if (text->failed)
		return;
	snprintf(crc, sizeof(crc), "%08" PRIx32,
		 record_crc(text->data + start + CRC_DIGITS, text->len - start - CRC_DIGITS));
	memcpy(text->data + start, crc, CRC_DIGITS);
	text_add(text, "\n", 1);
}

void record_region(struct text *text, const struct region_info *info, bool unlinked)
{
	size_t start = line_begin(text, "region");

	add_number(text, "id", info->id);
	if (info->path)
		add_string(text, "path", info->path);
	if (info->source)
		add_string(text, "source", info->source);
	add_number(text, "size", info->size);
	add_number(text, "mode", info->mode);
	add_number(text, "uid", info->uid);
	add_number(text, "gid", info->gid);
	add_number(text, "epoch", info->epoch);
	add_number(text, "lineage", info->lineage);
	add_number(text, "flags", info->flags);
	add_number(text, "timeout", info->timeout);
	add_number(text, "chunk", info->chunk);
	if (info->policy)
		add_string(text, "policy", info->policy);
	if (info->seed)
		add_string(text, "seed", info->seed);
	if (info->resume)
		add_string(text, "resume", info->resume);
	if (info->given)
		add_number(text, "given", info->given);
	if (info->handover)
		add_string(text, "handover", info->handover);
	if (info->behind)
		add_string(text, "behind", info->behind);
	if (info->purge)
		add_number(text, "purge", 1);
	if (info->discard)
		add_number(text, "discard", 1);
	if (info->claimed)
		add_number(text, "claimed", 1);
	if (unlinked)
		add_number(text, "unlinked", 1);
	line_end(text, start);
}

void record_forget(struct text *text, uint64_t id)
{
	size_t start = line_begin(text, "forget");

	add_number(text, "id", id);
	line_end(text, start);
}

void record_instance(struct text *text, uint64_t instance)
{
	size_t start = line_begin(text, "instance");

	add_number(text, "id", instance);
	line_end(text, start);
}

void record_setting(struct text *text, const char *key, const char *value)
{
	size_t start = line_begin(text, "setting");

	add_string(text, "key", key);
	add_string(text, "value", value);
	line_end(text, start);
}

/* ---- reading ---- */

static bool take_string(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	if (*to)
		text_decode(*to);
	return *to != NULL;
}

static bool take_number(uint64_t *to, uint64_t max, const char *value)
{
	char *end;

	if (!isdigit((unsigned char)*value))
		return false;
	*to = strtoull(value, &end, 10);
	return !*end && *to <= max;
}

static bool take_u32(uint32_t *to, const char *value)
{
	uint64_t number;

	if (!take_number(&number, UINT32_MAX, value))
		return false;
	*to = (uint32_t)number;
	return true;
}

/* An unknown key is a newer version's, and left alone. */
static bool take_pair(struct record *record, const char *key, const char *value)
{
	struct region_info *info = &record->info;
	const struct { const char *key; uint64_t *to; } numbers[] = {
		{ "id", &info->id }, { "size", &info->size }, { "epoch", &info->epoch }, { "lineage", &info->lineage },
	};
	const struct { const char *key; uint32_t *to; } small[] = {
		{ "mode", &info->mode }, { "uid", &info->uid }, { "gid", &info->gid }, { "flags", &info->flags },
		{ "timeout", &info->timeout }, { "chunk", &info->chunk }, { "given", &info->given },
	};
	const struct { const char *key; char **to; } strings[] = {
		{ "path", &info->path }, { "source", &info->source }, { "key", &record->key }, { "value", &record->value },
		{ "seed", &info->seed }, { "resume", &info->resume }, { "policy", &info->policy },
		{ "handover", &info->handover }, { "behind", &info->behind },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(key, numbers[i].key))
			return take_number(numbers[i].to, UINT64_MAX, value);
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if (!strcmp(key, small[i].key))
			return take_u32(small[i].to, value);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (!strcmp(key, strings[i].key))
			return take_string(strings[i].to, value);
	if (!strcmp(key, "unlinked"))
		record->unlinked = true;
	if (!strcmp(key, "purge"))
		info->purge = true;
	if (!strcmp(key, "discard"))
		info->discard = true;
	if (!strcmp(key, "claimed"))
		info->claimed = true;
	return true;
}

static bool take_pairs(struct record *record, char *rest)
{
	char *save = NULL;

	for (char *pair = strtok_r(rest, " ", &save); pair; pair = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(pair, '=');

		if (!equals)
			return false;
		*equals = '\0';
		if (!take_pair(record, pair, equals + 1))
			return false;
	}
	return true;
}

static enum record_kind kind_of(const char *word, const struct record *record)
{
	if (!strcmp(word, "region"))
		return record->info.id ? RECORD_REGION : RECORD_BAD;
	if (!strcmp(word, "forget"))
		return record->info.id ? RECORD_FORGET : RECORD_BAD;
	if (!strcmp(word, "instance"))
		return RECORD_INSTANCE;
	if (!strcmp(word, "setting"))
		return record->key && record->value ? RECORD_SETTING : RECORD_BAD;
	return RECORD_UNKNOWN;
}

enum record_kind record_parse(struct record *record, char *line)
{
	size_t len = strlen(line);
	char crc[CRC_DIGITS + 1], *kind, *rest;

	memset(record, 0, sizeof(*record));
	if (len < CRC_DIGITS + 2 || line[CRC_DIGITS] != ' ')
		return RECORD_BAD;
	snprintf(crc, sizeof(crc), "%08" PRIx32, record_crc(line + CRC_DIGITS, len - CRC_DIGITS));
	if (memcmp(crc, line, CRC_DIGITS))
		return RECORD_BAD;
	kind = line + CRC_DIGITS + 1;
	rest = strchr(kind, ' ');
	if (rest)
		*rest++ = '\0';
	if (rest && !take_pairs(record, rest))
		return RECORD_BAD;
	return kind_of(kind, record);
}

void record_free(struct record *record)
{
	free(record->info.path);
	free(record->info.source);
	free(record->info.seed);
	free(record->info.resume);
	free(record->info.policy);
	free(record->info.handover);
	free(record->info.behind);
	free(record->key);
	free(record->value);
	memset(record, 0, sizeof(*record));
}

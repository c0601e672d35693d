/* SPDX-License-Identifier: GPL-2.0 */
/* state-record: one line of the state log, as text and taken apart. */
#ifndef REGIONFS_STATE_RECORD_H
#define REGIONFS_STATE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"
#include "text.h"

void record_region(struct text *text, const struct region_info *info, bool unlinked);
void record_forget(struct text *text, uint64_t id);
void record_instance(struct text *text, uint64_t instance);
void record_setting(struct text *text, const char *key, const char *value);

enum record_kind {
	RECORD_BAD,
	RECORD_REGION,
	RECORD_FORGET,
	RECORD_INSTANCE,
	RECORD_SETTING,
	RECORD_UNKNOWN,		/* whole, but of a kind that this version doesn't know */
};

struct record {
	struct region_info info;	/* info.id also for forget and instance; strings are malloc'ed */
	bool unlinked;
	char *key, *value;		/* setting, malloc'ed */
};

/* CRC-32, as zlib has it, of what follows a line's checksum: eight digits. */
uint32_t record_crc(const char *data, size_t len);
/* line without its newline; it is taken apart in place. */
enum record_kind record_parse(struct record *record, char *line);
void record_free(struct record *record);

#endif

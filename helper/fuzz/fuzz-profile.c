// SPDX-License-Identifier: GPL-2.0
/* A profile or a list, of which the first byte says which ("l": a list): its ranges, and those of what they are written as. */
#include <inttypes.h>

#include "fuzz/fuzz-text.h"
#include "profile.h"
#include "text.h"

#define PAGE 4096

static void add_range(struct text *text, uint64_t first, uint64_t count)
{
	text_number(text, first);
	text_string(text, " ");
	text_number(text, count);
	text_string(text, "\n");
}

/* All as pages. */
static void check_anew(const struct profile_range *ranges, size_t nr, bool is_list)
{
	struct text text = { .len = 0 };
	struct profile_range *again = NULL;
	uint64_t unit = is_list ? 1 : PAGE;
	char why[512];
	size_t count;

	text_string(&text, is_list ? "# a list\n" : "regionfs-profile 1\nchunk 4096\n");
	for (size_t i = 0; i < nr; i++)
		add_range(&text, ranges[i].offset / unit, ranges[i].length / unit);
	CHECK(!profile_read(fuzz_file(text.data, text.len), is_list, &again, &count, why, sizeof(why)));
	CHECK(count == nr && (!nr || !memcmp(again, ranges, nr * sizeof(*again))));
	free(again);
	text_free(&text);
}

/* Touched in that order they come out in it, but for what was touched before. */
static void check_recorded(const struct profile_range *ranges, size_t nr)
{
	struct profile_range *again = NULL;
	struct profile *profile;
	uint64_t chunks, sum = 0;
	char why[512], *text;
	size_t count;

	CHECK(!profile_new(&profile, 64 * PROFILE_CHUNK));
	for (size_t i = 0; i < nr; i++)
		profile_touch(profile, ranges[i].offset % (64 * PROFILE_CHUNK), ranges[i].length % (8 * PROFILE_CHUNK));
	text = profile_text(profile, &chunks);
	CHECK(text && !profile_read(fuzz_file(text, strlen(text)), false, &again, &count, why, sizeof(why)));
	for (size_t i = 0; i < count; i++)
		sum += again[i].length;
	CHECK(sum == chunks * PROFILE_CHUNK && chunks <= 64);
	free(again);
	free(text);
	profile_free(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct profile_range *ranges = NULL;
	bool is_list = size && *data == 'l';
	char why[512] = "";
	size_t nr = 0;
	int err;

	if (!size)
		return 0;
	err = profile_read(fuzz_file(data + 1, size - 1), is_list, &ranges, &nr, why, sizeof(why));
	CHECK(err ? *why && !ranges && !nr : !*why && nr <= PROFILE_RANGES_MAX);
	for (size_t i = 0; i < nr; i++)
		CHECK(ranges[i].length && !(ranges[i].offset % PAGE) && !(ranges[i].length % PAGE) &&
		      ranges[i].offset + ranges[i].length <= INT64_MAX);
	if (!err) {
		check_anew(ranges, nr, is_list);
		check_recorded(ranges, nr);
	}
	free(ranges);
	return 0;
}

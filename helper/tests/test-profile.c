// SPDX-License-Identifier: GPL-2.0
/* Profiles: recorded by many threads, written, read back; and files that are not what they should be. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile.h"
#include "tap.h"

static char dir[] = "/tmp/test-profile.XXXXXX", path[64], why[256];
static struct profile_range *ranges;
static size_t nr;

static int read_bytes(const char *bytes, size_t len, bool is_list)
{
	FILE *file = fopen(path, "w");

	if (!file || fwrite(bytes, 1, len, file) != len || fclose(file))
		exit(99);
	*why = '\0';
	free(ranges);
	ranges = NULL;
	nr = 0;
	return profile_read(path, is_list, &ranges, &nr, why, sizeof(why));
}

static int read_text(const char *text, bool is_list)
{
	return read_bytes(text, strlen(text), is_list);
}

static void refused(const char *text, bool is_list, const char *sentence)
{
	char wanted[256];
	int ret = read_text(text, is_list);

	snprintf(wanted, sizeof(wanted), "%s%s", path, sentence);
	tap_is(ret < 0 && !ranges ? why : "taken", wanted, sentence);
}

/* ---- recording ---- */

static void test_record(void)
{
	struct profile *profile;
	uint64_t chunks;
	char *text;

	if (profile_new(&profile, 500000000))
		exit(99);
	profile_touch(profile, 5, 10);
	profile_touch(profile, 7620 * 65536ULL, 65537);
	profile_touch(profile, 0, 65536);
	profile_touch(profile, 65536, 65536 * 2);
	profile_touch(profile, 100, 0);
	profile_touch(profile, UINT64_MAX - 5, 100);
	profile_touch(profile, 5, UINT64_MAX);
	text = profile_text(profile, &chunks);
	tap_is(text, "regionfs-profile 1\nchunk 65536\nsize 500000000\n0 1\n7620 2\n1 2\n", "each chunk is in the order of its first touch");
	tap_number((long long)chunks, 5, "they are counted");
	tap_number(read_text(text, false), 0, "what is written can be read");
	tap_ok(nr == 3 && ranges[1].offset == 7620 * 65536ULL && ranges[1].length == 131072 && ranges[2].offset == 65536,
	       "as the same ranges");
	free(text);
	profile_reset(profile);
	profile_touch(profile, 65536, 1);
	text = profile_text(profile, &chunks);
	tap_is(text, "regionfs-profile 1\nchunk 65536\nsize 500000000\n1 1\n", "after a reset it begins anew");
	free(text);
	profile_free(profile);
}

static void test_huge(void)
{
	struct profile *profile;
	uint64_t chunks;
	char *text;

	if (profile_new(&profile, INT64_MAX))
		exit(99);
	profile_touch(profile, INT64_MAX - 1, 1);
	profile_touch(profile, 1ULL << 62, 1);
	text = profile_text(profile, &chunks);
	tap_is(text, "regionfs-profile 1\nchunk 65536\nsize 9223372036854775807\n140737488355327 1\n70368744177664 1\n",
	       "a region may be as large as a file can be");
	free(text);
	profile_free(profile);
}

#define THREADS	4
#define CHUNKS	100000u

static struct profile *shared;

static void *toucher(void *arg)
{
	uint64_t step = 1 + 2 * (uint64_t)(uintptr_t)arg;

	for (uint64_t i = 0; i < CHUNKS; i++)
		profile_touch(shared, i * step % CHUNKS * PROFILE_CHUNK, 1);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[THREADS];
	uint64_t chunks, sum = 0;
	char *text;

	if (profile_new(&shared, CHUNKS * (uint64_t)PROFILE_CHUNK))
		exit(99);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, toucher, (void *)i);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	text = profile_text(shared, &chunks);
	read_text(text, false);
	for (size_t i = 0; i < nr; i++)
		sum += ranges[i].length;
	tap_ok(chunks == CHUNKS && sum == chunks * PROFILE_CHUNK, "of several threads each chunk is there once");
	free(text);
	profile_free(shared);
}

/* ---- lists ---- */

static void test_list(void)
{
	tap_number(read_text("# what is read first\n\n  64K 4096 # the header\n1.5G\t1M\r\n0x 1\n", true), -EINVAL, "a wrong line is found");
	tap_ok(strstr(why, ", line 5: \"0x\" is not a size") != NULL, "and its number told (%s)", why);
	tap_number(read_text("# what is read first\n\n  64K 4096 # the header\n1.5G\t1M\r\n5000 1", true), 0, "units, comments, blanks");
	tap_ok(nr == 3 && ranges[0].offset == 65536 && ranges[0].length == 4096, "bytes");
	tap_ok(nr == 3 && ranges[1].offset == 3ULL << 29 && ranges[1].length == 1 << 20, "and units");
	tap_ok(nr == 3 && ranges[2].offset == 4096 && ranges[2].length == 4096, "in whole pages");
	tap_number(read_text("", true), 0, "an empty list is a list");
	tap_number((long long)nr, 0, "of nothing");
	refused("1 2 3\n", true, ", line 1: a line is OFFSET LENGTH");
	refused("0 1\n7\n", true, ", line 2: a line is OFFSET LENGTH");
	refused("0 -1\n", true, ", line 1: \"-1\" is not a size, such as 4096, 64K or 1.5G");
	refused("0 0\n", true, ", line 1: a range of no bytes");
	refused("99999999999999999999 1\n", true, ", line 1: \"99999999999999999999\" is too large");
	refused("18446744073709551615 1\n", true, ", line 1: a range beyond all that a file can have");
	refused("1 18446744073709551615\n", true, ", line 1: a range beyond all that a file can have");
	refused("9223372036854775807 1\n", true, ", line 1: a range beyond all that a file can have");
	refused("\033[2J\xff 1\n", true, ", line 1: \"?[2J?\" is not a size, such as 4096, 64K or 1.5G");
}

static void test_profile(void)
{
	refused("", false, ": not a profile: it begins with \"regionfs-profile 1\", as regionctl record writes it");
	refused("0 1\n", false, ", line 1: not a profile: it begins with \"regionfs-profile 1\", as regionctl record writes it");
	refused("regionfs-profile 2\n", false, ", line 1: a profile of version 2; version 1 is known here");
	refused("regionfs-profile 1\n0 1\n", false, ", line 2: the chunk size is not told before the first range");
	refused("regionfs-profile 1\nchunk 5000\n", false, ", line 2: a chunk is a power of two from 4096 to 1073741824 bytes");
	refused("regionfs-profile 1\nchunk 0\n", false, ", line 2: a chunk is a power of two from 4096 to 1073741824 bytes");
	refused("regionfs-profile 1\nchunk 4096\nchunk 4096\n", false, ", line 3: the chunk size is told twice, or too late");
	refused("regionfs-profile 1\nchunk 65536\n281474976710656 1\n", false, ", line 3: a range beyond all that a file can have");
	refused("regionfs-profile 1\nchunk 65536\n1 18446744073709551615\n", false, ", line 3: a range beyond all that a file can have");
	refused("regionfs-profile 1\nchunk 65536\n1K 1\n", false, ", line 3: \"1K\" is not a number");
	tap_number(read_text("# made by hand\nregionfs-profile 1\nchunk 4096\n3 2 # here\n", false), 0, "comments are taken");
	tap_ok(nr == 1 && ranges[0].offset == 12288 && ranges[0].length == 8192, "in another chunk size, too");
}

/* ---- files ---- */

static void test_files(void)
{
	static const char binary[] = "0 1\n\0\1\2";
	char fifo[64];

	tap_number(read_bytes(binary, sizeof(binary), true), -EINVAL, "a binary file is refused");
	tap_ok(strstr(why, "not a text file") != NULL, "with that sentence");
	tap_number(profile_read("/nonexistent/list", true, &ranges, &nr, why, sizeof(why)), -ENOENT, "what is not there");
	tap_is(why, "/nonexistent/list: No such file or directory", "is named");
	tap_number(profile_read(dir, true, &ranges, &nr, why, sizeof(why)), -EINVAL, "a directory is no list");
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	tap_ok(!mkfifo(fifo, 0600) && profile_read(fifo, true, &ranges, &nr, why, sizeof(why)) == -EINVAL, "nor is a FIFO, and nobody waits");
	if (truncate(path, 1LL << 40))
		exit(99);
	tap_number(profile_read(path, true, &ranges, &nr, why, sizeof(why)), -EFBIG, "a file without end is not read");
	unlink(fifo);
}

static void test_many(void)
{
	const size_t lines = PROFILE_RANGES_MAX + 1, len = strlen("0 1\n");
	char *text = malloc(lines * len + 1);

	for (size_t i = 0; i < lines; i++)
		memcpy(text + i * len, "0 1\n", len);
	tap_number(read_bytes(text, lines * len, true), -E2BIG, "nor are ranges without end");
	free(text);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 99;
	snprintf(path, sizeof(path), "%s/file", dir);
	test_record();
	test_huge();
	test_threads();
	test_list();
	test_profile();
	test_files();
	test_many();
	free(ranges);
	unlink(path);
	rmdir(dir);
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* profile: reading profiles and lists, which may come from anybody. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile.h"
#include "units.h"

#define FILE_MAX	(64u << 20)
#define PAGE		4096u
#define CHUNK_MAX	(1u << 30)
#define MAGIC		"regionfs-profile"

struct reader {
	const char *path;
	bool is_list;
	char *data, *next;	/* the file, and the next line */
	unsigned int line;
	char *word[3];		/* of the present line; a third one is one too many */
	unsigned int words;
	uint64_t chunk;		/* 0: not told yet */
	bool magic;
	struct profile_range *ranges;
	size_t nr, max;
	char *why;
	size_t why_len;
};

/* ---- what is wrong, and where ---- */

static int __attribute__((format(printf, 3, 4))) wrong(struct reader *reader, int error, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* What the file has may be anything; it goes to terminals. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	if (reader->line)
		snprintf(reader->why, reader->why_len, "%s, line %u: %s", reader->path, reader->line, text);
	else
		snprintf(reader->why, reader->why_len, "%s: %s", reader->path, text);
	return error;
}

static int wrong_word(struct reader *reader, int error, const char *word, const char *wanted)
{
	if (error == -ERANGE)
		return wrong(reader, -EINVAL, "\"%.40s\" is too large", word);
	return wrong(reader, -EINVAL, "\"%.40s\" is not %s", word, wanted);
}

/* ---- ranges ---- */

static int more_ranges(struct reader *reader)
{
	size_t max = reader->max ? reader->max * 2 : 64;
	struct profile_range *ranges = realloc(reader->ranges, max * sizeof(*ranges));

	if (!ranges)
		return wrong(reader, -ENOMEM, "no memory");
	reader->ranges = ranges;
	reader->max = max;
	return 0;
}

static int add_range(struct reader *reader, uint64_t offset, uint64_t length)
{
	uint64_t begin = offset & ~(uint64_t)(PAGE - 1), end = (offset + length + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	int ret = 0;

	if (reader->nr == PROFILE_RANGES_MAX)
		return wrong(reader, -E2BIG, "more than %u ranges", PROFILE_RANGES_MAX);
	if (reader->nr == reader->max)
		ret = more_ranges(reader);
	if (!ret)
		reader->ranges[reader->nr++] = (struct profile_range){ .offset = begin, .length = end - begin };
	return ret;
}

/* Two numbers in units of unit bytes. */
static int take_range(struct reader *reader, uint64_t first, uint64_t count, uint64_t unit)
{
	const uint64_t most = (INT64_MAX - PAGE) / unit;

	if (!count)
		return wrong(reader, -EINVAL, "a range of no bytes");
	if (first > most || count > most - first)
		return wrong(reader, -EINVAL, "a range beyond all that a file can have");
	return add_range(reader, first * unit, count * unit);
}

/* ---- lines ---- */

static int list_line(struct reader *reader)
{
	uint64_t value[2];

	if (reader->words != 2)
		return wrong(reader, -EINVAL, "a line is OFFSET LENGTH");
	for (unsigned int i = 0; i < 2; i++) {
		int ret = regionfs_size_parse(reader->word[i], &value[i]);

		if (ret)
			return wrong_word(reader, ret, reader->word[i], "a size, such as 4096, 64K or 1.5G");
	}
	return take_range(reader, value[0], value[1], 1);
}

static int number(struct reader *reader, const char *word, uint64_t *value)
{
	int ret = regionfs_number_parse(word, 0, UINT64_MAX, value);

	return ret ? wrong_word(reader, ret, word, "a number") : 0;
}

static int magic_line(struct reader *reader)
{
	if (reader->words != 2 || strcmp(reader->word[0], MAGIC))
		return wrong(reader, -EINVAL, "not a profile: it begins with \"" MAGIC " 1\", as regionctl record writes it");
	if (strcmp(reader->word[1], "1"))
		return wrong(reader, -EPROTONOSUPPORT, "a profile of version %.20s; version 1 is known here", reader->word[1]);
	reader->magic = true;
	return 0;
}

static int chunk_line(struct reader *reader)
{
	uint64_t chunk;
	int ret = number(reader, reader->word[1], &chunk);

	if (ret)
		return ret;
	if (reader->chunk || reader->nr)
		return wrong(reader, -EINVAL, "the chunk size is told twice, or too late");
	if (chunk < PAGE || chunk > CHUNK_MAX || chunk & (chunk - 1))
		return wrong(reader, -EINVAL, "a chunk is a power of two from %u to %u bytes", PAGE, CHUNK_MAX);
	reader->chunk = chunk;
	return 0;
}

static int profile_line(struct reader *reader)
{
	uint64_t first, count;
	int ret;

	if (!reader->magic)
		return magic_line(reader);
	if (reader->words != 2)
		return wrong(reader, -EINVAL, "a line is FIRST COUNT");
	if (!strcmp(reader->word[0], "chunk"))
		return chunk_line(reader);
	/* Of the recorded region; this one may have another one. */
	if (!strcmp(reader->word[0], "size"))
		return number(reader, reader->word[1], &first);
	ret = number(reader, reader->word[0], &first);
	if (!ret)
		ret = number(reader, reader->word[1], &count);
	if (!ret && !reader->chunk)
		ret = wrong(reader, -EINVAL, "the chunk size is not told before the first range");
	return ret ? ret : take_range(reader, first, count, reader->chunk);
}

/* Cuts the line off and into words. */
static void split_line(struct reader *reader)
{
	char *line = reader->next, *end = strchr(line, '\n'), *save;

	reader->next = end ? end + 1 : line + strlen(line);
	if (end)
		*end = '\0';
	line[strcspn(line, "#")] = '\0';
	reader->line++;
	reader->words = 0;
	for (char *word = strtok_r(line, " \t\r", &save); word && reader->words < 3; word = strtok_r(NULL, " \t\r", &save))
		reader->word[reader->words++] = word;
}

static int read_lines(struct reader *reader)
{
	int ret = 0;

	while (!ret && *reader->next) {
		split_line(reader);
		if (reader->words)
			ret = reader->is_list ? list_line(reader) : profile_line(reader);
	}
	if (!ret && !reader->is_list && !reader->magic)
		ret = magic_line(reader);
	return ret;
}

/* ---- the file ---- */

/* Reads what it has; whoever changes it meanwhile is to blame. */
static int read_all(struct reader *reader, int fd, size_t size)
{
	size_t got = 0;
	ssize_t n;

	reader->data = malloc(size + 1);
	if (!reader->data)
		return wrong(reader, -ENOMEM, "no memory");
	while (got < size && (n = read(fd, reader->data + got, size - got)) != 0) {
		if (n < 0 && errno != EINTR)
			return wrong(reader, -errno, "%s", strerror(errno));
		got += n > 0 ? (size_t)n : 0;
	}
	reader->data[got] = '\0';
	if (strlen(reader->data) != got)
		return wrong(reader, -EINVAL, "not a text file");
	reader->next = reader->data;
	return 0;
}

static int read_file(struct reader *reader, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return wrong(reader, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return wrong(reader, -EINVAL, "not a regular file");
	if (st.st_size > FILE_MAX)
		return wrong(reader, -EFBIG, "longer than %u MiB", FILE_MAX >> 20);
	return read_all(reader, fd, (size_t)st.st_size);
}

int profile_read(const char *path, bool is_list, struct profile_range **ranges, size_t *nr, char *why, size_t why_len)
{
	struct reader reader = { .path = path, .is_list = is_list, .why = why, .why_len = why_len };
	/* A FIFO would have us wait for who writes it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), ret;

	if (fd < 0)
		return wrong(&reader, -errno, "%s", strerror(errno));
	ret = read_file(&reader, fd);
	close(fd);
	if (!ret)
		ret = read_lines(&reader);
	free(reader.data);
	if (ret) {
		free(reader.ranges);
		return ret;
	}
	*ranges = reader.ranges;
	*nr = reader.nr;
	return 0;
}

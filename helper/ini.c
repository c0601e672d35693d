// SPDX-License-Identifier: GPL-2.0
/* ini: see ini.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ini.h"

struct reader {
	int (*take)(void *arg, const char *section, const char *key, const char *value, char *why, size_t why_len);
	void *arg;
	char *section;
	char *why;
	size_t why_len;
};

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text + strspn(text, " \t\r\n\v\f");
}

static char *unquote(char *value)
{
	size_t len = strlen(value);

	if (len < 2 || value[0] != '"' || value[len - 1] != '"')
		return value;
	value[len - 1] = '\0';
	return value + 1;
}

static int take_heading(struct reader *reader, char *line)
{
	size_t len = strlen(line);

	if (line[len - 1] != ']') {
		snprintf(reader->why, reader->why_len, "the heading is not closed by ]");
		return -EINVAL;
	}
	line[len - 1] = '\0';
	free(reader->section);
	reader->section = strdup(trim(line + 1));
	return reader->section ? 0 : -ENOMEM;
}

static int take_line(struct reader *reader, char *line)
{
	char *equals;

	line = trim(line);
	if (!*line || *line == '#' || *line == ';')
		return 0;
	if (*line == '[')
		return take_heading(reader, line);
	equals = strchr(line, '=');
	if (!equals || equals == line) {
		snprintf(reader->why, reader->why_len, "this is neither \"key = value\" nor a [heading]");
		return -EINVAL;
	}
	*equals = '\0';
	return reader->take(reader->arg, reader->section ? reader->section : "", trim(line), unquote(trim(equals + 1)),
			    reader->why, reader->why_len);
}

int ini_read(const char *path,
	     int (*take)(void *arg, const char *section, const char *key, const char *value, char *why, size_t why_len),
	     void *arg, char *why, size_t why_len)
{
	char sentence[256] = "", *line = NULL;
	struct reader reader = { .take = take, .arg = arg, .why = sentence, .why_len = sizeof(sentence) };
	unsigned int number = 0;
	size_t max = 0;
	FILE *file = fopen(path, "re");
	int err = file ? 0 : -errno;

	if (err)
		snprintf(why, why_len, "%s: %s", path, strerror(-err));
	while (!err && getline(&line, &max, file) > 0) {
		number++;
		err = take_line(&reader, line);
		if (err)
			snprintf(why, why_len, "%s:%u: %s", path, number, *sentence ? sentence : strerror(-err));
	}
	if (!err && ferror(file)) {
		err = -errno;
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
	}
	if (file)
		fclose(file);
	free(reader.section);
	free(line);
	return err;
}

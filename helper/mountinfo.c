// SPDX-License-Identifier: GPL-2.0
/* Which instance is mounted somewhere. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mountinfo.h"

/* The kernel writes blanks, tabs, newlines and backslashes as \040 and so on. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
			*to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
			text += 3;
		} else {
			*to = *text;
		}
	}
	*to = '\0';
}

/* "ID PARENT MAJ:MIN ROOT TARGET OPTIONS [TAG...] - TYPE SOURCE OPTIONS"; cut up in place. */
static bool split_line(char *line, char **target, char **type, char **source)
{
	char *rest = strstr(line, " - "), *save = NULL;

	if (!rest)
		return false;
	*rest = '\0';
	*target = strtok_r(line, " ", &save);
	for (int i = 0; i < 4 && *target; i++)
		*target = strtok_r(NULL, " ", &save);
	*type = strtok_r(rest + 3, " ", &save);
	*source = strtok_r(NULL, " \n", &save);
	return *target && *type && *source;
}

static int find_source(FILE *stream, const char *wanted, char *source, size_t room)
{
	char *line = NULL, *target, *type, *from;
	size_t size = 0;
	int err = -ENOENT;

	/* The last line that fits is the mount on top; another type there hides ours. */
	while (getline(&line, &size, stream) > 0) {
		if (!split_line(line, &target, &type, &from))
			continue;
		unescape(target);
		if (strcmp(target, wanted))
			continue;
		unescape(from);
		err = strcmp(type, "regionfs") ? -ENOENT : 0;
		snprintf(source, room, "%s", from);
	}
	free(line);
	return err;
}

int regionfs_mount_source(const char *file, const char *target, char *source, size_t room)
{
	FILE *stream = fopen(file, "re");
	int err;

	if (!stream)
		return -errno;
	err = find_source(stream, target, source, room);
	fclose(stream);
	return err;
}

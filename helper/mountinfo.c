// SPDX-License-Identifier: GPL-2.0
/* Which instance is mounted somewhere, and where an instance is mounted. */
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

/* Pointers into the line, which is cut up in place. */
struct mount {
	char *root, *target, *type, *source;
};

/* "ID PARENT MAJ:MIN ROOT TARGET OPTIONS [TAG...] - TYPE SOURCE OPTIONS" */
static bool split_line(char *line, struct mount *mount)
{
	char *rest = strstr(line, " - "), *save = NULL;

	if (!rest)
		return false;
	*rest = '\0';
	mount->root = strtok_r(line, " ", &save);
	for (int i = 0; i < 3 && mount->root; i++)
		mount->root = strtok_r(NULL, " ", &save);
	mount->target = mount->root ? strtok_r(NULL, " ", &save) : NULL;
	mount->type = strtok_r(rest + 3, " ", &save);
	mount->source = strtok_r(NULL, " \n", &save);
	if (!mount->target || !mount->type || !mount->source)
		return false;
	unescape(mount->root);
	unescape(mount->target);
	unescape(mount->source);
	return true;
}

/* Calls look for each mount, in the order in which they were made. 0 or -errno. */
static int each_mount(const char *file, void (*look)(const struct mount *mount, void *arg), void *arg)
{
	FILE *stream = fopen(file, "re");
	struct mount mount;
	char *line = NULL;
	size_t size = 0;

	if (!stream)
		return -errno;
	while (getline(&line, &size, stream) > 0)
		if (split_line(line, &mount))
			look(&mount, arg);
	free(line);
	fclose(stream);
	return 0;
}

static bool is_regionfs(const struct mount *mount)
{
	return !strcmp(mount->type, "regionfs");
}

/* ---- by its directory ---- */

struct by_target {
	const char *wanted;
	char *source;
	size_t room;
	int err;
};

/* The last line that fits is the mount on top; another type there hides ours. */
static void look_at_target(const struct mount *mount, void *arg)
{
	struct by_target *by = arg;

	if (strcmp(mount->target, by->wanted))
		return;
	by->err = is_regionfs(mount) ? 0 : -ENOENT;
	snprintf(by->source, by->room, "%s", mount->source);
}

int regionfs_mount_source(const char *file, const char *target, char *source, size_t room)
{
	struct by_target by = { .wanted = target, .source = source, .room = room, .err = -ENOENT };
	int err = each_mount(file, look_at_target, &by);

	return err ? err : by.err;
}

/* ---- by what lies on it ---- */

struct by_path {
	const char *path;
	char *source, *inside;
	size_t room, longest;
	int err;
};

/* What of path is below target, with its '/'; NULL when it is not. */
static const char *below(const char *path, const char *target)
{
	size_t length = strcmp(target, "/") ? strlen(target) : 0;

	if (strncmp(path, target, length) || (path[length] && path[length] != '/'))
		return NULL;
	return path + length;
}

static void look_at_path(const struct mount *mount, void *arg)
{
	struct by_path *by = arg;
	const char *rest = below(by->path, mount->target);
	size_t length = strlen(mount->target);

	if (!rest || length < by->longest)
		return;
	by->longest = length;
	by->err = is_regionfs(mount) ? 0 : -ENOENT;
	snprintf(by->source, by->room, "%s", mount->source);
	snprintf(by->inside, by->room, "%s%s", strcmp(mount->root, "/") ? mount->root : "", rest);
}

int regionfs_mount_of(const char *file, const char *path, char *source, char *inside, size_t room)
{
	struct by_path by = { .path = path, .source = source, .inside = inside, .room = room, .err = -ENOENT };
	int err = each_mount(file, look_at_path, &by);

	return err ? err : by.err;
}

/* ---- by its instance ---- */

struct by_source {
	const char *wanted;
	char *target;
	size_t room;
	bool found;
};

static void look_at_source(const struct mount *mount, void *arg)
{
	struct by_source *by = arg;

	if (is_regionfs(mount) && !strcmp(mount->source, by->wanted) && !strcmp(mount->root, "/")) {
		snprintf(by->target, by->room, "%s", mount->target);
		by->found = true;
	} else if (by->found && below(by->target, mount->target)) {
		by->found = false;
	}
}

int regionfs_mount_target(const char *file, const char *source, char *target, size_t room)
{
	struct by_source by = { .wanted = source, .target = target, .room = room };
	int err = each_mount(file, look_at_source, &by);

	return err ? err : by.found ? 0 : -ENOENT;
}

// SPDX-License-Identifier: GPL-2.0
/* A line that is a path, one that is a source, and then a /proc/self/mountinfo. */
#include <errno.h>

#include "fuzz/fuzz-text.h"
#include "mountinfo.h"

#define ROOM 8192

/* A short buffer gets as much of it as there is room for. */
static void check_room(const char *file, const char *path, const char *whole)
{
	char *part = malloc(4);

	CHECK(part && !regionfs_mount_source(file, path, part, 4));
	CHECK(!strncmp(part, whole, 3) && strlen(part) <= 3);
	free(part);
}

/* Where an instance is mounted, that one is mounted. */
static void check_target(const char *file, const char *source)
{
	char target[ROOM] = "", other[ROOM] = "", inside[ROOM];
	int err = regionfs_mount_target(file, source, target, ROOM);

	CHECK(!err || err == -ENOENT);
	if (err)
		return;
	CHECK(!regionfs_mount_source(file, target, other, ROOM) && !strcmp(other, source));
	CHECK(!regionfs_mount_of(file, target, other, inside, ROOM) && !strcmp(other, source));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size < 4096 ? size : 4096), *path, *source;
	char *found = malloc(ROOM), *inside = malloc(ROOM);
	const char *rest = text, *file;
	int err;

	path = fuzz_cut(&rest, "\n");
	source = fuzz_cut(&rest, "\n");
	file = fuzz_file(rest, strlen(rest));
	CHECK(found && inside);
	err = regionfs_mount_source(file, path, found, ROOM);
	CHECK(!err || err == -ENOENT);
	if (!err)
		check_room(file, path, found);
	err = regionfs_mount_of(file, path, found, inside, ROOM);
	CHECK(!err || err == -ENOENT);
	if (!err)
		CHECK(strlen(inside) <= strlen(path) + strlen(rest));
	check_target(file, source);
	free(found);
	free(inside);
	free(path);
	free(source);
	free(text);
	return 0;
}

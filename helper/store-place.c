// SPDX-License-Identifier: GPL-2.0
/* store-place: see store-place.h. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include <linux/regionfs.h>

#include "store-place.h"

int store_place_check(const char *dir, char *why, size_t why_len)
{
	char *copy = strdup(dir), *path = copy;
	struct statfs fs;
	int err;

	if (!copy)
		return -ENOMEM;
	/* the nearest that is there */
	while ((err = statfs(path, &fs)) && errno == ENOENT && strcmp(path, "/") && strcmp(path, "."))
		path = dirname(path);
	free(copy);
	if (err || fs.f_type != REGIONFS_MAGIC)
		return 0;
	snprintf(why, why_len, "%s is on a regionfs: a local store needs a file system that does not depend on a helper", dir);
	return -EINVAL;
}

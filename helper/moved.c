// SPDX-License-Identifier: GPL-2.0
/* moved: see moved.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "dirs.h"
#include "managed-mark.h"
#include "moved.h"

static bool is_declared(const struct config *config, const char *path)
{
	for (const struct config_region *region = config->regions; region && path; region = region->next)
		if (!strcmp(region->path, path))
			return config->state_dir != NULL;
	return false;
}

/* A path has slashes, and may be longer than a name. */
static void file_of(const struct config *config, const char *path, char *file, size_t len)
{
	snprintf(file, len, "%s/moved-%016" PRIx64, config->state_dir, managed_mark_hash(path));
}

int moved_note(const struct config *config, const char *path)
{
	char file[4096];
	int fd, err = 0;
	size_t len;

	if (!is_declared(config, path))
		return 0;
	len = strlen(path);
	file_of(config, path, file, sizeof(file));
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* for people: that it is there says all */
	if (write(fd, path, len) != (ssize_t)len || fsync(fd))
		err = errno ? -errno : -EIO;
	close(fd);
	return err ? err : dirs_sync_parent(file);
}

void moved_forget(const struct config *config, const char *path)
{
	char file[4096];

	if (!is_declared(config, path))
		return;
	file_of(config, path, file, sizeof(file));
	unlink(file);
}

bool moved_is(const struct config *config, const char *path, char *file, size_t len)
{
	if (!is_declared(config, path))
		return false;
	file_of(config, path, file, len);
	return !access(file, F_OK);
}

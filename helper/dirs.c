// SPDX-License-Identifier: GPL-2.0
/* dirs: see dirs.h. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dirs.h"

int dirs_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int dirs_sync_parent(const char *path)
{
	char *copy = strdup(path);
	int err = copy ? dirs_sync(dirname(copy)) : -ENOMEM;

	free(copy);
	return err == -EINVAL ? 0 : err;
}

static int make_one(const char *path, mode_t mode)
{
	if (mkdir(path, mode))
		return errno == EEXIST ? 0 : -errno;
	return dirs_sync_parent(path);
}

int dirs_make(const char *path, mode_t mode)
{
	char *copy = strdup(path), *slash = copy;
	int err = 0;

	if (!copy)
		return -ENOMEM;
	while (!err && (slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		err = make_one(copy, 0755);
		*slash = '/';
	}
	if (!err)
		err = make_one(copy, mode);
	free(copy);
	return err;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int dirs_replace(int dir_fd, const char *name, const void *data, size_t len)
{
	char temporary[256];
	int fd, err;

	snprintf(temporary, sizeof(temporary), "%s.new", name);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, data, len);
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	if (!err && renameat(dir_fd, temporary, dir_fd, name))
		err = -errno;
	return err;
}

int dirs_stream(int dir_fd, DIR **stream)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	*stream = fd < 0 ? NULL : fdopendir(fd);
	if (*stream)
		return 0;
	err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

// SPDX-License-Identifier: GPL-2.0
/* run-dir: see run-dir.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run-dir.h"

/* The parent is for all instances, and everybody may look which there are. */
static int make(const char *path)
{
	char *parent = strdup(path), *slash = parent ? strrchr(parent, '/') : NULL;
	int err = parent ? 0 : -ENOMEM;

	if (slash && slash != parent) {
		*slash = '\0';
		if (!mkdir(parent, 0755) && chmod(parent, 0755))
			err = -errno;
	}
	free(parent);
	return !err && mkdir(path, 0700) && errno != EEXIST ? -errno : err;
}

/* Its last user may have removed it after we had opened it. */
static bool is_there(const char *path, int fd)
{
	struct stat here, there;

	return !fstat(fd, &here) && !stat(path, &there) && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

int run_dir_take(const char *path)
{
	for (;;) {
		int err = make(path), fd;

		if (err)
			return err;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB))
			err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		else if (is_there(path, fd))
			return fd;
		close(fd);
		if (err)
			return err;
	}
}

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	if (dir)
		closedir(dir);
	return empty;
}

/* A mapping of a region that was deleted may still keep it busy, so it is only detached: there is nothing to lose in it. */
static void remove_memory(const char *path)
{
	if (!is_empty(path))
		return;
	umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH);
	rmdir(path);
}

void run_dir_clear(const char *path, int lock)
{
	static const char *const names[] = { "control", "drain" };
	char below[4096];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(below, sizeof(below), "%s/%s", path, names[i]);
		unlink(below);
	}
	snprintf(below, sizeof(below), "%s/memory", path);
	remove_memory(below);
	rmdir(path);
	close(lock);
}

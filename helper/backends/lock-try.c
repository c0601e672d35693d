// SPDX-License-Identifier: GPL-2.0
/* lock-try: lock-reach.h's look at what is open: its file system, how that is mounted, and whether it takes a lock. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/lock-reach.h"

/* By a description of its own, shared, and for a moment: whoever wants one alone just then tries again. */
static bool takes_locks(int fd)
{
	char self[64];
	int other, ret;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	other = open(self, O_RDONLY | O_CLOEXEC);
	if (other < 0)
		return false;
	ret = flock(other, LOCK_SH | LOCK_NB);
	ret = ret ? errno : 0;
	close(other);
	return !ret || ret == EWOULDBLOCK;
}

static int mount_of(int fd)
{
	char path[64], *line = NULL;
	size_t room = 0;
	int id = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && id < 0 && getline(&line, &room, info) > 0)
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = -1;
	free(line);
	if (info)
		fclose(info);
	return id;
}

/* Both kinds, in a line; malloc'ed, NULL: not to be had. */
static char *mount_options(int mount)
{
	FILE *info = mount < 0 ? NULL : fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	int id;

	while (info && !found && getline(&line, &room, info) > 0)
		found = sscanf(line, "%d", &id) == 1 && id == mount;
	if (info)
		fclose(info);
	if (found)
		return line;
	free(line);
	return NULL;
}

bool lock_reaches_all(int fd)
{
	struct statfs fs;
	struct stat st;
	char *options;
	bool reaches;

	if (fstat(fd, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || fstatfs(fd, &fs) || !takes_locks(fd))
		return false;
	options = mount_options(mount_of(fd));
	reaches = options && lock_reach((uint32_t)fs.f_type, options);
	free(options);
	return reaches;
}

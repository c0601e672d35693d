// SPDX-License-Identifier: GPL-2.0
/* pki-save: see pki-save.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki-save.h"
#include "whole-io.h"

static int fill(int fd, mode_t mode, const void *data, size_t len)
{
	int ret = whole_write(fd, data, len, 0);

	if (!ret && (fchmod(fd, mode) || fsync(fd)))
		ret = -errno;
	return ret;
}

/* link(), unlike rename(), has an answer to a file of that name that comes meanwhile. */
static int give_name(int dir_fd, const char *from, const char *name, bool replace)
{
	if (replace)
		return renameat(dir_fd, from, dir_fd, name) ? -errno : 0;
	return linkat(dir_fd, from, dir_fd, name, 0) ? -errno : 0;
}

int pki_save(int dir_fd, const char *name, mode_t mode, const void *data, size_t len, bool replace)
{
	char temporary[300];
	int fd, ret;

	snprintf(temporary, sizeof(temporary), ".%.255s.%d.new", name, (int)getpid());
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? -EBUSY : -errno;
	ret = fill(fd, mode, data, len);
	close(fd);
	if (!ret)
		ret = give_name(dir_fd, temporary, name, replace);
	unlinkat(dir_fd, temporary, 0);
	return ret;
}

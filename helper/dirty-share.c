// SPDX-License-Identifier: GPL-2.0
/* dirty-share: what dirty-share.h says, by the min_ratio of the instance's backing device. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "dirty-share.h"
#include "log.h"

static bool put(int fd, uint32_t percent)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", percent);

	return pwrite(fd, text, (size_t)len, 0) == len;
}

void dirty_share_least(const char *name, uint64_t id, uint32_t share)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/bdi/regionfs-%.40s-%llx/min_ratio", name, (unsigned long long)id);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!(share >= 8 && put(fd, share / 4)) && !put(fd, 1))
		log_debug("the dirty share of the instance keeps no minimum (%s)", path);
	close(fd);
}

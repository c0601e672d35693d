// SPDX-License-Identifier: GPL-2.0
/* dirty-share: what dirty-share.h says, by the min_ratio and max_ratio of the instance's backing device; both are percent. */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dirty-share.h"
#include "log.h"

#define OURS	20	/* what all instances keep together, but for one percent each */

/* As the kernel makes it, which has 63 bytes for the device's name. */
static void path_of(char *path, size_t size, const char *name, uint64_t id, const char *attribute)
{
	char device[64];

	snprintf(device, sizeof(device), "regionfs-%.37s-%llx", name, (unsigned long long)id);
	snprintf(path, size, "/sys/class/bdi/%s/%s", device, attribute);
}

/* 0 when it can't be read. */
static int get(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atoi(text) : 0;
}

static int put(const char *path, int percent)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), len, ok;
	char text[16];

	if (fd < 0)
		return 0;
	len = snprintf(text, sizeof(text), "%d", percent);
	ok = write(fd, text, (size_t)len) == len;
	close(fd);
	return ok;
}

static int kept_by_all(void)
{
	glob_t found;
	int sum = 0;

	if (glob("/sys/class/bdi/regionfs-*/min_ratio", GLOB_NOSORT, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++)
		sum += get(found.gl_pathv[i]);
	globfree(&found);
	return sum;
}

void dirty_share_keep(const char *name, uint64_t id)
{
	char least[160], most[160];
	int keep, room;

	path_of(least, sizeof(least), name, id, "min_ratio");
	path_of(most, sizeof(most), name, id, "max_ratio");
	keep = get(most) / 4;
	room = OURS - (kept_by_all() - get(least));
	if (keep > room)
		keep = room;
	while (keep > 1 && !put(least, keep))
		keep /= 2;
	if (keep <= 1 && !put(least, 1))
		log_debug("the dirty share of the instance keeps no minimum (%s)", least);
}

void dirty_share_yield(const char *name, uint64_t id)
{
	char least[160];

	path_of(least, sizeof(least), name, id, "min_ratio");
	if (get(least) > 1)
		put(least, 1);
}

// SPDX-License-Identifier: GPL-2.0
/* memory-dir: see memory-dir.h. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "memory-dir.h"

int memory_dir_mount(const char *dir)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	static atomic_bool mounted;
	struct stat here, above;
	char parent[4096];
	int err = 0;

	if (atomic_load(&mounted))
		return 0;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if (snprintf(parent, sizeof(parent), "%s/..", dir) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	pthread_mutex_lock(&one);
	if (stat(dir, &here) || stat(parent, &above))
		err = -errno;
	else if (here.st_dev == above.st_dev && mount("regionfs-memory", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
						      "mode=0700,size=80%,nr_inodes=0") && errno != EPERM)
		err = -errno;
	pthread_mutex_unlock(&one);
	atomic_store(&mounted, !err);
	return err;
}

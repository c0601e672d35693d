/* SPDX-License-Identifier: GPL-2.0 */
/* Which instance is mounted somewhere, and where an instance is mounted. file is /proc/self/mountinfo, or what a test has in its place. */
#ifndef REGIONFS_MOUNTINFO_H
#define REGIONFS_MOUNTINFO_H

#include <stddef.h>

/* The source of the regionfs on top at target. 0, -ENOENT, -errno. */
int regionfs_mount_source(const char *file, const char *target, char *source, size_t room);

/*
 * The mount that path (absolute, without links) lies on: its source, and what path is called there, below the root of its
 * file system. -ENOENT: that is no regionfs.
 */
int regionfs_mount_of(const char *file, const char *path, char *source, char *inside, size_t room);

/* Where the whole of an instance is mounted, and not hidden by another mount. 0, -ENOENT, -errno. */
int regionfs_mount_target(const char *file, const char *source, char *target, size_t room);

#endif

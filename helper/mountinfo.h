/* SPDX-License-Identifier: GPL-2.0 */
/* Which instance is mounted somewhere. */
#ifndef REGIONFS_MOUNTINFO_H
#define REGIONFS_MOUNTINFO_H

#include <stddef.h>

/*
 * The source of the regionfs on top at target, as file (/proc/self/mountinfo) has it. 0, -ENOENT,
 * -errno.
 */
int regionfs_mount_source(const char *file, const char *target, char *source, size_t room);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* dirs: making directories, and files that are whole or not there. These block. */
#ifndef REGIONFS_DIRS_H
#define REGIONFS_DIRS_H

#include <dirent.h>
#include <stddef.h>
#include <sys/types.h>

/* path and what is missing above it, for good; fine when it is there. */
int dirs_make(const char *path, mode_t mode);
/* The names in a directory are there for good. -EINVAL: its file system has nothing to sync there. */
int dirs_sync(const char *path);
/* A new name is there for good when the directory that it is in has been synced; fine where there is nothing to sync. */
int dirs_sync_parent(const char *path);
/* The names in an open directory, from the first on; the caller has dir_fd as before, and closes the stream. */
int dirs_stream(int dir_fd, DIR **stream);
/* Replaces NAME in the directory by data: written beside it, synced, renamed. The directory is not synced. */
int dirs_replace(int dir_fd, const char *name, const void *data, size_t len);

#endif

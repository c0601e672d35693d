/* SPDX-License-Identifier: GPL-2.0 */
/*
 * file-version: BACKEND_VERSION of a source whose bytes are in files: which file it is, its size, and when it was written last (mtime) and changed at
 * all (ctime, which no program can set). These block.
 *
 * Times go by the ticks of a clock. What is written within the tick of the last write, but after we have looked, would not show; so a file that
 * was written just now is looked at once more when that tick is over.
 */
#ifndef REGIONFS_FILE_VERSION_H
#define REGIONFS_FILE_VERSION_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct statx;

#define FILE_VERSION_STATX	(STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME | STATX_CTIME)
/* A clock that is ahead of ours (another host's) is not waited for longer. */
#define FILE_VERSION_TRIES	4

/* BACKEND_VERSION of a source that is one file. */
int file_version(int fd, char *text);
/* The time, before files are looked at. */
struct timespec file_version_now(void);
/* Was it last written before that? */
bool file_version_is_settled(const struct statx *st, struct timespec now);
/* Waits for the next tick. */
void file_version_wait(void);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * moved: the declared regions (config.h) that have moved to another host. A boot, and a regiond's start, make the others, if they are not there; the bytes of these
 * are that host's, which may have their source, too. A file of each, in the state directory, outlives the records of an instance, and says so until the
 * region is made here again. All block for as long as that takes; main loop only.
 */
#ifndef REGIONFS_MOVED_H
#define REGIONFS_MOVED_H

#include <stdbool.h>
#include <stddef.h>

struct config;

/* That one has. Nothing to do for one that is not declared, or has no path (NULL). Durable; negative errno. */
int moved_note(const struct config *config, const char *path);
/* It is this host's again: it was made here by somebody's word, or has come back. path as above. */
void moved_forget(const struct config *config, const char *path);
/* file: what says so, for people to remove, len bytes. */
bool moved_is(const struct config *config, const char *path, char *file, size_t len);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * managed-mark: where a managed region's store is, and the mark beside it that says that what is in it is no region's (managed-adopt.c), also of one that is
 * not open.
 */
#ifndef REGIONFS_MANAGED_MARK_H
#define REGIONFS_MANAGED_MARK_H

#include <stddef.h>
#include <stdint.h>

struct region;

/* FNV-1a. A name for the place of a source, or a path, in a directory that several regions may share. */
uint64_t managed_mark_hash(const char *text);
/* The store's directory below local_path. */
void managed_mark_dir(const char *local_path, const char *source, char *dir, size_t len);
/* The store's directory of a region with that source and, where a leech has not got it, that policy; "" where it has none that outlives this host. */
void managed_mark_store(const char *source, const char *policy, char *dir, size_t len);
/* Makes the mark, and it is there for good. It blocks. Negative errno. */
int managed_mark_set(const char *mark);
/*
 * The region is another host's, with its source, and nobody needs what is here: marks its store, if it has one that outlives this host. source: the
 * region's; policy: its own, NULL where a leech has it still. It blocks. Negative errno.
 */
int managed_mark_forgone(const char *source, const char *policy);
/* The same in the pool; then(arg, error) on the home loop, at once where there is nothing to be marked. Holds the region meanwhile. */
void managed_mark_region(struct region *region, void (*then)(void *arg, int error), void *arg);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * profile: in which order the chunks of a region were first touched, as a small text file:
 *
 *     regionfs-profile 1
 *     chunk 65536
 *     size 500000000
 *     0 1
 *     7620 2		FIRST COUNT, in the order of the first touch
 *     ...
 *
 * A list (--pull-order list:FILE) is lines of OFFSET LENGTH, with units (4K, 1M) or without. In both # begins a comment.
 */
#ifndef REGIONFS_PROFILE_H
#define REGIONFS_PROFILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_CHUNK	(64u << 10)
#define PROFILE_RANGES_MAX (1u << 20)	/* in a file; what is touched after as many is not recorded */

/* ---- recording; any thread ---- */

struct profile;

int profile_new(struct profile **profile, uint64_t size);
void profile_free(struct profile *profile);
/* A program has touched these bytes. Cheap when it had before. */
void profile_touch(struct profile *profile, uint64_t offset, uint64_t length);
/* Anew from here on. */
void profile_reset(struct profile *profile);
/* The file's text, malloc'ed; *chunks: how many are in it. NULL: no memory. */
char *profile_text(struct profile *profile, uint64_t *chunks);

/* ---- playing back ---- */

struct profile_range {
	uint64_t offset, length;
};

/* Reads a profile or a list. *ranges is malloc'ed, in order, page-aligned, may reach beyond the region's end. A wrong line is named in why. */
int profile_read(const char *path, bool is_list, struct profile_range **ranges, size_t *nr, char *why, size_t why_len);

#endif

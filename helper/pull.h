/* SPDX-License-Identifier: GPL-2.0 */
/* pull: brings a range of a region from its source into the page cache, before anyone asks for it. */
#ifndef REGIONFS_PULL_H
#define REGIONFS_PULL_H

#include <stdint.h>

struct region;
struct pull;

struct pull_options {
	struct region *region;		/* a reference is taken */
	uint64_t offset;
	uint64_t length;
	/* bytes that were gone through; optional */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* stored: bytes that became present */
	void (*done)(void *arg, int error, const char *why, uint64_t stored);
	void *arg;
};

/* NULL: out of memory, and done won't come. Else it comes later. */
struct pull *pull_start(const struct pull_options *options);
/* done comes soon, with -ECANCELED. */
void pull_stop(struct pull *pull);

#endif

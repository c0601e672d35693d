/* SPDX-License-Identifier: GPL-2.0 */
/*
 * flush: has the kernel write what is dirty, and makes it durable, for one region or for all, a few at a time. What then is in a managed
 * region's store alone is pushed to its source.
 */
#ifndef REGIONFS_FLUSH_H
#define REGIONFS_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink.h"

struct regiond;
struct region;
struct flush;

struct flush_options {
	struct regiond *regiond;
	struct region *region;		/* NULL: all */
	uint32_t timeout_ms;		/* 0: the kernel's default, and no limit for what is pushed */
	bool here_only;			/* as durable as the policy says; what isn't pushed then follows by itself */
	/* regions flushed so far; optional */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* bytes pushed, now and then; optional */
	void (*pushing)(void *arg, uint64_t done, uint64_t total);
	/* error: the first one, with a sentence */
	void (*done)(void *arg, int error, const char *why);
	void *arg;
};

/* done comes always, maybe from within when there is no memory. */
void flush_start(const struct flush_options *options);

#endif

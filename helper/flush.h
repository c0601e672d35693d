/* SPDX-License-Identifier: GPL-2.0 */
/* flush: has the kernel write what is dirty, and makes it durable, for one region or for all, a few at a time. */
#ifndef REGIONFS_FLUSH_H
#define REGIONFS_FLUSH_H

#include <stdint.h>

#include "netlink.h"

struct regiond;
struct region;
struct flush;

struct flush_options {
	struct regiond *regiond;
	struct region *region;		/* NULL: all */
	uint32_t timeout_ms;		/* 0: the kernel's default */
	/* regions flushed so far; optional */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* error: the first one, with a sentence */
	void (*done)(void *arg, int error, const char *why);
	void *arg;
};

/* done comes always, maybe from within when there is no memory. */
void flush_start(const struct flush_options *options);

#endif

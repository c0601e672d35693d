/* SPDX-License-Identifier: GPL-2.0 */
/* probe: opens a source once, before a region is made of it: does it work, how large is it, what is its full name? */
#ifndef REGIONFS_PROBE_H
#define REGIONFS_PROBE_H

#include <stdint.h>

#include "backend.h"

struct regiond;

struct probe {
	char *source;		/* resolved; may be taken (set to NULL) */
	uint64_t size;
	bool read_only;
	bool fixed_size;
	enum backend_fence fence;
	/* probe.c's */
	void *arg;
	struct backend_open open;
	void (*done)(struct probe *probe, void *arg, int error, const char *why);
};

/*
 * Asynchronous: a source that doesn't exist is made, with size (0: what the source says). done() frees the probe with
 * probe_free(); it is NULL when there was no memory for one. chunk 0: the instance's, or the source's choice.
 */
void probe_start(struct regiond *regiond, const char *source, uint64_t size, uint32_t chunk,
		 void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg);
/* The same for a source that must be there, without changing anything or waiting for who uses it. */
void probe_look(struct regiond *regiond, const char *source,
		void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg);
/* As that, for a source that another host has as yet: fence is what keeps that one's late writes away. */
void probe_moving(struct regiond *regiond, const char *source,
		  void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg);
void probe_free(struct probe *probe);
/* No region came of it: what was made for it alone is deleted. */
void probe_undo(struct regiond *regiond, const char *source);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* Starts a regiond in the background and waits until it serves its instance. */
#ifndef REGIONFS_START_H
#define REGIONFS_START_H

#include <stdint.h>
#include <sys/types.h>

/* Long enough for a helper that waits for its predecessor's writes to drain. */
#define REGIONFS_START_LIMIT_MS	60000

struct regionfs_start {
	const char *instance;
	const char *helper;		/* NULL or "": the one beside this program, else installed */
	char *const *args;		/* further arguments, NULL-terminated; may be NULL */
	unsigned int limit_ms;
	char message[1024];		/* a sentence, after a failure: regiond's own if any */
};

/*
 * Runs "regiond --instance NAME ARGS", which exits when its child serves in the background. 0, or a
 * negative errno: -ETIMEDOUT (it goes on trying), -ENOENT (no such program), -EIO (it failed).
 */
int regionfs_start(struct regionfs_start *start);

#endif

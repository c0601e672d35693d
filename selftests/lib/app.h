/* SPDX-License-Identifier: GPL-2.0 */
/* An application: one process that does one thing to one file, which may block, fail or be killed. */
#ifndef SELFTESTS_APP_H
#define SELFTESTS_APP_H

#include "proc.h"

#define APP_SIGBUS	250	/* exit status: a fault got SIGBUS */
#define APP_WRONG	251	/* the bytes were not those of the pattern */
#define APP_SHORT	252	/* fewer bytes than asked for */

enum app_what {
	APP_READ, APP_WRITE, APP_MAP_READ, APP_MAP_WRITE, APP_DIRECT_READ, APP_DIRECT_WRITE,
	APP_FSYNC, APP_MSYNC, APP_SYNCFS, APP_SENDFILE, APP_TRUNCATE, APP_PUNCH, APP_EXEC,
};

struct app {
	const char *path;
	enum app_what what;
	uint64_t offset;
	size_t len;		/* TRUNCATE: the new size is offset */
	uint64_t seed;		/* written, or expected; 0: zeroes are expected */
	bool any;		/* whatever is read is right */
	/* Room of the library. */
	char path_copy[256];
};

/* Starts it; its exit status is 0, an errno, or APP_*. */
pid_t app_start(const char *path, enum app_what what, uint64_t offset, size_t len, uint64_t seed);
/* As app_start, and any bytes are right. */
pid_t app_start_any(const char *path, enum app_what what, uint64_t offset, size_t len);
/* Starts it and waits for its end: the exit status, or -ETIMEDOUT (it is killed then). */
int app_run(const char *path, enum app_what what, uint64_t offset, size_t len, uint64_t seed);
const char *app_name(enum app_what what);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* For the fail-nth tests: a file in a mount, and what must stand in it, in the page cache and at the source. */
#ifndef SELFTESTS_FAILNTH_FILE_H
#define SELFTESTS_FAILNTH_FILE_H

#include "env.h"
#include "failnth.h"

#define FILE_SIZE	(256 * KiB)
#define FILE_ROOM	(2 * FILE_SIZE)

struct nthfile {
	struct env e;
	char path[128];
	uint64_t id;
	int fd;				/* open for reading and writing */
	char *map;			/* all of it, or NULL */
	size_t size;			/* as it should be */
	char want[FILE_ROOM];		/* and these the bytes */
	char *buf;			/* of FILE_ROOM, aligned to pages, and one page more */
};

extern struct nthfile nf;

/* An instance with a helper, and one file "r" of FILE_SIZE. */
void nthfile_start(const char *what);
/* The test's own files and mappings go, or the instance stays. */
int nthfile_done(void);
/* Another file in its place, of FILE_SIZE zeroes, of which the kernel has noted nothing. */
void nthfile_fresh(void);
/* Written and synced, mapped nowhere, and out of the page cache. */
void nthfile_cold(void);
/* The same, and mapped for reading and writing; flags are of mmap(). */
void nthfile_cold_map(int flags);
/* Back to FILE_SIZE, where it is not of that size. */
void nthfile_whole(void);
/* All of it is in the page cache. */
void nthfile_warm(void);
/* The bytes that this try writes: another pattern each time; they are in nf.buf and nf.want. */
void nthfile_will_write(size_t at, size_t len);
/* Are these bytes what stands there? */
bool nthfile_is(const void *bytes, size_t at, size_t len);
/* fsync says that all is written, and so it is; the file is as long, and reads so. */
bool nthfile_right(void);
/* Another instance, that comes and goes; it has no helper. */
#define OTHER	"fail-nth-other"

/* Starts a question about it, in nf.e.q. */
void nthother_ask(uint8_t cmd);
void nthother_stop(void);
void nthother_start(void);		/* anew */
/* Where it is mounted: 0 or -errno. */
extern char nthother_dir[64];
int nthother_mount(void);
void nthother_unmount(void);		/* as often as it is */

/* 0, a negative errno, or -ENODATA for less than that. */
int nthfile_result(ssize_t n, size_t len);

#endif

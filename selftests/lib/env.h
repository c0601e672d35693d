/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What almost every test needs: one instance with a fake helper and a mount, taken down again when the
 * program ends in whatever way. More than one may exist.
 */
#ifndef SELFTESTS_ENV_H
#define SELFTESTS_ENV_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fakehelper.h"
#include "nl.h"
#include "pattern.h"
#include "proc.h"
#include "tap.h"

#define SOON	30000		/* ms: "must not hang"; generous, for emulated and debugging kernels */
#define KiB	1024ull
#define MiB	(1024 * KiB)
#define GiB	(1024 * MiB)
#define TiB	(1024 * GiB)

struct env {
	char name[REGIONFS_NAME_MAX + 1];
	char dir[64];			/* where it is mounted */
	struct nl nl;
	struct fh *fh;
	struct nlq q;			/* for one question at a time */
	struct nlr r;			/* and its answer */
	bool up, mounted;
	pid_t owner;
};

/* Makes instance, mount, and (unless told otherwise) helper; skips the program where there is no module. */
void env_start(struct env *e, const char *what);
void env_start_bare(struct env *e, const char *what);	/* no helper yet */
/* Ends all of it; safe to call twice; registered with atexit. */
void env_end(struct env *e);
int env_mount(struct env *e);		/* 0 or -errno */
int env_umount(struct env *e);

/* REGION_ADD; the id, or 0 with the reason in e->nl.message. */
uint64_t env_region(struct env *e, const char *path, uint64_t size);
/* A region whose backing bytes are the pattern of seed. */
uint64_t env_filled(struct env *e, const char *path, uint64_t size, uint64_t seed);
int env_path_fd(struct env *e, const char *path, int flags);	/* opens it in the mount; must succeed */
const char *env_path(struct env *e, const char *path);		/* static buffer */
uint64_t env_id(struct env *e, const char *path);		/* region id of a path, 0 when there is none */

/* One-region commands: 0 or -errno; e->r has the answer. Long ones wait for their end. */
void env_ask(struct env *e, uint8_t cmd, uint64_t region);	/* starts e->q; add attributes, then env_call */
int env_call(struct env *e);
int env_call_long(struct env *e);
int env_simple(struct env *e, uint8_t cmd, uint64_t region);	/* ask and call */
int env_long(struct env *e, uint8_t cmd, uint64_t region);	/* ask and call_long */
int env_flags(struct env *e, uint64_t region, uint32_t flags, uint32_t mask);
int env_takeback(struct env *e, uint32_t ms);
uint64_t env_stat(struct env *e, uint64_t region, int stat);	/* region 0: of the instance */
uint32_t env_region_u32(struct env *e, uint64_t region, int attr);
bool env_wait_stat(struct env *e, uint64_t region, int stat, uint64_t at_least, int ms);
/* Drops the clean page cache of a region by posix_fadvise. */
void env_evict(int fd);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lock: one writer for a file or directory, by flock(2). Its locks are held by open file descriptions, and those by the
 * I/O that is in flight on them: so a dead helper's lock lasts until its last write has landed, and taking
 * it waits for that.
 */
#ifndef REGIONFS_LOCK_H
#define REGIONFS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct lock {
	int fd[2];		/* both are locked; -1: none */
	bool unsupported;	/* out: the file system has no locks */
	struct loop *loop;
	struct loop_timer timer;
	uint64_t end;
	void (*done)(struct lock *lock, int error);
};

/* done(lock, error) later: 0, -EBUSY when another one kept it for all the time (patience_ms 0: LOCK_LIMIT_MS), or another negative errno. */
#define LOCK_LIMIT_MS 15000
/* So often may a source be deleted by the one who had the lock, before who has waited for it gives up. */
#define LOCK_TRIES 8
void lock_take(struct lock *lock, struct loop *loop, uint32_t patience_ms);

#endif

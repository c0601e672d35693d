/* SPDX-License-Identifier: GPL-2.0 */
/*
 * spawner: a small process, forked before the device is opened, that runs commands (hooks) for regiond. The helper
 * itself must never exec: its parked io_uring commands would go with it.
 */
#ifndef REGIONFS_SPAWNER_H
#define REGIONFS_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct spawner;

struct spawner_job {
	const char *command;	/* for /bin/sh -c; valid until done */
	char *const *env;	/* "KEY=VALUE" added to the environment, NULL-terminated, or NULL */
	uint32_t timeout_ms;	/* 0: none; after it the command's process group gets SIGTERM, then SIGKILL: -ETIMEDOUT */
	/* -1, or a socket or pipe end that becomes the command's stdin and stdout (peer+exec:) */
	int stdio;
	/* status: 0..255 the exit code, 256 + signal when killed, or a negative errno. output: the start of its stderr. */
	void (*done)(struct spawner_job *job, int status, const char *output);
	/* spawner.c's */
	struct list list;
	uint64_t id;
};

/* Before any thread or loop exists: forks. */
int spawner_fork(struct spawner **spawner);
/* Use it on this loop from now on. */
int spawner_start(struct spawner *spawner, struct loop *loop);
void spawner_run(struct spawner *spawner, struct spawner_job *job);
/* Ends the command (SIGTERM to its group); done still comes. */
void spawner_kill(struct spawner *spawner, struct spawner_job *job);
/*
 * run_dir_clear(), which unmounts, by the spawner, which may: lock is given to it. Before spawner_close(), after which it is done. A negative errno
 * when it could not be asked.
 */
int spawner_clear(struct spawner *spawner, const char *run_dir, int lock);
/* Waits for its end; what it still runs gets SIGTERM. */
void spawner_close(struct spawner *spawner);

#endif

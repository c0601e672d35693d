/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One run of bench-touch: what is measured, and what came of it. touch.c owns it; a measure's run() fills in the results.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stddef.h>
#include <stdint.h>

#define MIB	(1UL << 20)
#define WINDOW	(2 * MIB)	/* lone touches stand this far apart */

/* What the whole machine has done since it was started, the helper's part too. */
struct usage {
	uint64_t cpu_ns;	/* of all CPUs, idle time and waiting left out; a tick is 10 ms */
	uint64_t switches;	/* of contexts */
};

struct job {
	const char *measure;
	const char *path;
	const char *label;
	unsigned int round;
	size_t pages;		/* to touch, for those that choose pages */
	uint64_t seed;
	size_t copy;		/* userfaultfd: bytes a fault */
	int process;		/* userfaultfd: the handler is a process of its own */
	int warm;		/* leave in memory what is there */
	size_t size;
	int fd;
	char *map;
	uint64_t bad;		/* bits that were wrong */
	uint64_t *ns;		/* a sample each */
	size_t samples;
	uint64_t total_ns;
	size_t total_bytes;	/* that the samples stand for */
	struct usage usage;	/* while it ran */
};

/* of a measure */
#define MEASURE_COLD	1u	/* nothing of it is in memory when it begins */
#define MEASURE_WRITES	2u	/* maps and opens it for writing; bytes are written as they are */
#define MEASURE_FILE	4u	/* makes system calls on the file: nothing for userfaultfd */

struct measure {
	const char *name;
	unsigned int flags;
	int advice;
	void (*run)(struct job *job);
	const char *help;
};

/* What one of several threads does: as many of the chosen pages as each of the others. */
struct slice {
	struct job *job;
	const uint64_t *page;
	uint64_t *ns;		/* a sample each */
	size_t count;
	uint64_t bad;
	int fd;
};

/* touch-slices.c: each on its own thread, all begun together; fd is handed on. The total is from there to the last one's end. */
void run_slices(struct job *job, unsigned int nr, int fd, void (*run)(struct slice *slice));

/* What can't be done here is said with this exit status, and is no failure. */
#define EXIT_SKIPPED	77

/* touch-map.c, through the mapping */
void run_random(struct job *job);
void run_lone(struct job *job);
void run_seq(struct job *job);
void run_check(struct job *job);
void run_threads(struct job *job);
void run_warm(struct job *job);
/* touch-io.c */
void run_read(struct job *job);
void run_msync(struct job *job);
void run_fsync(struct job *job);
void run_direct(struct job *job);
void run_direct8(struct job *job);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One run of bench-touch: what is measured, and what came of it. touch.c owns it; a measure's run() fills in the results. Those that
 * only look are the helper's (measure.h), which regionctl bench has, too.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "../helper/measure.h"

/* What the whole machine has done since it was started, the helper's part too. */
struct usage {
	uint64_t cpu_ns;	/* of all CPUs, idle time and waiting left out; a tick is 10 ms */
	uint64_t switches;	/* of contexts */
};

struct job {
	struct measure_job on;	/* the file, and the samples */
	const char *measure;
	const char *label;
	unsigned int round;
	size_t copy;		/* userfaultfd: bytes a fault */
	int process;		/* userfaultfd: the handler is a process of its own */
	int warm;		/* leave in memory what is there */
	const char *pull;	/* regionfs instance: what shall be there is pulled, not read */
	const char *beside;	/* a file that is dropped with the other one, or NULL */
	struct usage usage;	/* while it ran */
};

/* Of a measure, beside the flags of measure.h: all of it is in memory when it begins, and not mapped. */
#define MEASURE_THERE	16u

/* What can't be done here is said with this exit status, and is no failure. */
#define EXIT_SKIPPED	77

/* touch-io.c: what writes, and what looks at every word */
int run_msync(struct measure_job *job);
int run_fsync(struct measure_job *job);
int run_check(struct measure_job *job);

/* touch-many.c: pages at random by job->threads processes (0: 8) */
int run_processes(struct measure_job *job);

#endif

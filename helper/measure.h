/* SPDX-License-Identifier: GPL-2.0 */
/*
 * measure: how long accesses to a file take, through a mapping or by system calls. Whoever calls it has opened and mapped the
 * file, and made it as cold as it shall be; the functions here only look. regionctl bench and bench/touch.c share them.
 */
#ifndef REGIONFS_MEASURE_H
#define REGIONFS_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB		(1UL << 20)
#define MEASURE_WINDOW	(2 * MIB)	/* lone touches stand this far apart */
#define MEASURE_PAGE	4096UL
#define MEASURE_WORDS	(MEASURE_PAGE / sizeof(uint64_t))	/* in a page */
#define MEASURE_BATCH	64u		/* accesses that a sample of warm ones stands for: one is shorter than a look at the clock */

struct measure_job {
	const char *path;
	int fd;
	char *map;
	size_t size;		/* of the part that is measured */
	size_t step;		/* that a sample of those that go in order stands for */
	size_t pages;		/* to touch, for those that choose pages; 0: all */
	unsigned int threads;	/* of measure_threads; 0: 8 */
	uint64_t seed;
	uint64_t check;		/* all ones: each word that is looked at must be measure_word(); 0: it may be anything */
	/* what came of it; measure_clear() frees it */
	uint64_t bad;		/* bits that were wrong */
	uint64_t *page;
	uint64_t *ns;		/* a sample each */
	size_t samples;
	uint64_t total_ns;
	size_t total_bytes;	/* that the samples stand for */
	const char *failed;	/* what did, after an error: "read" */
};

#define MEASURE_COLD	1u	/* nothing of it is in memory when it begins */
#define MEASURE_WRITES	2u	/* maps and opens it for writing; bytes are written as they are. None in here */
#define MEASURE_FILE	4u	/* makes system calls on the file: a mapping alone is not enough */
#define MEASURE_RATE	8u	/* is judged by bytes a second, not by a sample's time */

struct measure {
	const char *name;
	unsigned int flags;
	int advice;		/* for madvise */
	int (*run)(struct measure_job *job);	/* 0, or a negative errno and job->failed */
	const char *help;
};

/* Word index of a file that was filled to be measured: any word that is looked at proves that the right bytes came. */
static inline uint64_t measure_word(uint64_t index)
{
	return (index + 1) * 0x9e3779b97f4a7c15ULL;
}

/* Looks at one word of a page, a different one in each: 0 when it is measure_word()'s. */
static inline uint64_t measure_look(const void *map, uint64_t page)
{
	const volatile uint64_t *word = map;
	uint64_t index = page * MEASURE_WORDS + page % MEASURE_WORDS;

	return word[index] ^ measure_word(index);
}

/* ---- measure-map.c: through the mapping ---- */

int measure_random(struct measure_job *job);	/* pages at random */
int measure_lone(struct measure_job *job);	/* one in each window */
int measure_seq(struct measure_job *job);	/* every page, in order */
int measure_threads(struct measure_job *job);	/* pages at random, by several threads */
int measure_warm(struct measure_job *job);	/* every page, in order, when all are mapped */
int measure_warm_random(struct measure_job *job);	/* the same at random, MEASURE_BATCH a sample */

/* ---- measure-io.c: by system calls ---- */

int measure_read(struct measure_job *job);	/* step bytes each, in order */
int measure_direct(struct measure_job *job);	/* O_DIRECT, 4 KiB at random; -EOPNOTSUPP: the file system has none */
int measure_direct8(struct measure_job *job);	/* 8 in flight */

/* ---- measure-slices.c ---- */

/* What one of several threads does: as many of the chosen pages as each of the others. */
struct measure_slice {
	struct measure_job *job;
	const uint64_t *page;
	uint64_t *ns;		/* a sample each */
	size_t count;
	int fd;
	uint64_t bad;
	int error;
	const char *failed;
};

/* Each on its own thread, all begun together; fd is handed on. The total is from there to the last one's end. */
int measure_slices(struct measure_job *job, unsigned int nr, int fd, void (*run)(struct measure_slice *slice));

/* ---- measure.c ---- */

/* Zeroes, touched already: no fault of our own while the clock runs. NULL: no memory, and job->failed says so. */
void *measure_alloc(struct measure_job *job, size_t count, size_t size);
/* job->page with so many (0: all) of the pages that are multiples of stride, job->ns with room for a sample each. */
int measure_choose(struct measure_job *job, size_t stride, size_t *count);
/* job->ns, for those that go in order. */
int measure_begin(struct measure_job *job);
/* Frees and forgets what came of it. */
void measure_clear(struct measure_job *job);

/* what->run, where a page that can't be had is an error (-EIO) and no SIGBUS. Not for measures with threads that look at the mapping. */
int measure_run(struct measure_job *job, const struct measure *what);

/* Bytes of the mapping that are in memory. 0 or a negative errno. */
int measure_resident(const struct measure_job *job, size_t *bytes);

/* ---- measure-process.c: what a process has used ---- */

#define MEASURE_TASKS 512u

struct measure_process {
	uint64_t cpu_ns;	/* of all its threads, also those that have ended */
	size_t nr;
	struct {
		pid_t tid;
		uint64_t switches;
	} task[MEASURE_TASKS];
};

struct measure_usage {
	uint64_t cpu_ns;
	uint64_t switches;	/* of contexts; a thread that has ended meanwhile takes its own along */
};

/* 0 or a negative errno: it is gone, or nobody may look. */
int measure_process(pid_t pid, struct measure_process *process);
struct measure_usage measure_used(const struct measure_process *before, const struct measure_process *after);

#endif

// SPDX-License-Identifier: GPL-2.0
/* regionctl bench: one measure of one file in one round: made cold, or warm, measured, and what it took on the way. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd-bench.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* ---- what it takes ---- */

struct counters {
	uint64_t answered, kernel, fetched;
};

struct before_after {
	struct counters counters[2];
	struct measure_process own[2], helper[2];
	bool counted, managed, helper_known;
};

static uint64_t count_of(const json_t *stat, const char *part, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(json_object_get(stat, part), key));
}

/* when: 0 before, 1 after. Asking costs regiond something as well, so that is left outside of what is reckoned as used. */
static void count(struct bench *bench, struct before_after *took, int when)
{
	json_t *stat;
	bool answered = !bench_ask(bench, "stat", json_pack("{s:s}", "region", bench->region), &stat);

	took->counted = answered && (!when || took->counted);
	took->managed = json_is_integer(json_object_get(json_object_get(stat, "managed"), "fetched"));
	took->counters[when] = (struct counters){
		.answered = count_of(stat, "stats", "read_bytes"), .kernel = count_of(stat, "stats", "local_bytes"),
		.fetched = count_of(stat, "managed", "fetched"),
	};
	json_decref(stat);
}

static void use(struct bench *bench, struct before_after *took, int when)
{
	took->helper_known = bench->helper > 0 && !measure_process(bench->helper, &took->helper[when]) &&
			     (!when || took->helper_known);
	measure_process(getpid(), &took->own[when]);
}

static void take_difference(const struct before_after *took, struct bench_result *result)
{
	const struct counters *before = &took->counters[0], *after = &took->counters[1];

	result->own = measure_used(&took->own[0], &took->own[1]);
	result->helper = measure_used(&took->helper[0], &took->helper[1]);
	result->answered = after->answered - before->answered;
	result->kernel = after->kernel - before->kernel;
	/* regiond's own, and it may be another one by now */
	result->fetched = after->fetched > before->fetched ? after->fetched - before->fetched : 0;
}

/* ---- cold and warm ---- */

/* As 'regionctl drop' does it: what is dirty is written first, as it would be some time anyway. */
static void drop_region(struct bench *bench, const struct measure_job *job)
{
	json_t *result;
	int err = bench_ask(bench, "drop", json_pack("{s:s, s:I}", "region", bench->region, "length", (json_int_t)job->size), &result);

	json_decref(result);
	if (!err)
		return;
	bench->no_drop = true;
	snprintf(bench->why, sizeof(bench->why), "%s", bench->message);
}

/* What a user has just copied is dirty, and would stay in memory. */
static void drop_file(const struct measure_job *job)
{
	fdatasync(job->fd);
	posix_fadvise(job->fd, 0, (off_t)job->size, POSIX_FADV_DONTNEED);
}

/* What is in memory all the same, since a program uses it, or it could not be written, is told. */
static int make_cold(struct bench *bench, const struct bench_side *side, struct measure_job *job, struct bench_result *result)
{
	size_t resident;
	int err = side->region ? -bench_probe(side) : 0;

	job->failed = "read";
	if (err)
		return err;
	if (!side->region)
		drop_file(job);
	else if (!bench->no_drop)
		drop_region(bench, job);
	if (side->region && bench->no_drop)
		posix_fadvise(job->fd, 0, (off_t)job->size, POSIX_FADV_DONTNEED);
	job->failed = "mincore";
	err = measure_resident(job, &resident);
	result->not_cold = resident;
	return err;
}

/* EFAULT is what would be a SIGBUS. */
static int make_warm(struct measure_job *job)
{
	if (!madvise(job->map, job->size, MADV_POPULATE_READ))
		return 0;
	job->failed = errno == EFAULT ? "access" : "mmap";
	return errno == EFAULT ? -EIO : -errno;
}

/* ---- one run ---- */

/* What was not known in a round is not told at all. */
static void note_known(const struct bench_side *side, const struct before_after *took, struct bench_rounds *rounds)
{
	bool first = !rounds->nr;

	rounds->helper_known = side->region && took->helper_known && (first || rounds->helper_known);
	rounds->region = side->region && took->counted && (first || rounds->region);
	rounds->managed = rounds->region && took->managed && (first || rounds->managed);
}

static int measure(struct bench *bench, const struct bench_side *side, const struct measure *what, struct measure_job *job,
		   struct bench_rounds *rounds, struct bench_result *result)
{
	static struct before_after took;	/* too large for a stack */
	int err = what->flags & MEASURE_COLD ? make_cold(bench, side, job, result) : make_warm(job);

	if (err)
		return err;
	job->failed = "madvise";
	if (madvise(job->map, job->size, what->advice))
		return -errno;
	if (side->region)
		count(bench, &took, 0);
	use(bench, &took, 0);
	err = measure_run(job, what);
	use(bench, &took, 1);
	if (side->region)
		count(bench, &took, 1);
	take_difference(&took, result);
	note_known(side, &took, rounds);
	return err;
}

static int fail(const struct bench *bench, const struct bench_side *side, const struct measure *what, const struct measure_job *job,
		int err)
{
	if (side->region)
		return cmd_fail(bench->ctx, err, "%s: %s of %s failed: %s; 'regionctl stat %s' may say why", what->name, job->failed,
				side->path, strerror(-err), bench->region);
	return cmd_fail(bench->ctx, err, "%s: %s of %s failed: %s", what->name, job->failed, side->path, strerror(-err));
}

/* So that a small region has samples, too. */
static size_t step_for(uint64_t size)
{
	size_t step = MIB;

	while (step > size)
		step /= 2;
	return step;
}

/* A file of its own each time: what the kernel has learnt from the measure before goes with that. */
static int open_and_map(const struct bench_side *side, struct measure_job *job)
{
	job->map = MAP_FAILED;
	job->failed = "open";
	job->fd = open(side->path, O_RDONLY | O_CLOEXEC);
	if (job->fd < 0)
		return -errno;
	job->failed = "mmap";
	job->map = mmap(NULL, job->size, PROT_READ, MAP_SHARED, job->fd, 0);
	if (job->map == MAP_FAILED)
		return -errno;
	job->failed = NULL;
	return 0;
}

static void end(struct measure_job *job)
{
	measure_clear(job);
	if (job->map != MAP_FAILED)
		munmap(job->map, job->size);
	if (job->fd >= 0)
		close(job->fd);
}

int bench_run(struct bench *bench, struct bench_side *side, size_t measure_nr, unsigned int round)
{
	const struct measure *what = bench->what[measure_nr];
	struct bench_rounds *rounds = &side->rounds[measure_nr];
	struct measure_job job = {
		.path = side->path, .size = bench->size, .step = step_for(bench->size), .pages = bench->pages,
		.seed = bench->seed + round,
	};
	int err = open_and_map(side, &job), code = CMD_OK;

	if (!err)
		err = measure(bench, side, what, &job, rounds, &rounds->round[round]);
	if (!err) {
		bench_result_take(&rounds->round[round], &job);
		rounds->nr = round + 1;
	} else if (err != -EOPNOTSUPP) {	/* a file system without direct I/O has no figures for it */
		code = fail(bench, side, what, &job, err);
	}
	end(&job);
	return code;
}

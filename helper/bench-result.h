/* SPDX-License-Identifier: GPL-2.0 */
/* bench-result: what regionctl bench has measured, and what several rounds of it come to. */
#ifndef REGIONFS_BENCH_RESULT_H
#define REGIONFS_BENCH_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "measure.h"

/* One measure of one file in one round. */
struct bench_result {
	uint64_t median_ns, p90_ns, p99_ns, total_ns;
	uint64_t samples, bytes;
	uint64_t not_cold;		/* bytes that were in memory when they should not have been */
	struct measure_usage own, helper;
	/* of a region: bytes that regiond has answered, that the kernel has read itself, that came from a managed region's source */
	uint64_t answered, kernel, fetched;
};

/* All rounds of it. */
struct bench_rounds {
	struct bench_result *round;
	unsigned int nr;		/* 0: nothing was measured */
	bool helper_known;		/* what regiond has used */
	bool region;			/* the counters of a region are there */
	bool managed;			/* fetched, too */
};

/* From the samples, which it sorts. */
void bench_result_take(struct bench_result *result, struct measure_job *job);

/* {"median_ns": {"median", "least", "most"}, ...}, as regionctl(8) has it. NULL: no memory. */
json_t *bench_figures(const struct bench_rounds *rounds);

/* How many times as long the first takes as the second, by bytes a second or by medians. 0: unknown. */
double bench_ratio(const json_t *region, const json_t *file, bool rate);

/* With three digits behind the point, or none where they are zeroes. */
json_t *bench_number(double value);

#endif

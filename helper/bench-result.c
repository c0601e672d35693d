// SPDX-License-Identifier: GPL-2.0
/* bench-result: see bench-result.h. */
#include <stdlib.h>

#include "bench-result.h"
#include "samples.h"

#define GIB ((double)(1ULL << 30))

void bench_result_take(struct bench_result *result, struct measure_job *job)
{
	sort_ns(job->ns, job->samples);
	result->median_ns = percentile(job->ns, job->samples, 50);
	result->p90_ns = percentile(job->ns, job->samples, 90);
	result->p99_ns = percentile(job->ns, job->samples, 99);
	result->total_ns = job->total_ns;
	result->samples = job->samples;
	result->bytes = job->total_bytes;
}

/* ---- figures of one round ---- */

static double median_ns(const struct bench_result *result)
{
	return (double)result->median_ns;
}

static double p90_ns(const struct bench_result *result)
{
	return (double)result->p90_ns;
}

static double p99_ns(const struct bench_result *result)
{
	return (double)result->p99_ns;
}

static double mib_s(const struct bench_result *result)
{
	return result->total_ns ? (double)result->bytes / MIB / ((double)result->total_ns / 1e9) : 0;
}

static double not_cold(const struct bench_result *result)
{
	return (double)result->not_cold;
}

static double per_gib(const struct bench_result *result, double value)
{
	return result->bytes ? value / ((double)result->bytes / GIB) : 0;
}

static double cpu(const struct bench_result *result)
{
	return per_gib(result, (double)result->own.cpu_ns / 1e9);
}

static double switches(const struct bench_result *result)
{
	return per_gib(result, (double)result->own.switches);
}

static double helper_cpu(const struct bench_result *result)
{
	return per_gib(result, (double)result->helper.cpu_ns / 1e9);
}

static double helper_switches(const struct bench_result *result)
{
	return per_gib(result, (double)result->helper.switches);
}

static double answered(const struct bench_result *result)
{
	return (double)result->answered;
}

static double kernel(const struct bench_result *result)
{
	return (double)result->kernel;
}

static double fetched(const struct bench_result *result)
{
	return (double)result->fetched;
}

enum needs { NOTHING, HELPER, REGION, MANAGED };

static const struct figure {
	const char *key;
	double (*of)(const struct bench_result *result);
	enum needs needs;
} figures[] = {
	{ "median_ns", median_ns, NOTHING },
	{ "p90_ns", p90_ns, NOTHING },
	{ "p99_ns", p99_ns, NOTHING },
	{ "mib_s", mib_s, NOTHING },
	{ "not_cold_bytes", not_cold, NOTHING },
	{ "cpu_s_per_gib", cpu, NOTHING },
	{ "switches_per_gib", switches, NOTHING },
	{ "helper_cpu_s_per_gib", helper_cpu, HELPER },
	{ "helper_switches_per_gib", helper_switches, HELPER },
	{ "helper_bytes", answered, REGION },
	{ "kernel_bytes", kernel, REGION },
	{ "source_bytes", fetched, MANAGED },
};

#define NR_FIGURES (sizeof(figures) / sizeof(figures[0]))

static bool is_known(const struct bench_rounds *rounds, enum needs needs)
{
	if (!rounds->nr)
		return false;
	switch (needs) {
	case HELPER:
		return rounds->helper_known;
	case REGION:
		return rounds->region;
	case MANAGED:
		return rounds->managed;
	default:
		return true;
	}
}

/* ---- and of all ---- */

/* None is negative, and what is more exact than this is noise. */
json_t *bench_number(double value)
{
	json_int_t thousandths = (json_int_t)(value * 1000 + 0.5);

	return thousandths % 1000 ? json_real((double)thousandths / 1000) : json_integer(thousandths / 1000);
}

static json_t *spread_json(struct spread spread)
{
	return json_pack("{s:o, s:o, s:o}", "median", bench_number(spread.median), "least", bench_number(spread.least), "most",
			 bench_number(spread.most));
}

static json_t *figure_json(const struct bench_rounds *rounds, const struct figure *figure, double *value)
{
	for (unsigned int i = 0; i < rounds->nr; i++)
		value[i] = figure->of(&rounds->round[i]);
	return spread_json(spread_of(value, rounds->nr));
}

json_t *bench_figures(const struct bench_rounds *rounds)
{
	double *value = calloc(rounds->nr + 1, sizeof(*value));
	json_t *json = value ? json_object() : NULL;
	int err = 0;

	if (json && rounds->nr) {
		err |= json_object_set_new(json, "samples", json_integer((json_int_t)rounds->round[0].samples));
		err |= json_object_set_new(json, "bytes", json_integer((json_int_t)rounds->round[0].bytes));
	}
	for (size_t i = 0; json && i < NR_FIGURES; i++)
		if (is_known(rounds, figures[i].needs))
			err |= json_object_set_new(json, figures[i].key, figure_json(rounds, &figures[i], value));
	free(value);
	if (!err)
		return json;
	json_decref(json);
	return NULL;
}

static double median_of(const json_t *json, const char *key)
{
	return json_number_value(json_object_get(json_object_get(json, key), "median"));
}

double bench_ratio(const json_t *region, const json_t *file, bool rate)
{
	const json_t *below = rate ? region : file, *above = rate ? file : region;
	const char *key = rate ? "mib_s" : "median_ns";
	double divisor = median_of(below, key);

	return divisor > 0 ? median_of(above, key) / divisor : 0;
}

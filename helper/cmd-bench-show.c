// SPDX-License-Identifier: GPL-2.0
/* regionctl bench: its figures, as JSON and as two short tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cmd-bench.h"
#include "units.h"

#define CELL 64

/* ---- JSON ---- */

static json_t *measure_json(const struct bench *bench, size_t i)
{
	const struct measure *what = bench->what[i];
	json_t *json = bench_figures(&bench->here.rounds[i]), *file = NULL;

	if (!json)
		return NULL;
	json_object_set_new(json, "measure", json_string(what->name));
	if (*bench->other.path && bench->other.rounds[i].nr)
		file = bench_figures(&bench->other.rounds[i]);
	if (!file)
		return json;
	json_object_set_new(json, "file", file);
	json_object_set_new(json, "ratio", bench_number(bench_ratio(json, file, what->flags & MEASURE_RATE)));
	return json;
}

/* As regionctl(8) describes it. */
static json_t *whole_json(const struct bench *bench)
{
	json_t *measures = json_array(), *json;
	struct utsname name = { 0 };

	for (size_t i = 0; i < bench->nr; i++)
		json_array_append_new(measures, measure_json(bench, i));
	uname(&name);
	json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "region", bench->region, "instance", bench->instance,
			 "path", bench->here.path, "region_size", (json_int_t)bench->here.size, "size", (json_int_t)bench->size,
			 "rounds", (json_int_t)bench->nr_rounds, "pages", (json_int_t)bench->pages, "seed", (json_int_t)bench->seed,
			 "kernel", name.release, "measures", measures);
	if (json && *bench->other.path)
		json_object_set_new(json, "compare", json_string(bench->other.path));
	if (json && bench->helper)
		json_object_set_new(json, "helper", json_integer(bench->helper));
	return json;
}

/* ---- cells ---- */

static double member(const json_t *figures, const char *key, const char *which)
{
	return json_number_value(json_object_get(json_object_get(figures, key), which));
}

static const char *short_number(double value, char text[CELL])
{
	snprintf(text, CELL, "%.*f", value >= 100 ? 0 : value >= 1 ? 1 : 2, value);
	return text;
}

/* What is not known is null, which is shown as "-". */
static json_t *median_cell(const json_t *figures, const char *key, double unit)
{
	char median[CELL];

	return json_object_get(figures, key) ? json_string(short_number(member(figures, key, "median") / unit, median)) : json_null();
}

/* "12.3 (11.9-14.0)", each divided by unit. */
static json_t *range_cell(const json_t *figures, const char *key, double unit)
{
	double least = member(figures, key, "least") / unit, most = member(figures, key, "most") / unit;
	char median[CELL], from[CELL], to[CELL];

	/* one round has no range */
	if (least == most)
		return median_cell(figures, key, unit);
	return json_sprintf("%s (%s-%s)", short_number(member(figures, key, "median") / unit, median), short_number(least, from),
			    short_number(most, to));
}

static json_t *size_cell(const json_t *figures, const char *key)
{
	char size[REGIONFS_UNITS_TEXT];

	return json_object_get(figures, key) ? json_string(regionfs_size_format((uint64_t)member(figures, key, "median"), size)) :
					       json_null();
}

static bool is_rate(const json_t *figures)
{
	const struct measure *what = bench_measures;
	const char *name = json_string_value(json_object_get(figures, "measure"));

	while (what->name && strcmp(what->name, name))
		what++;
	return what->flags & MEASURE_RATE;
}

/* ---- how long it takes ---- */

static const struct show_field time_fields[] = {
	{ SHOW_TEXT, "measure", "MEASURE" },
	{ SHOW_TEXT, "median", ">MEDIAN us" },
	{ SHOW_TEXT, "p90", ">P90 us" },
	{ SHOW_TEXT, "p99", ">P99 us" },
	{ SHOW_TEXT, "rate", ">MiB/s" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field compared_fields[] = {
	{ SHOW_TEXT, "measure", "MEASURE" },
	{ SHOW_TEXT, "median", ">MEDIAN us" },
	{ SHOW_TEXT, "p90", ">P90 us" },
	{ SHOW_TEXT, "p99", ">P99 us" },
	{ SHOW_TEXT, "rate", ">MiB/s" },
	{ SHOW_TEXT, "file", ">FILE" },
	{ SHOW_TEXT, "ratio", ">RATIO" },
	{ SHOW_END, NULL, NULL },
};

static json_t *file_cell(const json_t *figures)
{
	const json_t *file = json_object_get(figures, "file");

	return is_rate(figures) ? range_cell(file, "mib_s", 1) : range_cell(file, "median_ns", 1000);
}

static json_t *ratio_cell(const json_t *figures)
{
	const json_t *ratio = json_object_get(figures, "ratio");

	return ratio ? json_sprintf("%.2f", json_number_value(ratio)) : json_null();
}

static json_t *time_row(const json_t *figures, bool compared)
{
	json_t *row = json_pack("[O, o, o, o, o]", json_object_get(figures, "measure"), range_cell(figures, "median_ns", 1000),
				median_cell(figures, "p90_ns", 1000), median_cell(figures, "p99_ns", 1000),
				range_cell(figures, "mib_s", 1));

	if (row && compared) {
		json_array_append_new(row, file_cell(figures));
		json_array_append_new(row, ratio_cell(figures));
	}
	return row;
}

/* ---- what it costs ---- */

static const struct show_field cost_fields[] = {
	{ SHOW_TEXT, "measure", "MEASURE" },
	{ SHOW_TEXT, "cpu", ">CPU s/GiB" },
	{ SHOW_TEXT, "switches", ">SWITCHES/GiB" },
	{ SHOW_TEXT, "helper_cpu", ">REGIOND s/GiB" },
	{ SHOW_TEXT, "helper_switches", ">SWITCHES/GiB" },
	{ SHOW_TEXT, "bytes", ">TOUCHED" },
	{ SHOW_TEXT, "answered", ">BY REGIOND" },
	{ SHOW_TEXT, "kernel", ">BY THE KERNEL" },
	{ SHOW_TEXT, "fetched", ">FROM SOURCE" },
	{ SHOW_TEXT, "not_cold", ">NOT COLD" },
	{ SHOW_END, NULL, NULL },
};

static json_t *cost_row(const json_t *figures)
{
	char touched[REGIONFS_UNITS_TEXT];
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(figures, "bytes"));

	return json_pack("[O, o, o, o, o, s, o, o, o, o]", json_object_get(figures, "measure"), median_cell(figures, "cpu_s_per_gib", 1),
			 median_cell(figures, "switches_per_gib", 1), median_cell(figures, "helper_cpu_s_per_gib", 1),
			 median_cell(figures, "helper_switches_per_gib", 1), regionfs_size_format(bytes, touched),
			 size_cell(figures, "helper_bytes"), size_cell(figures, "kernel_bytes"), size_cell(figures, "source_bytes"),
			 size_cell(figures, "not_cold_bytes"));
}

/* ---- all of it ---- */

static int show_tables(const json_t *json, bool compared)
{
	json_t *times = json_array(), *costs = json_array();
	const json_t *figures;
	size_t i;
	int err;

	json_array_foreach(json_object_get(json, "measures"), i, figures) {
		json_array_append_new(times, time_row(figures, compared));
		json_array_append_new(costs, cost_row(figures));
	}
	err = show_table(times, compared ? compared_fields : time_fields);
	putchar('\n');
	if (!err)
		err = show_table(costs, cost_fields);
	json_decref(times);
	json_decref(costs);
	return err ? CMD_FAILED : CMD_OK;
}

static void show_head(const struct bench *bench)
{
	char size[REGIONFS_UNITS_TEXT], all[REGIONFS_UNITS_TEXT];

	printf("%s  %s of %s, %u round%s, at %s\n", bench->region, regionfs_size_format(bench->size, size),
	       regionfs_size_format(bench->here.size, all), bench->nr_rounds, bench->nr_rounds == 1 ? "" : "s", bench->here.path);
	if (*bench->other.path)
		printf("FILE is %s: us, or MiB/s of seq and read; RATIO, how many times as long the region takes\n", bench->other.path);
	putchar('\n');
}

/* A figure of what was not cold is none of a miss. */
static void show_not_cold(const struct bench *bench, const json_t *json)
{
	const json_t *figures;
	double most = 0, one;
	char size[REGIONFS_UNITS_TEXT];
	size_t i;

	json_array_foreach(json_object_get(json, "measures"), i, figures) {
		one = member(figures, "not_cold_bytes", "most");
		most = one > most ? one : most;
	}
	if (most)
		printf("\nUp to %s of it stayed in memory and was not cold%s%s.\n", regionfs_size_format((uint64_t)most, size),
		       bench->no_drop ? ": " : "", bench->no_drop ? bench->why : "");
}

int bench_show(struct bench *bench)
{
	json_t *json = whole_json(bench);
	int code = CMD_OK;

	if (!json)
		return cmd_fail(bench->ctx, -ENOMEM, "out of memory, or a name is no UTF-8");
	if (bench->ctx->json) {
		show_json(json, true);
	} else {
		show_head(bench);
		code = show_tables(json, *bench->other.path);
		show_not_cold(bench, json);
	}
	json_decref(json);
	return code;
}

// SPDX-License-Identifier: GPL-2.0
/* regionctl bench: how fast a region is, measured where it is used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cmd-bench.h"
#include "progress.h"

#define ROUNDS_MAX 1000

const struct measure bench_measures[] = {
	{ "lone", MEASURE_COLD, MADV_NORMAL, measure_lone, "a first touch here and there" },
	{ "random", MEASURE_COLD, MADV_RANDOM, measure_random, "pages at random" },
	{ "seq", MEASURE_COLD | MEASURE_RATE, MADV_NORMAL, measure_seq, "all in order, mapped" },
	{ "read", MEASURE_COLD | MEASURE_FILE | MEASURE_RATE, MADV_NORMAL, measure_read, "read() in order" },
	{ "warm", 0, MADV_NORMAL, measure_warm_random, "at random, in memory" },
	{ "direct", MEASURE_COLD | MEASURE_FILE, MADV_NORMAL, measure_direct, "O_DIRECT at random" },
	{ 0 }
};

/* ---- what is asked for ---- */

static uint64_t number(const struct cmd_context *ctx, const char *key, uint64_t otherwise)
{
	const json_t *value = json_object_get(ctx->args, key);

	return value ? (uint64_t)json_integer_value(value) : otherwise;
}

static int add_measure(struct bench *bench, const char *name)
{
	const struct measure *what = bench_measures;

	while (what->name && strcmp(what->name, name))
		what++;
	for (size_t i = 0; i < bench->nr; i++)
		if (bench->what[i] == what)
			return 0;
	if (!what->name)
		return -ENOENT;
	bench->what[bench->nr++] = what;
	return 0;
}

/* "lone,random"; all of them without. An exit code. */
static int take_measures(struct bench *bench, const char *list)
{
	char *copy = strdup(list ? list : "lone,random,seq,read,warm,direct"), *rest = copy, *name;
	int code = copy ? CMD_OK : cmd_fail(bench->ctx, -ENOMEM, "out of memory");

	while (!code && (name = strsep(&rest, ",")))
		if (add_measure(bench, name)) {
			cmd_fail(bench->ctx, -EINVAL, "'%s' is no measure: there are lone, random, seq, read, warm and direct", name);
			code = CMD_USAGE;
		}
	free(copy);
	return code;
}

static int usage(const struct bench *bench, const char *why)
{
	cmd_fail(bench->ctx, -EINVAL, "%s", why);
	return CMD_USAGE;
}

static int take_options(struct bench *bench)
{
	const struct cmd_context *ctx = bench->ctx;
	const char *other = cmd_text(ctx, "compare");
	uint64_t rounds = number(ctx, "rounds", 3);

	bench->size = number(ctx, "size", 0);
	bench->pages = number(ctx, "pages", 1000);
	bench->seed = number(ctx, "seed", 1);
	bench->nr_rounds = (unsigned int)rounds;
	if (!rounds || rounds > ROUNDS_MAX)
		return usage(bench, "--rounds is a number from 1 to 1000");
	if (!bench->pages)
		return usage(bench, "--pages is at least 1");
	if (json_object_get(ctx->args, "size") && bench->size < MEASURE_PAGE)
		return usage(bench, "--size is at least 4K");
	if (other && strlen(other) >= PATH_MAX)
		return usage(bench, "the path of --compare is too long");
	strcpy(bench->other.path, other ? other : "");
	return take_measures(bench, cmd_text(ctx, "measures"));
}

/* ---- the run ---- */

static int make_room(struct bench *bench)
{
	bool missing = false;

	for (size_t i = 0; i < bench->nr; i++) {
		bench->here.rounds[i].round = calloc(bench->nr_rounds, sizeof(struct bench_result));
		bench->other.rounds[i].round = calloc(bench->nr_rounds, sizeof(struct bench_result));
		missing |= !bench->here.rounds[i].round || !bench->other.rounds[i].round;
	}
	return missing ? cmd_fail(bench->ctx, -ENOMEM, "out of memory") : CMD_OK;
}

static void free_room(struct bench *bench)
{
	for (size_t i = 0; i < bench->nr; i++) {
		free(bench->here.rounds[i].round);
		free(bench->other.rounds[i].round);
	}
}

/* The two files take turns, so that what changes with time changes for both. */
static int run_rounds(struct bench *bench)
{
	struct regionfs_progress progress;
	size_t steps = bench->nr * bench->nr_rounds;
	int code = CMD_OK;

	regionfs_progress_init(&progress, stderr, "bench");
	for (size_t i = 0; i < steps && !code; i++) {
		regionfs_progress_update(&progress, i, steps, "measures", regionfs_progress_now());
		code = bench_run(bench, &bench->here, i % bench->nr, (unsigned int)(i / bench->nr));
		if (!code && *bench->other.path)
			code = bench_run(bench, &bench->other, i % bench->nr, (unsigned int)(i / bench->nr));
	}
	regionfs_progress_end(&progress);
	return code;
}

static int run(struct cmd_context *ctx)
{
	struct bench bench = { .ctx = ctx, .here = { .region = true } };
	int code = take_options(&bench);

	if (!code)
		code = bench_find(&bench, cmd_text(ctx, "what"));
	if (!code)
		code = bench_check(&bench);
	if (!code)
		code = make_room(&bench);
	if (!code)
		code = run_rounds(&bench);
	if (!code)
		code = bench_show(&bench);
	free_room(&bench);
	free(bench.region);
	return code;
}

const struct cmd cmd_bench = {
	.name = "bench",
	.summary = "measure how fast a region is on this machine",
	.details =
		"By its name, or by its file in a mount. Only reads, and at most --size of it from its\n"
		"beginning. For each cold measure that part is dropped from the page cache, as\n"
		"'regionctl drop' does it; programs that use the region go on, and fetch their pages anew.\n\n"
		"  lone     a first touch: one page in each 2 MiB, in random order\n"
		"  random   cold 4 KiB pages at random, MADV_RANDOM\n"
		"  seq      all in order, cold, through a mapping\n"
		"  read     all in order, cold, by read() of 1 MiB\n"
		"  warm     pages at random, when all are in memory\n"
		"  direct   O_DIRECT reads of 4 KiB at random, one at a time\n\n"
		"Figures are medians of the rounds, and behind them the smallest and the largest.\n",
	.operands = (const struct cmd_operand[]) {
		{ CMD_TEXT, "what", "REGION|FILE", false },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "measures", NULL, "LIST", "some of those, separated by commas (default: all)" },
		{ CMD_NUMBER, "rounds", NULL, "N", "how often (default: 3)" },
		{ CMD_SIZE, "size", NULL, "SIZE", "so much from the beginning (default: all, 256M at most)" },
		{ CMD_NUMBER, "pages", NULL, "N", "for random and direct (default: 1000)" },
		{ CMD_NUMBER, "seed", NULL, "N", "of the order of pages (default: 1); grows with each round" },
		{ CMD_PATH, "compare", NULL, "FILE", "the same of another file, say a copy on a disk" },
		CMD_OPTIONS_END,
	},
	.run = run,
};

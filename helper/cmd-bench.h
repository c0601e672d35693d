/* SPDX-License-Identifier: GPL-2.0 */
/* cmd-bench: what the parts of regionctl bench share. */
#ifndef REGIONFS_CMD_BENCH_H
#define REGIONFS_CMD_BENCH_H

#include <limits.h>

#include "bench-result.h"
#include "cmd.h"

#define BENCH_MEASURES_MAX 8

/* A file that is measured. */
struct bench_side {
	char path[PATH_MAX];
	uint64_t size;
	bool region;
	struct bench_rounds rounds[BENCH_MEASURES_MAX];
};

struct bench {
	struct cmd_context *ctx;
	/* of the region */
	char instance[REGIONFS_CLIENT_NAME];
	char *region;			/* its path below the mount */
	pid_t helper;			/* 0: unknown */
	bool no_drop;			/* regiond could not drop it: what the kernel can do alone has to be enough */
	char why[REGIONFS_CLIENT_MESSAGE];	/* if no_drop */
	/* what is asked for */
	const struct measure *what[BENCH_MEASURES_MAX];
	size_t nr;
	uint64_t size, pages, seed;
	unsigned int nr_rounds;
	struct bench_side here, other;	/* other: of --compare, with an empty path without */
	char message[REGIONFS_CLIENT_MESSAGE];
};

/* In the order in which they are measured; ended by one without a name. */
extern const struct measure bench_measures[];

/* ---- cmd-bench-find.c: which region, and which file. Each returns an exit code, and has said why it failed ---- */

int bench_find(struct bench *bench, const char *what);
/* Whether both files can be read, and how much of them. */
int bench_check(struct bench *bench);
/*
 * Reads a page, of a region past the page cache: its source is there, and opened. 0 or an errno; waits for as long as that takes.
 * Without it, programs that live on what is near while the source is away would lose that to a measure.
 */
int bench_probe(const struct bench_side *side);
/* Asks regiond. 0, or a negative errno with bench->message. Takes args. */
int bench_ask(struct bench *bench, const char *command, json_t *args, json_t **result);

/* ---- cmd-bench-run.c: one measure, in one round. An exit code, as above ---- */

int bench_run(struct bench *bench, struct bench_side *side, size_t measure, unsigned int round);

/* ---- cmd-bench-show.c ---- */

int bench_show(struct bench *bench);

#endif

// SPDX-License-Identifier: GPL-2.0
/* Tables and progress lines, as people see them. */
#include "tap.h"
#include "../progress.h"
#include "../table.h"

static const char *const columns[] = { "NAME", ">SIZE", "SOURCE", NULL };

/* The table of these cells, printed. The caller frees it. */
static char *print_table(const char *const *cells)
{
	struct regionfs_table *table = regionfs_table_new(columns);
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	for (; *cells; cells++)
		regionfs_table_cell(table, *cells);
	regionfs_table_print(table, to);
	fclose(to);
	regionfs_table_free(table);
	return text;
}

static void check_table(const char *const *cells, const char *wanted, const char *what)
{
	char *got = print_table(cells);

	tap_is(got, wanted, what);
	free(got);
}

static void check_tables(void)
{
	check_table((const char *const[]) { NULL }, "NAME  SIZE  SOURCE\n", "headings alone");
	check_table((const char *const[]) { "db", "1 GiB", "file:/x", "longer/name", "7 B", "", NULL },
		    "NAME          SIZE  SOURCE\n"
		    "db           1 GiB  file:/x\n"
		    "longer/name    7 B  -\n", "columns as wide as their widest cell");
	check_table((const char *const[]) { "z\xc3\xbcrich", "1 B", "x", "zuerich", "1 B", "y", NULL },
		    "NAME     SIZE  SOURCE\n"
		    "z\xc3\xbcrich    1 B  x\n"
		    "zuerich   1 B  y\n", "an umlaut takes one column");
	check_table((const char *const[]) { "a\033[31mb\n", "1 B", "x", NULL },
		    "NAME      SIZE  SOURCE\n"
		    "a?[31mb?   1 B  x\n", "control characters don't reach the terminal");
}

static void check_many(void)
{
	struct regionfs_table *table = regionfs_table_new(columns);
	int err = 0;

	for (int i = 0; i < 30000; i++)
		err |= regionfs_table_cell(table, "x");
	tap_ok(!err, "ten thousand rows");
	regionfs_table_free(table);
}

static void check_line(bool terminal, uint64_t done, uint64_t total, uint64_t ms,
		       const char *wanted)
{
	struct regionfs_progress progress = {
		.label = "pull db", .terminal = terminal, .bytes = true, .columns = 80, .started_ms = 1000,
	};
	char text[512];

	tap_is(regionfs_progress_line(&progress, done, total, 1000 + ms, text, sizeof(text)),
	       wanted, "a line of progress");
}

static void check_lines(void)
{
	check_line(false, 0, 0, 0, "pull db  0 B");
	check_line(false, 1 << 20, 0, 1000, "pull db  1 MiB  1 MiB/s");
	check_line(false, 1 << 20, 4 << 20, 1000, "pull db   25%  1 MiB of 4 MiB  1 MiB/s  ETA 3.0 s");
	check_line(false, 4 << 20, 4 << 20, 2000, "pull db  100%  4 MiB of 4 MiB  2 MiB/s");
	check_line(false, 5 << 20, 4 << 20, 2000, "pull db  100%  4 MiB of 4 MiB  2.50 MiB/s");
	check_line(true, 1 << 20, 4 << 20, 1000,
		   "pull db  [###............]  25%  1 MiB of 4 MiB  1 MiB/s  ETA 3.0 s");
}

/* A transfer that waits keeps the rate that it had. */
static void check_standstill(void)
{
	struct regionfs_progress progress = { .label = "x", .columns = 80, .to = stderr };
	char text[512];

	progress.terminal = false;
	regionfs_progress_update(&progress, 0, 4 << 20, "bytes", 1000);
	regionfs_progress_update(&progress, 4 << 20, 4 << 20, "bytes", 3000);
	regionfs_progress_update(&progress, 4 << 20, 4 << 20, "bytes", 4000);
	tap_is(regionfs_progress_line(&progress, 4 << 20, 4 << 20, 5000, text, sizeof(text)),
	       "x  100%  4 MiB of 4 MiB  2 MiB/s", "waiting does not lower the rate");
}

/* Updates that come thick print few lines; the last one always counts on a terminal. */
static void check_rhythm(void)
{
	struct regionfs_progress progress;
	char *text = NULL;
	int lines = 0;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	memset(&progress, 0, sizeof(progress));
	progress.to = to;
	progress.label = "x";
	progress.columns = 80;
	for (uint64_t ms = 0; ms <= 12000; ms += 10)
		regionfs_progress_update(&progress, ms, 12000, "bytes", 500 + ms);
	regionfs_progress_end(&progress);
	fclose(to);
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	tap_number(lines, 2, "a line each five seconds where there is no terminal");
	free(text);
}

int main(void)
{
	check_tables();
	check_many();
	check_lines();
	check_standstill();
	check_rhythm();
	return tap_end();
}

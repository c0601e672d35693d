// SPDX-License-Identifier: GPL-2.0
/*
 * A program that moves: it maps a file and writes distinct pages of it at a rate; a second instance, on the other host, goes on where the
 * first has ended. Both share a log, in which they note each store that was acknowledged, and when.
 *
 *   bench-migrate write --as a|b --log LOG --size BYTES [--rate BYTES] [--order seq|random] [--gate] FILE
 *   bench-migrate report LOG		members of a result, as JSON
 *   bench-migrate check LOG FILE	every word of it, against the log and against what "bench-touch fill" has written
 *
 * Page 0 is written about each millisecond, whatever the rate: it tells when the program was alive. The others' turn comes with the rate.
 * "ready" is printed when all is mapped and nothing was touched; --gate waits for a byte on the standard input after that, and
 * maps then. "going" is printed after the first store. SIGTERM ends it; on A, the SIGBUS of a region that has moved does, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapped.h"
#include "pattern.h"
#include "samples.h"

#define TICK_NS		1000000u	/* between writes of page 0 */
#define CREDIT_NS	(100 * TICK_NS)	/* what could not be written for longer than that is not caught up with */

/* One word of each page says which store was the last; 0: none, it holds the pattern. */
struct side {
	uint64_t first, last;		/* ns of CLOCK_MONOTONIC */
	uint64_t pages;			/* stores, but those to page 0 */
	uint64_t longest;		/* ns that one of them took, after the first */
};

struct log {
	struct side side[2];
	uint64_t value;			/* of the last store that was begun */
	uint64_t page;			/* where it goes */
	uint64_t turn;			/* how far the walk is */
	uint64_t acknowledged[];	/* value, of each page */
};

struct program {
	struct log *log;
	struct side *side;
	const char *path;
	size_t size, pages;
	uint64_t rate;			/* bytes a second */
	uint64_t step;			/* from a page to the next */
	int as, gate;
	char *map;
};

static volatile sig_atomic_t ended;

static void on_term(int number)
{
	(void)number;
	ended = 1;
}

/* The region has moved away under it: what was under way is not acknowledged. */
static void on_bus(int number)
{
	(void)number;
	_exit(0);
}

static size_t log_size(size_t pages)
{
	return sizeof(struct log) + pages * sizeof(uint64_t);
}

static struct log *log_map(const char *path, size_t pages)
{
	int fd = open(path, O_RDWR | (pages ? O_CREAT : 0), 0600);
	size_t size;
	void *map;

	if (fd < 0 || (pages && ftruncate(fd, (off_t)log_size(pages))))
		err(1, "%s", path);
	size = mapped_size(fd, path);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap of %s", path);
	close(fd);
	return map;
}

/* ---- the program ---- */

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void rest(uint64_t until)
{
	struct timespec ts = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* It may not be there yet, or not have its size. */
static void map_file(struct program *program)
{
	struct stat st;
	int fd = -1;

	for (; !ended; rest(now() + TICK_NS)) {
		if (fd < 0)
			fd = open(program->path, O_RDWR);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &st))
			err(1, "%s", program->path);
		if ((size_t)st.st_size >= program->size)
			break;
	}
	if (ended)
		exit(0);
	program->map = mmap(NULL, program->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (program->map == MAP_FAILED)
		err(1, "mmap of %s", program->path);
	close(fd);
}

static void store(struct program *program, uint64_t page)
{
	struct log *log = program->log;
	struct side *side = program->side;
	uint64_t value = log->value + 1, before = now(), after;

	log->page = page;
	log->value = value;
	__atomic_store_n((uint64_t *)(program->map + page * BENCH_PAGE), value, __ATOMIC_SEQ_CST);
	after = now();
	log->acknowledged[page] = value;
	if (side->first && after - before > side->longest)
		side->longest = after - before;
	__atomic_store_n(&side->last, after, __ATOMIC_SEQ_CST);
	if (!side->first)
		side->first = after;
}

/* Distinct ones, in whichever order, until all have been written once. */
static void store_next(struct program *program)
{
	uint64_t turn = program->log->turn++;

	store(program, 1 + turn * program->step % (program->pages - 1));
	program->side->pages++;
}

static void write_pages(struct program *program)
{
	uint64_t most = program->rate * CREDIT_NS / 1000000000 + BENCH_PAGE, credit = 0, at = now(), next = at;

	while (!ended) {
		uint64_t time = now(), passed = time - at;

		credit += program->rate * (passed < CREDIT_NS ? passed : CREDIT_NS) / 1000000000;
		at = time;
		if (credit > most)
			credit = most;
		store(program, 0);
		/* The rest of a tick at most, so that page 0 is written in time even where the rate is not reached. */
		for (; credit >= BENCH_PAGE && !ended && now() - time < TICK_NS; credit -= BENCH_PAGE)
			store_next(program);
		next = next + TICK_NS > now() ? next + TICK_NS : now();
		rest(next);
	}
}

/* About half of all, and coprime with it: far from the last one, and comes round to each. */
static uint64_t random_step(uint64_t pages)
{
	uint64_t step, a, b, rest;

	for (step = pages * 618 / 1000 + 1;; step++) {
		for (a = pages, b = step; b; a = b, b = rest)
			rest = a % b;
		if (a == 1)
			return step;
	}
}

static void run(struct program *program)
{
	char byte;

	program->side = &program->log->side[program->as];
	signal(SIGTERM, on_term);
	if (!program->as)
		signal(SIGBUS, on_bus);
	if (program->gate) {
		say("ready");
		if (read(0, &byte, 1) != 1)
			errx(1, "the gate was never opened");
	}
	map_file(program);
	if (!program->gate)
		say("ready");
	store(program, 0);
	say("going");
	write_pages(program);
}

/* ---- afterwards ---- */

static double mib_s(const struct side *side)
{
	return side->last > side->first ? (double)side->pages * BENCH_PAGE / (1 << 20) / ((side->last - side->first) / 1e9) : 0;
}

static void report(const struct log *log)
{
	const struct side *a = &log->side[0], *b = &log->side[1];

	if (!a->first || !b->first)
		errx(1, "the program did not run on both sides");
	if (b->first < a->last)
		errx(1, "both sides were written at a time, for %" PRIu64 " us", (a->last - b->first) / 1000);
	printf("\"downtime_ns\":%" PRIu64 ",\"dirtied_mib_s\":%.3f,\"dirtied_b_mib_s\":%.3f,\"longest_store_ns\":%" PRIu64 "\n",
	       b->first - a->last, mib_s(a), mib_s(b), b->longest);
}

static void check(const struct log *log, const char *path)
{
	int fd = open(path, O_RDONLY);
	const uint64_t *word;
	size_t size, page, i;
	const char *map;

	if (fd < 0)
		err(1, "%s", path);
	size = mapped_size(fd, path);
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap of %s", path);
	for (page = 0; page < size / BENCH_PAGE; page++) {
		uint64_t want = log->acknowledged[page], pattern = page * BENCH_WORDS;

		word = (const uint64_t *)(map + page * BENCH_PAGE);
		if (word[0] != (want ? want : pattern_word(pattern)) && !(page == log->page && word[0] == log->value))
			errx(1, "%s: page %zu has %" PRIu64 ", and %" PRIu64 " was acknowledged", path, page, word[0], want);
		for (i = 1; i < BENCH_WORDS; i++)
			if (word[i] != pattern_word(pattern + i))
				errx(1, "%s: wrong bytes in page %zu", path, page);
	}
}

/* ---- what to do ---- */

static void usage(void)
{
	puts("usage: bench-migrate write --as a|b --log LOG --size BYTES [OPTION]... FILE\n"
	     "       bench-migrate report LOG | check LOG FILE\n\n"
	     "  --rate BYTES          a second, in distinct pages (default 0: page 0 alone is written, over and over)\n"
	     "  --order seq|random    of the pages (default seq: 16 of them are a chunk)\n"
	     "  --gate                says that it is ready, then waits for a byte before it opens FILE");
	exit(0);
}

static void parse(struct program *program, int argc, char **argv)
{
	static const struct option options[] = {
		{ "as", 1, NULL, 'a' }, { "log", 1, NULL, 'l' }, { "size", 1, NULL, 's' }, { "rate", 1, NULL, 'r' },
		{ "order", 1, NULL, 'o' }, { "gate", 0, NULL, 'g' }, { "help", 0, NULL, 'h' }, { 0 }
	};
	const char *log = NULL, *order = "seq";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'a': program->as = *optarg == 'b'; break;
		case 'l': log = optarg; break;
		case 's': program->size = strtoull(optarg, NULL, 0); break;
		case 'r': program->rate = strtoull(optarg, NULL, 0); break;
		case 'o': order = optarg; break;
		case 'g': program->gate = 1; break;
		case 'h': usage(); break;
		default: exit(2);
		}
	}
	program->pages = program->size / BENCH_PAGE;
	program->path = argv[argc - 1];
	if (!log || program->pages < 2)
		errx(2, "--log and --size of two pages or more are needed (see --help)");
	program->step = strcmp(order, "random") ? 1 : random_step(program->pages - 1);
	program->log = log_map(log, program->pages);
}

int main(int argc, char **argv)
{
	struct program program = { 0 };
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "report") && argc == 3) {
		report(log_map(argv[2], 0));
	} else if (!strcmp(what, "check") && argc == 4) {
		check(log_map(argv[2], 0), argv[3]);
	} else if (!strcmp(what, "write") || !strcmp(what, "--help")) {
		parse(&program, argc, argv);
		run(&program);
	} else {
		errx(2, "usage: bench-migrate write|report|check (see --help)");
	}
	return 0;
}

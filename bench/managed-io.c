// SPDX-License-Identifier: GPL-2.0
/*
 * What is measured over a link: an ordinary program that maps a file whose bytes are far away, and one bulk TCP stream to compare with.
 *
 *   bench-io MEASURE [OPTION]... FILE
 *   bench-io now | written FILE | send ADDRESS PORT FILE | receive ADDRESS PORT [FILE]
 *
 * Nothing is dropped from memory here: whoever calls it makes the file anew, and may have the clock begin before that (--since).
 * Every byte is checked. A result is one line of JSON; times are nanoseconds of CLOCK_MONOTONIC.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapped.h"
#include "pattern.h"
#include "samples.h"

struct job {
	const char *tags;	/* members of the result, as JSON */
	const char *path;
	uint64_t since;		/* when the clock began; 0: when the file was mapped */
	uint64_t mapped;	/* when that was */
	size_t size;
	size_t chunk;		/* what "first chunk" means */
	size_t pages;		/* to touch or write */
	double seconds;		/* at most */
	uint64_t floor;		/* what took less ns was near already */
	uint64_t every;		/* ns from one touch to the next, if it took no longer */
	uint64_t seed;
	int sync;		/* msync what was changed */
	char *map;
	uint64_t *ns;
};

static void begin_result(const struct job *job, const char *measure)
{
	printf("{%s%s\"measure\":\"%s\"", job->tags, *job->tags ? "," : "", measure);
}

static void print_samples(uint64_t *ns, size_t samples)
{
	sort_ns(ns, samples);
	printf(",\"samples\":%zu,\"median_ns\":%ju,\"p90_ns\":%ju,\"p99_ns\":%ju,\"max_ns\":%ju", samples,
	       (uintmax_t)percentile(ns, samples, 50), (uintmax_t)percentile(ns, samples, 90),
	       (uintmax_t)percentile(ns, samples, 99), (uintmax_t)percentile(ns, samples, 100));
}

static void map_file(struct job *job, int writable)
{
	int fd = open(job->path, writable ? O_RDWR : O_RDONLY);
	size_t size;

	if (fd < 0)
		err(1, "%s", job->path);
	size = mapped_size(fd, job->path);
	if (!job->size || job->size > size)
		job->size = size;
	job->map = mmap(NULL, job->size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (job->map == MAP_FAILED)
		err(1, "mmap of %s", job->path);
	close(fd);
	job->mapped = now();
	if (!job->since)
		job->since = job->mapped;
}

/* ---- reading ---- */

/* Every word of a page, or of what was written over it: invert is all ones then. The pattern's next word costs an addition. */
static void check_page(const struct job *job, size_t page, uint64_t invert)
{
	const uint64_t *word = (const uint64_t *)(job->map + page * BENCH_PAGE);
	const uint64_t step = pattern_word(1) - pattern_word(0);
	uint64_t want = pattern_word(page * BENCH_WORDS), bad = 0;
	size_t i;

	for (i = 0; i < BENCH_WORDS; i++, want += step)
		bad |= word[i] ^ want ^ invert;
	if (bad)
		errx(1, "%s: wrong bytes in page %zu", job->path, page);
}

static void run_seq(struct job *job)
{
	uint64_t first_page = 0, first_chunk = 0, first_10mb = 0, total, read;
	size_t pages, near, i;

	map_file(job, 0);
	near = mapped_resident(job->map, job->size);
	pages = job->size / BENCH_PAGE;
	for (i = 0; i < pages; i++) {
		check_page(job, i, 0);
		if (i == 0)
			first_page = now() - job->since;
		if ((i + 1) * BENCH_PAGE == job->chunk)
			first_chunk = now() - job->since;
		if ((i + 1) * BENCH_PAGE == (10000000 / BENCH_PAGE + 1) * BENCH_PAGE)
			first_10mb = now() - job->since;
	}
	total = now() - job->since;
	read = now() - job->mapped;
	begin_result(job, "seq");
	printf(",\"near_at_start\":%zu,\"first_page_ns\":%ju,\"first_chunk_ns\":%ju,\"first_10mb_ns\":%ju", near,
	       (uintmax_t)first_page, (uintmax_t)first_chunk, (uintmax_t)first_10mb);
	printf(",\"read_ns\":%ju,\"read_mib_s\":%.2f", (uintmax_t)read, (double)pages * BENCH_PAGE / MIB / (read / 1e9));
	printf(",\"bytes\":%zu,\"total_ns\":%ju,\"mib_s\":%.2f}\n", pages * BENCH_PAGE, (uintmax_t)total,
	       (double)pages * BENCH_PAGE / MIB / (total / 1e9));
}

/* Samples below the floor are put aside: what is judged is those that had to wait for the link. */
static void run_random(struct job *job)
{
	size_t count = job->pages, near = 0, waited = 0, i;
	uint64_t *page, before, took, start;

	map_file(job, 0);
	if (madvise(job->map, job->size, MADV_RANDOM))
		err(1, "madvise");
	page = choose(job->size / BENCH_PAGE, 1, job->seed, &count);
	job->ns = allocate(count, sizeof(*job->ns));
	start = now();
	for (i = 0; i < count && now() - start < job->seconds * 1e9; i++) {
		before = now();
		if (pattern_touch(job->map, page[i]))
			errx(1, "%s: wrong bytes in page %ju", job->path, (uintmax_t)page[i]);
		took = now() - before;
		if (took < job->every)
			usleep((useconds_t)((job->every - took) / 1000));
		if (took < job->floor)
			near++;
		else
			job->ns[waited++] = took;
	}
	begin_result(job, "random");
	printf(",\"touched\":%zu,\"near\":%zu,\"total_ns\":%ju", i, near, (uintmax_t)(now() - start));
	print_samples(job->ns, waited);
	puts("}");
}

/* ---- writing ---- */

static void invert_page(const struct job *job, size_t page)
{
	uint64_t *word = (uint64_t *)(job->map + page * BENCH_PAGE);
	size_t i;

	for (i = 0; i < BENCH_WORDS; i++)
		word[i] = ~pattern_word(page * BENCH_WORDS + i);
}

static void sync_range(const struct job *job, size_t offset, size_t length)
{
	if (msync(job->map + offset, length, MS_SYNC))
		err(1, "msync of %s", job->path);
}

/* Pages, each with an msync of its own; then all of the file with one. All has been read before, so no write waits for bytes. */
static void run_write(struct job *job)
{
	size_t count = job->pages, pages, i;
	uint64_t *page, start, stored, total;

	map_file(job, 1);
	pages = job->size / BENCH_PAGE;
	for (i = 0; i < pages; i++)
		check_page(job, i, 0);
	page = choose(pages, 1, job->seed, &count);
	job->ns = allocate(count, sizeof(*job->ns));
	start = now();
	for (i = 0; i < count && now() - start < job->seconds * 1e9; i++) {
		uint64_t before = now();

		invert_page(job, page[i]);
		sync_range(job, page[i] * BENCH_PAGE, BENCH_PAGE);
		job->ns[i] = now() - before;
	}
	count = i;
	start = now();
	for (i = 0; i < pages; i++)
		invert_page(job, i);
	stored = now() - start;
	sync_range(job, 0, job->size);
	total = now() - start;
	for (i = 0; i < pages; i++)
		check_page(job, i, ~0ULL);
	begin_result(job, "write");
	print_samples(job->ns, count);
	printf(",\"bytes\":%zu,\"stored_ns\":%ju,\"total_ns\":%ju,\"mib_s\":%.2f}\n", job->size, (uintmax_t)stored,
	       (uintmax_t)total, (double)job->size / MIB / (total / 1e9));
}

/* Has all that run_write() wrote arrived? */
static void check_written(struct job *job)
{
	size_t i;

	map_file(job, 0);
	for (i = 0; i < job->size / BENCH_PAGE; i++)
		check_page(job, i, ~0ULL);
}

/*
 * A part of the pages at random, each inverted whole, and then one msync, or none: what is to be brought elsewhere. All is mapped before, so
 * whoever calls it has had it read. The clock's reading when it began is told, for what goes on where this ends.
 */
static void run_change(struct job *job)
{
	size_t pages, i;
	uint64_t *page, start, stored;

	map_file(job, 1);
	pages = job->size / BENCH_PAGE;
	for (i = 0; i < pages; i++)
		if (pattern_touch(job->map, i))
			errx(1, "%s: wrong bytes in page %zu", job->path, i);
	page = choose(pages, 1, job->seed, &job->pages);
	start = now();
	for (i = 0; i < job->pages; i++)
		invert_page(job, page[i]);
	stored = now();
	if (job->sync)
		sync_range(job, 0, job->size);
	begin_result(job, "push");
	printf(",\"pages\":%zu,\"began\":%ju,\"stored_ns\":%ju,\"msync_ns\":%ju}\n", job->pages, (uintmax_t)start,
	       (uintmax_t)(stored - start), (uintmax_t)(now() - stored));
}

/* Has just that arrived? */
static void check_changed(struct job *job)
{
	size_t pages, i;
	uint64_t *page;
	char *changed;

	map_file(job, 0);
	pages = job->size / BENCH_PAGE;
	page = choose(pages, 1, job->seed, &job->pages);
	changed = allocate(pages, 1);
	for (i = 0; i < job->pages; i++)
		changed[page[i]] = 1;
	for (i = 0; i < pages; i++)
		check_page(job, i, changed[i] ? ~0ULL : 0);
}

/* ---- one bulk TCP stream: sendfile on one side, read on the other, and written where a file is named; nothing checked ---- */

static struct sockaddr_in address(char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };

	if (inet_pton(AF_INET, argv[0], &at.sin_addr) != 1)
		errx(2, "%s is no address", argv[0]);
	return at;
}

static void send_file(char **argv)
{
	struct sockaddr_in at = address(argv);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), fd = open(argv[2], O_RDONLY), to;
	off_t offset;

	signal(SIGPIPE, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4))
		err(1, "%s, or the socket", argv[2]);
	while ((to = accept(listener, NULL, NULL)) >= 0) {
		offset = 0;
		while (sendfile(to, fd, &offset, MIB) > 0)
			;
		close(to);
	}
}

static void receive_file(struct job *job, char **argv)
{
	struct sockaddr_in at = address(argv);
	int from = socket(AF_INET, SOCK_STREAM, 0), to = argv[2] ? open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
	char *buf = allocate(MIB, 1);
	uint64_t start = now();
	size_t bytes = 0;
	ssize_t n;

	if (argv[2] && to < 0)
		err(1, "%s", argv[2]);
	if (connect(from, (struct sockaddr *)&at, sizeof(at)))
		err(1, "%s", argv[0]);
	while ((n = read(from, buf, MIB)) > 0) {
		if (to >= 0 && write(to, buf, n) != n)
			err(1, "%s", argv[2]);
		bytes += n;
	}
	if (n < 0)
		err(1, "%s", argv[0]);
	start = now() - start;
	begin_result(job, "seq");
	printf(",\"bytes\":%zu,\"total_ns\":%ju,\"mib_s\":%.2f}\n", bytes, (uintmax_t)start,
	       (double)bytes / MIB / (start / 1e9));
}

/* ---- what to do ---- */

static void usage(void)
{
	puts("usage: bench-io MEASURE [OPTION]... FILE\n"
	     "       bench-io now | written FILE | send ADDRESS PORT FILE | receive ADDRESS PORT [FILE]\n\n"
	     "Measures:\n"
	     "  seq      every byte in order\n"
	     "  random   distinct random pages, MADV_RANDOM\n"
	     "  write    random pages with an msync each, then all of the file with one\n"
	     "  change   random pages, then one msync; changed looks whether just these are\n\n"
	     "Options:\n"
	     "  --tags JSON     members for the result\n"
	     "  --since NS      when the clock began, of \"bench-io now\" (default: when FILE is mapped)\n"
	     "  --size BYTES    only the first so many\n"
	     "  --chunk BYTES   that \"first_chunk_ns\" stands for (default 1 MiB)\n"
	     "  --pages N       to touch or write (default 200)\n"
	     "  --seconds S     and no longer than that (default 30)\n"
	     "  --floor-us N    random: what took less was near already, and is only counted\n"
	     "  --every-ms N    random: a page, if it does not take longer (default: as fast as it goes)\n"
	     "  --seed N        of the order of pages (default 1)\n"
	     "  --no-sync       change: no msync");
	exit(0);
}

static void parse(struct job *job, int argc, char **argv)
{
	static const struct option options[] = {
		{ "tags", 1, NULL, 't' }, { "since", 1, NULL, 'n' }, { "size", 1, NULL, 'z' },
		{ "chunk", 1, NULL, 'c' }, { "pages", 1, NULL, 'p' }, { "seconds", 1, NULL, 'x' },
		{ "floor-us", 1, NULL, 'f' }, { "every-ms", 1, NULL, 'e' }, { "seed", 1, NULL, 's' }, { "no-sync", 0, NULL, 'S' }, { "help", 0, NULL, 'h' }, { 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't': job->tags = optarg; break;
		case 'n': job->since = strtoull(optarg, NULL, 0); break;
		case 'z': job->size = strtoull(optarg, NULL, 0); break;
		case 'c': job->chunk = strtoull(optarg, NULL, 0); break;
		case 'p': job->pages = strtoull(optarg, NULL, 0); break;
		case 'x': job->seconds = strtod(optarg, NULL); break;
		case 'f': job->floor = strtoull(optarg, NULL, 0) * 1000; break;
		case 'e': job->every = strtoull(optarg, NULL, 0) * 1000000; break;
		case 's': job->seed = strtoull(optarg, NULL, 0); break;
		case 'S': job->sync = 0; break;
		case 'h': usage(); break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct job job = { .tags = "", .chunk = MIB, .pages = 200, .seconds = 30, .seed = 1, .sync = 1 };
	int operands;
	char *what;

	parse(&job, argc, argv);
	operands = argc - optind - 1;
	what = operands < 0 ? "" : argv[optind];
	job.path = argv[argc - 1];
	if (!strcmp(what, "now") && operands == 0)
		printf("%ju\n", (uintmax_t)now());
	else if (!strcmp(what, "seq") && operands == 1)
		run_seq(&job);
	else if (!strcmp(what, "random") && operands == 1)
		run_random(&job);
	else if (!strcmp(what, "write") && operands == 1)
		run_write(&job);
	else if (!strcmp(what, "change") && operands == 1)
		run_change(&job);
	else if (!strcmp(what, "changed") && operands == 1)
		check_changed(&job);
	else if (!strcmp(what, "written") && operands == 1)
		check_written(&job);
	else if (!strcmp(what, "send") && operands == 3)
		send_file(argv + optind + 1);
	else if (!strcmp(what, "receive") && (operands == 2 || operands == 3))
		receive_file(&job, argv + optind + 1);
	else
		errx(2, "usage: bench-io MEASURE [OPTION]... FILE (see --help)");
	return 0;
}

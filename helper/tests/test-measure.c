// SPDX-License-Identifier: GPL-2.0
/* What is measured: samples of a file, a page that can't be had, what a process has used, and what rounds come to. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "../bench-result.h"
#include "../samples.h"

#define SIZE (4 * MIB)

static char path[] = "/tmp/test-measure.XXXXXX";

/* ---- samples ---- */

static void check_choice(size_t pages, size_t stride, size_t wanted, size_t count)
{
	size_t all = pages / stride, seen = 0;
	uint64_t *page = choose_pages(pages, stride, 7, &wanted);
	char *hit = calloc(all, 1);

	for (size_t i = 0; i < wanted; i++)
		if (page[i] % stride == 0 && page[i] < pages && !hit[page[i] / stride]++)
			seen++;
	tap_ok(wanted == count && seen == count, "%zu of %zu pages, %zu apart, each once", count, pages, stride);
	free(page);
	free(hit);
}

static void check_order(void)
{
	size_t count = 100;
	uint64_t *one = choose_pages(1000, 1, 1, &count), *same = choose_pages(1000, 1, 1, &count);
	uint64_t *other = choose_pages(1000, 1, 2, &count);

	tap_ok(!memcmp(one, same, count * sizeof(*one)), "a seed gives the same order");
	tap_ok(memcmp(one, other, count * sizeof(*one)) != 0, "and another one another");
	free(one);
	free(same);
	free(other);
}

static void check_spread(void)
{
	double odd[] = { 3, 1, 2 }, even[] = { 4, 1, 2, 3 };
	uint64_t ns[] = { 5, 1, 4, 2, 3 };
	struct spread spread = spread_of(odd, 3);

	tap_ok(spread.median == 2 && spread.least == 1 && spread.most == 3, "the median of three");
	spread = spread_of(even, 4);
	tap_ok(spread.median == 2.5 && spread.least == 1 && spread.most == 4, "and of four");
	tap_ok(spread_of(even, 0).most == 0, "and of none");
	sort_ns(ns, 5);
	tap_ok(percentile(ns, 5, 50) == 3 && percentile(ns, 5, 100) == 5 && !percentile(ns, 0, 50), "percentiles");
}

/* ---- a file ---- */

static struct measure_job new_job(size_t step)
{
	struct measure_job job = { .path = path, .size = SIZE, .step = step, .pages = 100, .seed = 1, .check = UINT64_MAX };

	job.fd = open(path, O_RDONLY);
	job.map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, job.fd, 0);
	return job;
}

static void end_job(struct measure_job *job)
{
	measure_clear(job);
	munmap(job->map, SIZE);
	close(job->fd);
}

static int run(struct measure_job *job, int (*measure)(struct measure_job *job))
{
	struct measure what = { .run = measure };

	measure_clear(job);
	return measure_run(job, &what);
}

static void fill(void)
{
	static uint64_t word[SIZE / sizeof(uint64_t)];
	int fd = mkstemp(path);

	for (uint64_t i = 0; i < SIZE / sizeof(i); i++)
		word[i] = measure_word(i);
	if (write(fd, word, SIZE) != SIZE)
		perror(path);
	close(fd);
}

static void check_one(const char *name, int (*measure)(struct measure_job *job), size_t samples, size_t bytes)
{
	struct measure_job job = new_job(MIB);
	int err = run(&job, measure);

	if (err == -EOPNOTSUPP)
		tap_skip(name, "no direct I/O there");
	else
		tap_ok(!err && job.samples == samples && job.total_bytes == bytes && !job.bad, "%s: %zu samples, the right bytes", name,
		       samples);
	end_job(&job);
}

static void check_measures(void)
{
	check_one("random", measure_random, 100, 100 * MEASURE_PAGE);
	check_one("lone", measure_lone, 2, 2 * MEASURE_PAGE);
	check_one("seq", measure_seq, 4, SIZE);
	check_one("read", measure_read, 4, SIZE);
	check_one("warm", measure_warm, 4, SIZE);
	check_one("warm at random", measure_warm_random, SIZE / MEASURE_PAGE / MEASURE_BATCH, SIZE);
	check_one("threads", measure_threads, 96, 96 * MEASURE_PAGE);
	check_one("direct", measure_direct, 100, 100 * MEASURE_PAGE);
	check_one("direct, 8 in flight", measure_direct8, 96, 96 * MEASURE_PAGE);
}

static void check_small(void)
{
	struct measure_job job = new_job(2 * MEASURE_PAGE);

	job.size = 3 * MEASURE_PAGE;
	tap_ok(!run(&job, measure_seq) && job.samples == 1, "a small file has samples, too");
	tap_ok(!run(&job, measure_lone) && job.samples == 1, "and a lone page");
	tap_ok(!run(&job, measure_warm_random) && job.samples == 1, "and one of warm pages");
	tap_ok(!run(&job, measure_random) && job.samples == 3, "all its pages are no more than it has");
	end_job(&job);
}

static void check_wrong_bytes(void)
{
	struct measure_job job = new_job(MIB);
	uint64_t zero = 0;
	int fd = open(path, O_WRONLY);

	if (pwrite(fd, &zero, sizeof(zero), MIB) != sizeof(zero))
		perror(path);
	close(fd);
	tap_ok(!run(&job, measure_read) && job.bad, "wrong bytes are seen");
	job.check = 0;
	tap_ok(!run(&job, measure_read) && !job.bad, "where they matter");
	end_job(&job);
}

static void check_resident(void)
{
	struct measure_job job = new_job(MIB);
	size_t bytes = 0;

	run(&job, measure_seq);
	tap_ok(!measure_resident(&job, &bytes) && bytes == SIZE, "what was read is in memory");
	end_job(&job);
}

/* The last: the file is shorter after it. */
static void check_no_page(void)
{
	struct measure_job job = new_job(MIB);

	if (truncate(path, MIB))
		perror(path);
	tap_number(run(&job, measure_seq), -EIO, "a page that can't be had is an error, and no end");
	tap_is(job.failed ? job.failed : "", "access", "of an access");
	tap_number(run(&job, measure_read), -ENODATA, "and so are bytes that are not there");
	tap_is(job.failed ? job.failed : "", "read", "of a read");
	end_job(&job);
}

/* ---- a process ---- */

static void check_process(void)
{
	static struct measure_process before, after;
	struct measure_usage used;
	uint64_t start = now();
	pid_t child = fork();

	if (!child)
		for (;;)
			pause();
	tap_ok(!measure_process(getpid(), &before) && before.nr > 0, "this process can be looked at");
	while (now() - start < 20000000)
		;
	usleep(1000);
	measure_process(getpid(), &after);
	used = measure_used(&before, &after);
	tap_ok(used.cpu_ns > 1000000 && used.switches > 0, "it has used CPU time, and was switched");
	tap_ok(!measure_process(child, &before) && before.nr == 1, "and so can another");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	tap_ok(measure_process(child, &before) < 0, "until it is gone");
}

/* ---- what rounds come to ---- */

static struct bench_result round_of(uint64_t ns)
{
	return (struct bench_result){ .median_ns = ns, .p90_ns = 2 * ns, .total_ns = 1000000000, .samples = 9, .bytes = 2 * MIB * ns,
				      .own = { .cpu_ns = 500000000, .switches = 3 }, .answered = 4096 };
}

static void check_figures(void)
{
	struct bench_result round[] = { round_of(512), round_of(256), round_of(1024) };
	struct bench_rounds rounds = { .round = round, .nr = 3, .region = true };
	json_t *figures = bench_figures(&rounds);
	char *text = json_dumps(figures, JSON_COMPACT | JSON_SORT_KEYS);

	tap_is(text ? text : "", "{\"bytes\":1073741824,"
	       "\"cpu_s_per_gib\":{\"least\":0.25,\"median\":0.5,\"most\":1},"
	       "\"helper_bytes\":{\"least\":4096,\"median\":4096,\"most\":4096},"
	       "\"kernel_bytes\":{\"least\":0,\"median\":0,\"most\":0},"
	       "\"median_ns\":{\"least\":256,\"median\":512,\"most\":1024},"
	       "\"mib_s\":{\"least\":512,\"median\":1024,\"most\":2048},"
	       "\"not_cold_bytes\":{\"least\":0,\"median\":0,\"most\":0},"
	       "\"p90_ns\":{\"least\":512,\"median\":1024,\"most\":2048},"
	       "\"p99_ns\":{\"least\":0,\"median\":0,\"most\":0},\"samples\":9,"
	       "\"switches_per_gib\":{\"least\":1.5,\"median\":3,\"most\":6}}", "figures, of what is known");
	free(text);
	json_decref(figures);
}

static void check_ratio(void)
{
	json_t *region = json_pack("{s:{s:i},s:{s:f}}", "median_ns", "median", 300, "mib_s", "median", 50.0);
	json_t *file = json_pack("{s:{s:i},s:{s:f}}", "median_ns", "median", 200, "mib_s", "median", 100.0), *none = json_object();

	tap_ok(bench_ratio(region, file, false) == 1.5, "half as long again");
	tap_ok(bench_ratio(region, file, true) == 2, "half as many bytes a second take twice as long");
	tap_ok(bench_ratio(region, none, false) == 0, "with nothing there is no ratio");
	json_decref(region);
	json_decref(file);
	json_decref(none);
}

int main(void)
{
	check_choice(1000, 1, 10, 10);
	check_choice(1000, 1, 0, 1000);
	check_choice(1000, 512, 0, 1);
	check_choice(8, 1, 100, 8);
	check_order();
	check_spread();
	fill();
	check_measures();
	check_small();
	check_resident();
	check_wrong_bytes();
	check_no_page();
	unlink(path);
	check_process();
	check_figures();
	check_ratio();
	return tap_end();
}

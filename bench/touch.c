// SPDX-License-Identifier: GPL-2.0
/*
 * The measuring client: an ordinary program that maps a file (or a device, or an area that userfaultfd
 * serves), looks at it, and says how long that took.
 *
 *   bench-touch MEASURE [OPTION]... FILE
 *
 * It starts each measure cold (nothing of the file in the page cache, which mincore has to confirm), or with
 * all of it there but nothing mapped, looks at one word of each page that it touches, and ends with an error when one was wrong. The
 * result is one line of JSON; times are nanoseconds of CLOCK_MONOTONIC.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"
#include "mapped.h"
#include "pattern.h"
#include "peers/uffd.h"
#include "samples.h"

/* ---- the file ---- */

static void map_file(struct job *job, unsigned int flags)
{
	int writes = flags & MEASURE_WRITES;
	size_t size;

	job->on.fd = open(job->on.path, writes ? O_RDWR : O_RDONLY);
	if (job->on.fd < 0)
		err(1, "%s", job->on.path);
	size = mapped_size(job->on.fd, job->on.path);
	job->on.size = job->on.size && job->on.size < size ? job->on.size : size;
	job->on.map = mmap(NULL, job->on.size, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, job->on.fd, 0);
	if (job->on.map == MAP_FAILED)
		err(1, "mmap of %s", job->on.path);
}

static void map(struct job *job, unsigned int flags)
{
	if (job->copy && flags & MEASURE_FILE)
		errx(EXIT_SKIPPED, "userfaultfd has no file");
	if (job->copy)
		job->on.map = uffd_map(job->on.size, job->copy, job->process);
	else
		map_file(job, flags);
	if (job->on.size < MEASURE_WINDOW)
		errx(1, "%s: %zu bytes are too few to measure", job->on.path, job->on.size);
}

static void drop_all_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "3", 1) != 1)
		err(1, "/proc/sys/vm/drop_caches");
	close(fd);
}

static void drop_file(struct job *job)
{
	struct stat st;

	if (fsync(job->on.fd) && errno != EINVAL)
		err(1, "fsync of %s", job->on.path);
	if (!fstat(job->on.fd, &st) && S_ISBLK(st.st_mode))
		ioctl(job->on.fd, BLKFLSBUF, 0);
	posix_fadvise(job->on.fd, 0, 0, POSIX_FADV_DONTNEED);
	if (mapped_resident(job->on.map, job->on.size))
		drop_all_caches();
}

static void drop_beside(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		err(1, "%s", path);
	close(fd);
}

static void make_cold(struct job *job)
{
	size_t left;

	if (job->copy)
		uffd_drop(job->on.map, job->on.size);
	else
		drop_file(job);
	if (job->beside)
		drop_beside(job->beside);
	left = mapped_resident(job->on.map, job->on.size);
	if (left)
		errx(1, "%s: %zu bytes stay in memory", job->on.path, left);
}

static void pull(const struct job *job)
{
	char *argv[] = { "regionctl", "pull", "--instance", (char *)job->pull, basename(job->on.path), NULL };
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);	/* stdout is for results */
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno || waitpid(pid, &status, 0) != pid)
		err(1, "regionctl");
	if (status)
		errx(1, "regionctl pull of %s failed", job->on.path);
	posix_spawn_file_actions_destroy(&actions);
}

static void read_all(const struct job *job)
{
	char *buf = allocate(MIB, 1);

	for (size_t at = 0; at < job->on.size; at += MIB)
		if (pread(job->on.fd, buf, MIB, at) != (ssize_t)MIB)
			err(1, "read of %s at %zu", job->on.path, at);
	free(buf);
}

/* Each time anew: what an earlier measure has left would not be what a pull leaves. */
static void bring(struct job *job)
{
	size_t there;

	if (job->copy)
		errx(EXIT_SKIPPED, "userfaultfd has no pages that are there and not mapped");
	if (!job->warm) {
		make_cold(job);
		if (job->pull)
			pull(job);
		else
			read_all(job);
	}
	there = mapped_resident(job->on.map, job->on.size);
	if (there < job->on.size)
		errx(1, "%s: %zu bytes are in memory, of %zu", job->on.path, there, job->on.size);
}

/* Leave no pages behind that would press on whoever is measured next. */
static void unmap(struct job *job)
{
	munmap(job->on.map, job->on.size);
	if (job->on.fd >= 0 && !job->warm)
		posix_fadvise(job->on.fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* ---- measures ---- */

static const struct measure measures[] = {
	{ "random", MEASURE_COLD, MADV_RANDOM, measure_random, "distinct random pages, MADV_RANDOM" },
	{ "scatter", MEASURE_COLD, MADV_NORMAL, measure_random, "distinct random pages, default advice" },
	{ "threads", MEASURE_COLD, MADV_RANDOM, measure_threads, "distinct random pages by 8 threads, MADV_RANDOM" },
	{ "processes", MEASURE_COLD, MADV_RANDOM, run_processes, "the same by 8 processes, each with an mmap_lock of its own" },
	{ "lone", MEASURE_COLD, MADV_NORMAL, measure_lone, "one page in each 2 MiB, default advice, random order" },
	{ "seq", MEASURE_COLD, MADV_NORMAL, measure_seq, "every page in order, default advice" },
	{ "pulled", MEASURE_THERE, MADV_RANDOM, measure_random, "distinct random pages, MADV_RANDOM, when all are there and none is mapped" },
	{ "pulled-seq", MEASURE_THERE, MADV_NORMAL, measure_seq, "every page in order, default advice, then" },
	{ "warm", 0, MADV_NORMAL, measure_warm, "every page in order, when all are mapped" },
	{ "read", MEASURE_COLD | MEASURE_FILE, MADV_NORMAL, measure_read, "read() in order, 1 MiB each" },
	{ "msync", MEASURE_WRITES | MEASURE_FILE, MADV_NORMAL, run_msync, "a store to each page in order, then msync" },
	{ "fsync", MEASURE_WRITES | MEASURE_FILE, MADV_NORMAL, run_fsync, "write() in order, 1 MiB each, then fsync" },
	{ "direct", MEASURE_COLD | MEASURE_FILE, MADV_NORMAL, measure_direct, "O_DIRECT reads of 4 KiB at random" },
	{ "direct8", MEASURE_COLD | MEASURE_FILE, MADV_NORMAL, measure_direct8, "the same, 8 in flight" },
	{ "check", 0, MADV_NORMAL, run_check, "every word, not measured cold" },
	{ 0 }
};

/* Write the pattern into a file, or over a device, through its cache. */
static void fill(struct job *job)
{
	char *buf = allocate(MIB, 1);
	int fd = open(job->on.path, O_WRONLY | O_CREAT, 0644);
	uint64_t offset;

	if (fd < 0)
		err(1, "%s", job->on.path);
	if (!job->on.size)
		job->on.size = mapped_size(fd, job->on.path);
	for (offset = 0; offset < job->on.size; offset += MIB) {
		pattern_fill(buf, offset, MIB);
		if (pwrite(fd, buf, MIB, offset) != (ssize_t)MIB)
			err(1, "write to %s at %ju", job->on.path, (uintmax_t)offset);
	}
	if (fsync(fd) || close(fd))
		err(1, "fsync of %s", job->on.path);
	free(buf);
}

/* ---- results ---- */

static void report(struct job *job, size_t pulled)
{
	double seconds = job->on.total_ns / 1e9;

	sort_ns(job->on.ns, job->on.samples);
	printf("{\"peer\":\"%s\",\"measure\":\"%s", job->label, job->measure);
	if (job->on.threads)
		printf(":%u", job->on.threads);
	printf("\",\"round\":%u,\"samples\":%zu,\"seed\":%ju,", job->round, job->on.samples, (uintmax_t)job->on.seed);
	printf("\"median_ns\":%ju,\"p10_ns\":%ju,\"p90_ns\":%ju,\"p99_ns\":%ju,\"max_ns\":%ju,",
	       (uintmax_t)percentile(job->on.ns, job->on.samples, 50), (uintmax_t)percentile(job->on.ns, job->on.samples, 10),
	       (uintmax_t)percentile(job->on.ns, job->on.samples, 90), (uintmax_t)percentile(job->on.ns, job->on.samples, 99),
	       (uintmax_t)percentile(job->on.ns, job->on.samples, 100));
	printf("\"cpu_ns\":%ju,\"switches\":%ju,", (uintmax_t)job->usage.cpu_ns, (uintmax_t)job->usage.switches);
	printf("\"mean_ns\":%.0f,\"total_ns\":%ju,\"bytes\":%zu,\"mib_s\":%.1f,\"resident\":%zu}\n",
	       job->on.samples ? (double)job->on.total_ns / job->on.samples : 0.0,
	       (uintmax_t)job->on.total_ns, job->on.total_bytes,
	       job->on.total_ns ? job->on.total_bytes / seconds / MIB : 0.0, pulled);
}

static struct usage used(void)
{
	static const unsigned int counts[] = { 0, 1, 2, 5, 6 };	/* user, nice, system, irq, softirq */
	unsigned long long ticks[8] = { 0 }, switches = 0;
	struct usage usage = { 0 };
	FILE *file = fopen("/proc/stat", "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "cpu ", 4))	/* a blank of sscanf's would match none, and so a line of one CPU's */
			sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", ticks, ticks + 1, ticks + 2, ticks + 3, ticks + 4, ticks + 5, ticks + 6, ticks + 7);
		sscanf(line, "ctxt %llu", &switches);
	}
	if (file)
		fclose(file);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		usage.cpu_ns += ticks[counts[i]] * (1000000000ULL / sysconf(_SC_CLK_TCK));
	usage.switches = switches;
	return usage;
}

static void fail(const struct job *job, int error)
{
	if (error == -EOPNOTSUPP)
		errx(EXIT_SKIPPED, "%s: no %s", job->on.path, job->on.failed);
	errno = -error;
	err(1, "%s of %s", job->on.failed ? job->on.failed : job->measure, job->on.path);
}

static void measure(struct job *job, const struct measure *what)
{
	struct usage before, after;
	int error;

	map(job, what->flags);
	if (what->flags & MEASURE_COLD && !job->warm)
		make_cold(job);
	if (what->flags & MEASURE_THERE)
		bring(job);
	if (madvise(job->on.map, job->on.size, what->advice))
		err(1, "madvise");
	before = used();
	error = what->run(&job->on);
	after = used();
	if (error)
		fail(job, error);
	job->usage.cpu_ns = after.cpu_ns - before.cpu_ns;
	job->usage.switches = after.switches - before.switches;
	if (job->on.bad)
		errx(1, "%s: wrong bytes", job->on.path);
	report(job, mapped_resident(job->on.map, job->on.size));
	unmap(job);
}

static const struct measure *find(const char *name)
{
	const struct measure *what;

	for (what = measures; what->name; what++)
		if (!strcmp(what->name, name))
			return what;
	return NULL;
}

static void usage(void)
{
	const struct measure *what;

	puts("usage: bench-touch MEASURE [OPTION]... FILE\n\nMeasures:\n"
	     "  fill       write the pattern that all others expect");
	for (what = measures; what->name; what++)
		printf("  %-10s %s\n", what->name, what->help);
	puts("\nOptions:\n"
	     "  --label NAME    \"peer\" in the output\n"
	     "  --round N       \"round\" in the output\n"
	     "  --pages N       to touch (random, scatter, pulled; default 1000)\n"
	     "  --workers N     threads or processes (default 8); the measure is called threads:N, or processes:N, then\n"
	     "  --seed N        of the order of pages (default 1)\n"
	     "  --size BYTES    only the first so many (default all; needed by fill of a new file and by --uffd)\n"
	     "  --uffd BYTES    no FILE, but memory that userfaultfd fills, BYTES a fault\n"
	     "  --process       userfaultfd's handler in a process of its own, not a thread\n"
	     "  --warm          don't drop what is in memory\n"
	     "  --beside FILE   is dropped with the other one, whose bytes are in there\n"
	     "  --pull NAME     FILE is at the root of regionfs instance NAME: what has to be there is pulled; else FILE is read");
	exit(0);
}

static void parse(struct job *job, int argc, char **argv)
{
	static const struct option options[] = {
		{ "label", 1, NULL, 'l' }, { "round", 1, NULL, 'r' }, { "pages", 1, NULL, 'p' },
		{ "seed", 1, NULL, 's' }, { "size", 1, NULL, 'z' }, { "uffd", 1, NULL, 'u' },
		{ "process", 0, NULL, 'P' }, { "warm", 0, NULL, 'w' }, { "workers", 1, NULL, 't' },
		{ "pull", 1, NULL, 'b' }, { "beside", 1, NULL, 'B' },
		{ "help", 0, NULL, 'h' }, { 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l': job->label = optarg; break;
		case 'r': job->round = strtoul(optarg, NULL, 0); break;
		case 'p': job->on.pages = strtoull(optarg, NULL, 0); break;
		case 's': job->on.seed = strtoull(optarg, NULL, 0); break;
		case 'z': job->on.size = strtoull(optarg, NULL, 0); break;
		case 'u': job->copy = strtoull(optarg, NULL, 0); break;
		case 'P': job->process = 1; break;
		case 'w': job->warm = 1; break;
		case 'b': job->pull = optarg; break;
		case 'B': job->beside = optarg; break;
		case 't': job->on.threads = strtoul(optarg, NULL, 0); break;
		case 'h': usage(); break;
		default: exit(2);
		}
	}
	if (optind + 2 - !!job->copy != argc)
		errx(2, "usage: bench-touch MEASURE [OPTION]... FILE (see --help)");
	job->measure = argv[optind];
	job->on.path = job->copy ? "userfaultfd" : argv[optind + 1];
}

static void validate(const struct job *job)
{
	if (job->on.size % MIB)
		errx(2, "--size must be a multiple of 1 MiB");
	if (!job->copy)
		return;
	if (!job->on.size)
		errx(2, "--uffd needs --size");
	if (job->copy < BENCH_PAGE || job->copy > MIB || job->copy & (job->copy - 1))
		errx(2, "--uffd must be a power of two from 4096 to 1048576");
}

int main(int argc, char **argv)
{
	struct job job = {
		.label = "file", .on = { .fd = -1, .step = MIB, .pages = 1000, .seed = 1, .check = UINT64_MAX }
	};
	const struct measure *what;

	parse(&job, argc, argv);
	validate(&job);
	if (!strcmp(job.measure, "fill") && !job.copy) {
		fill(&job);
		return 0;
	}
	what = find(job.measure);
	if (!what)
		errx(2, "no measure is named %s (see --help)", job.measure);
	measure(&job, what);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What scale.sh does many times over, so that it is not the start of programs that is measured.
 *
 *   bench-scale touch [OPTION]... FILE                    random pages of a file of any size; its bytes are zero, or what an earlier run has stored
 *   bench-scale add [OPTION]... INSTANCE NAME KEY=VALUE...    regions, one after the other, by one connection to regiond
 *   bench-scale pull [OPTION]... INSTANCE NAME KEY=VALUE...   the same by as many connections at once; each waits until its region is here
 *   bench-scale stat [OPTION]... PATH                     files by name, in random order
 *   bench-scale first [OPTION]... PATH                    open, map, touch one page, in random order
 *
 * --count N, --seed N; --tags TEXT for the line of JSON; touch --write: a store to each page, and an msync of all. In a NAME, PATH or VALUE
 * %n is the number of the one, from 0, and %d is a hundredth of it. KEY=VALUE are arguments of the command "add".
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../helper/client.h"
#include "mapped.h"
#include "samples.h"

struct scale {
	const char *tags;
	size_t count;
	uint64_t seed;
	bool write;
	char **arg;
	int args;
	uint64_t *ns;		/* a sample each */
	uint64_t total_ns, msync_ns;
};

static void report(struct scale *scale)
{
	size_t n = scale->count;

	sort_ns(scale->ns, n);
	printf("{%s,\"count\":%zu,\"total_ns\":%ju,\"median_ns\":%ju,\"p90_ns\":%ju,\"p99_ns\":%ju,\"min_ns\":%ju,\"max_ns\":%ju", scale->tags, n,
	       (uintmax_t)scale->total_ns, (uintmax_t)percentile(scale->ns, n, 50), (uintmax_t)percentile(scale->ns, n, 90),
	       (uintmax_t)percentile(scale->ns, n, 99), (uintmax_t)percentile(scale->ns, n, 0), (uintmax_t)percentile(scale->ns, n, 100));
	if (scale->write)
		printf(",\"msync_ns\":%ju", (uintmax_t)scale->msync_ns);
	puts("}");
}

/* The caller frees it. */
static char *expand(const char *text, size_t n)
{
	size_t used = 0, room = strlen(text) * 20 + 1;
	char *to = allocate(room, 1);

	for (; *text; text++) {
		if (*text == '%' && (text[1] == 'n' || text[1] == 'd'))
			used += snprintf(to + used, room - used, "%zu", *++text == 'n' ? n : n / 100);
		else
			to[used++] = *text;
	}
	return to;
}

/* ---- pages of a huge file ---- */

/* What is stored in a page tells which one it is, so that what comes back may be told from another one's. */
static uint64_t token(uint64_t page)
{
	return measure_word(page * MEASURE_WORDS);
}

static void touch_page(const struct scale *scale, char *map, uint64_t page)
{
	volatile uint64_t *word = (volatile uint64_t *)(map + page * BENCH_PAGE);
	uint64_t have = *word;

	if (have && have != token(page))
		errx(1, "page %ju: wrong bytes", (uintmax_t)page);
	if (scale->write)
		*word = token(page);
}

/* Pages are drawn, and none is looked for twice: among so many there is hardly one that comes again. */
static void run_touch(struct scale *scale)
{
	int fd = open(scale->arg[0], O_RDWR);
	size_t size = fd < 0 ? 0 : mapped_size(fd, scale->arg[0]);
	char *map = size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	uint64_t start, before, seed = scale->seed;

	if (map == MAP_FAILED || madvise(map, size, MADV_RANDOM))
		err(1, "%s", scale->arg[0]);
	start = now();
	for (size_t i = 0; i < scale->count; i++) {
		before = now();
		touch_page(scale, map, draw(&seed) % (size / BENCH_PAGE));
		scale->ns[i] = now() - before;
	}
	scale->total_ns = now() - start;
	start = now();
	if (scale->write && msync(map, size, MS_SYNC))
		err(1, "msync");
	scale->msync_ns = now() - start;
}

/* ---- many files ---- */

static void look(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		err(1, "%s", path);
}

static void touch_first(const char *path)
{
	int fd = open(path, O_RDONLY);
	volatile char *map = mmap(NULL, BENCH_PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		err(1, "%s", path);
	(void)*map;
	munmap((void *)map, BENCH_PAGE);
	close(fd);
}

/* Of all below the first of the two arguments' number, where there are two. */
static void run_files(struct scale *scale, void (*run)(const char *path))
{
	size_t count = scale->count, all = scale->args > 1 ? strtoull(scale->arg[1], NULL, 0) : count;
	uint64_t *order = choose(all, 1, scale->seed, &count), before, start = now();

	for (size_t i = 0; i < count; i++) {
		char *path = expand(scale->arg[0], order[i]);

		before = now();
		run(path);
		scale->ns[i] = now() - before;
		free(path);
	}
	scale->total_ns = now() - start;
	free(order);
}

static void run_stat(struct scale *scale) { run_files(scale, look); }
static void run_first(struct scale *scale) { run_files(scale, touch_first); }

/* ---- regions ---- */

static void connect_to(struct regionfs_client *client, const struct scale *scale)
{
	if (regionfs_client_open(client, scale->arg[0]))
		errx(1, "%s", client->message);
}

static void call(struct regionfs_client *client, const char *command, json_t *args)
{
	json_t *result;

	if (regionfs_client_call(client, command, args, &result))
		errx(1, "%s: %s", command, client->message);
	json_decref(result);
	json_decref(args);
}

/* A number is one only where it has nothing but digits: sizes are given in bytes. */
static json_t *value_of(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) ? json_integer(strtoll(text, NULL, 10)) :
	       !strcmp(text, "true") ? json_true() : json_string(text);
}

static json_t *region_args(const struct scale *scale, size_t n)
{
	char *text = expand(scale->arg[1], n);
	json_t *args = json_pack("{s:s}", "region", text);

	free(text);
	for (int i = 2; i < scale->args; i++) {
		char *value = strchr(text = expand(scale->arg[i], n), '=');

		if (!value)
			errx(2, "%s is no KEY=VALUE", text);
		*value++ = 0;
		json_object_set_new(args, text, value_of(value));
		free(text);
	}
	return args;
}

static void run_add(struct scale *scale)
{
	struct regionfs_client client;
	uint64_t before, start = now();

	connect_to(&client, scale);
	for (size_t i = 0; i < scale->count; i++) {
		before = now();
		call(&client, "add", region_args(scale, i));
		scale->ns[i] = now() - before;
	}
	scale->total_ns = now() - start;
	regionfs_client_close(&client);
}

struct puller {
	struct scale *scale;
	struct regionfs_client client;
	pthread_t thread;
	pthread_barrier_t *begin;
	uint64_t *start;
	size_t n;
};

/* The sample is from the moment when all begin to the one when this region is here. */
static void *pull_one(void *arg)
{
	struct puller *puller = arg;
	json_t *add = region_args(puller->scale, puller->n), *pull = json_pack("{s:O}", "region", json_object_get(add, "region"));

	connect_to(&puller->client, puller->scale);
	if (pthread_barrier_wait(puller->begin) == PTHREAD_BARRIER_SERIAL_THREAD)
		*puller->start = now();
	pthread_barrier_wait(puller->begin);
	call(&puller->client, "add", add);
	call(&puller->client, "pull", pull);
	puller->scale->ns[puller->n] = now() - *puller->start;
	regionfs_client_close(&puller->client);
	return NULL;
}

static void run_pull(struct scale *scale)
{
	struct puller *all = allocate(scale->count, sizeof(*all));
	pthread_barrier_t begin;
	uint64_t start;

	pthread_barrier_init(&begin, NULL, scale->count);
	for (size_t i = 0; i < scale->count; i++) {
		all[i].scale = scale;
		all[i].begin = &begin;
		all[i].start = &start;
		all[i].n = i;
		errno = pthread_create(&all[i].thread, NULL, pull_one, &all[i]);
		if (errno)
			err(1, "thread");
	}
	for (size_t i = 0; i < scale->count; i++)
		pthread_join(all[i].thread, NULL);
	scale->total_ns = now() - start;
	free(all);
}

/* ---- the command line ---- */

static const struct command {
	const char *name;
	int args;
	void (*run)(struct scale *scale);
} commands[] = {
	{ "touch", 1, run_touch }, { "add", 2, run_add }, { "pull", 2, run_pull }, { "stat", 1, run_stat }, { "first", 1, run_first },
};

static void parse(struct scale *scale, int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", 1, NULL, 'c' }, { "seed", 1, NULL, 's' }, { "tags", 1, NULL, 't' }, { "write", 0, NULL, 'w' }, { 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c': scale->count = strtoull(optarg, NULL, 0); break;
		case 's': scale->seed = strtoull(optarg, NULL, 0); break;
		case 't': scale->tags = optarg; break;
		case 'w': scale->write = true; break;
		default: exit(2);
		}
	}
	scale->arg = argv + optind;
	scale->args = argc - optind;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	errx(2, "usage: bench-scale touch|add|pull|stat|first [OPTION]... ARGUMENT...; see bench/scale.c");
}

int main(int argc, char **argv)
{
	struct scale scale = { .tags = "\"measure\":\"scale\"", .count = 1, .seed = 1 };
	const struct command *command = find(argc > 1 ? argv[1] : NULL);

	parse(&scale, argc - 1, argv + 1);
	if (scale.args < command->args || !scale.count)
		errx(2, "%s: too few arguments; see bench/scale.c", command->name);
	scale.ns = allocate(scale.count, sizeof(*scale.ns));
	command->run(&scale);
	report(&scale);
	free(scale.ns);
	return 0;
}

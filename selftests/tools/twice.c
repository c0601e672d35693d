// SPDX-License-Identifier: GPL-2.0
/*
 * twice: a program that counts twice, in a mapped file and in its own memory, and ends where the two differ. For a process that moves to
 * another host: the one came with the file, the other with the process.
 *
 *   twice FILE PAUSE-MS	steps, until SIGTERM. Each adds one to some counters all over the file, and the count of steps is in its
 *				first page
 *   twice FILE check		prints the number of steps; fails when a program has found a difference, or the counters do not add up
 */
#include "counting.h"

#define ONCE 16u

static uint64_t page_of(uint64_t n, uint64_t pages)
{
	n *= 0x9e3779b97f4a7c15ULL;
	return 1 + (n >> 20) % (pages - 1);
}

/* The first page: steps, the page that was found wrong. */
static int run(char *map, uint64_t pages, unsigned int pause_ms)
{
	uint64_t *own = calloc(pages, sizeof(*own)), steps = 0;

	if (!own)
		return 2;
	while (!ended) {
		for (unsigned int i = 0; i < ONCE; i++) {
			uint64_t page = page_of(steps * ONCE + i, pages);

			if (++*counter(map, page) == ++own[page])
				continue;
			counter(map, 0)[1] = page;
			return 1;
		}
		if (counter(map, 0)[0] != steps) {
			counter(map, 0)[1] = pages;
			return 1;
		}
		counter(map, 0)[0] = ++steps;
		usleep(pause_ms * 1000);
	}
	return 0;
}

static int check(char *map, uint64_t pages)
{
	uint64_t *wanted = calloc(pages, sizeof(*wanted)), steps = counter(map, 0)[0], bad = 0;

	if (!wanted)
		return 2;
	for (uint64_t n = 0; n < steps * ONCE; n++)
		wanted[page_of(n, pages)]++;
	for (uint64_t page = 1; page < pages; page++)
		bad += *counter(map, page) != wanted[page];
	free(wanted);
	if (bad || counter(map, 0)[1])
		fprintf(stderr, "%llu counters are wrong; the program found page %llu wrong\n", (unsigned long long)bad,
			(unsigned long long)counter(map, 0)[1]);
	printf("%llu\n", (unsigned long long)steps);
	return bad || counter(map, 0)[1];
}

int main(int argc, char **argv)
{
	uint64_t pages;
	char *map;

	if (argc != 3)
		return 2;
	map = map_counters(argv[1], &pages);
	if (!map)
		return 1;
	if (!strcmp(argv[2], "check"))
		return check(map, pages);
	return run(map, pages, (unsigned int)atoi(argv[2]));
}

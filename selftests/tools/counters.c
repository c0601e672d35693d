// SPDX-License-Identifier: GPL-2.0
/*
 * counters: a program with its state in a mapped file, to be moved while it runs. Each step adds one to some counters all over
 * the file, then to the count of steps in its first page, and then says the step's number on its output.
 *
 * The first page also says how many pages there are counters in, so that the file may grow behind them.
 *
 *   counters FILE PAGES-A-STEP PAUSE-MS	goes on from where the file says; SIGTERM ends it after a step
 *   counters FILE check			prints the number of steps, and fails if a counter does not agree with it
 */
#include "counting.h"

/* Which page a step's k-th touch is; the same sequence on every host. */
static uint64_t page_of(uint64_t step, unsigned int k, uint64_t pages)
{
	uint64_t x = step * 1000003 + k;

	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	return 1 + x % (pages - 1);
}

/* The sum of all counters is what the steps have added; per says how many each. */
static int check(char *map, uint64_t pages)
{
	uint64_t steps = counter(map, 0)[0], per = counter(map, 0)[1];
	uint64_t *wanted = calloc(pages, sizeof(*wanted)), bad = 0;

	if (!wanted)
		return 2;
	for (uint64_t step = 0; step < steps; step++)
		for (unsigned int k = 0; k < per; k++)
			wanted[page_of(step, k, pages)]++;
	for (uint64_t page = 1; page < pages; page++)
		if (*counter(map, page) != wanted[page] && bad++ < 5)
			fprintf(stderr, "page %llu has %llu, not %llu\n", (unsigned long long)page,
				(unsigned long long)*counter(map, page), (unsigned long long)wanted[page]);
	free(wanted);
	printf("%llu\n", (unsigned long long)steps);
	return bad ? 1 : 0;
}

static int run(char *map, uint64_t pages, unsigned int per, unsigned int pause_ms)
{
	char line[32];

	counter(map, 0)[1] = per;
	while (!ended) {
		uint64_t step = counter(map, 0)[0];
		int n;

		for (unsigned int k = 0; k < per; k++)
			++*counter(map, page_of(step, k, pages));
		counter(map, 0)[0] = step + 1;
		n = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)step);
		if (write(STDOUT_FILENO, line, (size_t)n) != n)
			return 1;
		usleep(pause_ms * 1000);
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t pages;
	char *map;

	if (argc < 3)
		return 2;
	map = map_counters(argv[1], &pages);
	if (!map)
		return 1;
	if (!strcmp(argv[2], "check"))
		return check(map, counter(map, 0)[2]);
	if (!counter(map, 0)[2])
		counter(map, 0)[2] = pages;
	return run(map, counter(map, 0)[2], (unsigned int)atoi(argv[2]),
		   argc > 3 ? (unsigned int)atoi(argv[3]) : 0);
}

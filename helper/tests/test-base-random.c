// SPDX-License-Identifier: GPL-2.0
/*
 * A local store under a few thousand operations in an order that a seed makes, several at a time, against a model: what is present is what was
 * written last, and without a budget it is all that was. Now and then the helper is killed, or the disk is copied as it is.
 */
#include "base-ask.h"

#define PAGES		512u
#define SIZE		((uint64_t)PAGES * PAGE)
#define AT_ONCE		6
#define ABSENT		(-1)

static struct base *base;
static struct base_options options;
static int model[PAGES];	/* the seed of its bytes, or ABSENT */
static uint64_t size;
static unsigned int state;

static unsigned int roll(unsigned int n)
{
	state = state * 1103515245u + 12345u;
	return (state >> 8) % n;
}

static void wrong(const char *what, unsigned int page)
{
	printf("# page %u: %s\n", page, what);
	tap_ok(false, "%s", what);
	exit(tap_end());
}

static bool page_is(struct base *base, unsigned int page)
{
	uint64_t at = (uint64_t)page * PAGE;

	return holds(base, (unsigned int)model[page], at, size - at < PAGE ? size - at : PAGE);
}

/* all: nothing may be missing */
static void compare(struct base *base, bool all)
{
	for (unsigned int page = 0; page < PAGES; page++) {
		bool present = base_present(base, (uint64_t)page * PAGE, 1);

		if (present && model[page] == ABSENT)
			wrong("is there, and was never written", page);
		if (!present && all && model[page] != ABSENT)
			wrong("is missing", page);
		if (present && !page_is(base, page))
			wrong("has other bytes", page);
	}
}

/* ---- operations ---- */

/* AT_ONCE of them, each in a part of its own, since nobody puts in order what overlaps. */
static void writes(void)
{
	unsigned int part = PAGES / AT_ONCE, nr = 0;
	struct ask ask[AT_ONCE];
	char *data[AT_ONCE];

	for (unsigned int i = 0; i < AT_ONCE; i++) {
		unsigned int page = i * part + roll(part), n = 1 + roll(roll(2) ? 3 : part), seed = roll(5) ? 1 + roll(200) : 0;
		uint64_t at = (uint64_t)page * PAGE, len = (uint64_t)(page + n > (i + 1) * part ? (i + 1) * part - page : n) * PAGE;

		if (at >= size)
			continue;
		len = len > size - at ? size - at : len;
		data[nr] = seed ? bytes(seed, at, len) : NULL;
		for (uint64_t p = at / PAGE; p * PAGE < at + len; p++)
			model[p] = (int)seed;
		ask_start(&ask[nr], base_write, base, at, len, data[nr]);
		nr++;
	}
	for (unsigned int i = 0; i < nr; i++) {
		if (ask_wait(&ask[i]))
			wrong("can't be written", i);
		free(data[i]);
	}
}

/* What is not checked goes in whole chunks: the model knows no such thing. */
static void drop(void)
{
	unsigned int page = roll(PAGES), n = 1 + roll(roll(4) ? 20 : PAGES);

	ask(base_check, base, 0, size, NULL);
	base_drop(base, (uint64_t)page * PAGE, (uint64_t)n * PAGE);
	for (unsigned int p = page; p < PAGES && p < page + n; p++)
		model[p] = ABSENT;
}

/* As the store does it: what follows in a last page is zeroed before. */
static void resize(void)
{
	uint64_t now = roll(3) ? SIZE : 1 + roll((unsigned int)SIZE), page = now / PAGE;

	ask(base_check, base, 0, size, NULL);
	if (now < size && now % PAGE && model[page] != ABSENT) {
		char *data = bytes((unsigned int)model[page], page * PAGE, PAGE);

		if (!model[page])
			memset(data, 0, PAGE);
		memset(data + now % PAGE, 0, PAGE - now % PAGE);
		if (ask(base_write, base, page * PAGE, size - page * PAGE < PAGE ? size - page * PAGE : PAGE, data))
			wrong("can't be zeroed", (unsigned int)page);
		free(data);
	}
	/* the model knows no pages of two halves: the page goes when it becomes larger */
	if (now > size && size % PAGE) {
		base_drop(base, size / PAGE * PAGE, PAGE);
		model[size / PAGE] = ABSENT;
	}
	base_resize(base, now);
	for (uint64_t p = (now + PAGE - 1) / PAGE; p < PAGES; p++)
		model[p] = ABSENT;
	size = now;
}

static void reopen(void)
{
	if (ask(base_flush, base, 0, 0, NULL))
		wrong("can't be flushed", 0);
	base_close(base);
	options.size = size;
	base = open_with(options);
	if (roll(2) && ask(base_check, base, 0, size, NULL))
		wrong("can't be checked", 0);
}

/* What a helper would find that comes now. */
static void killed(void)
{
	struct base_options other = options;
	char *dir = make_dir(options.durable), command[512];
	struct base *found;

	if (ask(base_flush, base, 0, 0, NULL))
		wrong("can't be flushed", 0);
	snprintf(command, sizeof(command), "cp --sparse=always '%s/map' '%s/bytes' '%s'", options.dir, options.dir, dir);
	if (system(command))
		exit(99);
	other.dir = dir;
	other.size = size;
	found = open_with(other);
	ask(base_check, found, 0, size, NULL);
	compare(found, !options.budget);
	if (base_stats(found)->corrupt)
		wrong("is damaged", 0);
	base_close(found);
	drop_dir(dir);
}

static void step(void)
{
	struct ask flush;

	switch (roll(16)) {
	case 0:
		drop();
		break;
	case 1:
		resize();
		break;
	case 2:
		ask_start(&flush, base_flush, base, 0, 0, NULL);
		writes();
		ask_wait(&flush);
		break;
	case 3:
		if (!roll(4))
			reopen();
		break;
	case 4:
		if (!roll(8))
			killed();
		break;
	default:
		writes();
	}
}

static void run(bool durable, uint64_t budget, unsigned int seed)
{
	char *dir = make_dir(durable);

	state = seed;
	size = SIZE;
	for (unsigned int p = 0; p < PAGES; p++)
		model[p] = ABSENT;
	options = options_of(dir, durable, size);
	options.budget = budget;
	base = open_with(options);
	for (unsigned int i = 0; i < 400; i++) {
		step();
		if (i % 16)
			continue;
		ask(base_check, base, 0, size, NULL);
		compare(base, !budget);
	}
	tap_ok(true, "seed %u on a %s %s a budget", seed, durable ? "disk" : "tmpfs", budget ? "with" : "without");
	base_close(base);
	drop_dir(dir);
}

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	if (loop_open(&loop, 0))
		return 99;
	for (int durable = 0; durable < 2; durable++) {
		run(durable, 0, seed);
		run(durable, 8 * CHUNK, seed + 1);
	}
	/* what closed bases have left to the pool */
	pass(100);
	loop_close(loop);
	return tap_end();
}

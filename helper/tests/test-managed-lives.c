// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region against a model, by chance, over many lives of its helper: written, truncated and punched, as the kernel would have it, which cuts
 * and punches at once and tells the helper later. What a helper has not answered, though it may have done it, is the next one's, who was told the size
 * that the region has by then. Each byte is what was written last, here and at the source.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "managed.h"
#include "region-private.h"
#include "tests/managed-file.h"

#define MOST	(600u << 10)
#define PAGE	4096u
#define PAGES	(MOST / PAGE)
#define READ	65536u
#define ROUNDS	12
#define SEEDS	20

struct told {
	enum backend_op op;		/* DISCARD or RESIZE */
	uint64_t offset, length, arg;	/* RESIZE: length is the size, arg the lowest */
};

static struct backend *backend;
static unsigned int seed, begun_with;
/* What the kernel has: */
static uint8_t want[MOST];
static uint64_t size;
static bool dirty[PAGES];
static struct told untold[64];
static unsigned int nr_untold;

static uint8_t bytes[MOST];
static char wrong[160];			/* the first thing that was */

static unsigned int below(unsigned int limit)
{
	return (unsigned int)rand_r(&seed) % limit;
}

static uint64_t down(uint64_t at)
{
	return at - at % PAGE;
}

static uint64_t up(uint64_t at)
{
	return down(at + PAGE - 1);
}

static void set_dirty(uint64_t from, uint64_t end, bool on)
{
	for (uint64_t page = from / PAGE; page < up(end) / PAGE; page++)
		dirty[page] = on;
}

static void note(const char *what, uint64_t at)
{
	if (!*wrong)
		snprintf(wrong, sizeof(wrong), "seed %u: %s at %llu, of %llu", begun_with, what, (unsigned long long)at, (unsigned long long)size);
}

/* ---- what programs do ---- */

/* One that has not been told yet takes the next one in, unless that goes deeper. */
static void note_size(uint64_t low, uint64_t now)
{
	struct told *last = nr_untold ? &untold[nr_untold - 1] : NULL;

	if (last && last->op == BACKEND_RESIZE && now >= last->arg)
		last->length = now;
	else
		untold[nr_untold++] = (struct told){ .op = BACKEND_RESIZE, .length = now, .arg = low };
}

static void cut(uint64_t now)
{
	if (now == size)
		return;
	note_size(now < size ? now : size, now);
	if (now < size)
		memset(want + now, 0, size - now);
	set_dirty(up(now), MOST, false);
	size = now;
}

static void put(uint64_t offset, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		want[offset + i] = (uint8_t)(below(255) + 1);
	if (size < offset + length)
		size = offset + length;
	set_dirty(down(offset), offset + length, true);
}

static void punch(uint64_t from, uint64_t end)
{
	from = up(from);
	end = end >= size ? up(size) : down(end);
	if (from >= end || from >= size)
		return;
	if (end >= size && dirty[(size - 1) / PAGE])
		note_size(size, size);
	set_dirty(from, end, false);
	end = end < size ? end : size;
	untold[nr_untold++] = (struct told){ .op = BACKEND_DISCARD, .offset = from, .length = end - from };
	memset(want + from, 0, end - from);
}

static void change(void)
{
	uint64_t offset = below(MOST - 40000), length = 1 + below(30000);
	uint64_t behind = size + below(20000) < MOST - 40000 ? size + below(20000) : offset;

	switch (below(7)) {
	case 0:
		put(offset, length);
		break;
	case 1:
		put(down(offset), up(length));
		break;
	case 6:
		put(behind, length);
		break;
	case 2:
		cut(offset);
		break;
	case 3:
		cut(size + below(9000) < MOST ? size + below(9000) : down(offset));
		break;
	case 4:
		punch(offset, offset + (below(2) ? 200000 : 2 * length));
		break;
	default:
		cut(size > 5000 ? size - below(5000) : size);
	}
}

static void changes(unsigned int most)
{
	for (unsigned int i = below(most); i; i--)
		change();
}

/* ---- what the kernel asks ---- */

static int ask_told(const struct told *told)
{
	if (told->op == BACKEND_RESIZE)
		return ask(backend, BACKEND_RESIZE, told->arg, told->length, NULL);
	return ask(backend, BACKEND_DISCARD, told->offset, told->length, NULL);
}

/* answered: else the last one was done, and it does not hear of that. */
static void tell(bool answered)
{
	for (unsigned int i = 0; i < nr_untold; i++)
		if (ask_told(&untold[i]))
			note("it is refused", untold[i].offset);
	if (!answered && nr_untold)
		untold[0] = untold[nr_untold - 1];
	nr_untold = !answered && nr_untold;
}

static void write_back(void)
{
	for (uint64_t page = 0, next; page < PAGES; page = next) {
		uint64_t end;

		for (next = page; next < PAGES && dirty[next]; next++)
			;
		end = next * PAGE < size ? next * PAGE : size;
		if (next > page && ask(backend, BACKEND_WRITE, page * PAGE, end - page * PAGE, want + page * PAGE))
			note("a WRITE is refused", page * PAGE);
		next += next == page;
	}
	set_dirty(0, MOST, false);
}

/* ---- what is right ---- */

static void compare(const char *where)
{
	for (uint64_t at = 0; at < size; at++)
		if (bytes[at] != want[at]) {
			note(where, at);
			return;
		}
}

static void check(void)
{
	tell(true);
	write_back();
	for (uint64_t at = 0; at < size; at += READ)
		if (ask(backend, BACKEND_READ, at, size - at < READ ? size - at : READ, bytes + at))
			note("a READ is refused", at);
	compare("it is wrong");
}

static void check_source(void)
{
	int fd, err = managed_file_flush(backend);
	struct stat st;

	fd = open(file, O_RDONLY);
	memset(bytes, 0, sizeof(bytes));
	if (err || fstat(fd, &st) || pread(fd, bytes, sizeof(bytes), 0) < 0)
		note("the source can't be read", 0);
	else if ((uint64_t)st.st_size != size)
		note("the source has another size", (uint64_t)st.st_size);
	close(fd);
	compare("the source is wrong");
}

/* ---- lives ---- */

static void begin(const char *policy)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	size = 0;
	nr_untold = 0;
	memset(want, 0, sizeof(want));
	put(0, below(MOST - PAGE));
	set_dirty(0, MOST, false);
	if (pwrite(fd, want, size, 0) != (ssize_t)size)
		exit(99);
	close(fd);
	region.info.id++;
	backend = managed_file_start(policy, size);
}

static void live(const char *policy)
{
	for (unsigned int i = below(5); i; i--) {
		change();
		if (below(2)) {
			tell(true);
			write_back();
		}
	}
	check();
	if (!below(3))
		check_source();
	if (below(2)) {
		change();
		tell(false);
	}
	source_close(backend);
	changes(3);
	backend = managed_file_start(policy, size);
	changes(3);
	check();
}

static void test_lives(const char *policy)
{
	*wrong = '\0';
	for (unsigned int i = 1; i <= SEEDS && !*wrong; i++) {
		seed = begun_with = i;
		begin(policy);
		for (unsigned int round = 0; round < ROUNDS; round++)
			live(policy);
		check_source();
		managed_forget(managed_of(backend), true);
		source_close(backend);
	}
	tap_ok(!*wrong, "%s: each byte is what was written last", policy);
	if (*wrong)
		printf("# %s\n", wrong);
}

int main(void)
{
	char in_file[256];

	source_begin();
	managed_file_begin();
	snprintf(in_file, sizeof(in_file), "local=file:%s/store durability=local push-interval=1ms", source_dir());
	test_lives(in_file);
	snprintf(in_file, sizeof(in_file), "local=file:%s/store durability=local push-interval=1h pull-order=none", source_dir());
	test_lives(in_file);
	test_lives("local=memory durability=local push-interval=1ms pull-order=none");
	test_lives("local=memory durability=local push-interval=1h");
	source_end();
	return tap_end();
}

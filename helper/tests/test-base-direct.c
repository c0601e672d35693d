// SPDX-License-Identifier: GPL-2.0
/* Reads of a local store's bytes past the page cache, by whatever thread wants them. */
#include "base-ask.h"
#include "../stores/base-internal.h"

#define SIZE	(1u << 20)

struct direct {
	struct base_direct io;
	bool done;
	int error;
};

static char *space;

static void direct_done(struct base_direct *io, int error)
{
	struct direct *direct = container_of(io, struct direct, io);

	direct->done = true;
	direct->error = error;
	loop_stop(loop);
}

static bool begin(struct direct *direct, struct base *base, uint64_t offset, uint32_t length)
{
	memset(direct, 0, sizeof(*direct));
	memset(space, 0xff, SIZE);
	direct->io = (struct base_direct){ .done = direct_done, .offset = offset, .length = length, .data = space };
	return base_read_direct(base, &direct->io);
}

static int finish(struct direct *direct)
{
	turn(&direct->done);
	return direct->error;
}

/* 1: these bytes came; 0: other ones; -EAGAIN; -ENOENT: they can't be had so. */
static int read_it(struct base *base, unsigned int seed, uint64_t offset, uint32_t length)
{
	struct direct direct;
	char *want;
	int same;

	if (!begin(&direct, base, offset, length))
		return -ENOENT;
	if (finish(&direct))
		return direct.error;
	want = bytes(seed, offset, length);
	same = !memcmp(want, space, length);
	free(want);
	return same;
}

static struct base *flushed(const char *dir, unsigned int chunks)
{
	struct base *base = open_base(dir, true, SIZE);

	put(base, 1, 0, chunks * CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	return base;
}

static struct base *again(const char *dir, struct base *base)
{
	base_close(base);
	return open_base(dir, true, SIZE);
}

/* ---- tests ---- */

static void test_settled(const char *dir)
{
	struct base *base = flushed(dir, 4);

	tap_number(read_it(base, 1, 0, SIZE / 4), 1, "what is on the disk is read");
	tap_number(read_it(base, 1, CHUNK + PAGE, PAGE), 1, "a page of it");
	tap_number(read_it(base, 1, 3 * CHUNK, 2 * CHUNK), -ENOENT, "not what is not there");
	tap_number(read_it(base, 1, 100, PAGE), -ENOENT, "nor what does not begin with a page");
	tap_number(read_it(base, 1, 0, 0), -ENOENT, "nor nothing");
	tap_number(read_it(base, 1, UINT64_MAX - PAGE + 1, 2 * PAGE), -ENOENT, "nor what goes round");
	put(base, 2, CHUNK, PAGE);
	tap_number(read_it(base, 2, CHUNK, PAGE), -ENOENT, "nor what was changed since");
	tap_number(read_it(base, 1, 2 * CHUNK, CHUNK), 1, "others are read as before");
	ask(base_flush, base, 0, 0, NULL);
	tap_number(read_it(base, 2, CHUNK, PAGE), 1, "until that is on the disk");
	base_close(base);
}

static void test_unchecked(const char *dir)
{
	struct base *base = again(dir, flushed(dir, 5));

	tap_number(read_it(base, 1, 0, PAGE), -ENOENT, "after a start a page can't be compared");
	tap_number(read_it(base, 1, CHUNK, 2 * CHUNK), 1, "whole chunks are");
	tap_ok(base_present(base, CHUNK, 2 * CHUNK) && !base_present(base, 0, PAGE), "and they alone count from then on");
	tap_number(read_it(base, 1, 2 * CHUNK + PAGE, PAGE), 1, "and their pages are read");
	tap_number(read_it(base, 1, 2 * CHUNK, 2 * CHUNK), 1, "some that were compared, and some that were not");
	tap_number(read_it(base, 1, 4 * CHUNK - PAGE, CHUNK + PAGE), 1, "one behind the end of another");
	put(base, 2, 0, CHUNK + PAGE);
	ask(base_flush, base, 0, 0, NULL);
	base = again(dir, base);
	tap_ok(read_it(base, 2, 0, CHUNK) == 1 && read_it(base, 1, 2 * CHUNK, CHUNK) == 1, "entries that were made since are right");
	tap_number((long long)base_stats(base)->corrupt, 0, "and nothing is damaged");
	base_close(base);
}

static void test_damaged(const char *dir)
{
	struct base *base = flushed(dir, 4);

	base_close(base);
	damage(dir, "bytes", CHUNK + 77);
	damage(dir, "map", 8192 + 2 * 8 + 1);
	base = open_base(dir, true, SIZE);
	tap_number(read_it(base, 1, 0, 4 * CHUNK), -EAGAIN, "what is damaged is not given");
	tap_ok(!base_present(base, CHUNK, PAGE) && !base_present(base, 2 * CHUNK, PAGE), "nor does it count");
	ask(base_check, base, 0, SIZE, NULL);
	tap_number((long long)base_stats(base)->corrupt, 2, "it is found by a check");
	tap_ok(read_it(base, 1, 0, CHUNK) == 1 && read_it(base, 1, 3 * CHUNK, CHUNK) == 1, "the others are as they were");
	base_close(base);
}

/* Bytes that are all the same would be taken for right wherever they were looked at. */
static void test_alike(const char *dir)
{
	struct base *base = open_base(dir, true, SIZE);

	memset(space, 'x', SIZE);
	ask(base_write, base, 0, 4 * CHUNK, space);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	damage(dir, "bytes", CHUNK + 77);
	base = open_base(dir, true, SIZE);
	ask(base_check, base, 0, CHUNK, NULL);
	tap_number(read_it(base, 1, CHUNK - PAGE, 2 * CHUNK + PAGE), -EAGAIN, "the damaged one is found behind another");
	tap_ok(base_present(base, 0, CHUNK) && !base_present(base, CHUNK, PAGE), "and does not count");
	base_close(base);
}

static void test_elsewhere(const char *dir)
{
	struct base *base = open_base(dir, true, 128ull << 20);
	struct direct direct;

	put(base, 1, 0, CHUNK);
	put(base, 1, 100ull << 20, CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	tap_ok(begin(&direct, base, 0, CHUNK), "a read is under way");
	base_drop(base, 100ull << 20, CHUNK);
	tap_number(finish(&direct), 0, "what is given up far away does not matter");
	base_close(base);
}

static void test_given_up(const char *dir)
{
	struct base *base = flushed(dir, 4);
	struct direct direct;

	tap_ok(begin(&direct, base, 0, 2 * CHUNK), "a read is under way");
	base_drop(base, CHUNK, CHUNK);
	tap_number(finish(&direct), -EAGAIN, "a part is dropped, and it does not count");
	tap_ok(begin(&direct, base, 2 * CHUNK, CHUNK), "another one");
	base_drop(base, 2 * CHUNK, CHUNK);
	base_set_present(base, 2 * CHUNK, 3 * CHUNK);
	tap_number(finish(&direct), -EAGAIN, "nor where it has come back since");
	base = again(dir, base);
	tap_ok(begin(&direct, base, 0, CHUNK), "one that compares");
	base_drop(base, 0, PAGE);
	tap_number(finish(&direct), -EAGAIN, "nor that");
	tap_ok(!base_present(base, PAGE, PAGE), "and it makes nothing present");
	base_close(base);
}

static void each(void (*test)(const char *dir), const char *what)
{
	char *dir = make_dir(true);

	printf("# %s\n", what);
	test(dir);
	drop_dir(dir);
}

static bool has_direct(void)
{
	char path[] = "/var/tmp/regionfs-direct.XXXXXX";
	int fd = mkstemp(path), direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	unlink(path);
	close(fd);
	if (direct >= 0)
		close(direct);
	return direct >= 0;
}

int main(void)
{
	if (!has_direct()) {
		printf("1..0 # SKIP no O_DIRECT in /var/tmp\n");
		return 0;
	}
	space = aligned_alloc(PAGE, SIZE);
	if (!space || loop_open(&loop, 0))
		return 99;
	each(test_settled, "settled");
	each(test_unchecked, "after a start");
	each(test_damaged, "damaged");
	each(test_alike, "alike");
	each(test_elsewhere, "elsewhere");
	each(test_given_up, "given up meanwhile");
	loop_close(loop);
	free(space);
	return tap_end();
}

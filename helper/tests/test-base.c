// SPDX-License-Identifier: GPL-2.0
/* The bytes of a local store: what is there, what is asked for, what goes. On a tmpfs and on a disk. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/regionfs.h>

#include "base-ask.h"

static bool absent_is(struct base *base, uint64_t from, uint64_t limit, uint64_t offset, uint64_t length)
{
	uint64_t at, len;

	return base_absent(base, from, limit, &at, &len) && at == offset && len == length;
}

static bool none_absent(struct base *base, uint64_t from, uint64_t limit)
{
	uint64_t at, len;

	return !base_absent(base, from, limit, &at, &len);
}

static void test_presence(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, 1 << 20);

	tap_ok(!base_present(base, 0, 1), "a new one is empty");
	tap_ok(absent_is(base, 0, 1 << 20, 0, 1 << 20), "all of it is absent");
	tap_number(put(base, 1, 2 * PAGE, 3 * PAGE), 0, "pages come");
	tap_ok(holds(base, 1, 2 * PAGE, 3 * PAGE), "and are there");
	tap_ok(!base_present(base, 2 * PAGE, 4 * PAGE) && !base_present(base, PAGE, 2 * PAGE), "their neighbours are not");
	tap_ok(absent_is(base, 0, 1 << 20, 0, 2 * PAGE), "the absent before them");
	tap_ok(absent_is(base, 2 * PAGE, 1 << 20, 5 * PAGE, (1 << 20) - 5 * PAGE), "and behind them");
	tap_number(put(base, 2, CHUNK - PAGE, 2 * CHUNK), 0, "across chunks");
	tap_ok(holds(base, 2, CHUNK - PAGE, 2 * CHUNK), "is there");
	tap_ok(none_absent(base, CHUNK, 3 * CHUNK - PAGE) && absent_is(base, 0, 3 * PAGE, 0, 2 * PAGE), "up to a limit");
	tap_number(put(base, 3, 3 * PAGE, PAGE), 0, "a page changes");
	tap_ok(holds(base, 3, 3 * PAGE, PAGE) && holds(base, 1, 4 * PAGE, PAGE), "it alone");
	tap_number((long long)base_stats(base)->present, 2 * CHUNK + 3 * PAGE, "bytes are counted");
	tap_number(put(base, 1, 1, PAGE), -EINVAL, "what is not whole pages is refused");
	base_close(base);
}

static void test_tail(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, CHUNK + 100);

	tap_number(put(base, 4, CHUNK, 100), 0, "up to the end of the region");
	tap_ok(holds(base, 4, CHUNK, 100), "it is there");
	base_resize(base, 4 * CHUNK);
	tap_ok(base_present(base, CHUNK, PAGE) && holds(base, 0, CHUNK + 100, PAGE - 100), "a larger one is zero from there on");
	tap_ok(absent_is(base, CHUNK, 4 * CHUNK, CHUNK + PAGE, 3 * CHUNK - PAGE), "and absent from the next page on");
	tap_number(put(base, 5, 2 * CHUNK, 2 * CHUNK), 0, "more comes");
	base_resize(base, 2 * CHUNK + PAGE);
	base_resize(base, 1ULL << 40);
	tap_ok(holds(base, 5, 2 * CHUNK, PAGE) && !base_present(base, 2 * CHUNK + PAGE, 1), "what was cut off is gone");
	tap_number(put(base, 6, (1ULL << 40) - CHUNK, CHUNK), 0, "at the end of a tebibyte");
	tap_ok(holds(base, 6, (1ULL << 40) - CHUNK, CHUNK), "is there");
	tap_number(put(base, 6, 1ULL << 50, CHUNK), -ENOSPC, "there are no words for what is too far");
	base_close(base);
}

/* What is no whole chunk's any more goes, bytes and all; nor is it there when the region is longer again. */
static void test_cut(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, 3 * CHUNK);

	tap_number(put(base, 7, 0, 2 * CHUNK), 0, "chunks");
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	base = open_base(dir, durable, CHUNK - 3 * PAGE - 5);
	ask(base_check, base, 0, CHUNK, NULL);
	tap_ok(absent_is(base, 0, CHUNK - 4 * PAGE, 0, CHUNK - 4 * PAGE), "one that is cut while nobody has it open is absent");
	base_close(base);
	base = open_base(dir, durable, 3 * CHUNK);
	ask(base_check, base, 0, 3 * CHUNK, NULL);
	tap_ok(absent_is(base, 0, 2 * CHUNK, 0, 2 * CHUNK), "and stays so, as what lay beyond");
	base_close(base);
}

static void test_zeroes(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, 1 << 20);
	uint64_t room;

	tap_number(put(base, 1, 0, 4 * CHUNK), 0, "bytes");
	ask(base_flush, base, 0, 0, NULL);
	room = base_stats(base)->room;
	tap_number(put(base, 0, CHUNK, 2 * CHUNK), 0, "zeroes over them");
	tap_ok(holds(base, 0, CHUNK, 2 * CHUNK) && holds(base, 1, 0, CHUNK) && holds(base, 1, 3 * CHUNK, CHUNK), "are there");
	tap_ok(base_stats(base)->room + 2 * CHUNK <= room, "and take no room");
	base_close(base);
}

static void test_drop(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, 1 << 20);
	uint64_t seq = base_seq(base);

	put(base, 1, 0, 1 << 20);
	tap_number((long long)base_seq(base), (long long)seq, "what comes does not change the seq");
	base_drop(base, 100, 2 * PAGE);
	tap_ok(base_seq(base) != seq, "what goes does");
	tap_ok(holds(base, 1, 0, PAGE) && holds(base, 1, 2 * PAGE, PAGE) && !base_present(base, PAGE, 1), "whole pages go");
	base_drop(base, CHUNK, 8 * CHUNK);
	tap_number(put(base, 2, 2 * CHUNK, CHUNK), 0, "what comes back while its room goes");
	tap_ok(holds(base, 2, 2 * CHUNK, CHUNK), "stays");
	base_drop(base, 0, UINT64_MAX);
	tap_number((long long)base_stats(base)->present, 0, "nothing is left");
	put(base, 3, 0, 1 << 20);
	tap_ok(holds(base, 3, 0, 1 << 20), "all comes back");
	base_close(base);
}

/* In a child that is killed: the loop, and what it has under way, go with it. */
static void kill_one(const char *dir, bool durable)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		struct base *base;

		if (loop_open(&loop, 0))
			_exit(1);
		base = open_base(dir, durable, CHUNK * 8 + 10);
		if (put(base, 1, 0, 3 * CHUNK) || put(base, 2, 4 * CHUNK + PAGE, PAGE) || put(base, 3, 8 * CHUNK, 10) ||
		    put(base, 0, 6 * CHUNK, CHUNK))
			_exit(1);
		base_drop(base, CHUNK, CHUNK);
		if (durable && (put(base, 4, 3 * CHUNK, CHUNK) || put(base, 4, 5 * CHUNK, CHUNK) || put(base, 4, 7 * CHUNK, CHUNK) ||
				ask(base_flush, base, 0, 0, NULL)))
			_exit(1);
		/* these are not flushed; a write waits for the room of what is dropped to have gone */
		if (durable && put(base, 5, 3 * CHUNK + PAGE, PAGE))
			_exit(1);
		base_drop(base, 5 * CHUNK, CHUNK);
		base_drop(base, 7 * CHUNK, CHUNK);
		_exit(durable && put(base, 6, 7 * CHUNK, PAGE));
	}
	waitpid(pid, &status, 0);
	tap_number(status, 0, "a helper is gone from one moment to the next");
}

static void test_killed(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, CHUNK * 8 + 10);

	tap_ok(base_present(base, 0, CHUNK) == !durable, "present, or still to be checked");
	tap_ok(absent_is(base, 0, CHUNK * 8, CHUNK, CHUNK), "absent is what was dropped");
	tap_ok(base_checked(base, 0, CHUNK) == !durable, "checked on a tmpfs");
	tap_number(ask(base_check, base, 0, CHUNK * 8 + 10, NULL), 0, "is checked");
	tap_ok(base_checked(base, 0, CHUNK * 8 + 10), "all of it");
	tap_ok(holds(base, 1, 0, CHUNK) && holds(base, 1, 2 * CHUNK, CHUNK), "whole chunks are there");
	tap_ok(!base_present(base, 3 * CHUNK, 1) && !base_present(base, 5 * CHUNK, 1) && !base_present(base, 7 * CHUNK, 1), "what changed after the flush is not");
	tap_ok(holds(base, 2, 4 * CHUNK + PAGE, PAGE) && !base_present(base, 4 * CHUNK, 1), "pages of a chunk");
	tap_ok(holds(base, 3, 8 * CHUNK, 10) && holds(base, 0, 6 * CHUNK, CHUNK), "the tail, and zeroes");
	tap_number((long long)base_stats(base)->corrupt, 0, "nothing is damaged");
	base_close(base);
	base = open_base(dir, durable, 2 * CHUNK + PAGE + 1);
	ask(base_check, base, 0, 2 * CHUNK + PAGE + 1, NULL);
	tap_ok(holds(base, 1, 0, CHUNK) && !base_present(base, 2 * CHUNK, 1), "the chunk in which a region was cut meanwhile is gone");
	base_close(base);
}

/* As the kernel sees it: a copy of the file of the words. */
static void test_words(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, 1 << 20);
	struct { uint64_t seq, reserved[7]; uint32_t word[2]; } seen;
	int fd = dup(base_words_fd(base));
	uint64_t seq;
	struct stat st;

	put(base, 1, CHUNK, 2 * PAGE);
	tap_number(pread(fd, &seen, sizeof(seen), 0), sizeof(seen), "there is a map for the kernel");
	tap_ok(!(seen.word[0] & REGIONFS_LOCAL_PRESENT) && (seen.word[1] & REGIONFS_LOCAL_PRESENT) == 3, "with what is there");
	seq = seen.seq;
	base_drop(base, CHUNK, PAGE);
	tap_number(pread(fd, &seen, sizeof(seen), 0), sizeof(seen), "a page is dropped");
	tap_ok((seen.word[1] & REGIONFS_LOCAL_PRESENT) == 2 && seen.seq != seq, "it is not there any more, and the count has gone on");
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	tap_ok(!fstat(fd, &st) && !st.st_size, "closed, nothing is there");
	close(fd);
	base = open_base(dir, durable, 1 << 20);
	tap_number(pread(base_words_fd(base), &seen, sizeof(seen), 0), sizeof(seen), "opened again");
	tap_ok((seen.word[1] & REGIONFS_LOCAL_PRESENT) == 2 && !(seen.word[1] & REGIONFS_LOCAL_UNSURE) == !durable,
	       "it is there, on a disk to be checked first");
	ask(base_check, base, 0, 1 << 20, NULL);
	tap_number(pread(base_words_fd(base), &seen, sizeof(seen), 0), sizeof(seen), "checked");
	tap_ok((seen.word[1] & REGIONFS_LOCAL_PRESENT) == 2 && !(seen.word[1] & REGIONFS_LOCAL_UNSURE), "it counts");
	base_close(base);
}

static void test_foreign(const char *dir, bool durable)
{
	struct base_options options = options_of(dir, durable, 1 << 20);
	struct base *base = open_with(options);

	put(base, 1, 0, CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	options.instance = 8;
	base = open_with(options);
	tap_ok(none_absent(base, 0, CHUNK) == durable, "another life of the instance: empty on a tmpfs");
	put(base, 1, 0, CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	options.identity = "elsewhere";
	base = open_with(options);
	tap_ok(absent_is(base, 0, 1 << 20, 0, 1 << 20), "another source: empty");
	put(base, 1, 0, CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	options.identity = "";
	base_close(open_with(options));
	base = open_with(options);
	tap_ok(absent_is(base, 0, 1 << 20, 0, 1 << 20), "no identity matches none");
	base_close(base);
}

static void test_damaged_head(const char *dir, bool durable)
{
	struct base *base = open_base(dir, durable, 1 << 20);

	put(base, 1, 0, CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	damage(dir, "map", 5000);
	base = open_base(dir, durable, 1 << 20);
	tap_ok(absent_is(base, 0, 1 << 20, 0, 1 << 20), "a damaged map is an empty one");
	tap_number((long long)base_stats(base)->room, 0, "and the bytes have gone");
	base_close(base);
}

static void test_damaged_bytes(const char *dir)
{
	struct base *base = open_base(dir, true, 1 << 20);

	put(base, 1, 0, 4 * CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	damage(dir, "bytes", CHUNK + 77);
	damage(dir, "map", 8192 + 2 * 8 + 4);
	base = open_base(dir, true, 1 << 20);
	tap_number(put(base, 2, 3 * CHUNK + PAGE, PAGE), 0, "a write into what was not checked");
	tap_ok(holds(base, 2, 3 * CHUNK + PAGE, PAGE) && holds(base, 1, 3 * CHUNK + 2 * PAGE, PAGE), "checks it");
	tap_number(ask(base_check, base, 0, 4 * CHUNK, NULL), 0, "the rest is checked");
	tap_ok(holds(base, 1, 0, CHUNK) && !base_present(base, CHUNK, 1) && !base_present(base, 2 * CHUNK, PAGE), "the damaged are absent");
	tap_number((long long)base_stats(base)->corrupt, 2, "and counted");
	tap_number(put(base, 3, CHUNK, CHUNK), 0, "come back");
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	base = open_base(dir, true, 1 << 20);
	ask(base_check, base, 0, 1 << 20, NULL);
	tap_ok(holds(base, 3, CHUNK, CHUNK), "and are there at the next start");
	base_close(base);
}

static const char *place(bool durable)
{
	return durable ? "disk" : "tmpfs";
}

static void each(void (*test)(const char *dir, bool durable), const char *what)
{
	for (int durable = 0; durable < 2; durable++) {
		char *dir = make_dir(durable);

		printf("# %s on a %s\n", what, place(durable));
		test(dir, durable);
		drop_dir(dir);
	}
}

int main(void)
{
	char *dir[2], *damaged;

	/* before there are threads, which a child would not have */
	for (int durable = 0; durable < 2; durable++) {
		dir[durable] = make_dir(durable);
		kill_one(dir[durable], durable);
	}
	if (loop_open(&loop, 0))
		return 99;
	for (int durable = 0; durable < 2; durable++) {
		printf("# killed on a %s\n", place(durable));
		test_killed(dir[durable], durable);
		drop_dir(dir[durable]);
	}
	each(test_presence, "presence");
	each(test_tail, "tail and size");
	each(test_cut, "cut");
	each(test_zeroes, "zeroes");
	each(test_drop, "drop");
	each(test_words, "words");
	each(test_foreign, "foreign");
	each(test_damaged_head, "damaged");
	damaged = make_dir(true);
	test_damaged_bytes(damaged);
	drop_dir(damaged);
	/* what closed bases have left to the pool */
	pass(100);
	loop_close(loop);
	return tap_end();
}

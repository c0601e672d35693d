// SPDX-License-Identifier: GPL-2.0
/* What a local store gives up for others: within the budget, never what is pinned, and not under the eyes of a reader. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include "base-ask.h"

#define CHUNKS 64u

static struct base *open_budget(const char *dir, bool durable, uint64_t budget)
{
	struct base_options options = options_of(dir, durable, CHUNKS * CHUNK);

	options.budget = budget;
	return open_with(options);
}

/* The room of what was given up goes by itself, some time. */
static bool room_falls_to(struct base *base, uint64_t room)
{
	until(base_stats(base)->room <= room);
	return base_stats(base)->room <= room;
}

static void test_budget(const char *dir, bool durable)
{
	struct base *base = open_budget(dir, durable, 8 * CHUNK);
	bool within = true, kept = true;

	tap_ok(base_evicts(base), "it gives up, with a budget below the size");
	for (unsigned int i = 0; i < CHUNKS; i++) {
		kept &= !put(base, 1, i * CHUNK, CHUNK) && base_present(base, 0, CHUNK);
		within &= base_stats(base)->present <= 8 * CHUNK;
	}
	tap_ok(within, "within the budget");
	tap_ok(kept && holds(base, 1, 0, CHUNK), "what is used stays");
	tap_ok(holds(base, 1, (CHUNKS - 1) * CHUNK, CHUNK) && !base_present(base, CHUNK, 1), "the newest is there, the oldest not");
	tap_number((long long)base_stats(base)->evicted, (CHUNKS - 8) * CHUNK, "what was given up is counted");
	tap_ok(room_falls_to(base, 10 * CHUNK), "its room is given back");
	base_set_budget(base, 2 * CHUNK);
	tap_number((long long)base_stats(base)->present, 2 * CHUNK, "a smaller budget");
	base_set_budget(base, 0);
	tap_ok(!base_evicts(base), "none: nothing is given up");
	put(base, 1, 0, CHUNKS * CHUNK);
	tap_ok(holds(base, 1, 0, CHUNKS * CHUNK), "all of it fits");
	base_set_budget(base, CHUNKS * CHUNK);
	tap_ok(!base_evicts(base), "nor with a budget for all");
	base_close(base);
}

/* What goes is what isn't used, also where that has a neighbour that is. */
static void test_neighbours(const char *dir, bool durable)
{
	struct base *base = open_budget(dir, durable, 8 * CHUNK);
	bool kept = true;

	put(base, 1, 0, 8 * CHUNK);
	for (unsigned int i = 1; i < 8; i += 2)
		base_present(base, i * CHUNK, CHUNK);
	put(base, 1, 20 * CHUNK, 4 * CHUNK);
	for (unsigned int i = 1; i < 8; i += 2)
		kept &= base_present(base, i * CHUNK, CHUNK);
	tap_ok(kept && holds(base, 1, 20 * CHUNK, 4 * CHUNK), "used ones stay between others that go");
	base_drop(base, 0, UINT64_MAX);
	base_close(base);
}

static void test_pins(const char *dir, bool durable)
{
	struct base *base = open_budget(dir, durable, 4 * CHUNK);
	bool kept = true;

	base_pin(base, 0, 6 * CHUNK);
	base_pin(base, CHUNK, 10);
	put(base, 1, 0, 6 * CHUNK);
	for (unsigned int i = 6; i < CHUNKS; i++)
		kept &= !put(base, 1, i * CHUNK, CHUNK);
	tap_ok(kept && holds(base, 1, 0, 6 * CHUNK), "pinned chunks stay, more than the budget");
	tap_number((long long)base_stats(base)->present, 10 * CHUNK, "others within it");
	base_unpin(base, 0, 6 * CHUNK);
	tap_number((long long)base_stats(base)->present, 5 * CHUNK, "what is no longer pinned goes");
	tap_ok(holds(base, 1, CHUNK, CHUNK), "what is pinned twice stays");
	base_unpin(base, CHUNK, 10);
	tap_number((long long)base_stats(base)->present, 4 * CHUNK, "until it is not");
	base_drop(base, 0, UINT64_MAX);
	put(base, 2, 0, CHUNKS * CHUNK);
	tap_ok(holds(base, 2, 0, CHUNKS * CHUNK), "a write that is larger than the budget");
	base_close(base);
}

/* A block of chunks (64 MiB) may be pinned as a whole, and let go of in parts. */
static void test_blocks(const char *dir, bool durable)
{
	const uint64_t block = 1024 * CHUNK;
	struct base_options options = options_of(dir, durable, 4 * block);
	struct base *base = open_with(options);

	put(base, 0, 0, 4 * block);
	base_pin(base, CHUNK, 3 * block);
	base_pin(base, block + CHUNK, CHUNK);
	base_set_budget(base, CHUNK);
	pass(50);
	tap_number((long long)base_stats(base)->present, (long long)(3 * block + CHUNK), "blocks that are pinned stay");
	base_unpin(base, block + 3 * CHUNK, 4 * CHUNK);
	tap_number((long long)base_stats(base)->present, (long long)(3 * block - 3 * CHUNK), "but for a part that is let go of");
	base_unpin(base, CHUNK, block + 2 * CHUNK);
	pass(50);
	tap_number((long long)base_stats(base)->present, (long long)(2 * block - 4 * CHUNK), "and for what is not pinned twice");
	tap_ok(base_present(base, block + CHUNK, CHUNK) && !base_present(base, block, 1), "which stays");
	base_unpin(base, block + 7 * CHUNK, 2 * block - 6 * CHUNK);
	base_unpin(base, block + CHUNK, CHUNK);
	pass(50);
	tap_number((long long)base_stats(base)->present, CHUNK, "until nothing is");
	base_close(base);
}

static void test_reopened(const char *dir, bool durable)
{
	struct base *base = open_budget(dir, durable, 0);

	put(base, 1, 0, 16 * CHUNK);
	ask(base_flush, base, 0, 0, NULL);
	base_close(base);
	base = open_budget(dir, durable, 4 * CHUNK);
	put(base, 2, 20 * CHUNK, CHUNK);
	tap_ok(base_stats(base)->present <= 4 * CHUNK, "what an earlier life has left counts");
	tap_ok(holds(base, 2, 20 * CHUNK, CHUNK), "and goes for what comes");
	/* with its room under way, whose rest is the next start's */
	base_close(base);
	base = open_budget(dir, durable, 4 * CHUNK);
	tap_ok(base_stats(base)->room <= (durable ? 17 : 4) * CHUNK, "what was given up has no room at the next start");
	ask(base_check, base, 0, CHUNKS * CHUNK, NULL);
	tap_ok(base_stats(base)->room <= 17 * CHUNK && base_stats(base)->present <= 16 * CHUNK, "nor is it there");
	base_close(base);
}

/* ---- a reader ---- */

struct reader {
	struct base *base;
	atomic_bool stop;
	unsigned long right, wrong, gone;
};

static void read_one(struct reader *reader, uint64_t offset)
{
	uint64_t seq = base_seq(reader->base);
	char got[PAGE];
	bool same = true;

	if (!base_present(reader->base, offset, PAGE) || pread(base_fd(reader->base), got, PAGE, (off_t)offset) != PAGE)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (!base_present(reader->base, offset, PAGE) || base_seq(reader->base) != seq) {
		reader->gone++;
		return;
	}
	for (unsigned int i = 0; i < PAGE; i++)
		same &= (unsigned char)got[i] == byte_at(1, offset + i);
	reader->right += same;
	reader->wrong += !same;
}

static void *read_all(void *arg)
{
	struct reader *reader = arg;

	while (!atomic_load(&reader->stop))
		for (unsigned int i = 0; i < CHUNKS; i++)
			read_one(reader, i * CHUNK + PAGE * (i % 16));
	return NULL;
}

static void test_reader(const char *dir)
{
	struct reader reader = { .base = open_budget(dir, false, 16 * CHUNK) };
	pthread_t thread;

	if (pthread_create(&thread, NULL, read_all, &reader))
		exit(99);
	for (unsigned int i = 0; i < 3000; i++)
		put(reader.base, 1, i * 7 % CHUNKS * CHUNK, CHUNK);
	atomic_store(&reader.stop, true);
	pthread_join(thread, NULL);
	tap_ok(!reader.wrong && reader.right, "a reader has no wrong bytes");
	printf("# %lu right, %lu seen to be gone\n", reader.right, reader.gone);
	base_close(reader.base);
}

/* ---- no room ---- */

static unsigned int fill_up(struct base *base)
{
	unsigned int n = 0;

	while (n < CHUNKS && !put(base, 1, n * CHUNK, CHUNK))
		n++;
	return n;
}

static void test_full(const char *dir)
{
	struct base *base = open_budget(dir, false, 0);
	unsigned int n = fill_up(base);

	tap_ok(n > 8 && n < 20, "a full tmpfs ends it");
	tap_number(put(base, 1, n * CHUNK, CHUNK), -ENOSPC, "with ENOSPC");
	tap_ok(!base_present(base, n * CHUNK, PAGE) && holds(base, 1, 0, n * CHUNK), "what had no room is absent, the rest is there");
	/* where the map itself has no room for an entry */
	tap_ok(put(base, 1, n * CHUNK, 3 * PAGE) || put(base, 1, (n + 1) * CHUNK, 3 * PAGE), "not one page fits");
	base_resize(base, 1ULL << 40);
	tap_number(put(base, 0, 1ULL << 36, CHUNK), -ENOSPC, "nor the entry of zeroes");
	base_drop(base, CHUNK, 4 * CHUNK);
	tap_number(put(base, 2, 30 * CHUNK, 2 * CHUNK), 0, "what waits for room that is being given back gets it");
	base_close(base);
	base = open_base(dir, false, 1ULL << 40);
	tap_ok(holds(base, 1, 0, CHUNK) && holds(base, 1, 5 * CHUNK, (n - 5) * CHUNK) && holds(base, 2, 30 * CHUNK, 2 * CHUNK),
	       "the next helper finds it");
	tap_ok(!base_present(base, 1ULL << 36, 1) && !base_present(base, CHUNK, 1), "and nothing else");
	base_close(base);
	if (remove_base(dir))
		exit(99);
}

/* A tmpfs in place of a disk, since that is easily full. */
static void test_full_disk(const char *dir)
{
	struct base *base = open_base(dir, true, CHUNKS * CHUNK);
	char map[256];
	struct stat st;

	for (unsigned int n = fill_up(base); !put(base, 1, n * CHUNK, PAGE); n++)
		;
	snprintf(map, sizeof(map), "%s/map", dir);
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "a flush of a full disk lets the log go");
	tap_ok(!stat(map, &st) && st.st_size == 8192, "there was no room for an entry");
	base_drop(base, 0, 2 * CHUNK);
	tap_number(put(base, 2, CHUNK, PAGE), 0, "there is room");
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "a flush");
	fill_up(base);
	tap_number(put(base, 3, CHUNK, PAGE), 0, "a full one, where an entry has room");
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "a flush");
	base_close(base);
	base = open_base(dir, true, CHUNKS * CHUNK);
	ask(base_check, base, 0, CHUNKS * CHUNK, NULL);
	tap_ok(holds(base, 3, CHUNK, PAGE) && !base_stats(base)->corrupt, "its entry is there, and no wrong one");
	base_close(base);
	if (remove_base(dir))
		exit(99);
}

/* The ring, or a thread of the pool, may still hold a file of a base that was closed. */
static void unmount(const char *dir)
{
	for (int i = 0; umount(dir); i++) {
		if (errno != EBUSY || i == 500) {
			printf("# %s can't be unmounted: %s\n", dir, strerror(errno));
			exit(99);
		}
		pass(10);
	}
}

int main(void)
{
	char *dir;

	if (loop_open(&loop, 0))
		return 99;
	for (int durable = 0; durable < 2; durable++) {
		void (*const test[])(const char *, bool) = { test_budget, test_neighbours, test_pins, test_blocks, test_reopened };

		for (unsigned int i = 0; i < 5; i++) {
			dir = make_dir(durable);
			printf("# on a %s\n", durable ? "disk" : "tmpfs");
			test[i](dir, durable);
			drop_dir(dir);
		}
	}
	dir = make_dir(false);
	test_reader(dir);
	drop_dir(dir);
	dir = make_dir(false);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("small", dir, "tmpfs", 0, "size=1100k")) {
		tap_skip("a full tmpfs", "it can't be mounted");
	} else {
		test_full(dir);
		test_full_disk(dir);
		unmount(dir);
	}
	drop_dir(dir);
	/* what closed bases have left to the pool */
	pass(100);
	loop_close(loop);
	return tap_end();
}

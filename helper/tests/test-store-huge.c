// SPDX-License-Identifier: GPL-2.0
/*
 * DISCARD and RESIZE of a huge region, step by step: the loop has turns in between, what does not overlap is served, what does waits. How long the
 * loop was held is printed; arguments: GiB (128), tmpfs | disk (both).
 */
#include <stdlib.h>
#include <time.h>

#include "store-ask.h"
#include "store-private.h"

#define GIB	(1ull << 30)
/* What may become present, or go, in one turn of the loop. */
#define STEP	(4 * GIB)

static uint64_t size = 128 * GIB;

/* Runs in each turn of the loop. */
struct watch {
	struct loop_task task;
	struct store *store;
	uint64_t at, longest;		/* ns */
	uint64_t cpu, most_cpu;		/* the same without what others took of the processor */
	uint64_t present, most;
	bool stop, stopped;
};

static uint64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void watch_run(struct loop_task *task)
{
	struct watch *watch = container_of(task, struct watch, task);
	uint64_t now = loop_now_ns(), cpu = cpu_ns(), present = base_stats(watch->store->base)->present;
	uint64_t moved = present > watch->present ? present - watch->present : watch->present - present;

	if (now - watch->at > watch->longest)
		watch->longest = now - watch->at;
	if (cpu - watch->cpu > watch->most_cpu)
		watch->most_cpu = cpu - watch->cpu;
	if (moved > watch->most)
		watch->most = moved;
	watch->at = now;
	watch->cpu = cpu;
	watch->present = present;
	watch->stopped = watch->stop;
	if (watch->stopped)
		loop_stop(loop);
	else
		loop_post(loop, task);
}

static void watch_start(struct watch *watch, struct store *store)
{
	*watch = (struct watch) { .task.run = watch_run, .store = store, .present = base_stats(store->base)->present };
	watch->at = loop_now_ns();
	watch->cpu = cpu_ns();
	loop_post(loop, &watch->task);
}

static void watch_end(struct watch *watch, const char *what)
{
	watch->stop = true;
	turn(&watch->stopped);
	printf("# %s: the loop was held for at most %llu us, %llu of them its own\n", what, (unsigned long long)watch->longest / 1000,
	       (unsigned long long)watch->most_cpu / 1000);
	tap_ok(watch->most <= STEP, "%s goes in steps (of %llu MiB at most)", what, (unsigned long long)watch->most >> 20);
}

static struct asked *change_start(struct store *store, enum backend_op op, uint64_t gen, uint64_t offset, uint64_t length, uint64_t arg)
{
	struct asked *asked = ask_new(op, offset, length, NULL);

	asked->io.gen = gen;
	asked->io.arg = arg;
	store_change(store, &asked->io);
	return asked;
}

static void check_discard(struct store *store, uint64_t gen, const char *what)
{
	uint64_t middle = size / PAGE / 2;
	char page[PAGE], other[PAGE];
	struct watch watch;
	struct asked *discard, *inside, *outside;

	write_pages(store, gen, 5, 1, 7);
	page_fill(page, 0, 9);
	page_fill(other, 6, 8);
	watch_start(&watch, store);
	discard = change_start(store, BACKEND_DISCARD, gen, PAGE, size - 2 * PAGE, 0);
	inside = write_start(store, gen, 6, 1, other);
	outside = write_start(store, gen, 0, 1, page);
	tap_ok(!ask_wait(outside) && !discard->done, "what it doesn't overlap is done before it");
	tap_ok(!inside->done && !ask_wait(inside) && discard->done, "what it does waits for it");
	tap_number(ask_wait(discard), 0, "it ends");
	watch_end(&watch, what);
	tap_ok(read_page(store, 5) == 0 && read_page(store, middle) == 0 && read_page(store, 2 * middle - 2) == 0, "it reads zero");
	tap_ok(read_page(store, 6) == 8 && read_page(store, 0) == 9, "the others are as they were written");
}

static void check_pushed(struct store *store)
{
	struct watch watch;

	watch_start(&watch, store);
	while (store_gen_oldest(store))
		store_gen_pushed(store, store_gen_oldest(store));
	tap_number(ask_note(store), 0, "it is pushed");
	watch_end(&watch, "a push");
}

static void check_resize(struct store *store)
{
	struct watch watch;
	struct asked *cut;

	watch_start(&watch, store);
	cut = change_start(store, BACKEND_RESIZE, 9, 0, 4 * PAGE, 4 * PAGE);
	tap_number(ask_wait(cut), 0, "a cut ends");
	watch_end(&watch, "a cut");
	tap_ok(store_size(store) == 4 * PAGE && base_stats(store->base)->present == 4 * PAGE, "what was cut off is gone");
	watch_start(&watch, store);
	cut = change_start(store, BACKEND_RESIZE, 10, 0, size, 4 * PAGE);
	tap_number(ask_wait(cut), 0, "it grows again");
	watch_end(&watch, "growth");
	tap_ok(read_page(store, 6) == 0 && read_page(store, size / PAGE - 1) == 0, "and is zero there");
}

/* Zeroes are bytes that are present, also where they have no room. */
static void check_budget(struct store *store)
{
	struct watch watch;

	watch_start(&watch, store);
	store_set_budget(store, GIB);
	for (unsigned int i = 0; i < 6000 && base_stats(store->base)->present > GIB; i++)
		wait_ms(10);
	watch_end(&watch, "a budget");
	tap_ok(base_stats(store->base)->present <= GIB, "what is more than that is given up");
	store_set_budget(store, 0);
}

static void check(bool disk)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, size);

	printf("# on a %s\n", disk ? "disk" : "tmpfs");
	check_discard(store, 1, "a DISCARD");
	check_pushed(store);
	check_discard(store, 5, "another DISCARD");
	check_resize(store);
	check_pushed(store);
	check_budget(store);
	remove_store(store);
	drop_dir(dir);
}

/* ---- the log keeps what the base has in part ---- */

void __real_loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len);
void __wrap_loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len);

/* A step of zeroes that the test holds up. */
static struct {
	bool wanted, is;
	struct loop_op *op;
	int fd, mode;
	uint64_t offset, len;
} held;

void __wrap_loop_fallocate(struct loop *any_loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len)
{
	if (!held.wanted) {
		__real_loop_fallocate(any_loop, op, fd, mode, offset, len);
		return;
	}
	held.is = true;
	held.op = op;
	held.fd = fd;
	held.mode = mode;
	held.offset = offset;
	held.len = len;
	loop_stop(any_loop);
}

static void release(void)
{
	held.wanted = false;
	__real_loop_fallocate(loop, held.op, held.fd, held.mode, held.offset, held.len);
}

static char *copy_sparse(const char *from)
{
	char *to = make_dir(true), command[512];

	snprintf(command, sizeof(command), "cp --sparse=always '%s'/* '%s'", from, to);
	if (system(command))
		exit(99);
	return to;
}

/* What it comes to last is the source's bytes, with a checksum on the disk. All is pushed, and the log has gone on to another file, before it does. */
static void check_logged(void)
{
	uint64_t old = (600ull << 20) / PAGE, end = GIB - (32u << 20);
	char *dir = make_dir(true), *copy;
	struct store *store = open_store(dir, true, GIB);
	struct asked *discard;

	fill_pages(store, old, 16, 3, NULL);
	close_store(store);
	store = open_store(dir, true, GIB);
	held.wanted = true;
	discard = change_start(store, BACKEND_DISCARD, 1, 0, end, 0);
	turn(&held.is);
	write_pages(store, 2, end / PAGE, 5000, 4);
	while (store_gen_oldest(store))
		store_gen_pushed(store, store_gen_oldest(store));
	tap_ok(!ask_note(store) && !discard->done, "a DISCARD is at the source before the base has all of it");
	wait_ms(2500);
	copy = copy_sparse(dir);
	release();
	tap_number(ask_wait(discard), 0, "it ends");
	close_store(store);
	store = open_store(copy, true, GIB);
	tap_number((long long)read_page(store, old), 0, "after a power cut in the midst of it nothing older comes back");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		size = strtoull(argv[1], NULL, 0) * GIB;
	if (loop_open(&loop, 0))
		return 99;
	if (argc < 3 || !strcmp(argv[2], "tmpfs"))
		check(false);
	if (argc < 3 || !strcmp(argv[2], "disk"))
		check(true);
	check_logged();
	loop_close(loop);
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region over a file, whose answers come, and whose changes land, when the test says so: what a fetch brings must not
 * be older than what was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "managed-private.h"
#include "puller-private.h"
#include "tests/managed-file.h"
#include "tests/held-reads.h"

#define SIZE	(4u << 20)
#define SMALL	"local=memory durability=local pull-order=none local-size=1M push-interval=1h"
#define LARGE	"local=memory durability=local pull-order=none push-interval=1h"

static char bytes[SIZE], data[SIZE];
static uint64_t size = SIZE;
static struct backend *backend;

static struct managed *managed(void)
{
	return managed_of(backend);
}

/* ---- the store's changes ---- */

static bool hold_changes;
static struct store_io *held;
static unsigned int fail_changes;
static bool fail_resizes;		/* them alone */
static int change_error;

void __real_store_change(struct store *store, struct store_io *io);
void __wrap_store_change(struct store *store, struct store_io *io);

void __wrap_store_change(struct store *store, struct store_io *io)
{
	if (fail_changes && (!fail_resizes || io->op == BACKEND_RESIZE)) {
		fail_changes--;
		io->done(io, change_error);
	} else if (hold_changes) {
		held = io;
	} else {
		__real_store_change(store, io);
	}
}

static void let_change_go(void)
{
	hold_changes = false;
	__real_store_change(managed()->store, held);
}

/* ---- its reads and fills ---- */

static unsigned int fail_reads;
static int read_error;

void __real_store_read(struct store *store, struct store_io *io);
void __wrap_store_read(struct store *store, struct store_io *io);

void __wrap_store_read(struct store *store, struct store_io *io)
{
	if (!fail_reads) {
		__real_store_read(store, io);
		return;
	}
	fail_reads--;
	io->done(io, read_error);
}

/* One after the other, each takes so long. */
static uint64_t fill_ms, fill_at;

struct late {
	struct loop_timer timer;
	struct store *store;
	struct store_io *io;
};

void __real_store_fill(struct store *store, struct store_io *io);
void __wrap_store_fill(struct store *store, struct store_io *io);

static void fill_now(struct loop_timer *timer)
{
	struct late *late = container_of(timer, struct late, timer);

	__real_store_fill(late->store, late->io);
	free(late);
}

void __wrap_store_fill(struct store *store, struct store_io *io)
{
	uint64_t now = loop_now_ns() / 1000000;
	struct late *late;

	if (!fill_ms) {
		__real_store_fill(store, io);
		return;
	}
	late = calloc(1, sizeof(*late));
	late->store = store;
	late->io = io;
	late->timer.fire = fill_now;
	fill_at = (fill_at > now ? fill_at : now) + fill_ms;
	loop_timer_set(regiond.loop, &late->timer, fill_at - now);
}

/* Reads something at once when a generation has gone. */
static struct ask at_pushed;
static uint64_t read_at_pushed;

void __real_store_gen_pushed(struct store *store, struct store_gen *gen);
void __wrap_store_gen_pushed(struct store *store, struct store_gen *gen);

void __wrap_store_gen_pushed(struct store *store, struct store_gen *gen)
{
	__real_store_gen_pushed(store, gen);
	if (read_at_pushed)
		ask_start(&at_pushed, backend, BACKEND_READ, read_at_pushed, SIZE / 2, bytes);
	read_at_pushed = 0;
}

/* ---- open and close ---- */

static bool done;

static void begin(const char *text)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t step = size < SIZE ? size : SIZE;

	memset(data, 'A', SIZE);
	for (uint64_t at = 0; at < size; at += step)
		if (write(fd, data, step) != (ssize_t)step)
			exit(99);
	close(fd);
	region.info.id++;
	backend = managed_file_start(text, size);
}

/* What is left in a store would hold up the next region's barriers. */
static void end(void)
{
	if (store_gen_oldest(managed()->store))
		managed_file_flush(backend);
	source_close(backend);
	backend = NULL;
}

static void tick(struct loop_timer *timer)
{
	done = true;
	loop_stop(regiond.loop);
}

static void turn(uint64_t ms)
{
	struct loop_timer timer = { .fire = tick };

	done = false;
	loop_timer_set(regiond.loop, &timer, ms);
	source_turn(&done);
}

/* Until all that came is stored. */
static void settle(void)
{
	while (!list_empty(&managed()->fetches))
		turn(10);
}

static int write_(uint64_t offset, uint64_t length, char value)
{
	memset(data, value, length);
	return ask(backend, BACKEND_WRITE, offset, length, data);
}

/* How many of the bytes are not this value. */
static unsigned int wrong(uint64_t length, char value)
{
	unsigned int n = 0;

	for (uint64_t i = 0; i < length; i++)
		n += bytes[i] != value;
	return n;
}

static unsigned int reads_wrong(uint64_t offset, uint64_t length, char value)
{
	memset(bytes, 0x55, length);
	if (ask(backend, BACKEND_READ, offset, length, bytes))
		return UINT32_MAX;
	return wrong(length, value);
}

/* ---- what a RESIZE took away ---- */

static void test_cut_pushed(void)
{
	begin(SMALL);
	ask(backend, BACKEND_RESIZE, 65536, SIZE, NULL);
	write_(SIZE / 4, SIZE / 2, 'B');
	read_at_pushed = SIZE / 4;
	tap_number(managed_file_flush(backend), 0, "a file that was cut and written anew is pushed");
	ask_wait(&at_pushed);
	tap_number(wrong(SIZE / 2, 'B'), 0, "what is read as it arrives is what was written");
	tap_number(reads_wrong(SIZE / 4, SIZE / 2, 'B'), 0, "and stays so");
	end();
}

static void test_cut_under_way(void)
{
	struct ask resize;

	begin(LARGE);
	write_(0, 4096, 'B');
	hold_changes = true;
	ask_start(&resize, backend, BACKEND_RESIZE, 65536 + 100, SIZE, NULL);
	tap_number(managed_file_flush(backend), 0, "something else is pushed while a RESIZE is under way");
	let_change_go();
	tap_number(ask_wait(&resize), 0, "which lands then");
	tap_number(reads_wrong(65536, 100, 'A'), 0, "the last page has what was not cut off");
	tap_number(reads_wrong(65636, 4096 - 100, 0), 0, "and nothing that was");
	end();
}

static void test_cut_failed(void)
{
	begin(LARGE);
	fail_changes = 100;
	change_error = -ENOSPC;
	tap_number(ask(backend, BACKEND_RESIZE, 65536, SIZE, NULL), -ENOSPC, "a RESIZE finds no room");
	fail_changes = 0;
	tap_number(reads_wrong(65536, 65536, 'A'), 0, "then nothing is cut off");
	end();
}

static void test_cut_fetch(void)
{
	struct ask read;

	begin(LARGE);
	ask(backend, BACKEND_RESIZE, 65536 + 100, SIZE, NULL);
	hold_reads = true;
	ask_start(&read, backend, BACKEND_READ, 65536, 4096, bytes);
	wait_came(1);
	tap_number(managed_file_flush(backend), 0, "a RESIZE is pushed while a page is on its way");
	nr_reads = 0;
	let_reads_go();
	tap_number(ask_wait(&read), 0, "the page is read");
	tap_number(nr_reads, 1, "it is fetched anew");
	tap_ok(bytes[0] == 'A' && bytes[99] == 'A' && !bytes[100], "and right");
	end();
}

/* ---- a fetch that is begun when a change is on its way into the store ---- */

static void test_fetch_late(void)
{
	struct ask change, read;

	begin(SMALL);
	hold_changes = true;
	memset(data, 'B', SIZE / 2);
	ask_start(&change, backend, BACKEND_WRITE, SIZE / 4, SIZE / 2, data);
	hold_reads = true;
	ask_start(&read, backend, BACKEND_READ, SIZE / 4, SIZE / 2, bytes);
	wait_came(2);
	let_change_go();
	tap_number(ask_wait(&change), 0, "a WRITE lands after a fetch was begun");
	tap_number(managed_file_flush(backend), 0, "and is pushed");
	let_reads_go();
	ask_wait(&read);
	settle();
	tap_number(reads_wrong(SIZE / 4, SIZE / 2, 'B'), 0, "what comes then is not stored");
	end();
}

/* ---- no room ---- */

static void test_retry(void)
{
	struct ask first, second, third;
	static char other[4096];

	begin(LARGE);
	write_(SIZE / 2, 4096, 'X');
	fail_changes = 2;
	change_error = -ENOSPC;
	memset(data, 'B', 8192);
	memset(other, 'C', sizeof(other));
	ask_start(&first, backend, BACKEND_WRITE, 0, 4096, data);
	ask_start(&second, backend, BACKEND_WRITE, 4096, 4096, data);
	ask_start(&third, backend, BACKEND_WRITE, 5000, 100, other);
	tap_number(ask_wait(&first), 0, "a WRITE that found no room is done when there is some");
	tap_number(ask_wait(&second), 0, "and so is another");
	tap_number(ask_wait(&third), 0, "and one that overlaps that");
	reads_wrong(4096, 4096, 'B');
	tap_ok(bytes[0] == 'B' && bytes[4095] == 'B' && bytes[5000 - 4096] == 'C', "neither is lost");
	end();
}

static void test_deadline(void)
{
	uint64_t began = loop_now_ns();

	begin(LARGE);
	write_(SIZE / 2, 4096, 'X');
	region.info.timeout = 1500;
	fail_changes = 10000;
	change_error = -ENOSPC;
	tap_number(write_(0, 4096, 'B'), -ENOSPC, "a WRITE that never finds room fails");
	tap_ok(loop_now_ns() - began > 1400000000ULL, "not before the region's time is over");
	fail_changes = 0;
	region.info.timeout = 0;
	end();
}

static void test_half(int error)
{
	struct ask resize;

	begin(LARGE);
	reads_wrong(65536, 4096, 'A');
	region.info.timeout = 300;
	fail_resizes = true;
	fail_changes = 10000;
	change_error = error;
	ask_start(&resize, backend, BACKEND_RESIZE, 65536 + 100, SIZE / 2, NULL);
	turn(700);
	tap_ok(!resize.answered, "a RESIZE that has zeroed the end of a page does not fail then (%d)", error);
	fail_resizes = false;
	fail_changes = 0;
	tap_number(ask_wait(&resize), 0, "but is done in the end");
	tap_ok(!reads_wrong(65536, 100, 'A') && !reads_wrong(65636, SIZE / 4, 0), "and right");
	region.info.timeout = 0;
	end();
}

/* ---- WRITEs that touch pages in part ---- */

static void test_edges(void)
{
	begin(LARGE);
	nr_reads = 0;
	tap_number(write_(65536 + 100, 65536, 'B'), 0, "a WRITE not of whole pages");
	tap_number(nr_reads, 2, "reads those at its edges");
	tap_ok(!reads_wrong(65536, 100, 'A') && !reads_wrong(65636, 65536, 'B') && !reads_wrong(131172, 4096, 'A'), "and is right");
	end();
}

/* ---- reads that the store can't answer ---- */

static void test_given_up(void)
{
	static char old[4096];

	begin(LARGE);
	write_(0, 4096, 'B');
	fail_reads = 1;
	read_error = -ENODATA;
	/* what is in memory is read past it */
	tap_number(ask(backend, BACKEND_WRITE, 10, 100, memset(old, 'C', 100)), 0, "a page is given up when a WRITE reads it");
	tap_ok(!fail_reads && !reads_wrong(0, 10, 'B') && !reads_wrong(10, 100, 'C') && !reads_wrong(110, 3986, 'B'), "it is read anew");
	fail_reads = 1;
	read_error = -EIO;
	tap_number(ask(backend, BACKEND_WRITE, 10, 100, old), -EIO, "one that can't be read, and is nowhere else, is an error");
	end();
}

/* ---- a store that is slower than its source ---- */

static void test_slow_store(void)
{
	char text[256];

	size = 48u << 20;
	snprintf(text, sizeof(text), "local=file:%s/store durability=local pull-order=none push-interval=1h", source_dir());
	begin(text);
	fill_ms = 30;
	for (uint64_t at = 0; at < size; at += SIZE) {
		ask(backend, BACKEND_READ, at, SIZE, bytes);
		settle();
	}
	tap_ok(managed_bypassed(managed()), "a store that is slower than its source is found out");
	nr_reads = 0;
	tap_number(reads_wrong(size - 4096, 4096, 'A') + reads_wrong(size - 4096, 4096, 'A'), 0, "what is absent is read");
	tap_number(nr_reads, 2, "from the source, each time");
	tap_number(write_(size - 4096, 4096, 'B'), 0, "what is written");
	tap_number(reads_wrong(size - 4096, 4096, 'B'), 0, "is read");
	tap_number(nr_reads, 2, "from the store");
	managed()->bypass.until = loop_now_ns();
	fill_ms = 0;
	tap_ok(!managed_bypassed(managed()), "after a while it is tried again");
	reads_wrong(size - 8192, 4096, 'A');
	settle();
	reads_wrong(size - 8192, 4096, 'A');
	tap_number(nr_reads, 3, "and used");
	end();
	size = SIZE;
}

/* ---- a program that waits for what the background has asked for ---- */

static void test_bulk_late(void)
{
	struct ask read;

	hold_reads = true;
	begin("local=memory durability=local pull-order=sequential");
	wait_came(1);
	managed()->puller->window.trip = 1000000;
	turn(60);
	nr_reads = 0;
	ask_start_with(&read, backend, BACKEND_DEMAND, BACKEND_READ, 0, 4096, bytes);
	tap_number(nr_reads, 1, "what the background is late with is asked for anew");
	let_reads_go();
	tap_number(ask_wait(&read), 0, "and read");
	settle();
	end();
}

/* The end of a region may be within a page, and be on its way as the region grows. */
static void test_tail_grows(void)
{
	struct ask read;

	size = 5000;
	hold_reads = true;
	begin("local=memory durability=local pull-order=sequential push-interval=1h");
	wait_came(1);
	tap_number(write_(16384, 4096, 'B'), 0, "a region grows while the page of its end is on its way");
	memset(bytes, 0x55, 4096);
	ask_start_with(&read, backend, BACKEND_DEMAND, BACKEND_READ, 4096, 4096, bytes);
	let_reads_go();
	tap_number(ask_wait(&read), 0, "that page is read");
	tap_ok(!wrong(904, 'A') && bytes[904] == 0 && bytes[4095] == 0, "as it is, with zeroes behind the old end");
	settle();
	end();
	size = SIZE;
}

int main(void)
{
	list_init(&answers);
	source_begin();
	managed_file_begin();
	test_cut_pushed();
	test_cut_under_way();
	test_cut_failed();
	test_cut_fetch();
	test_fetch_late();
	test_retry();
	test_deadline();
	test_half(-ENOSPC);
	test_half(-ENOMEM);
	test_edges();
	test_given_up();
	test_slow_store();
	test_bulk_late();
	test_tail_grows();
	source_end();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A local store on a disk that loses its power: what the map vouches for is on the disk. The test is the disk: at each fdatasync it keeps the
 * bytes that are durable after it, whatever comes later, and at each write of the map what that says; a base opened on both
 * is one after a power cut at that moment.
 */
#include <stdatomic.h>
#include <time.h>

#include "base-ask.h"
#include "../stores/base-internal.h"

#define CHUNKS		400u
#define CHANGED		300u
#define REWRITTEN	5u
#define CUTS		32

void __real_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only);
void __wrap_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only);
int __real_base_map_write(struct base *base, const void *data, size_t len, uint64_t at);
int __wrap_base_map_write(struct base *base, const void *data, size_t len, uint64_t at);
int __real_base_chunk_read(struct base *base, uint64_t chunk, uint32_t mask, char *bytes);
int __wrap_base_chunk_read(struct base *base, uint64_t chunk, uint32_t mask, char *bytes);
void __real_loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset);
void __wrap_loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset);

static struct base *base;
static char *dir, *cut_dir;
static bool keep_bytes, fail, fail_map;
static struct ask late;
static char *late_data;
static unsigned int cuts;
static atomic_uint chunks_read;

static void copy_file(const char *from_dir, const char *from_name, const char *to_dir, const char *to_name)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp --sparse=always '%s/%s' '%s/%s'", from_dir, from_name, to_dir, to_name);
	if (system(command))
		exit(99);
}

static void keep_map(void)
{
	char name[32];

	snprintf(name, sizeof(name), "map.%u", cuts);
	if (cuts++ >= CUTS)
		exit(99);
	copy_file(dir, "map", cut_dir, name);
}

/* Bytes that are written now may be missed by the fdatasync. */
void __wrap_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only)
{
	if (base && fd == base_fd(base)) {
		if (keep_bytes)
			copy_file(dir, "bytes", cut_dir, "bytes.kept");
		keep_map();
		if (late_data)
			ask_start(&late, base_write, base, REWRITTEN * CHUNK, PAGE, late_data);
	}
	__real_loop_fsync(loop, op, fail || (fail_map && base && fd != base_fd(base)) ? -1 : fd, data_only);
}

/* A write that has landed, but is not known to. */
static struct {
	bool wanted, is;
	struct loop_op *op;
	void (*done)(struct loop_op *op, int res);
	int res;
} held;

static void held_came(struct loop_op *op, int res)
{
	held.op = op;
	held.res = res;
	held.is = true;
	loop_stop(loop);
}

void __wrap_loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, uint32_t len, uint64_t offset)
{
	if (held.wanted && base && fd == base_fd(base)) {
		held.wanted = false;
		held.done = op->done;
		op->done = held_came;
	}
	__real_loop_write(loop, op, fd, buf, len, offset);
}

int __wrap_base_map_write(struct base *base, const void *data, size_t len, uint64_t at)
{
	int err = __real_base_map_write(base, data, len, at);

	keep_map();
	return err;
}

int __wrap_base_chunk_read(struct base *base, uint64_t chunk, uint32_t mask, char *bytes)
{
	atomic_fetch_add(&chunks_read, 1);
	return __real_base_chunk_read(base, chunk, mask, bytes);
}

static struct base *open_cut(unsigned int cut)
{
	struct base *found;
	char name[32];

	snprintf(name, sizeof(name), "map.%u", cut);
	copy_file(cut_dir, name, cut_dir, "map");
	copy_file(cut_dir, "bytes.kept", cut_dir, "bytes");
	found = open_base(cut_dir, true, CHUNKS * CHUNK);
	ask(base_check, found, 0, CHUNKS * CHUNK, NULL);
	return found;
}

/* The chunks that are there and have the newest bytes; -1 if there is one that has others. */
static int newest(struct base *found)
{
	int n = 0;

	for (unsigned int i = 0; i < CHUNKS; i++) {
		if (!base_present(found, i * CHUNK, CHUNK))
			continue;
		if (!holds(found, i < CHANGED ? 2 : 1, i * CHUNK, CHUNK))
			return -1;
		n++;
	}
	return n;
}

static void begin(void)
{
	dir = make_dir(true);
	cut_dir = make_dir(true);
	base = open_base(dir, true, CHUNKS * CHUNK);
	keep_bytes = true;
	put(base, 1, 0, CHUNKS * CHUNK);
	if (ask(base_flush, base, 0, 0, NULL))
		exit(99);
	cuts = 0;
}

static void end(void)
{
	char command[512];

	base_close(base);
	base = NULL;
	snprintf(command, sizeof(command), "rm -r '%s' '%s'", dir, cut_dir);
	if (system(command))
		exit(99);
	free(dir);
	free(cut_dir);
}

static void test_changed(void)
{
	struct base *found;
	bool right = true;

	begin();
	put(base, 2, 0, CHANGED * CHUNK);
	late_data = bytes(3, REWRITTEN * CHUNK, PAGE);
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "a flush");
	tap_number(ask_wait(&late), 0, "and a write during it");
	free(late_data);
	late_data = NULL;
	for (unsigned int i = 0; i < cuts; i++) {
		int n;

		found = open_cut(i);
		n = newest(found);
		right &= n >= (int)(CHUNKS - CHANGED);
		printf("# cut %u: %d are there\n", i, n);
		base_close(found);
	}
	tap_ok(cuts >= 3 && right, "no cut brings bytes that are not the newest durable ones");
	found = open_cut(cuts - 1);
	tap_number(newest(found), CHUNKS - 1, "after the flush all are there");
	tap_ok(!base_present(found, REWRITTEN * CHUNK, 1), "but that which was written during it");
	tap_number((long long)base_stats(found)->corrupt, 0, "which is not taken for damaged");
	base_close(found);
	ask(base_flush, base, 0, 0, NULL);
	found = open_cut(cuts - 1);
	tap_ok(holds(found, 3, REWRITTEN * CHUNK, PAGE), "the next flush has it");
	base_close(found);
	end();
}

/* The room of what was dropped is given back when the disk likes to: after a cut the old bytes are there. */
static void test_dropped(void)
{
	struct base *found;

	begin();
	keep_bytes = false;
	base_drop(base, 3 * CHUNK, CHUNK);
	base_drop(base, 7 * CHUNK, PAGE);
	ask(base_flush, base, 0, 0, NULL);
	found = open_cut(cuts - 1);
	tap_ok(!base_present(found, 3 * CHUNK, 1) && !base_present(found, 7 * CHUNK, 1), "what was dropped doesn't come back");
	tap_ok(holds(found, 1, 7 * CHUNK + PAGE, CHUNK - PAGE), "the rest of a chunk does");
	base_close(found);
	end();
}

static int sleep_work(struct loop_work *work)
{
	const struct timespec time = { .tv_nsec = 20000000 };

	nanosleep(&time, NULL);
	return 0;
}

static void slept(struct loop_work *work, int res)
{
}

/* A part of a chunk is overwritten that is still to be checked for the rest of it. A flush that ends meanwhile lets go of the log that has the new bytes. */
static void test_unchecked(void)
{
	static struct loop_work busy[64];
	struct base *found;
	struct ask write;
	char *data = bytes(2, 5 * CHUNK, PAGE);

	begin();
	base_close(base);
	base = open_base(dir, true, CHUNKS * CHUNK);
	for (unsigned int i = 0; i < 64; i++) {
		busy[i] = (struct loop_work) { .work = sleep_work, .done = slept };
		loop_work(loop, &busy[i]);
	}
	ask_start(&write, base_write, base, 5 * CHUNK, PAGE, data);
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "a flush while a write waits for a check");
	found = open_cut(cuts - 1);
	tap_ok(!base_present(found, 5 * CHUNK, 1), "does not vouch for what is there before it");
	base_close(found);
	tap_number(ask_wait(&write), 0, "the write");
	tap_ok(holds(base, 2, 5 * CHUNK, PAGE), "has written");
	ask(base_flush, base, 0, 0, NULL);
	found = open_cut(cuts - 1);
	tap_ok(holds(found, 2, 5 * CHUNK, PAGE), "and the next flush has it");
	base_close(found);
	free(data);
	end();
	pass(1500);
}

static void test_fails(void)
{
	struct base *found;

	begin();
	put(base, 2, 0, CHANGED * CHUNK);
	fail = true;
	tap_ok(ask(base_flush, base, 0, 0, NULL) < 0, "a flush that fails says so");
	fail = false;
	tap_ok(!base_present(base, 0, 1) && !base_present(base, (CHANGED - 1) * CHUNK, 1), "what it was for is absent");
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "the next one");
	copy_file(dir, "bytes", cut_dir, "bytes.kept");
	found = open_cut(cuts - 1);
	tap_ok(holds(found, 1, CHANGED * CHUNK, CHUNK) && !base_present(found, 0, CHUNK), "vouches for nothing that was lost");
	base_close(found);
	put(base, 3, 0, CHANGED * CHUNK);
	fail_map = true;
	tap_ok(ask(base_flush, base, 0, 0, NULL) < 0, "one of the map that fails says so");
	fail_map = false;
	tap_number(ask(base_flush, base, 0, 0, NULL), 0, "the next one makes a new map");
	copy_file(dir, "bytes", cut_dir, "bytes.kept");
	found = open_cut(cuts - 1);
	tap_ok(holds(found, 3, 0, CHANGED * CHUNK) && holds(found, 1, CHANGED * CHUNK, CHUNK), "all of it is in there");
	base_close(found);
	end();
}

/* What was written of one that is under way is lost, too, and nobody knows whether that is all, some or nothing of it. */
static void test_fails_under_way(void)
{
	char *data = bytes(2, 0, CHUNK);
	struct ask write;

	begin();
	base_drop(base, 0, CHUNK);
	pass(20);
	held.wanted = true;
	ask_start(&write, base_write, base, 0, CHUNK, data);
	while (!held.is)
		pass(1);
	fail = true;
	ask(base_flush, base, 0, 0, NULL);
	fail = false;
	held.done(held.op, held.res);
	tap_ok(ask_wait(&write) < 0 && !base_present(base, 0, 1), "what is being written when a flush fails is absent, and told so");
	tap_ok(!ask(base_write, base, 0, CHUNK, data) && holds(base, 2, 0, CHUNK), "it can be written again");
	tap_ok(!ask(base_flush, base, 0, 0, NULL) && holds(base, 2, 0, CHUNK), "and flushed");
	free(data);
	end();
}

/* Zeroes that have no room: their checksum is known. */
static void test_holes(void)
{
	struct base *found;

	begin();
	put(base, 0, CHUNK, CHANGED * CHUNK);
	put(base, 0, 0, 3 * PAGE);
	put(base, 0, (CHUNKS - 1) * CHUNK, 2 * PAGE);
	atomic_store(&chunks_read, 0);
	ask(base_flush, base, 0, 0, NULL);
	tap_number(atomic_load(&chunks_read), 2, "a flush reads no chunk that has no room");
	copy_file(dir, "bytes", cut_dir, "bytes.kept");
	atomic_store(&chunks_read, 0);
	found = open_cut(cuts - 1);
	tap_number(atomic_load(&chunks_read), CHUNKS - CHANGED, "nor does the check at the next start");
	tap_ok(holds(found, 0, CHUNK, CHANGED * CHUNK) && holds(found, 0, 0, 3 * PAGE), "they are all there");
	tap_ok(holds(found, 1, 3 * PAGE, CHUNK - 3 * PAGE), "and the rest");
	tap_number((long long)base_stats(found)->corrupt, 0, "nothing is taken for damaged");
	base_close(found);
	end();
}

int main(void)
{
	if (loop_open(&loop, 0))
		return 99;
	test_changed();
	test_dropped();
	test_unchecked();
	test_fails();
	test_fails_under_way();
	test_holes();
	/* what closed bases have left to the pool */
	pass(100);
	loop_close(loop);
	return tap_end();
}

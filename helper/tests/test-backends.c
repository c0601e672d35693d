// SPDX-License-Identifier: GPL-2.0
/*
 * The local backends against a reference array: random READ, WRITE, DISCARD, RESIZE and SYNC, several at once as long as
 * they don't overlap, submitted by two loops; then the same bytes after closing and opening again.
 *
 *   test-backends [SEED [ROUNDS]]
 */
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "../backend.h"

#define SPACE	(3u << 20)
#define LONGEST	(300u << 10)
#define SLOTS	6

static struct loop *home, *other;
static char work_dir[] = "/tmp/test-backends.XXXXXX";
static unsigned int seed = 1, rounds = 3000;

static unsigned int next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

/* ---- opening and closing, waited for ---- */

static struct backend *opened;
static int open_error;
static char open_why[256];

static void on_open(struct backend_open *open, struct backend *backend, int error)
{
	opened = backend;
	open_error = error;
	snprintf(open_why, sizeof(open_why), "%s", open->why);
	loop_stop(home);
}

static struct backend *open_source(const char *source, bool create, uint64_t size)
{
	struct backend_open open = {
		.loop = home, .instance = "test", .run_dir = work_dir, .create = create, .size = size, .done = on_open,
		.patience_ms = 300,
	};

	opened = NULL;
	open_error = uri_parse(&open.uri, source, open.why, sizeof(open.why));
	if (open_error)
		return NULL;
	backend_open(&open);
	loop_run(home);
	loop_again(home);
	return opened;
}

static void on_closed(void *arg)
{
	loop_stop(home);
}

static void close_source(struct backend *backend)
{
	backend_close(backend, on_closed, NULL);
	loop_run(home);
	loop_again(home);
}

/* ---- the reference and the requests ---- */

struct slot {
	struct backend_req req;
	struct loop_task task;
	char buffer[LONGEST] __attribute__((aligned(4096)));
	bool busy;
};

static struct slot slots[SLOTS];
static char reference[SPACE];
static uint64_t size_now;
static struct backend *backend;
static unsigned int started, finished, wrong, failed, lent;

static bool overlaps(const struct slot *slot, uint64_t from, uint64_t to)
{
	uint64_t start = slot->req.offset, end = start + slot->req.length;

	if (!slot->busy || slot->req.op == BACKEND_SYNC)
		return false;
	if (slot->req.op == BACKEND_RESIZE)
		return true;
	return from < end && start < to;
}

static bool is_free(uint64_t from, uint64_t to)
{
	for (int i = 0; i < SLOTS; i++)
		if (overlaps(&slots[i], from, to))
			return false;
	return true;
}

static void start_some(void);

static void check_read(struct slot *slot)
{
	static const char zero[LONGEST];
	const char *data = slot->req.data ? slot->req.data : zero;

	if (!slot->req.data && !(slot->req.flags & BACKEND_ZERO_NULL))
		lent++;
	if (slot->req.data && slot->req.data != slot->buffer && !(slot->req.flags & BACKEND_ANY_ADDR))
		lent++;
	if (!memcmp(data, reference + slot->req.offset, slot->req.length))
		return;
	if (!wrong++)
		printf("# wrong bytes at %llu, length %llu\n", (unsigned long long)slot->req.offset,
		       (unsigned long long)slot->req.length);
}

static void finish_here(struct loop_task *task)
{
	struct slot *slot = container_of(task, struct slot, task);

	if (slot->req.error && !failed++)
		printf("# op %d at %llu, length %llu: %s\n", slot->req.op, (unsigned long long)slot->req.offset,
		       (unsigned long long)slot->req.length, strerror(-slot->req.error));
	if (slot->req.op == BACKEND_READ && !slot->req.error)
		check_read(slot);
	slot->busy = false;
	finished++;
	start_some();
}

static void on_done(struct backend_req *req, int error)
{
	struct slot *slot = container_of(req, struct slot, req);

	req->error = error;
	slot->task.run = finish_here;
	loop_post(home, &slot->task);
}

static void submit_there(struct loop_task *task)
{
	backend_submit(backend, &container_of(task, struct slot, task)->req);
}

/* Changes the reference as the request will change the source. */
static void apply(struct slot *slot)
{
	struct backend_req *req = &slot->req;

	switch (req->op) {
	case BACKEND_WRITE:
		for (uint64_t i = 0; i < req->length; i++)
			slot->buffer[i] = (char)next_random();
		memcpy(reference + req->offset, slot->buffer, req->length);
		if (req->offset + req->length > size_now)
			size_now = req->offset + req->length;
		break;
	case BACKEND_DISCARD:
		memset(reference + req->offset, 0, req->length);
		break;
	case BACKEND_RESIZE:
		memset(reference + req->arg, 0, SPACE - req->arg);
		size_now = req->length;
		break;
	default:
		break;
	}
}

static uint64_t random_offset(void)
{
	uint64_t offset = next_random() % SPACE;

	return next_random() % 3 ? offset & ~4095ULL : offset;
}

static void choose(struct backend_req *req)
{
	unsigned int what = next_random() % 100;

	req->op = what < 45 ? BACKEND_READ : what < 80 ? BACKEND_WRITE : what < 92 ? BACKEND_DISCARD :
		  what < 96 ? BACKEND_RESIZE : BACKEND_SYNC;
	req->offset = random_offset();
	req->length = next_random() % 4 ? (next_random() % LONGEST) & ~4095ULL : next_random() % LONGEST;
	req->length += !req->length;
	if (req->length > SPACE - req->offset)
		req->length = SPACE - req->offset;
	/* reads and punches stay in the file, as the kernel's do */
	if ((req->op == BACKEND_READ || req->op == BACKEND_DISCARD) && req->offset + req->length > size_now)
		req->length = req->offset < size_now ? size_now - req->offset : 0;
	if (req->op == BACKEND_RESIZE) {
		req->length = random_offset();
		req->arg = next_random() % 2 && size_now > req->length ? req->length :
			   size_now < req->length ? size_now : req->length;
		req->arg = next_random() % 3 ? req->arg : req->arg / 2;
	}
}

static void start_one(struct slot *slot)
{
	struct backend_req *req = &slot->req;
	struct loop *loop = next_random() % 2 ? home : other;

	memset(req, 0, sizeof(*req));
	choose(req);
	if (!req->length && req->op != BACKEND_RESIZE)
		return;
	if (!is_free(req->op == BACKEND_RESIZE ? 0 : req->offset, req->op == BACKEND_RESIZE ? SPACE : req->offset + req->length))
		return;
	req->data = slot->buffer;
	req->flags = next_random() % 2 ? BACKEND_ZERO_NULL : 0;
	req->flags |= next_random() % 2 ? BACKEND_ANY_ADDR : 0;
	req->loop = loop;
	req->done = on_done;
	apply(slot);
	slot->busy = true;
	started++;
	slot->task.run = submit_there;
	loop_post(loop, &slot->task);
}

static void start_some(void)
{
	for (int i = 0; i < SLOTS && started < rounds; i++)
		if (!slots[i].busy)
			start_one(&slots[i]);
	if (finished == rounds)
		loop_stop(home);
	else if (started == finished && started < rounds)
		start_some();
}

static void begin(struct loop_task *task)
{
	start_some();
}

static void run_rounds(void)
{
	static struct loop_task task = { .run = begin };

	started = finished = wrong = failed = lent = 0;
	loop_post(home, &task);
	loop_run(home);
	loop_again(home);
}

/* ---- one request, waited for ---- */

static int one_result;

static void on_one(struct backend_req *req, int error)
{
	one_result = error;
	loop_stop(home);
}

static int do_one(enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg, void *data)
{
	struct backend_req req = {
		.op = op, .offset = offset, .length = length, .arg = arg, .data = data, .loop = home, .done = on_one,
	};

	backend_submit(backend, &req);
	loop_run(home);
	loop_again(home);
	return one_result;
}

static bool all_equal(void)
{
	static char buffer[SPACE];

	for (uint64_t at = 0; at < size_now; at += LONGEST) {
		uint64_t len = size_now - at < LONGEST ? size_now - at : LONGEST;

		if (do_one(BACKEND_READ, at, len, 0, buffer + at))
			return false;
	}
	return !memcmp(buffer, reference, size_now);
}

/* ---- batches ---- */

static int stage_one(enum backend_op op, uint64_t batch, bool first, uint64_t offset, uint64_t length, uint64_t arg, void *data)
{
	struct backend_req req = {
		.op = op, .flags = op == BACKEND_PUBLISH ? 0 : BACKEND_STAGED, .batch = batch, .first = first, .offset = offset,
		.length = length, .arg = arg, .data = data, .loop = home, .done = on_one,
	};

	backend_submit(backend, &req);
	loop_run(home);
	loop_again(home);
	return one_result;
}

/* Staged, and in after as it will be when it is published; at most one RESIZE, in front. */
static int stage_random(struct slot *slot, uint64_t batch, bool first)
{
	struct backend_req *req = &slot->req;

	memset(req, 0, sizeof(*req));
	do
		choose(req);
	while (req->op == BACKEND_READ || req->op == BACKEND_SYNC || (req->op == BACKEND_RESIZE && !first) ||
	       (!req->length && req->op != BACKEND_RESIZE));
	apply(slot);
	return stage_one(req->op, batch, first, req->op == BACKEND_RESIZE ? 0 : req->offset, req->length, req->arg, slot->buffer);
}

static void check_batches(const char *name)
{
	static char before[SPACE], after[SPACE];
	bool staged = true, hidden = true, seen = true;

	for (uint64_t batch = 1; batch <= 30; batch++) {
		uint64_t size = size_now, size_after;

		memcpy(before, reference, SPACE);
		for (unsigned int i = 0; i < 1 + next_random() % 8; i++)
			staged &= !stage_random(&slots[0], batch, !i);
		memcpy(after, reference, SPACE);
		memcpy(reference, before, SPACE);
		size_after = size_now;
		size_now = size;
		hidden &= all_equal() && backend->caps.size == size;
		/* one of three is dropped by the next */
		if (batch % 3 == 0)
			continue;
		staged &= !stage_one(BACKEND_PUBLISH, batch, false, 0, 0, 0, NULL);
		memcpy(reference, after, SPACE);
		size_now = size_after;
		seen &= all_equal() && backend->caps.size == size_now;
	}
	tap_ok(staged && hidden, "%s: what is staged is not seen", name);
	tap_ok(seen, "%s: what is published is, all of it", name);
}

static void check_source(const char *name, const char *source)
{
	memset(reference, 0, sizeof(reference));
	size_now = 1 << 20;
	backend = open_source(source, false, 0);
	tap_ok(!backend && open_error == -ENOENT, "%s: what isn't there is not made by itself (%s)", name, open_why);
	backend = open_source(source, true, size_now);
	if (!tap_ok(backend != NULL, "%s: opens %s", name, source)) {
		printf("# %s\n", open_why);
		return;
	}
	tap_number((long long)backend->caps.size, (long long)size_now, "it has the size that was asked for");
	run_rounds();
	tap_ok(!failed, "%s: %u random requests succeed", name, rounds);
	tap_ok(!wrong, "%s: every READ sees what was written before", name);
	tap_ok(!lent, "%s: READ answers in the ways that were asked for", name);
	tap_ok(all_equal(), "%s: all bytes are right", name);
	tap_ok(backend->caps.publish, "%s: takes batches", name);
	check_batches(name);
	tap_number(do_one(BACKEND_SYNC, 0, 0, 0, NULL), 0, "SYNC");
	tap_number((long long)backend->caps.size, (long long)size_now, "the size followed");
	close_source(backend);
	backend = open_source(source, false, 0);
	tap_ok(backend && all_equal(), "%s: all bytes are right after opening again", name);
	if (!backend)
		return;
	tap_ok(backend->caps.size == size_now, "%s: the size is right after opening again", name);
	tap_number(do_one(BACKEND_DESTROY, 0, 0, 0, NULL), 0, "DESTROY");
	close_source(backend);
	backend = open_source(source, false, 0);
	tap_ok(!backend && open_error == -ENOENT, "%s: nothing is left", name);
}

/* ---- what each refuses ---- */

static void check_refusals(void)
{
	char source[256], path[200];

	snprintf(source, sizeof(source), "dir:%s", work_dir);
	backend = open_source(source, true, 0);
	tap_ok(!backend && open_error == -ENOTEMPTY, "dir: leaves a foreign directory alone (%s)", open_why);
	snprintf(source, sizeof(source), "file:%s", work_dir);
	backend = open_source(source, true, 0);
	tap_ok(!backend && open_error == -EISDIR, "file: is no directory (%s)", open_why);
	snprintf(path, sizeof(path), "%s/d2", work_dir);
	snprintf(source, sizeof(source), "dir:%s?chunk=5000", path);
	backend = open_source(source, true, 0);
	tap_ok(!backend && open_error == -EINVAL, "dir: refuses an odd chunk size (%s)", open_why);
	snprintf(source, sizeof(source), "dir:%s?chunk=64K", path);
	backend = open_source(source, true, 100);
	tap_ok(backend && backend->caps.chunk == 65536, "dir: takes its chunk size from the source");
	if (backend)
		close_source(backend);
	snprintf(source, sizeof(source), "dir:%s?chunk=128K", path);
	backend = open_source(source, true, 0);
	tap_ok(backend && backend->caps.chunk == 65536 && backend->caps.size == 100, "dir: keeps what it was made with");
	if (backend)
		do_one(BACKEND_DESTROY, 0, 0, 0, NULL);
	if (backend)
		close_source(backend);
}

/* Two on one file: the second waits for the first, and gets it when that is closed. */
static void check_lock(void)
{
	struct backend *first;
	char source[256];

	snprintf(source, sizeof(source), "file:%s/locked", work_dir);
	first = open_source(source, true, 4096);
	backend = open_source(source, false, 0);
	tap_ok(first && !backend && open_error == -EBUSY, "file: has one writer (%s)", open_why);
	if (!first)
		return;
	close_source(first);
	backend = open_source(source, false, 0);
	tap_ok(backend != NULL, "file: is free again when that is closed");
	if (!backend)
		return;
	do_one(BACKEND_DESTROY, 0, 0, 0, NULL);
	close_source(backend);
}

static void *other_thread(void *arg)
{
	pthread_barrier_t *barrier = arg;

	if (loop_open(&other, 0))
		exit(99);
	pthread_barrier_wait(barrier);
	loop_run(other);
	loop_close(other);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_barrier_t barrier;
	char source[256];
	pthread_t thread;

	seed = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) | 1 : 20231;
	rounds = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 0) : rounds;
	printf("# seed %u, %u rounds\n", seed, rounds);
	if (!mkdtemp(work_dir) || loop_open(&home, 0))
		return 99;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, other_thread, &barrier);
	pthread_barrier_wait(&barrier);
	check_source("memory", "memory:1M?name=test");
	check_source("memory, delayed", "memory:1M?name=late&delay=1ms");
	snprintf(source, sizeof(source), "file:%s/file", work_dir);
	check_source("file", source);
	snprintf(source, sizeof(source), "file:%s/file?direct=no", work_dir);
	check_source("file, cached", source);
	snprintf(source, sizeof(source), "dir:%s/dir?chunk=64K", work_dir);
	check_source("dir", source);
	snprintf(source, sizeof(source), "dir:%s/dir?chunk=4K", work_dir);
	check_source("dir, small chunks", source);
	check_refusals();
	check_lock();
	loop_stop(other);
	pthread_join(thread, NULL);
	loop_close(home);
	snprintf(source, sizeof(source), "umount -l %s/memory 2>/dev/null; rm -rf %s", work_dir, work_dir);
	if (system(source))
		printf("# %s was not removed\n", work_dir);
	return tap_end();
}

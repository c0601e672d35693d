// SPDX-License-Identifier: GPL-2.0
/*
 * The leech backend against an export that offers a region for migration, in one loop: what programs do to a region of which
 * some chunks are not here yet, while fetching is held, and what is left of that when something fails.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "backends/leech-private.h"
#include "export.h"
#include "listener.h"
#include "tap.h"
#include "turns.h"
#include "target.h"

#define CHUNK	LEECH_CHUNK
#define CHUNKS	16u
#define SIZE	(CHUNKS * CHUNK)

static struct server *server;
static struct export *export;
static char dir[] = "/tmp/test-leech.XXXXXX";
static const struct listener_options plain = { .listen = "127.0.0.1:0" };

/* ---- the other side: SIZE bytes of 7. OWNED, without whose answer nothing is pulled behind, and READs can be held ---- */

static struct {
	struct target target;
	bool hold;
	struct list held;
	struct serve_req *owned;
} far;

static void far_read(struct backend_req *req)
{
	uint64_t have = req->offset < SIZE ? SIZE - req->offset : 0;

	have = have < req->length ? have : req->length;
	memset(req->data, 7, have);
	memset((char *)req->data + have, 0, req->length - have);
	req->done(req, 0);
}

static void far_submit(struct target *target, struct backend_req *req)
{
	if (far.hold)
		list_add(&far.held, &req->list);
	else
		far_read(req);
}

static void far_release(void)
{
	struct list *entry;

	far.hold = false;
	if (far.owned)
		serve_reply(far.owned, 0, NULL, 0);
	far.owned = NULL;
	while ((entry = list_pop(&far.held)))
		far_read(list_entry(entry, struct backend_req, list));
}

static void far_info(struct target *target, struct wire_info *info)
{
	info->size = SIZE;
}

static void far_nothing(struct target *target)
{
}

static const struct target_ops far_ops = {
	.submit = far_submit, .info = far_info, .drop = far_nothing, .release = far_nothing, .close = far_nothing,
};

static int seed_open(void *arg, struct export_session *session, char *why, size_t why_len)
{
	return 0;
}

static void seed_message(void *arg, struct serve_req *req, const uint8_t *body, size_t len)
{
	if (far.hold && req->head.type == WIRE_OWNED)
		far.owned = req;
	else
		serve_reply(req, 0, NULL, 0);
}

static void seed_gone(void *arg, struct export_session *session)
{
}

static bool seed_reads(void *arg)
{
	return true;
}

static const struct export_seed_ops seed_ops = { .open = seed_open, .message = seed_message, .reads = seed_reads, .gone = seed_gone };

/* ---- this side: a file, whose changes can be held or fail ---- */

static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	int error;			/* of the next WRITE of a program's */
	int store_error;		/* of each of what is fetched */
	unsigned int failed;		/* of these */
	bool hold;
	bool hold_resize;
	struct list held;
} near;

/* What is fetched is written without an attach generation. */
static void near_submit(struct backend *backend, struct backend_req *req)
{
	bool ours = req->op == BACKEND_WRITE && req->attach_gen, held = (ours && near.hold) || (req->op == BACKEND_RESIZE && near.hold_resize);

	if (req->op == BACKEND_WRITE && !req->attach_gen && near.store_error) {
		near.failed++;
		backend_done(req, near.store_error);
	} else if (ours && near.error) {
		backend_done(req, near.error);
		near.error = 0;
	} else if (held) {
		list_add(&near.held, &req->list);
	} else {
		near.real->submit(backend, req);
	}
}

static void near_release(struct leech *leech)
{
	struct list *entry;

	near.hold = near.hold_resize = false;
	while ((entry = list_pop(&near.held)))
		near.real->submit(leech->local, list_entry(entry, struct backend_req, list));
}

static void near_watch(struct leech *leech)
{
	near.real = leech->local->ops;
	near.ops = *near.real;
	near.ops.submit = near_submit;
	leech->local->ops = &near.ops;
}

/* ---- the loop as a subroutine ---- */

static void timed_out(struct loop_timer *timer)
{
	printf("# no end in sight\n");
	exit(98);
}

static void turn(void)
{
	struct loop_timer timer = { .fire = timed_out };

	loop_timer_set(loop, &timer, 20000);
	loop_run(loop);
	loop_again(loop);
	loop_timer_cancel(loop, &timer);
}

/* ---- opening and closing ---- */

static struct backend *backend;
static struct leech *leech;

static void on_open(struct backend_open *open, struct backend *opened, int error)
{
	backend = opened;
	if (error)
		printf("# %d: %s\n", error, open->why);
	loop_stop(loop);
}

static bool leech_reopen(void)
{
	struct backend_open open = {
		.loop = loop, .instance = "test", .run_dir = dir, .credentials = dir,
		.instance_id = 1, .region = 1, .attach_gen = 1, .epoch = 1, .done = on_open,
	};
	char source[512];

	snprintf(source, sizeof(source), "leech:tok?local=file:%s/local&from=peer%%2bplain://%s/db", dir,
		 export->listener->address);
	if (uri_parse(&open.uri, source, open.why, sizeof(open.why)))
		exit(97);
	backend = NULL;
	backend_open(&open);
	turn();
	leech = leech_of(backend);
	if (leech)
		near_watch(leech);
	return leech != NULL;
}

static void on_closed(void *arg)
{
	loop_stop(loop);
}

static void leech_close(void)
{
	leech->local->ops = near.real;
	backend_close(backend, on_closed, NULL);
	turn();
}

static void is_owned(void *arg, int error)
{
	if (error)
		exit(94);
}

/* A region of SIZE that was owned here just now, of which nothing has come, and nothing comes before far_release(). */
static void leech_owned(void)
{
	static const struct chunkmap_owner owner = { .epoch = 2, .nonce = { 1 } };
	struct chunkmap *map;
	char path[256];

	snprintf(path, sizeof(path), "%s/local", dir);
	unlink(path);
	leech_map_path(path, sizeof(path), dir, "tok");
	if (chunkmap_create(&map, path, 1, CHUNK, SIZE))
		exit(96);
	chunkmap_close(map);
	if (!leech_reopen())
		exit(95);
	far.hold = true;
	leech_own(leech, &owner, is_owned, NULL);
	pass(50);
}

/* ---- requests ---- */

static int last_error;
static bool ended;

static void on_done(struct backend_req *req, int error)
{
	last_error = error;
	ended = true;
	loop_stop(loop);
}

static void start(struct backend_req *req, enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg,
		  void *data)
{
	memset(req, 0, sizeof(*req));
	req->op = op;
	req->offset = offset;
	req->length = length;
	req->arg = arg;
	req->data = data;
	req->attach_gen = 1;
	req->loop = loop;
	req->done = on_done;
	ended = false;
	backend_submit(backend, req);
}

static int request(enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg, void *data)
{
	struct backend_req req;

	start(&req, op, offset, length, arg, data);
	if (!ended)
		turn();
	else
		pass(1);
	return last_error;
}

/* Are there so many bytes of that value? */
static bool holds(uint64_t offset, uint64_t length, int value)
{
	static uint8_t got[SIZE];
	uint64_t same = 0;

	memset(got, 0x5a, length);
	if (request(BACKEND_READ, offset, length, 0, got))
		return false;
	while (same < length && got[same] == value)
		same++;
	if (same < length)
		printf("# at %llu there is %u, not %u\n", (unsigned long long)(offset + same), got[same], value);
	return same == length;
}

static uint8_t bytes[4 * CHUNK];

static bool is_complete(void)
{
	return chunkmap_state(leech->map) == CHUNKMAP_COMPLETE;
}

/* ---- tests ---- */

static void test_append(void)
{
	leech_owned();
	memset(bytes, 1, sizeof(bytes));
	tap_number(request(BACKEND_WRITE, SIZE, 2 * CHUNK, 0, bytes), 0, "a program appends to a region that is on its way");
	tap_number(request(BACKEND_RESIZE, 0, SIZE + CHUNK + 4096, SIZE + CHUNK + 4096, NULL), 0, "then cuts it");
	far_release();
	tap_ok(holds(SIZE, CHUNK + 4096, 1), "what it has appended is there");
	pass(300);
	tap_ok(is_complete(), "all comes");
	tap_ok(holds(SIZE, CHUNK + 4096, 1), "and leaves it alone");
	tap_ok(holds(SIZE - CHUNK, CHUNK, 7), "what was there before has come");
	leech_close();
}

/* Dirty bytes beyond the old end have not been written back yet when the region is cut. */
static void test_append_late(void)
{
	leech_owned();
	memset(bytes, 1, sizeof(bytes));
	tap_number(request(BACKEND_RESIZE, 0, SIZE + 3 * CHUNK, SIZE + 3 * CHUNK, NULL), 0, "a size beyond what was written");
	tap_number(request(BACKEND_WRITE, SIZE, 4096, 0, bytes), 0, "then what lies below it");
	far_release();
	tap_ok(holds(SIZE, 4096, 1) && holds(SIZE + 4096, CHUNK, 0), "both are as they were written");
	leech_close();
}

static void test_append_complete(void)
{
	leech_owned();
	far_release();
	pass(300);
	tap_ok(is_complete(), "all has come");
	memset(bytes, 2, sizeof(bytes));
	tap_number(request(BACKEND_WRITE, SIZE, 2 * CHUNK, 0, bytes), 0, "a program appends");
	leech_close();
	tap_ok(leech_reopen(), "the next helper opens it");
	tap_number(request(BACKEND_RESIZE, 0, SIZE + CHUNK, SIZE + CHUNK, NULL), 0, "the program cuts it");
	tap_ok(holds(SIZE, CHUNK, 2), "what it has appended is there");
	tap_number(request(BACKEND_WRITE, SIZE + CHUNK, CHUNK, 0, bytes), 0, "it appends again");
	tap_ok(holds(SIZE, 2 * CHUNK, 2), "that is there, too");
	leech_close();
}

static void test_write_fails(void)
{
	leech_owned();
	memset(bytes, 3, sizeof(bytes));
	near.error = -ENOSPC;
	tap_number(request(BACKEND_WRITE, 3 * CHUNK, 2 * CHUNK, 0, bytes), -ENOSPC, "a chunk is overwritten whole, in vain");
	tap_ok(!chunkmap_present(leech->map, 3), "it does not count as present");
	far_release();
	tap_ok(holds(3 * CHUNK, 2 * CHUNK, 7), "what it was before comes still");
	pass(300);
	tap_ok(is_complete(), "as the rest does");
	leech_close();
}

static void test_write_slow(void)
{
	struct backend_req req;

	leech_owned();
	memset(bytes, 4, sizeof(bytes));
	near.hold = true;
	start(&req, BACKEND_WRITE, 3 * CHUNK, CHUNK, 0, bytes);
	pass(50);
	tap_ok(!ended && !chunkmap_present(leech->map, 3), "a chunk that is being overwritten is not present yet");
	far_release();
	pass(300);
	tap_ok(!ended && chunkmap_missing(leech->map) == 1 && !is_complete(), "all others come, and that is not all");
	near_release(leech);
	turn();
	tap_number(last_error, 0, "it has been written");
	pass(100);
	tap_ok(is_complete(), "that was the last one");
	tap_ok(holds(3 * CHUNK, CHUNK, 4) && holds(2 * CHUNK, CHUNK, 7), "nothing was fetched over it");
	leech_close();
}

static struct backend_req cut;
static bool cut_done;
static int cut_error;

static void on_cut(struct backend_req *req, int error)
{
	cut_error = error;
	cut_done = true;
}

static void start_cut(uint64_t length)
{
	cut_done = false;
	cut = (struct backend_req){ .op = BACKEND_RESIZE, .length = length, .arg = length, .attach_gen = 1, .loop = loop, .done = on_cut };
	backend_submit(backend, &cut);
	pass(50);
}

/* Another host reads through this one what a program is just cutting off. */
static void test_cut_read(void)
{
	static uint8_t got[CHUNK];
	struct backend_req req;

	leech_owned();
	memset(bytes, 5, sizeof(bytes));
	tap_number(request(BACKEND_WRITE, 5 * CHUNK, CHUNK, 0, bytes), 0, "a chunk is overwritten");
	near.hold_resize = true;
	start_cut(5 * CHUNK + 4096);
	start(&req, BACKEND_READ, 10 * CHUNK, CHUNK, 0, got);
	pass(50);
	tap_ok(!cut_done && !ended, "in that the region is being cut, and what lies beyond is read");
	near_release(leech);
	turn();
	pass(100);
	tap_ok(cut_done && !cut_error && ended && !last_error && !got[0], "after the cut there is nothing");
	far_release();
	pass(300);
	tap_ok(is_complete(), "all comes");
	tap_number(request(BACKEND_WRITE, 12 * CHUNK, CHUNK, 0, bytes), 0, "it grows again");
	tap_ok(holds(5 * CHUNK, 4096, 5) && holds(10 * CHUNK, CHUNK, 0) && holds(0, CHUNK, 7), "and nothing of what was cut off is back");
	leech_close();
}

/* It waits for the chunk that it cuts in two, which is not to be had. */
static void test_cut_fails(void)
{
	static uint8_t got[CHUNK];
	struct backend_req req;

	leech_owned();
	start_cut(5 * CHUNK + 4096);
	start(&req, BACKEND_READ, 10 * CHUNK, CHUNK, 0, got);
	pass(50);
	tap_ok(!cut_done && !ended && leech->nr_fetches == 1, "only the chunk that is cut in two is fetched");
	leech_fail_blocked(leech, 5, 6, -EIO);
	tap_ok(cut_done && cut_error == -EIO && leech->nr_fetches == 2, "when it fails, the other one is");
	far_release();
	turn();
	tap_ok(!last_error && got[0] == 7 && got[CHUNK - 1] == 7, "and comes");
	leech_close();
}

/* The local disk fails for a while; the other side can be read. */
static void test_store_fails(void)
{
	leech_owned();
	near.store_error = -EIO;
	leech_pull(leech, true);
	far_release();
	until(near.failed >= CHUNKS);
	tap_ok(near.failed >= CHUNKS && !leech->retry_ms, "what cannot be stored is not asked for less often");
	near.store_error = 0;
	until(!chunkmap_missing(leech->map));
	tap_number((long long)chunkmap_missing(leech->map), 0, "and comes when it can be");
	leech_close();
}

/* One that a program waits for. */
static bool far_holds(uint64_t offset)
{
	struct list *at;

	list_for_each(at, &far.held) {
		const struct backend_req *req = list_entry(at, struct backend_req, list);

		if (req->offset == offset && req->flags & BACKEND_DEMAND)
			return true;
	}
	return false;
}

/* Little may be under way: so what a program wants has not been asked for, to wait in line, by who pulls. */
static void test_pull_late(void)
{
	static uint8_t got[CHUNK];
	struct backend_req req = {
		.op = BACKEND_READ, .flags = BACKEND_DEMAND, .offset = SIZE - CHUNK, .length = CHUNK, .data = got, .attach_gen = 1,
		.done = on_done,
	};

	leech_owned();
	leech_session(leech)->window = SESSION_WINDOW_MIN;
	leech_session(leech)->starting = false;
	leech_pull(leech, true);
	until(!list_empty(&far.held));
	req.loop = loop;
	ended = false;
	backend_submit(backend, &req);
	until(far_holds(SIZE - CHUNK));
	tap_ok(far_holds(SIZE - CHUNK), "a chunk that a program wants is asked for at once while others are pulled");
	far_release();
	until(ended && !chunkmap_missing(leech->map));
	tap_ok(ended && !last_error && got[0] == 7, "and comes");
	tap_number((long long)chunkmap_missing(leech->map), 0, "and so do the others");
	leech_close();
}

/* ---- who asks has a thread, and a loop, of its own, which sleeps meanwhile ---- */

static struct {
	struct loop *loop;
	struct loop_task begin;
	struct backend_req req;
	atomic_int error;		/* 1: there is no answer yet */
} other;

static void other_done(struct backend_req *req, int error)
{
	atomic_store(&other.error, loop_current() == other.loop ? error : -EXDEV);
}

static void other_begin(struct loop_task *task)
{
	backend_submit(backend, &other.req);
}

static void *other_run(void *barrier)
{
	if (loop_open(&other.loop, 0))
		exit(93);
	pthread_barrier_wait(barrier);
	loop_run(other.loop);
	loop_close(other.loop);
	return NULL;
}

/* Its error */
static int other_asks(enum backend_op op, void *data)
{
	other.req = (struct backend_req){
		.op = op, .length = op == BACKEND_SYNC ? 0 : CHUNK, .data = data, .attach_gen = 1, .loop = other.loop, .done = other_done,
	};
	other.begin.run = other_begin;
	atomic_store(&other.error, 1);
	loop_post(other.loop, &other.begin);
	until(atomic_load(&other.error) != 1);
	return atomic_load(&other.error);
}

static void test_other_thread(void)
{
	static uint8_t got[CHUNK];
	pthread_barrier_t barrier;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, other_run, &barrier))
		exit(92);
	pthread_barrier_wait(&barrier);
	leech_owned();
	memset(bytes, 3, CHUNK);
	tap_number(other_asks(BACKEND_WRITE, bytes), 0, "another thread overwrites a chunk");
	tap_number(other_asks(BACKEND_READ, got), 0, "and reads it");
	tap_ok(!memcmp(got, bytes, CHUNK), "the bytes are those");
	tap_number(other_asks(BACKEND_SYNC, NULL), 0, "it syncs them");
	far_release();
	leech_close();
	loop_stop(other.loop);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

int main(void)
{
	struct listener *listener;
	char command[64], why[256];

	if (!mkdtemp(dir) || loop_open(&loop, 0) || server_open(&server, loop))
		return 99;
	far.target.ops = &far_ops;
	list_init(&far.held);
	list_init(&near.held);
	if (listener_find(server, &plain, &listener, why, sizeof(why)) ||
	    export_open(&export, listener, "db", &far.target, true))
		return 99;
	export->seed = &seed_ops;
	test_append();
	test_append_late();
	test_write_fails();
	test_write_slow();
	test_append_complete();
	test_cut_read();
	test_cut_fails();
	test_store_fails();
	test_pull_late();
	test_other_thread();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		return 99;
	return tap_end();
}

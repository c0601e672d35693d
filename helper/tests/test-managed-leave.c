// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region whose requests wait for a source that is away, when it is removed, or gets another source: neither waits for the old one. The source
 * is a backend that is there or away as it is told; the other one is a file.
 */
#include "fake-helper.h"
#include "../barrier.h"
#include "../managed.h"
#include "../region-private.h"

#define SIZE 65536

static struct barriers barriers;
static struct region *region;
static char new_source[112];

/* ---- the source ---- */

static bool away;

static void far_close(struct backend *backend)
{
	backend_closed(backend);
}

static void far_submit(struct backend *backend, struct backend_req *req)
{
	if (away)
		atomic_store(&backend->dead, true);
	else if (req->op == BACKEND_READ)
		memset(req->data, 'o', req->length);
	backend_done(req, away ? -EPIPE : 0);
}

static const struct backend_ops far_ops = { .scheme = "far", .close = far_close, .submit = far_submit };

void __real_backend_open(struct backend_open *open);
void __wrap_backend_open(struct backend_open *open);

void __wrap_backend_open(struct backend_open *open)
{
	struct backend *backend;

	if (!strcmp(open->uri.text, new_source)) {
		__real_backend_open(open);
		return;
	}
	if (away) {
		uri_free(&open->uri);
		open->done(open, NULL, -ECONNREFUSED);
		return;
	}
	backend = calloc(1, sizeof(*backend));
	backend->ops = &far_ops;
	backend->uri = open->uri;
	memset(&open->uri, 0, sizeof(open->uri));
	backend->loop = open->loop;
	backend->caps = (struct backend_caps){ .size = SIZE, .chunk = 4096, .align = 1, .max_request = 1u << 20, .local_fd = -1 };
	open->done(open, backend, 0);
}

/* ---- what waits ---- */

struct waiting {
	struct backend_req req;
	char data[4096];
	bool answered;
	int error;
};

static void is_answered(struct backend_req *req, int error)
{
	struct waiting *waiting = container_of(req, struct waiting, req);

	waiting->error = error;
	waiting->answered = true;
	loop_stop(regiond.loop);
}

static void ask(struct waiting *waiting, enum backend_op op, uint64_t offset, uint64_t length)
{
	memset(waiting, 0, sizeof(*waiting));
	waiting->req = (struct backend_req){
		.op = op, .flags = op == BACKEND_READ ? BACKEND_DEMAND : 0, .offset = offset, .length = length, .data = waiting->data,
		.loop = regiond.loop, .done = is_answered,
	};
	region_submit(regiond.regions, FAKE_REGION, &waiting->req);
}

static int answer(struct waiting *waiting)
{
	while (!waiting->answered)
		turn();
	return waiting->error;
}

static void over(struct loop_timer *timer)
{
	loop_stop(regiond.loop);
}

static void pass(unsigned int ms)
{
	uint64_t until = loop_now_ns() + ms * 1000000ULL;

	while (loop_now_ns() < until) {
		struct loop_timer timer = { .fire = over };

		loop_timer_set(regiond.loop, &timer, 10);
		turn();
		loop_timer_cancel(regiond.loop, &timer);
	}
}

/* ---- a region, and its end ---- */

static void begin(const char *policy)
{
	struct waiting first;

	away = false;
	helper_open(SIZE);
	region = region_know(regiond.regions, FAKE_REGION);
	/* the kernel tells of it first */
	ask(&first, BACKEND_READ, 0, 4096);
	answer(&first);
	region_set_policy(region, policy, true);
	ask(&first, BACKEND_READ, 0, 4096);
	tap_ok(!answer(&first) && first.data[0] == 'o' && managed_of(region->backend), "it is managed, and read: %s", policy);
}

/* ---- the tests ---- */

static uint64_t no_oldest(struct barrier_member *member)
{
	return UINT64_MAX;
}

static void no_go(struct barrier_member *member)
{
}

static void test_removed(const char *policy)
{
	struct barrier_member other = { .oldest = no_oldest, .go = no_go, .key = 999 };
	struct waiting read, edge, write, sync, destroy;
	uint64_t since;

	begin(policy);
	barriers_close(&barriers);
	barriers_join(&barriers, &other);
	away = true;
	ask(&read, BACKEND_READ, 8192, 4096);
	ask(&edge, BACKEND_WRITE, 16384 + 100, 100);
	ask(&write, BACKEND_WRITE, 4096, 4096);
	pass(300);
	ask(&sync, BACKEND_SYNC, 0, 0);
	pass(50);
	tap_ok(!read.answered && !edge.answered, "with the source away a READ waits, and a page that is written in part");
	since = loop_now_ns();
	region->info.discard = true;
	ask(&destroy, BACKEND_DESTROY, 0, 0);
	tap_number(answer(&destroy), 0, "the region is removed");
	tap_ok(loop_now_ns() - since < 20000000000ULL, "at once");
	tap_ok(answer(&read) < 0 && answer(&edge) < 0, "what has waited fails");
	answer(&write);
	answer(&sync);
	tap_ok(barriers_limit(&other) > 0 && list_empty(&barriers.left), "and no other region waits for it");
	barriers_leave(&other);
	helper_free(region);
}

static void test_elsewhere(const char *policy)
{
	struct waiting read, write, late;
	uint64_t since;

	begin(policy);
	away = true;
	ask(&read, BACKEND_READ, 8192, 4096);
	ask(&write, BACKEND_WRITE, 16384 + 100, 100);
	pass(300);
	tap_ok(!read.answered && !write.answered, "with the source away both wait");
	since = loop_now_ns();
	region_set_source(region, new_source);
	ask(&late, BACKEND_READ, 12288, 4096);
	tap_ok(!answer(&read) && read.data[0] == 'n', "with another source the READ goes on there");
	tap_number(answer(&write), 0, "and so does the WRITE");
	tap_ok(!answer(&late) && late.data[0] == 'n', "and what comes later");
	tap_ok(loop_now_ns() - since < 20000000000ULL, "at once");
	region_put(region);
	helper_end();
}

static void make_new_source(void)
{
	static char bytes[SIZE];
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/new", dir);
	snprintf(new_source, sizeof(new_source), "file:%s", path);
	fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	memset(bytes, 'n', sizeof(bytes));
	if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		exit(99);
	close(fd);
}

int main(void)
{
	char remote[128], local[128], command[96];

	if (helper_dir())
		return 99;
	barriers_init(&barriers);
	regiond.barriers = &barriers;
	config.run_dir = dir;
	make_new_source();
	snprintf(local, sizeof(local), "local=file:%s/local durability=local pull-order=none", dir);
	snprintf(remote, sizeof(remote), "local=file:%s/remote durability=remote pull-order=none", dir);
	test_removed(local);
	test_removed(remote);
	test_removed("local=cache pull-order=none");
	test_elsewhere(local);
	test_elsewhere("local=cache pull-order=none");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* The pusher on the real store: whatever a program does, and however often the helper starts anew, the source ends up with it. */
#include <unistd.h>

#include "../pusher.h"
#include "push-source.h"

#define SIZE_PAGES 48u

static struct barriers barriers;
static struct store *store;
static struct remote remote;
static struct pusher *pusher;
static struct policy policy;
static char dir[64];
static bool closed;
static int flushed;

/* what the program would read */
static uint32_t model[SIZE_PAGES];
static uint64_t size;

static void opened(void *arg, struct store *result, int error, const char *why)
{
	if (error) {
		printf("Bail out! the store: %s\n", why);
		exit(EXIT_FAILURE);
	}
	store = result;
}

static uint64_t limited;

static void told_limit(void *arg, uint64_t limit)
{
	limited = limit;
}

static void no_news(void *arg, int error, const char *why)
{
}

static void start(void)
{
	struct store_options options = {
		.loop = loop, .kind = LOCAL_FILE, .dir = dir, .identity = "a source", .size = size, .opened = opened,
	};
	struct pusher_options pushing = {
		.loop = loop, .remote = &remote, .policy = &policy, .barriers = &barriers, .region = 1,
		.limit = told_limit, .pushed = no_news,
	};

	store = NULL;
	if (store_open(&options))
		exit(EXIT_FAILURE);
	while (!store)
		pass(1);
	pushing.store = store;
	remote.caps.size = remote.size;		/* it is opened anew, too */
	remote.opened++;
	barriers_init(&barriers);
	if (pusher_open(&pusher, &pushing))
		exit(EXIT_FAILURE);
}

static void gone(void *arg)
{
	closed = true;
}

static void wait_closed(void)
{
	for (int i = 0; i < 60000 && !closed; i++)
		pass(1);
	if (!closed)
		abort();
	closed = false;
}

static void stop(void)
{
	pusher_close(pusher, gone, NULL);
	wait_closed();
	barriers_forget(&barriers, 1);
	store_close(store, gone, NULL);
	wait_closed();
}

/* ---- the program ---- */

struct doing {
	struct store_io io;
	bool done;
};

static void doing_done(struct store_io *io, int error)
{
	if (error)
		abort();
	container_of(io, struct doing, io)->done = true;
}

static void change(enum backend_op op, uint64_t page, uint64_t n, void *data)
{
	struct doing doing = {
		.io = { .done = doing_done, .op = op, .offset = page * PAGE, .length = n * PAGE, .data = data },
	};

	if (op == BACKEND_RESIZE) {
		doing.io.offset = 0;
		doing.io.arg = doing.io.length < size ? doing.io.length : size;
	}
	doing.io.gen = pusher_gen(pusher);
	store_change(store, &doing.io);
	while (!doing.done)
		pass(1);
	pusher_kick(pusher);
}

static void program_write(uint64_t page, uint64_t n, uint32_t version)
{
	char *data = malloc(n * PAGE);

	memset(data, version ? 0x55 : 0, n * PAGE);
	for (uint64_t i = 0; i < n; i++) {
		memcpy(data + i * PAGE, &version, sizeof(version));
		model[page + i] = version;
	}
	size = size < (page + n) * PAGE ? (page + n) * PAGE : size;
	change(BACKEND_WRITE, page, n, data);
	free(data);
}

static void program_discard(uint64_t page, uint64_t n)
{
	n = (page + n) * PAGE > size ? size / PAGE - page : n;
	memset(model + page, 0, n * sizeof(*model));
	change(BACKEND_DISCARD, page, n, NULL);
}

static void program_resize(uint64_t pages)
{
	change(BACKEND_RESIZE, 0, pages, NULL);
	if (pages * PAGE < size)
		memset(model + pages, 0, (SIZE_PAGES - pages) * sizeof(*model));
	size = pages * PAGE;
}

static void step(uint32_t version)
{
	uint64_t page = (uint64_t)rand() % SIZE_PAGES, n = 1 + (uint64_t)rand() % 6;

	n = page + n > SIZE_PAGES ? SIZE_PAGES - page : n;
	switch (rand() % 8) {
	case 0:
		program_resize(1 + page);
		break;
	case 1:
		if (page * PAGE < size)
			program_discard(page, n);
		break;
	case 2:
		program_write(page, n, 0);
		break;
	case 3:
		barriers_close(&barriers);
		break;
	default:
		program_write(page, n, version);
	}
}

/* ---- what comes of it ---- */

static void flush_done(struct pusher_wait *wait, int error)
{
	flushed = error ? error : 1;
}

static void flush(void)
{
	struct pusher_wait wait = { .done = flush_done };

	flushed = 0;
	pusher_flush(pusher, &wait);
	for (int i = 0; i < 60000 && !flushed; i++)
		pass(1);
}

static bool is_same(void)
{
	for (unsigned int i = 0; i < SIZE_PAGES; i++)
		if (remote.seen[i] != model[i] && i * PAGE < size) {
			printf("# page %u is %u, not %u\n", i, remote.seen[i], model[i]);
			return false;
		}
	if (remote.size != size)
		printf("# the size is %" PRIu64 " pages, not %" PRIu64 "\n", remote.size / PAGE, size / PAGE);
	return remote.size == size;
}

static void cleanup(void)
{
	stop();
	start();
	pusher_close(pusher, gone, NULL);
	wait_closed();
	barriers_forget(&barriers, 1);
	store_remove(store, gone, NULL);
	wait_closed();
	rmdir(dir);
	remote_free(&remote);
}

static void test_run(unsigned int seed, bool publish)
{
	unsigned int wrong = 0;

	srand(seed);
	snprintf(dir, sizeof(dir), "/tmp/test-push-store-XXXXXX");
	if (!mkdtemp(dir))
		exit(EXIT_FAILURE);
	memset(model, 0, sizeof(model));
	size = SIZE_PAGES * PAGE;
	remote_setup(&remote, SIZE_PAGES, publish);
	start();
	for (uint32_t i = 1; i <= 200 && !wrong; i++) {
		step(i);
		if (!(i % 50)) {
			stop();
			start();
		}
		if (!(i % 20)) {
			flush();
			wrong += flushed != 1 || !is_same();
		}
	}
	tap_ok(!wrong, "seed %u%s: the source has what the program wrote, after each flush", seed, publish ? ", publishing" : "");
	cleanup();
}

/* One page, over and over, while the source is away: the log has every version, and is what the bound is about. */
static void test_rewrite(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test-push-store-XXXXXX");
	if (!mkdtemp(dir))
		exit(EXIT_FAILURE);
	memset(model, 0, sizeof(model));
	size = SIZE_PAGES * PAGE;
	remote_setup(&remote, SIZE_PAGES, true);
	policy.max_unpushed = 1u << 20;
	start();
	remote.state = REMOTE_AWAY;
	for (uint32_t i = 1; i <= 300; i++)
		program_write(3, 1, i);
	pass(250);
	tap_number((long long)limited, 4096, "a page that is written over and over while the source is away slows its writer");
	tap_ok(pusher_stats(pusher)->unpushed >= 300 * PAGE, "as it makes the log grow");
	remote.state = REMOTE_UP;
	flush();
	pass(250);
	tap_ok(flushed == 1 && !limited && !pusher_stats(pusher)->unpushed, "when the source is back there is no limit any more");
	tap_ok(remote.count[BACKEND_WRITE] <= 2, "and little was sent (%u)", remote.count[BACKEND_WRITE]);
	policy.max_unpushed = 1ULL << 30;
	cleanup();
}

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	if (loop_open(&loop, 0))
		return EXIT_FAILURE;
	policy = (struct policy){
		.local = LOCAL_FILE, .durability = DURABILITY_LOCAL, .push_interval = 60000, .max_unpushed = 1ULL << 30,
	};
	for (unsigned int i = 0; i < 4; i++)
		test_run(seed + i, i % 2);
	test_rewrite();
	loop_close(loop);
	return tap_end();
}

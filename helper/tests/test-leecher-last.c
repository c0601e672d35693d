// SPDX-License-Identifier: GPL-2.0
/* What was changed last comes beside the answer to FINALIZE. */
#include "tracker.h"
#include "two-hosts.h"

#define CHUNKS	8u

/* ---- a program on A that writes until it is frozen ---- */

static unsigned int nr_changed;
static uint8_t value;
static bool late;

static void change_last(struct kernel_region *region)
{
	struct backend_req note = { .op = BACKEND_WRITE, .length = 1 };
	static uint8_t bytes[CHUNK];
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/bytes", a->run);
	fd = open(path, O_RDWR);
	memset(bytes, value, sizeof(bytes));
	for (unsigned int i = 0; i < nr_changed; i++) {
		note.offset = (2 * i + 1) % CHUNKS * CHUNK;
		if (pwrite(fd, bytes, CHUNK, (off_t)note.offset) != CHUNK)
			exit(90);
		tracker_note(atomic_load(&region_of(a)->tracker), &note);
	}
	close(fd);
	region->dirty = late ? 4096 : 0;
}

/* All has come once; from now on peers' READs are not answered. */
static void begin_last(const char *name, struct user *user, unsigned int nr, uint8_t with)
{
	size = CHUNKS * CHUNK;
	begin(name);
	leech(user, NULL);
	until(rounds() > 0);
	nr_changed = nr;
	value = with;
	late = false;
	a->kernel.freezing = change_last;
	slow.hold = slow.reads_alone = true;
}

/* Nothing is missing on B, nor on its way there. */
static bool all_is_here(void)
{
	const struct leech *leech = leech_of(region_of(b)->backend);

	return !leech || (!chunkmap_missing(leech->map) && !leech->nr_fetches);
}

static void end_last(struct user *user)
{
	slow_release();
	tap_ok(until(user->done) && !user->error, "all of it comes");
	size = SIZE;
}

static bool has(unsigned int chunk, uint8_t what)
{
	static uint8_t bytes[CHUNK];

	return !host_request(b, to->id, BACKEND_READ, chunk * CHUNK, CHUNK, bytes) && bytes[0] == what && bytes[CHUNK - 1] == what;
}

/* ---- tests ---- */

static void test_beside(void)
{
	struct user user;

	begin_last("beside", &user, 3, 9);
	tap_number(host_do(b, "finalize", db()), 0, "a region of which three chunks are changed last is handed over");
	/* they come another way than the answer to FINALIZE: a program may be earlier, and then waits for them */
	until(all_is_here());
	tap_ok(has(1, 9) && has(3, 9) && has(5, 9), "they are there, though no READ is answered");
	tap_ok(list_empty(&slow.held), "or even asked for");
	tap_number(says("faults"), 0, "no program has waited");
	end_last(&user);
}

static void test_zeroes(void)
{
	struct user user;

	begin_last("zeroes", &user, 1, 0);
	tap_number(host_do(b, "finalize", db()), 0, "a region of which a chunk becomes zero last is handed over");
	tap_ok(has(1, 0), "that is there");
	end_last(&user);
}

static void test_many(void)
{
	struct user user;

	begin_last("many", &user, 4, 9);
	tap_number(host_do(b, "finalize", db()), 0, "a region of which four chunks are changed last is handed over");
	tap_ok(has(7, 9) && list_empty(&slow.held), "they come so");
	end_last(&user);
}

static void test_too_many(void)
{
	struct backend_req note = { .op = BACKEND_WRITE, .length = 1 };
	struct user user;

	begin_last("toomany", &user, 4, 9);
	tracker_note(atomic_load(&region_of(a)->tracker), &note);
	tap_number(host_do(b, "finalize", db()), 0, "a region of which five chunks are changed last is handed over");
	tap_ok(until(!list_empty(&slow.held)), "they are read");
	end_last(&user);
}

/* What it has had by then is of no use. */
static void test_again(void)
{
	struct user user;
	json_int_t round;

	begin_last("again", &user, 2, 9);
	late = true;
	tap_number(host_do(b, "finalize", db()), -ECANCELED, "the freeze fails");
	late = false;
	value = 5;
	/* a round is told before its chunks are pulled, and there may have been several without any */
	round = rounds();
	slow_release();
	until(rounds() > round && all_is_here());
	slow.hold = true;
	tap_number(host_do(b, "finalize", db()), 0, "the next one does not");
	tap_ok(has(1, 5) && has(3, 5), "what was changed before it is there");
	end_last(&user);
}

/* While it is pulled, bulk connections carry that. */
static void test_in_mid_pull(void)
{
	struct user user;

	size = CHUNKS * CHUNK;
	begin("midpull");
	slow.hold = slow.reads_alone = true;
	leech(&user, NULL);
	tap_ok(until(!list_empty(&slow.held)), "a region is being pulled");
	nr_changed = 1;
	value = 9;
	late = false;
	a->kernel.freezing = change_last;
	tap_number(host_do(b, "finalize", db()), 0, "when it is handed over");
	slow_release();
	tap_ok(has(1, 9), "what was changed last is there");
	end_last(&user);
}

/* The bulk connections break, and do not come back. */
static void close_bulk(struct kernel_region *region)
{
	struct server *server = a->regiond->server;
	struct listener *listener = list_entry(server->listeners.next, struct listener, list);
	struct list *at, *next;

	change_last(region);
	snprintf(away_path, sizeof(away_path), "%s.away", socket_path);
	if (rename(socket_path, away_path))
		exit(93);
	list_for_each_safe(at, next, &listener->services) {
		struct service *service = list_entry(at, struct service, list);

		if (service->slot)
			service_close(service, -ECONNRESET);
	}
}

static void test_without_bulk(void)
{
	struct user user;

	begin_last("nobulk", &user, 2, 9);
	slow.hold = false;
	a->kernel.freezing = close_bulk;
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over whose bulk connections break");
	tap_ok(has(1, 9) && has(3, 9), "what was changed last comes without them");
	unhide();
	end_last(&user);
}

/* A seeder of before. */
static void test_unknown(void)
{
	struct server *server;
	struct user user;

	size = CHUNKS * CHUNK;
	begin("unknown");
	server = a->regiond->server;
	server->features &= ~WIRE_FEAT_LAST;
	leech(&user, NULL);
	until(rounds() > 0);
	nr_changed = 2;
	value = 9;
	late = false;
	a->kernel.freezing = change_last;
	tap_number(host_do(b, "finalize", db()), 0, "a seeder that knows nothing of LAST hands over");
	tap_ok(has(1, 9) && has(3, 9), "and what was changed last is read");
	end_last(&user);
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_beside();
	test_zeroes();
	test_many();
	test_too_many();
	test_again();
	test_in_mid_pull();
	test_without_bulk();
	test_unknown();
	return hosts_end();
}

// SPDX-License-Identifier: GPL-2.0
/* When a pusher begins, how much it has under way, how fast it lets writers go, and how it ends. */
#include "../pusher-private.h"
#include "push-world.h"

/* ---- when ---- */

static void test_quiet_and_hot(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side.policy.push_interval = 600;	/* an eighth of it is a pause */
	side_write(&side, 0, 1, 1);
	pass(20);
	tap_number(side.remote.count[BACKEND_WRITE], 0, "a change waits for a pause");
	pass(180);
	tap_number(side.remote.count[BACKEND_WRITE], 1, "then it is pushed");
	side_write(&side, 0, 1, 2);
	pass(250);
	tap_number(side.remote.count[BACKEND_WRITE], 1, "what was sent just now is not sent again before the interval");
	side_write(&side, 0, 1, 3);
	pass(600);
	tap_number(side.remote.count[BACKEND_WRITE], 2, "but then, once");
	tap_number(side.remote.seen[0], 3, "as it is then");
	end(&side);
}

static void test_interval(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side.policy.push_interval = 300;
	for (uint32_t i = 0; i < 40; i++) {
		side_write(&side, i, 1, i + 1);
		pass(10);
	}
	tap_ok(side.remote.count[BACKEND_WRITE], "who never pauses is pushed after the interval");
	end(&side);
}

static void test_much(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side.policy.max_unpushed = 80 * PAGE;
	side_write(&side, 0, 9, 1);
	pass(10);
	tap_number(side.remote.nr + side.remote.count[BACKEND_WRITE], 0, "a little waits");
	side_write(&side, 9, 1, 2);
	pass(10);
	tap_is(side.remote.trace, "W0+10=1 S ", "much is pushed at once");
	end(&side);
}

static void test_soon(void)
{
	struct side side;

	begin(&side, false, 1024, false);
	side_write(&side, 0, 1, 1);
	pass(100);
	tap_is(side.remote.trace, "W0+1=1 S ", "where fsync waits for the source, a short pause will do");
	side_write(&side, 0, 256, 2);
	pass(10);
	tap_number(side.remote.seen[200], 2, "or a MiB");
	end(&side);
}

static void test_rest(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side_write(&side, 0, 1, 1);
	pass(10);
	tap_ok(!side.remote.count[BACKEND_WRITE] && !pusher_stats(side.pusher)->stopped, "it has time");
	pusher_rest(side.pusher, true);
	pass(20);
	tap_ok(side.remote.seen[0] == 1 && pusher_stats(side.pusher)->stopped, "it drains, and rests");
	pusher_rest(side.pusher, false);
	tap_ok(!pusher_stats(side.pusher)->stopped, "and gets up again");
	end(&side);
}

/* ---- bounds ---- */

static void pretend(struct side *side, uint64_t unpushed)
{
	side->store.pretend = unpushed;
	pusher_kick(side->pusher);
	pass(120);
}

static void test_limit(void)
{
	struct side side;
	uint64_t most = 64ull << 20, first, second, began;

	begin(&side, true, 64, false);
	side.policy.max_unpushed = most;
	side.remote.state = REMOTE_AWAY;
	pretend(&side, most / 2);
	tap_number(side.limits, 0, "half full: no limit");
	pretend(&side, most / 4 * 3);
	first = side.limit;
	tap_number((long long)first, (long long)most / 40, "with the source away the room lasts ten seconds");
	pretend(&side, most / 8 * 7);
	second = side.limit;
	tap_ok(second < first && second > 4096, "less room, less speed");
	pretend(&side, most + 5);
	tap_number((long long)side.limit, 4096, "at the bound they all but stand");
	pretend(&side, most / 10 * 7);
	tap_ok(side.limit > second, "with more room they are faster again");
	pretend(&side, most / 10 * 6);
	tap_ok(side.limits == 5 && !side.limit, "and below two thirds free");
	pretend(&side, most);
	side.limits = 0;
	began = loop_now_ns();
	for (int i = 0; i < 10; i++) {
		side.store.pretend = i % 2 ? most : most / 10 * 9;
		pusher_kick(side.pusher);
		pass(15);
	}
	tap_ok(side.limits <= 1 + (loop_now_ns() - began) / 100000000, "it is not told more than every 100 ms");
	end(&side);
}

/* All of it is of the generation that is open: the bound holds whether or not it can be closed. */
static void test_limit_open(void)
{
	struct side side;

	begin(&side, true, 4096, false);
	side.policy.max_unpushed = 1024 * PAGE;
	side.remote.state = REMOTE_AWAY;
	side_write(&side, 0, 700, 1);
	store_gen_oldest(&side.store)->pending++;
	side_write(&side, 700, 700, 2);
	pass(250);
	tap_number((long long)side.limit, 4096, "one generation that is not whole brings writers to a stand");
	store_gen_oldest(&side.store)->pending--;
	side.remote.state = REMOTE_UP;
	pusher_kick(side.pusher);
	pass(250);
	tap_ok(!side.limit && !pusher_stats(side.pusher)->unpushed, "once it is pushed they run again");
	end(&side);
}

static void test_limit_close(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side.policy.max_unpushed = 64u << 20;
	pretend(&side, 64u << 20);
	tap_ok(side.limit, "(there is a limit)");
	side_close(&side);
	tap_number((long long)side.limit, 0, "a pusher that ends leaves no limit behind");
	side.store.pretend = 0;
	side_free(&side);
}

/* ---- far sources ---- */

/* 200 fsyncs a second, 100 ms away: only many generations at once keep up. */
static void test_fsyncs(void)
{
	struct side side;
	uint64_t most = 0, late, began;

	begin(&side, true, 64, true);
	side.remote.trip = 100;
	side.policy.push_interval = 1000;
	began = loop_now_ns();
	for (uint32_t i = 0; i < 800; i++) {
		side_write(&side, i % 16, 1, i + 1);
		barriers_close(&barriers);
		if (i == 400)
			most = 0;
		pass(4);
		most = pusher_stats(side.pusher)->unpushed > most ? pusher_stats(side.pusher)->unpushed : most;
		late = pusher_stats(side.pusher)->oldest_ns / 1000000;
	}
	tap_ok(most < 400 * PAGE && late < 2500, "constant fsyncs are pushed many at a time: %llu pages unpushed at most, the oldest for %llu ms",
	       (unsigned long long)most / PAGE, (unsigned long long)late);
	/* it takes 3200 ms at least, and longer on a machine that has much else to do */
	tap_ok(side.remote.count[BACKEND_PUBLISH] < (loop_now_ns() - began) / 200000000, "in %u runs", side.remote.count[BACKEND_PUBLISH]);
	side.remote.trip = 0;
	pass(300);
	end(&side);
}

/* Never a pause, never much, never an fsync. */
static void test_trickle(void)
{
	struct side side;
	uint64_t oldest = 0, stood = 0, began;

	begin(&side, true, 64, true);
	side.policy.push_interval = 300;
	for (uint32_t i = 0; i < 150; i++) {
		side_write(&side, i % 8, 1, i + 1);
		began = loop_now_ns();
		pass(8);
		stood = loop_now_ns() - began > stood ? loop_now_ns() - began : stood;
		oldest = pusher_stats(side.pusher)->oldest_ns > oldest ? pusher_stats(side.pusher)->oldest_ns : oldest;
	}
	/* the timer, and each step of a push, may come as late as any pause was long */
	tap_ok(oldest < 400000000 + 4 * (stood - 8000000), "a trickle is pushed at push_interval: the oldest was unpushed for %llu ms",
	       (unsigned long long)oldest / 1000000);
	end(&side);
}

/* ---- all pushers of a process ---- */

#define CROWD 400u
#define CROWD_PAGES 128u

static struct side crowd[CROWD];

static uint64_t crowd_bytes(unsigned int *calls, const struct waiter *waiters)
{
	uint64_t bytes = 0;

	*calls = 0;
	for (unsigned int i = 0; i < CROWD; i++) {
		bytes += pusher_stats(crowd[i].pusher)->in_flight;
		*calls += waiters[i].calls;
	}
	return bytes;
}

static void test_crowd(void)
{
	struct waiter waiters[CROWD];
	unsigned int calls;
	uint64_t bytes;

	for (unsigned int i = 0; i < CROWD; i++) {
		side_setup(&crowd[i], NULL, CROWD_PAGES, false);
		side_open(&crowd[i], i + 1);
		crowd[i].remote.hold = true;
		side_write(&crowd[i], 0, CROWD_PAGES, 1);
		flush_start(&crowd[i], &waiters[i]);
	}
	pass(300);
	bytes = crowd_bytes(&calls, waiters);
	tap_ok(bytes > PUSHERS_MAX / 2 && bytes <= PUSHERS_MAX + CROWD * WINDOW_UNIT_MIN, "400 regions have %llu MiB in memory together",
	       (unsigned long long)bytes >> 20);
	for (unsigned int i = 0; i < CROWD; i++)
		remote_release(&crowd[i].remote);
	for (int n = 0; n < 12000 && calls < CROWD; n++) {
		pass(5);
		crowd_bytes(&calls, waiters);
	}
	tap_number(calls, CROWD, "each of them gets on");
	for (unsigned int i = 0; i < CROWD; i++) {
		side_close(&crowd[i]);
		side_free(&crowd[i]);
	}
}

static void test_demand(void)
{
	struct side side;
	struct waiter waiter;
	uint32_t version = 0;
	int error;

	begin(&side, true, 32768, false);
	pusher_demand_begin(side.pusher);
	/* so short that on any machine no more than one request may be in a miss's way */
	pusher_demand_end(side.pusher, 4096, 1000);
	/* it begins with some round trips, of which one flush has not enough where answers come many at a time */
	do {
		side_write(&side, 0, 8000, ++version);
		error = flush(&side);
	} while (!error && side.pusher->window.starting && version < 100);
	tap_number(error, 0, "(its window knows the path)");
	side_write(&side, 0, 8000, ++version);
	side.remote.trip = 20;
	pusher_demand_begin(side.pusher);
	flush_start(&side, &waiter);
	pass(200);
	tap_ok(pusher_stats(side.pusher)->in_flight <= WINDOW_UNIT_MIN, "while a program waits for a miss little is under way (%llu KiB)",
	       (unsigned long long)pusher_stats(side.pusher)->in_flight >> 10);
	pusher_demand_end(side.pusher, 4096, 1000);
	side.remote.trip = 0;
	for (int i = 0; i < 60000 && !waiter.calls; i++)
		pass(1);
	tap_ok(waiter.calls == 1 && !waiter.error, "afterwards all goes on");
	end(&side);
}

static void test_sizes(void)
{
	struct side side;
	struct waiter waiter;

	begin(&side, true, 32768, false);
	side.remote.caps.chunk = 64u << 10;
	side.remote.caps.max_request = 100 * PAGE;
	side.remote.caps.parallel = 8;
	side_write(&side, 3, 32000, 1);
	side.remote.trip = 5;
	flush_start(&side, &waiter);
	pass(50);
	tap_ok(side.remote.nr && side.remote.nr <= 8, "no more at once than makes sense to the source (%u)", side.remote.nr);
	side.remote.caps.parallel = 0;
	side.remote.trip = 0;
	for (int i = 0; i < 60000 && !waiter.calls; i++)
		pass(5);
	tap_number(waiter.calls, 1, "125 MiB arrive");
	tap_ok(side.remote.longest <= 100 * PAGE, "no request is longer than the source takes");
	tap_ok(side.remote.most_bytes <= WINDOW_MAX, "nor is more under way than WINDOW_MAX");
	tap_ok(!memcmp(side.remote.trace, "W3+13=1 ", 8), "they end between chunks");
	tap_ok(side.remote.seen[3] == 1 && side.remote.seen[32002] == 1 && !side.remote.seen[32003], "all of it, and no more");
	end(&side);
}

static void test_waiters(void)
{
	struct side side;
	struct waiter first, second, third, none;

	begin(&side, true, 64, false);
	flush_start(&side, &none);
	tap_number(none.calls, 0, "who waits for nothing is not called from within");
	pass(5);
	tap_ok(none.calls == 1 && !none.error, "but soon");
	side.remote.hold = true;
	side_write(&side, 0, 1, 1);
	flush_start(&side, &first);
	side_write(&side, 1, 1, 2);
	flush_start(&side, &second);
	flush_start(&side, &third);
	pusher_unwait(&third.wait);
	pass(10);
	tap_number((long long)second.wait.gen, (long long)first.wait.gen + 1, "each waits for what was before it");
	remote_release(&side.remote);
	pass(50);
	tap_ok(first.calls == 1 && second.calls == 1 && !third.calls, "all are called, but who gave up");
	end(&side);
}

static void sum(void *arg, uint64_t offset, uint64_t length)
{
	*(uint64_t *)arg += length;
}

static void test_close(bool with_barriers)
{
	struct side side;
	struct waiter waiter;
	uint64_t going = 0;

	begin(&side, with_barriers, 64, false);
	side.remote.hold = true;
	side_write(&side, 0, 2, 1);
	flush_start(&side, &waiter);
	pass(10);
	pusher_each(side.pusher, sum, &going);
	tap_number((long long)going, 2 * PAGE, "what is being sent is told");
	tap_number((long long)pusher_stats(side.pusher)->in_flight, 2 * PAGE, "also in numbers");
	pusher_close(side.pusher, side_closed, &side);
	pass(10);
	tap_ok(waiter.calls == 1 && waiter.error == -ESHUTDOWN, "who waits is told that it closes");
	tap_ok(!side.closed, "it stays while a request is under way");
	remote_release(&side.remote);
	pass(10);
	tap_ok(side.closed && store_gen_oldest(&side.store), "then it is gone, and what was not noted is still in the store");
	barriers_forget(&barriers, 1);
	side_free(&side);
}

int main(void)
{
	if (loop_open(&loop, 0))
		return EXIT_FAILURE;
	test_quiet_and_hot();
	test_interval();
	test_much();
	test_soon();
	test_rest();
	test_limit();
	test_limit_open();
	test_limit_close();
	test_fsyncs();
	test_trickle();
	test_crowd();
	test_demand();
	test_sizes();
	test_waiters();
	test_close(true);
	test_close(false);
	loop_close(loop);
	return tap_end();
}

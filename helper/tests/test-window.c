// SPDX-License-Identifier: GPL-2.0
/* The window against a simulated path, in virtual time: a link with a rate, a round trip and a queue, and misses that share it. */
#include "tap.h"
#include "window.h"

#define MS	1000000ULL
#define SECOND	1000000000ULL
#define EVENTS	4096

/* ---- the path: all goes through one queue, in order ---- */

enum kind { PULLED, MISSED, WOKEN };

struct event {
	uint64_t at;
	enum kind kind;
	struct window_mark mark;
};

static struct sim {
	struct window window;
	struct event events[EVENTS];
	unsigned int nr;
	uint64_t now, link_free;
	uint64_t rate, rtt, queue;		/* bytes a second, ns, bytes */
	uint64_t jitter;			/* ns: a store whose answers take up to so much longer, each for itself */
	uint32_t miss;				/* length; 0: there are none */
	uint64_t think;				/* ns between them */
	uint64_t missed_at;
	bool miss_under_way, no_pull, down;
	/* results since sim_measure() */
	uint64_t from, pulled, misses, miss_time, drops, max_flight, max_queue, seed;
} sim;

static void event_add(uint64_t at, enum kind kind, struct window_mark mark)
{
	if (sim.nr == EVENTS)
		exit(99);
	sim.events[sim.nr++] = (struct event){ .at = at, .kind = kind, .mark = mark };
}

static struct event event_take(void)
{
	unsigned int first = 0;
	struct event event;

	for (unsigned int i = 1; i < sim.nr; i++)
		if (sim.events[i].at < sim.events[first].at)
			first = i;
	event = sim.events[first];
	sim.events[first] = sim.events[--sim.nr];
	return event;
}

static uint64_t random_below(uint64_t max)
{
	sim.seed = sim.seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return max ? (sim.seed >> 33) % max : 0;
}

/* When the answer to a request that is sent now has come. What the queue does not hold comes a round trip later, as TCP has it. */
static uint64_t answered(uint32_t bytes)
{
	uint64_t arrival = sim.now + sim.rtt / 2, start = sim.link_free > arrival ? sim.link_free : arrival;
	uint64_t queued = (start - arrival) * sim.rate / SECOND;
	bool lost = sim.queue && queued + bytes > sim.queue;

	sim.drops += lost;
	sim.max_queue = queued > sim.max_queue ? queued : sim.max_queue;
	sim.link_free = start + bytes * SECOND / sim.rate;
	return sim.link_free + sim.rtt / 2 + (lost ? sim.rtt : 0) + random_below(sim.jitter);
}

/* ---- the puller and a program ---- */

static void pull(void)
{
	uint32_t bytes;

	while (!sim.no_pull && (bytes = window_room(&sim.window, sim.now))) {
		struct window_mark mark;

		window_sent(&sim.window, sim.now, bytes, &mark);
		event_add(sim.down ? sim.now + 50 * MS : answered(bytes), PULLED, mark);
		if (sim.window.in_flight > sim.max_flight)
			sim.max_flight = sim.window.in_flight;
	}
}

static void miss_event(void)
{
	if (!sim.miss_under_way) {
		window_demand_begin(&sim.window, sim.now);
		sim.missed_at = sim.now;
		event_add(answered(sim.miss), MISSED, (struct window_mark){});
	} else {
		window_demand_end(&sim.window, sim.now, sim.miss, sim.now - sim.missed_at);
		sim.misses++;
		sim.miss_time += sim.now - sim.missed_at;
		event_add(sim.now + sim.think, MISSED, (struct window_mark){});
	}
	sim.miss_under_way = !sim.miss_under_way;
}

static void step(void)
{
	struct event event = event_take();
	uint64_t wake;

	sim.now = event.at;
	if (event.kind == PULLED) {
		window_done(&sim.window, sim.now, &event.mark, sim.down);
		sim.pulled += sim.down ? 0 : event.mark.bytes;
	} else if (event.kind == MISSED && sim.miss) {
		miss_event();
	}
	pull();
	wake = window_wake(&sim.window, sim.now);
	if (wake && (event.kind != WOKEN || sim.nr < 2))
		event_add(wake, WOKEN, (struct window_mark){});
}

static void run(uint64_t ns)
{
	uint64_t end = sim.now + ns;

	pull();
	while (sim.nr && sim.now < end)
		step();
}

static void measure(uint64_t ns)
{
	sim.pulled = sim.misses = sim.miss_time = sim.drops = sim.max_flight = sim.max_queue = 0;
	sim.from = sim.now;
	run(ns);
}

static void begin(uint64_t rate, uint64_t rtt_ms)
{
	uint64_t path = rate * rtt_ms / 1000;

	memset(&sim, 0, sizeof(sim));
	sim.now = SECOND;
	sim.rate = rate;
	sim.rtt = rtt_ms * MS;
	sim.queue = 2 * path > (256 << 10) ? 2 * path : 256 << 10;
	window_init(&sim.window, 1 << 20, sim.now);
}

static double used(void)
{
	return (double)sim.pulled / ((double)(sim.now - sim.from) / SECOND) / (double)sim.rate;
}

static double mean_miss_ms(void)
{
	return sim.misses ? (double)sim.miss_time / (double)sim.misses / MS : 0;
}

/* ---- the tests ---- */

#define LINK 25000000u	/* 200 mbit */
static const unsigned int rtts[] = { 0, 1, 6, 14, 30, 100 };
#define NR_RTTS (sizeof(rtts) / sizeof(*rtts))

static void test_alone(unsigned int rtt)
{
	uint64_t path = LINK * (uint64_t)rtt / 1000;

	begin(LINK, rtt);
	run(8 * rtt * MS + 40 * MS);
	measure(SECOND);
	tap_ok(used() >= 0.85, "RTT %u: after 8 round trips the link is used by %.0f %%", rtt, used() * 100);
	measure(30 * SECOND);
	tap_ok(used() >= 0.95, "RTT %u: in half a minute by %.1f %%", rtt, used() * 100);
	tap_ok(sim.drops * 2000 < sim.pulled >> 16, "RTT %u: the queue hardly ever overflows (%llu)", rtt, (unsigned long long)sim.drops);
	tap_ok(sim.max_queue <= path + (512 << 10), "RTT %u: it is at most %llu KiB long", rtt,
	       (unsigned long long)sim.max_queue >> 10);
	tap_ok(sim.max_flight <= WINDOW_MAX, "RTT %u: at most %llu KiB in flight", rtt, (unsigned long long)sim.max_flight >> 10);
}

/* misses of so many bytes, one after another, alone and with the pull */
static void test_misses(unsigned int rtt, uint32_t bytes, uint64_t think)
{
	double alone;

	begin(LINK, rtt);
	sim.no_pull = true;
	sim.miss = bytes;
	sim.think = think;
	miss_event();
	measure(2 * SECOND);
	alone = mean_miss_ms();
	begin(LINK, rtt);
	run(2 * SECOND);
	sim.miss = bytes;
	sim.think = think;
	miss_event();
	run(SECOND);
	measure(10 * SECOND);
	tap_ok(mean_miss_ms() <= 1.5 * alone, "RTT %u: a miss of %u KiB takes %.2f ms, alone %.2f ms", rtt, bytes >> 10,
	       mean_miss_ms(), alone);
	tap_ok(used() >= (rtt >= 30 ? 0.75 : 0.1), "RTT %u: the pull goes on with %.0f %% of the link", rtt, used() * 100);
	while (sim.miss_under_way)
		step();
	sim.miss = 0;
	run(3 * SECOND);
	measure(SECOND);
	tap_ok(used() >= 0.85, "RTT %u: and has it all when they have ended (%.0f %%)", rtt, used() * 100);
}

/* Misses are there from the first moment on. */
static void test_misses_first(unsigned int rtt)
{
	begin(LINK, rtt);
	sim.miss = 4096;
	miss_event();
	run(3 * SECOND);
	measure(3 * SECOND);
	tap_ok(used() >= 0.75, "RTT %u: a pull that begins amid misses finds its rate (%.0f %%)", rtt, used() * 100);
}

/* A pusher has now one page to send, now much; programs may have a miss, or something be fetched, in between. */
static void test_little(unsigned int rtt, bool misses)
{
	begin(LINK, rtt);
	for (unsigned int i = 0; i < 40; i++) {
		struct window_mark mark;

		window_sent(&sim.window, sim.now, 4096, &mark);
		sim.now = answered(4096);
		window_done(&sim.window, sim.now, &mark, false);
		sim.now += 20 * MS;
		if (!misses)
			continue;
		window_demand_begin(&sim.window, sim.now);
		window_demand_end(&sim.window, sim.now + rtt * MS, 4096, rtt * MS);
		window_others(&sim.window, 65536);
	}
	sim.now += 10 * SECOND;
	run(8 * rtt * MS + 40 * MS);
	measure(SECOND);
	tap_ok(used() >= 0.85, "RTT %u: what was sent page by page shows nothing of the path, which is then used by %.0f %%", rtt,
	       used() * 100);
}

static void land(const struct window_mark *marks, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		sim.now = answered(marks[i].bytes);
		window_done(&sim.window, sim.now, &marks[i], false);
	}
}

/* Who never has enough to fill the path does not know what it can do, but gives way all the same. */
static void test_bursts(void)
{
	struct window_mark marks[64];
	uint64_t most = 0;

	begin(LINK / 20, 30);
	for (unsigned int burst = 0; burst < 60; burst++) {
		unsigned int n = 0;

		if (burst == 59)
			window_demand_begin(&sim.window, sim.now);
		for (uint64_t left = 200 << 10; left;) {
			uint32_t room = window_room(&sim.window, sim.now);

			if (room && n < 64) {
				room = room < left ? room : (uint32_t)left;
				window_sent(&sim.window, sim.now, room, &marks[n++]);
				left -= room;
			}
			most = burst == 59 && sim.window.in_flight > most ? sim.window.in_flight : most;
			if (room)
				continue;
			sim.now = window_wake(&sim.window, sim.now) ? window_wake(&sim.window, sim.now) : sim.now;
			land(marks, n);
			n = 0;
		}
		land(marks, n);
		sim.now += 200 * MS;
	}
	tap_ok(most <= 64 << 10, "short bursts give way to a miss (%llu KiB in flight)", (unsigned long long)most >> 10);
}

static void test_local(void)
{
	begin(2000000000u, 0);
	sim.rtt = MS / 10;
	sim.queue = 0;
	run(50 * MS);
	measure(SECOND);
	tap_ok(used() >= 0.95, "near: %.1f %% of 2 GB/s", used() * 100);
	tap_number(window_room(&sim.window, sim.now) ? 0 : sim.window.in_flight % WINDOW_UNIT_MAX, 0, "in requests as long as can be");
}

static void test_outage(void)
{
	begin(LINK, 30);
	run(2 * SECOND);
	sim.down = true;
	run(5 * SECOND);
	sim.down = false;
	run(SECOND / 2);
	measure(SECOND);
	tap_ok(used() >= 0.85, "after an outage that failed all, %.0f %%", used() * 100);
	tap_ok(sim.drops == 0, "and no flood");
	/* nothing fails, but all hangs, as over a session that comes back by itself */
	sim.link_free = sim.now + 20 * SECOND;
	run(22 * SECOND);
	measure(SECOND);
	tap_ok(used() >= 0.85, "after one that only held all up, %.0f %%", used() * 100);
}

static void test_change(void)
{
	begin(LINK, 30);
	run(3 * SECOND);
	sim.rate = LINK / 10;
	run(10 * SECOND);
	measure(10 * SECOND);
	tap_ok(used() >= 0.85, "a link of a tenth is used by %.0f %%", used() * 100);
	tap_ok(sim.max_queue <= LINK / 10 / 1000 * 30 + (256 << 10), "with a short queue (%llu KiB)",
	       (unsigned long long)sim.max_queue >> 10);
	sim.rate = LINK;
	run(3 * SECOND);
	measure(SECOND);
	tap_ok(used() >= 0.85, "the whole one again by %.0f %%", used() * 100);
	sim.rtt = 100 * MS;
	run(20 * SECOND);
	measure(SECOND);
	tap_ok(used() >= 0.85, "with a longer way by %.0f %%", used() * 100);
}

/* An object store: an answer takes 10 to 90 ms whatever else is asked for. */
static void test_store(void)
{
	begin(100000000u, 10);
	sim.jitter = 80 * MS;
	sim.queue = 0;
	run(20 * SECOND);
	measure(10 * SECOND);
	tap_ok(used() >= 0.8, "a store that is slow, but for many at once, gives %.0f %%", used() * 100);
}

static void test_bounds(void)
{
	begin(1000000000u, 1000);
	run(30 * SECOND);
	measure(SECOND);
	tap_ok(sim.max_flight <= WINDOW_MAX, "a path that holds a gigabyte has %llu KiB in flight",
	       (unsigned long long)sim.max_flight >> 10);
	window_init(&sim.window, 4096, sim.now);
	tap_number(window_room(&sim.window, sim.now), 4096, "no request is longer than the backend takes");
}

int main(void)
{
	for (unsigned int i = 0; i < NR_RTTS; i++)
		test_alone(rtts[i]);
	for (unsigned int i = 0; i < NR_RTTS; i++) {
		test_misses(rtts[i], 4096, 0);
		test_misses(rtts[i], 65536, MS);
	}
	test_misses_first(30);
	test_misses_first(100);
	for (unsigned int i = 0; i < NR_RTTS; i++) {
		test_little(rtts[i], false);
		test_little(rtts[i], true);
	}
	test_bursts();
	test_local();
	test_outage();
	test_change();
	test_store();
	test_bounds();
	return tap_end();
}

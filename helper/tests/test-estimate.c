// SPDX-License-Identifier: GPL-2.0
/* What a hand-over is thought to cost, when rounds get nowhere, and how slow writers have to be. */
#include "leecher-estimate.h"
#include "tap.h"

#define MS	1000000ULL
#define MIB	(1ULL << 20)

static struct estimate_figures figures(void)
{
	return (struct estimate_figures){
		.rtt = 10 * MS, .fetch_rate = 10 * MIB, .flush_rate = 100 * MIB, .chunk = 65536,
	};
}

static uint64_t downtime(const struct estimate_figures *of)
{
	struct estimate estimate;

	estimate_make(of, &estimate);
	return estimate.downtime;
}

static bool is_worth(const struct estimate_figures *of, uint64_t ms)
{
	struct estimate estimate;

	estimate_make(of, &estimate);
	return estimate_is_worth(&estimate, ms * MS);
}

static void test_downtime(void)
{
	struct estimate_figures of = figures();

	tap_number((long long)downtime(&of), 20 * MS, "with nothing dirty two round trips are all");
	of.unflushed = 10 * MIB;
	tap_ok(downtime(&of) >= 120 * MS && downtime(&of) < 121 * MS, "what is dirty in the page cache is written meanwhile");
	of.flush_rate = 0;
	tap_ok(downtime(&of) > 120 * MS, "as fast as usual where nobody knows");
	of = figures();
	of.hook = 500 * MS;
	tap_number((long long)downtime(&of), 520 * MS, "the suspend hook takes what it took");
	of = figures();
	of.dirty = 5000 * 65536ULL;
	tap_ok(downtime(&of) >= 40 * MS, "a list of 5000 chunks has two more parts");
	of = figures();
	of.missing = 1000 * MIB;
	tap_number((long long)downtime(&of), 20 * MS, "what is fetched behind stops nobody");
}

static void test_worth(void)
{
	struct estimate_figures of = figures();

	tap_ok(is_worth(&of, 300), "with nothing dirty it is worth it");
	of.dirty = 2 * MIB;
	tap_ok(is_worth(&of, 300), "200 ms of the link are less than 300");
	of.dirty = 4 * MIB;
	tap_ok(!is_worth(&of, 300), "400 ms are not");
	tap_ok(is_worth(&of, 500), "but less than 500");
	of.missing = 4 * MIB;
	tap_ok(!is_worth(&of, 500), "what has not come yet counts as well");
	of = figures();
	of.rtt = 400 * MS;
	tap_ok(is_worth(&of, 300), "a path that takes longer than that by itself never gets better");
	of.dirty = MIB;
	tap_ok(!is_worth(&of, 300), "unless there is still much to come");
	of.fetch_rate = MIB / 8;
	of.dirty = 3 * 65536;
	tap_ok(is_worth(&of, 300), "a few chunks are not, however slow the link");
	of.fetch_rate = 0;
	of.rtt = 0;
	of.dirty = MIB;
	tap_ok(is_worth(&of, 300), "nothing measured yet: a little is fetched soon");
}

static void test_stalls(void)
{
	struct estimate_trend trend = { 0 };

	tap_ok(!estimate_stalls(&trend, 100 * MIB, MIB), "the first round says nothing");
	tap_ok(!estimate_stalls(&trend, 50 * MIB, MIB), "a smaller one is on its way");
	tap_ok(!estimate_stalls(&trend, 50 * MIB, MIB), "one that is not smaller may be chance");
	tap_ok(estimate_stalls(&trend, 49 * MIB, MIB), "two are not");
	tap_ok(estimate_stalls(&trend, 60 * MIB, MIB), "nor are more");
	tap_ok(!estimate_stalls(&trend, 20 * MIB, MIB), "until one is smaller again");
	tap_ok(!estimate_stalls(&trend, MIB, MIB) && !estimate_stalls(&trend, MIB, MIB) && !estimate_stalls(&trend, MIB, MIB),
	       "so little is fine, always");
}

/* What a program changes, that goes round and round in its set, at a part of the link's rate; in which round a stall is seen, 0: in none. */
static unsigned int stalls_in(double part, uint64_t set, uint64_t region)
{
	const uint64_t rate = 10 * MIB, second = 1000000000;
	struct estimate_curve curve = { .nr = 0 };
	struct estimate_trend trend = { 0 };
	double took = (double)region / (double)rate;
	uint64_t bytes = 0;

	for (double at = 1; at <= took; at++)
		estimate_curve_note(&curve, (uint64_t)at * second, (uint64_t)(at * (double)rate * part) < set ? (uint64_t)(at * (double)rate * part) : set);
	for (unsigned int round = 1; round < 20; round++) {
		bytes = (uint64_t)(took * (double)rate * part) < set ? (uint64_t)(took * (double)rate * part) : set;
		took = (double)bytes / (double)rate;
		if (estimate_stalls(&trend, bytes, MIB / 4))
			return round;
		if (round == 1)
			estimate_foresee(&trend, bytes, MIB / 4, estimate_curve_at(&curve, (uint64_t)(took * (double)second)));
	}
	return 0;
}

/* 200 MiB came at 10 MiB a second, and half as much was changed in the first five seconds, all of it in ten. */
static void test_confirms(void)
{
	const uint64_t rate = 10 * MIB, second = 1000000000;
	struct estimate_curve curve = { .nr = 0 }, burst = { .nr = 0 };
	struct estimate_trend trend = { 0 };

	for (uint64_t at = 1; at <= 20; at++)
		estimate_curve_note(&curve, at * second, at < 10 ? at * 20 * MIB : 200 * MIB);
	tap_ok(!estimate_confirms(&trend, &curve, rate, 5 * second, 200 * MIB), "before the first round nothing can be confirmed");
	estimate_stalls(&trend, 200 * MIB, MIB);
	tap_ok(!estimate_confirms(&trend, &curve, rate, 6 * second, 200 * MIB), "nor in it, when nothing bad was foreseen");
	estimate_foresee(&trend, 200 * MIB, MIB, estimate_curve_at(&curve, 20 * second));
	tap_ok(!estimate_confirms(&trend, &curve, rate, 4 * second, 80 * MIB), "in less than a quarter of it it is too early");
	tap_ok(!estimate_confirms(&trend, &curve, rate, 6 * second, 60 * MIB), "a program that has become slower may be caught up with");
	tap_ok(estimate_confirms(&trend, &curve, rate, 6 * second, 120 * MIB), "one that goes on as it did is not");
	for (uint64_t at = 1; at <= 20; at++)
		estimate_curve_note(&burst, at * second, at < 18 ? at * MIB / 16 : 200 * MIB);
	tap_ok(!estimate_confirms(&trend, &burst, rate, 6 * second, 6 * MIB / 16), "one that had a burst at the end of the pull, and changes a little since, may be caught up with");
	estimate_stalls(&trend, 200 * MIB, MIB);
	tap_ok(!estimate_confirms(&trend, &curve, rate, 6 * second, 200 * MIB), "later rounds are compared with each other");
}

static void test_foresee(void)
{
	struct estimate_curve curve = { .nr = 0 };
	struct estimate_trend trend = { 0 };

	tap_ok(!estimate_curve_at(&curve, 1000), "of no pull nothing is known");
	for (uint64_t i = 1; i <= 10000; i++)
		estimate_curve_note(&curve, i * 1000, i * 10);
	tap_ok(curve.nr <= ESTIMATE_SAMPLES && curve.nr >= ESTIMATE_SAMPLES / 4, "of a long one some is forgotten: %u samples", curve.nr);
	tap_number((long long)estimate_curve_at(&curve, 5000000), 50000, "but not the course of it");
	tap_number((long long)estimate_curve_at(&curve, 100), 1, "from its beginning");
	tap_ok(estimate_curve_at(&curve, 1000000000) >= 95000, "to its end");
	tap_number(stalls_in(1.5, 20 * MIB, 200 * MIB), 2, "who changes a set faster than the link is seen in the second round");
	tap_number(stalls_in(1.5, 400 * MIB, 200 * MIB), 2, "or all of it");
	tap_number(stalls_in(0.5, 20 * MIB, 200 * MIB), 0, "who is half as fast is not");
	tap_number(stalls_in(0.5, 400 * MIB, 200 * MIB), 0, "in a large set neither");
	tap_number(stalls_in(0.8, 100 * MIB, 200 * MIB), 0, "nor who is nearly as fast");
	test_confirms();
	tap_ok(!estimate_stalls(&trend, 50 * MIB, MIB), "where the first round");
	estimate_foresee(&trend, 50 * MIB, MIB, 50 * MIB);
	tap_ok(!estimate_stalls(&trend, 25 * MIB, MIB) && !estimate_stalls(&trend, 25 * MIB, MIB), "promises badly, and the second is smaller, nothing is kept of that");
}

/* A program that would write so many bytes a second, each of which dirties some more. */
static uint64_t rounds_of(uint64_t writes, uint64_t factor, uint64_t fetch, unsigned int *rounds)
{
	struct estimate_trend trend = { 0 };
	uint64_t throttle = 0, bytes = 100 * MIB;

	for (*rounds = 0; bytes > MIB / 4 && *rounds < 100; ++*rounds) {
		uint64_t pace = throttle && throttle < writes ? throttle : writes;
		double seconds = (double)bytes / (double)fetch + 0.1;
		bool stalls;

		bytes = (uint64_t)((double)(pace * factor) * seconds);
		stalls = estimate_stalls(&trend, bytes, MIB / 4);
		if (stalls || throttle)
			throttle = estimate_throttle(throttle, fetch, pace * factor, stalls);
	}
	return throttle;
}

static void test_throttle(void)
{
	unsigned int rounds;
	uint64_t rate;

	rate = rounds_of(MIB, 1, 10 * MIB, &rounds);
	tap_ok(!rate && rounds < 6, "a program that the link can follow is let alone");
	rate = rounds_of(40 * MIB, 1, 10 * MIB, &rounds);
	tap_ok(rate > MIB && rate <= 5 * MIB && rounds < 40, "one that is too fast is slowed to what halves each round (%u rounds)", rounds);
	rate = rounds_of(40 * MIB, 16, 10 * MIB, &rounds);
	tap_ok(rate && rate < MIB && rounds < 60, "further where each byte dirties sixteen (%u rounds)", rounds);
	tap_number((long long)estimate_throttle(8 * MIB, 20 * MIB, MIB, false), 10 * MIB, "it gets some back when there is room");
	tap_number((long long)estimate_throttle(4096, 20 * MIB, 1000 * MIB, true), ESTIMATE_RATE_LEAST, "never none at all");
	tap_number((long long)estimate_throttle(0, 0, 0, true), ESTIMATE_FETCH_RATE / 2, "without figures something is assumed");
}

static void test_rate(void)
{
	uint64_t rate = 0;

	estimate_rate_note(&rate, MIB, 1000 * MS);
	tap_number((long long)rate, MIB, "the first figure counts whole");
	estimate_rate_note(&rate, 3 * MIB, 1000 * MS);
	tap_number((long long)rate, 2 * MIB, "the next ones half");
	estimate_rate_note(&rate, MIB, 0);
	tap_ok(rate > MIB, "no time at all is survived");
	tap_number((long long)estimate_bytes(10 * MIB, 500 * MS), 5 * MIB, "how much comes in some time");
}

int main(void)
{
	test_downtime();
	test_worth();
	test_stalls();
	test_foresee();
	test_throttle();
	test_rate();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* The order in which the members of a domain may push; what it makes of what is seen is test-push-order's. */
#include <stdint.h>
#include <stdlib.h>

#include "../barrier.h"
#include "../loop.h"
#include "tap.h"

struct member {
	struct barrier_member member;
	uint64_t oldest;
	unsigned int told;
};

static uint64_t oldest(struct barrier_member *member)
{
	return container_of(member, struct member, member)->oldest;
}

static void go(struct barrier_member *member)
{
	container_of(member, struct member, member)->told++;
}

static void set(struct member *member, uint64_t to)
{
	member->oldest = to;
	barriers_changed(&member->member);
}

static void join(struct barriers *barriers, struct member *member, uint64_t key, uint64_t first)
{
	*member = (struct member){ .member = { .oldest = oldest, .go = go, .key = key }, .oldest = first };
	barriers_join(barriers, &member->member);
}

static void test_generations(void)
{
	struct barriers barriers;

	barriers_init(&barriers);
	tap_number((long long)barriers_gen(&barriers), 1, "the first generation is 1");
	tap_number((long long)barriers_close(&barriers), 1, "closing it says so");
	tap_number((long long)barriers_gen(&barriers), 2, "and opens the next one");
	barriers_recovered(&barriers, 9);
	barriers_recovered(&barriers, 4);
	tap_number((long long)barriers_gen(&barriers), 10, "recovered ones are closed");
}

static void test_alone(void)
{
	struct barriers barriers;
	struct member a;

	barriers_init(&barriers);
	join(&barriers, &a, 1, 1);
	tap_ok(!barriers_may_push(&a.member, 1), "an open generation may not be pushed");
	barriers_close(&barriers);
	barriers_close(&barriers);
	tap_ok(barriers_may_push(&a.member, 2), "alone, all that is closed may be published at once");
	barriers_leave(&a.member);
	barriers_forget(&barriers, 1);
}

static void test_two(void)
{
	struct barriers barriers;
	struct member a, b;

	barriers_init(&barriers);
	barriers_recovered(&barriers, 9);
	join(&barriers, &a, 1, 3);
	join(&barriers, &b, 2, 5);
	tap_number((long long)barriers_limit(&a.member), 5, "the older one may go up to where the other one has something");
	tap_ok(!barriers_may_push(&b.member, 5), "the newer one waits");
	tap_ok(barriers_may_push(&a.member, 3), "the older one may push");
	set(&a, 4);
	tap_number(b.told, 0, "who waits is not told before it may");
	set(&a, 5);
	tap_number(b.told, 1, "but then");
	tap_number(a.told, 0, "who doesn't is not");
	tap_ok(barriers_may_push(&a.member, 5) && barriers_may_push(&b.member, 5), "the same one may be pushed by both at once");
	tap_ok(!barriers_may_push(&a.member, 6), "but the next one by none before both have");
	set(&b, UINT64_MAX);
	tap_ok(barriers_may_push(&a.member, 9), "with nothing elsewhere there is no limit");
	set(&b, 7);
	tap_ok(barriers_may_push(&a.member, 9), "leave that was given stays, whatever gets late into its generation");
	barriers_leave(&a.member);
	barriers_leave(&b.member);
	barriers_forget(&barriers, 1);
	barriers_forget(&barriers, 2);
}

static void test_want(void)
{
	struct barriers barriers;
	struct member a, b, c;

	barriers_init(&barriers);
	barriers_recovered(&barriers, 9);
	join(&barriers, &a, 1, 6);
	join(&barriers, &b, 2, 5);
	join(&barriers, &c, 3, 6);
	barriers_want(&a.member, 6);
	tap_ok(b.told == 1 && !c.told && !a.told, "who has something older is asked to push it, and nobody else");
	barriers_want(&a.member, 6);
	tap_number(b.told, 1, "once");
	set(&b, UINT64_MAX);
	set(&a, UINT64_MAX);
	set(&c, UINT64_MAX);
	barriers_leave(&a.member);
	barriers_leave(&b.member);
	barriers_leave(&c.member);
}

static void test_absent(void)
{
	struct barriers barriers;
	struct member a, b;

	barriers_init(&barriers);
	barriers_recovered(&barriers, 9);
	barriers_hold(&barriers);
	join(&barriers, &a, 1, 6);
	tap_ok(!barriers_may_push(&a.member, 6), "while stores are still to be opened nobody may push");
	join(&barriers, &b, 2, 4);
	barriers_release(&barriers);
	tap_ok(!a.told && !barriers_may_push(&a.member, 6), "afterwards what they had counts");
	tap_number((long long)barriers_holder(&a.member), 2, "who waits knows for whom");
	barriers_leave(&b.member);
	tap_number((long long)barriers_holder(&a.member), 2, "also for one that left");
	tap_ok(!barriers_may_push(&a.member, 6), "one that was closed with changes in it holds the others back");
	join(&barriers, &b, 2, UINT64_MAX);
	tap_ok(barriers_may_push(&a.member, 6), "until it is open again");
	tap_number((long long)barriers_holder(&a.member), 0, "(and nobody holds it)");
	set(&b, 7);
	set(&a, 8);
	barriers_leave(&b.member);
	tap_ok(!barriers_may_push(&a.member, 8), "(it is closed again)");
	a.told = 0;
	barriers_forget(&barriers, 2);
	tap_ok(a.told == 1 && barriers_may_push(&a.member, 8), "or gone for good");
	set(&a, UINT64_MAX);
	barriers_leave(&a.member);
	tap_ok(list_empty(&barriers.left), "who leaves with nothing leaves nothing");
}

/* ---- many ---- */

#define MANY 10000u

static struct member many[MANY];

static unsigned int all_told(void)
{
	unsigned int told = 0;

	for (unsigned int i = 0; i < MANY; i++) {
		told += many[i].told;
		many[i].told = 0;
	}
	return told;
}

/* Each round is a generation of which every member has a share. */
static void test_many(void)
{
	struct barriers barriers;
	unsigned int told = 0, wrong = 0;
	uint64_t began = loop_now_ns();

	barriers_init(&barriers);
	barriers_recovered(&barriers, 30);
	for (unsigned int i = 0; i < MANY; i++)
		join(&barriers, &many[i], i + 1, 1);
	for (uint64_t gen = 1; gen < 20; gen++)
		for (unsigned int i = 0; i < MANY; i++) {
			wrong += !barriers_may_push(&many[i].member, gen);
			set(&many[i], gen + 1);
			wrong += barriers_may_push(&many[i].member, gen + 1) != (i == MANY - 1);
			told += i == MANY - 1 ? all_told() : 0;
		}
	tap_number(wrong, 0, "10,000 members go through 20 generations in order");
	tap_number(told, 19 * (MANY - 1), "each is told once for each");
	tap_ok(loop_now_ns() - began < 2000000000, "in no time (%llu ms)", (unsigned long long)(loop_now_ns() - began) / 1000000);
	for (unsigned int i = 0; i < MANY; i++) {
		many[i].oldest = UINT64_MAX;
		barriers_leave(&many[i].member);
	}
	tap_ok(list_empty(&barriers.left) && !barriers.oldest.nodes, "nothing is left of them");
}

/* The heap says what looking at all of them would. */
static void test_random(void)
{
	struct barriers barriers;
	unsigned int wrong = 0;

	barriers_init(&barriers);
	barriers_recovered(&barriers, 100);
	for (unsigned int i = 0; i < 50; i++)
		join(&barriers, &many[i], i + 1, (uint64_t)rand() % 100 + 1);
	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int at = (unsigned int)rand() % 50, of = (unsigned int)rand() % 50;
		uint64_t limit = 100;

		if (rand() % 16) {
			set(&many[at], rand() % 8 ? (uint64_t)rand() % 120 + 1 : UINT64_MAX);
		} else {
			barriers_leave(&many[at].member);
			join(&barriers, &many[at], at + 1, (uint64_t)rand() % 100 + 1);
		}
		for (unsigned int i = 0; i < 50; i++)
			limit = i != of && many[i].oldest < limit ? many[i].oldest : limit;
		wrong += barriers_limit(&many[of].member) != limit;
		barriers_may_push(&many[of].member, (uint64_t)rand() % 100 + 1);
	}
	tap_number(wrong, 0, "the limit is what looking at all would find");
	for (unsigned int i = 0; i < 50; i++) {
		many[i].oldest = UINT64_MAX;
		barriers_leave(&many[i].member);
	}
}

int main(void)
{
	test_generations();
	test_alone();
	test_two();
	test_want();
	test_absent();
	test_many();
	test_random();
	return tap_end();
}

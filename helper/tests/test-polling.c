// SPDX-License-Identifier: GPL-2.0
/* When a thread looks for what comes, and when it gives that up. */
#include "polling.h"
#include "tap.h"

static bool expects(struct poll *poll)
{
	poll->expected = true;
	return poll_worth(poll);
}

/* Looks in vain until it is left off: how often. */
static int give_up(struct poll *poll)
{
	int n = 0;

	while (n < 1000 && expects(poll)) {
		poll_looked(poll, UINT64_MAX);
		n++;
	}
	return n;
}

/* How often it then leaves it off. */
static int rest(struct poll *poll)
{
	int n = 1;

	while (n < 100000 && !expects(poll))
		n++;
	return n;
}

static void test_expected(void)
{
	struct poll poll = { 0 };

	tap_ok(!poll_worth(&poll), "nothing is looked for that nobody expects");
	tap_ok(expects(&poll), "what is expected is");
	tap_ok(!poll_worth(&poll), "once");
}

static void test_learn(void)
{
	struct poll poll = { 0 };
	int first, second, n;

	for (n = 0; n < 100 && expects(&poll); n++)
		poll_looked(&poll, POLL_NS / 10);
	tap_number(n, 100, "where something is found soon it goes on");
	n = give_up(&poll);
	tap_ok(n > 4 && n < 50, "where nothing is it gives up (%d)", n);
	first = rest(&poll);
	n = give_up(&poll);
	second = rest(&poll);
	tap_ok(n == 1 && second > first, "it tries once again, and rests longer when that was wrong (%d, %d)", first, second);
	for (n = 0; n < 20; n++) {
		give_up(&poll);
		first = rest(&poll);
	}
	tap_ok(first < 10000, "but not for ever (%d)", first);
	for (n = 0; n < 100 && expects(&poll); n++)
		poll_looked(&poll, POLL_NS / 2);
	tap_ok(n < 50, "what takes half of the time doesn't pay (%d)", n);
}

/* It had no CPU while it looked. */
static void test_late(void)
{
	struct poll poll = { 0 };
	int n;

	for (n = 0; n < 100 && expects(&poll); n++)
		poll_looked(&poll, POLL_NS / 10);
	poll_looked(&poll, POLL_NS * 10);
	tap_ok(!expects(&poll), "what was found long after the time was over ends it");
	poll.late_until = 1;
	for (n = 0; n < 100 && expects(&poll); n++)
		poll_looked(&poll, POLL_NS / 10);
	tap_number(n, 100, "until some time has passed");
	give_up(&poll);
	for (n = 0; n < 10000 && poll.rest; n++)
		poll_rest(&poll);
	tap_ok(n && expects(&poll), "a rest passes where nobody polls meanwhile, too");
}

int main(void)
{
	test_expected();
	test_learn();
	test_late();
	return tap_end();
}

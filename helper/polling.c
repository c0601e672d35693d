// SPDX-License-Identifier: GPL-2.0
/* polling: what polling.h says. */
#include <sched.h>

#include "loop.h"
#include "polling.h"

#define PAYS_NS		(POLL_NS / 4)
#define CREDIT		16
#define REST_MIN	32
#define REST_MAX	512
#define LATE_MIN	100000000u	/* ns */
#define LATE_MAX	1000000000u

/* Is it still resting since it was late? */
static bool late(struct poll *poll)
{
	if (poll->late_until && loop_now_ns() >= poll->late_until)
		poll->late_until = 0;
	return poll->late_until;
}

bool poll_worth(struct poll *poll)
{
	bool expected = poll->expected;

	poll->expected = false;
	if (expected && poll->rest) {
		poll->rest--;
		return false;
	}
	return expected && !late(poll);
}

static void lost(struct poll *poll, int credit)
{
	poll->credit -= credit;
	if (poll->credit > -CREDIT)
		return;
	poll->credit = 1 - CREDIT;	/* after the rest it is tried once */
	poll->penalty *= 2;
	if (poll->penalty < REST_MIN)
		poll->penalty = REST_MIN;
	if (poll->penalty > REST_MAX)
		poll->penalty = REST_MAX;
	poll->rest = poll->penalty;
}

/*
 * What was found long after the time to look was over was found by a thread that did not run meanwhile: others had its CPU, and would have had to let it
 * in at once if it had slept. Then it does not look for a tenth of a second, and twice as long each time, up to a second, also where most else was found soon.
 */
static void was_late(struct poll *poll)
{
	poll->late_ns = poll->late_ns ? 2 * poll->late_ns : LATE_MIN;
	if (poll->late_ns > LATE_MAX)
		poll->late_ns = LATE_MAX;
	poll->late_until = loop_now_ns() + poll->late_ns;
}

void poll_looked(struct poll *poll, uint64_t ns)
{
	if (ns != UINT64_MAX && ns > 2 * POLL_NS) {
		was_late(poll);
	} else if (ns > PAYS_NS) {
		lost(poll, ns == UINT64_MAX ? 2 : 1);
	} else if (poll->credit < CREDIT) {
		poll->credit++;
	} else {
		poll->penalty = 0;
		poll->late_ns = 0;
	}
}

void poll_rest(struct poll *poll)
{
	if (poll->rest)
		poll->rest--;
}

bool poll_possible(void)
{
	cpu_set_t set[8];	/* 8192 CPUs, the most that Linux has */

	return !sched_getaffinity(0, sizeof(set), set) && CPU_COUNT_S(sizeof(set), set) > 1;
}

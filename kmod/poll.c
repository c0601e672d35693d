// SPDX-License-Identifier: GPL-2.0
/*
 * Polling: a program that has to wait for the helper looks for its answer for a moment before it goes to sleep. Where answers come at once, from a
 * helper that runs on another CPU, to go to sleep and be woken takes longer than they do.
 *
 * Only while there is nothing else that its CPU could do, nobody has signalled it, and it holds nothing but (O_DIRECT) its being counted in
 * as a reader. Not in threads whose pool starts another one when one sleeps: to poll there would keep those waiting that come after.
 *
 * Whether it pays is learnt for each region: it does where answers are found in a quarter of the time that it may look for. The first come later,
 * since the helper sleeps; the requests tell it that someone may poll, so that it looks for the next (REGIONFS_REQ_POLLED). Where answers are not found it is left off for
 * so many waits; each time that was wrong for twice as many, up to a few hundred. So a far source costs little, under one percent of a CPU, and when a busy time is over,
 * in which neither side could look for the other, they soon find together again.
 */
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include "region.h"

#define REGIONFS_POLL_PAYS	4	/* the part of poll_us in which it does */
#define REGIONFS_POLL_CREDIT	16
#define REGIONFS_POLL_TRIES	4	/* after a rest: the first finds the helper asleep */
#define REGIONFS_POLL_REST_MIN	32	/* waits */
#define REGIONFS_POLL_REST_MAX	256

static unsigned int regionfs_poll_us = 200;
module_param_named(poll_us, regionfs_poll_us, uint, 0644);
MODULE_PARM_DESC(poll_us, "microseconds that a program looks for the helper's answer before it sleeps; 0: never (default: 200)");

static u64 regionfs_poll_ns(void)
{
	return (u64)READ_ONCE(regionfs_poll_us) * NSEC_PER_USEC;
}

/* Do programs that wait for @region's bytes poll, where they may? */
bool regionfs_poll_pays(const struct regionfs_region *region)
{
	return !READ_ONCE(region->poll.rest) && regionfs_poll_ns() && num_online_cpus() > 1;
}

/* Threads of a pool do not. */
static bool regionfs_poll_may(void)
{
	return num_online_cpus() > 1 && !(current->flags & (PF_IO_WORKER | PF_WQ_WORKER));
}

bool regionfs_poll_worth(const struct regionfs_region *region)
{
	return regionfs_poll_pays(region) && regionfs_poll_may();
}

/* Is the time to look over, since @since, by ktime_get_ns()? */
bool regionfs_poll_over(u64 since)
{
	return ktime_get_ns() - since >= regionfs_poll_ns();
}

/* May a program that waits since @since look once more? */
bool regionfs_poll_more(u64 since)
{
	if (need_resched() || signal_pending(current) || !single_task_running() || regionfs_poll_over(since))
		return false;
	cpu_relax();
	return true;
}

static void regionfs_poll_lost(struct regionfs_poll *poll, int credit)
{
	int penalty = clamp(2 * READ_ONCE(poll->penalty), REGIONFS_POLL_REST_MIN, REGIONFS_POLL_REST_MAX);

	WRITE_ONCE(poll->credit, credit > -REGIONFS_POLL_CREDIT ? credit : REGIONFS_POLL_TRIES - REGIONFS_POLL_CREDIT);
	if (credit > -REGIONFS_POLL_CREDIT)
		return;
	WRITE_ONCE(poll->penalty, penalty);
	WRITE_ONCE(poll->rest, penalty);
}

/*
 * A wait took @ns. One without polling (@tried: it looked until it had found something, or to the end) teaches nothing but that one more is over. Who learns at
 * the same time may undo it: these are hints.
 */
void regionfs_poll_learn(struct regionfs_region *region, u64 ns, bool tried)
{
	int rest = READ_ONCE(region->poll.rest), credit = READ_ONCE(region->poll.credit);
	u64 limit = regionfs_poll_ns();

	if (!regionfs_poll_may() || signal_pending(current))
		return;
	if (rest)
		WRITE_ONCE(region->poll.rest, rest - 1);
	else if (!tried)
		return;
	else if (ns > limit / REGIONFS_POLL_PAYS)
		regionfs_poll_lost(&region->poll, credit - (ns > limit ? 2 : 1));
	else if (credit < REGIONFS_POLL_CREDIT)
		WRITE_ONCE(region->poll.credit, credit + 1);
	else if (READ_ONCE(region->poll.penalty))
		WRITE_ONCE(region->poll.penalty, 0);
}

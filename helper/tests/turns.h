/* SPDX-License-Identifier: GPL-2.0 */
/* The loop of a unit test, run for a while: what is under way comes to an end, or is seen not to. */
#ifndef REGIONFS_TESTS_TURNS_H
#define REGIONFS_TESTS_TURNS_H

#include "../loop.h"
#include "until.h"

static struct loop *loop;

static inline void stop_now(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

static inline void pass(unsigned int ms)
{
	struct loop_timer timer = { .fire = stop_now };

	loop_timer_set(loop, &timer, ms);
	loop_run(loop);
	loop_again(loop);
	loop_timer_cancel(loop, &timer);
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * polling: whether a thread that waits should look for what comes for a moment before it goes to sleep. A program that polls for its answer
 * (kmod/poll.c) asks for more at once, from another CPU: then to look takes less than to sleep and be woken, and saves the program the waking.
 *
 * Only when something may come soon, after a request of such a program or of any that waits, each of which is learnt of by itself (uring.c); and where it has
 * turned out to pay, which it does when something is found in a quarter of the time. Where it is not it is left off for some times; each time that was
 * wrong for twice as many. One thread's.
 */
#ifndef REGIONFS_POLLING_H
#define REGIONFS_POLLING_H

#include <stdbool.h>
#include <stdint.h>

#define POLL_NS	200000		/* for how long */

struct poll {
	bool expected;		/* by its owner: something may come soon */
	int rest;		/* not 0: it doesn't pay; so many times until it is tried again */
	int penalty;		/* what rest was set to last */
	int credit;
	uint64_t late_until;	/* by loop_now_ns(), not 0: it came late, and does not look before */
	uint64_t late_ns;	/* for how long it rested so last */
};

/* Should it look, now that it waits? */
bool poll_worth(struct poll *poll);
/* It has looked for so long; UINT64_MAX: and found nothing. */
void poll_looked(struct poll *poll, uint64_t ns);
/* Something has come that nobody polls for: that, too, is a part of the rest, or where few poll since it doesn't pay it would never be tried again. */
void poll_rest(struct poll *poll);
/* Is there more than one CPU that this thread may run on? */
bool poll_possible(void);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The n-th allocation (or copy to or from user space) of the calling thread within the kernel fails: /proc/thread-self/fail-nth, see the kernel's
 * Documentation/fault-injection. An operation is tried with n = 1, 2, 3 ... until it is done without a failure.
 */
#ifndef SELFTESTS_FAILNTH_H
#define SELFTESTS_FAILNTH_H

#include <stdbool.h>

struct failnth_op {
	const char *name;
	void (*stage)(void);	/* before each try; failnth_n() is its number */
	int (*act)(void);	/* what is tried: 0, or a negative errno; -ENODATA: it did a part */
	bool (*right)(void);	/* once it was done, in the end, without a failure */
};

/* Skips the program where there is nothing that fails, and says to all allocations that they may. */
void failnth_start(void);
void failnth_arm(unsigned int n);
/* Has it come to the failure? From now on nothing fails; *@left is what would be to come. */
bool failnth_disarm(unsigned int *left);
/* From now on no allocation of the calling thread that may not sleep succeeds, whichever; or they do again. */
void failnth_atomic(bool fail);
/* The try that is under way. */
unsigned int failnth_n(void);
/* Is this an error that a program should get when memory is short, or one of its addresses is not there? */
bool failnth_sensible(int err);
/* All tries of an operation: one test point, which says how often it has failed. */
void failnth_run(const struct failnth_op *op);
/* Counts failures that were not failnth_run()'s. */
void failnth_count(unsigned int n);
/* The sum so far. */
unsigned int failnth_total(void);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* Bounded waits of a unit test, which has pass(MS) to run its loop. */
#ifndef REGIONFS_TESTS_UNTIL_H
#define REGIONFS_TESTS_UNTIL_H

#include <stdbool.h>
#include <stdio.h>

/* within(MS, CONDITION): false when it did not hold until then. What a test waits for has a minute: the machine may have much else to do. */
#define within(ms, condition) ({ bool holds; int turns = 0; while (!(holds = (condition)) && turns++ < (ms) / 5) pass(5); holds; })
#define until(condition) ({ bool held = within(60000, condition); if (!held) printf("# a minute is not enough for %s\n", #condition); held; })

#endif

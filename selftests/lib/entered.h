/* SPDX-License-Identifier: GPL-2.0 */
/* Which functions of the module are entered while something runs, by the kernel's function tracer. */
#ifndef SELFTESTS_ENTERED_H
#define SELFTESTS_ENTERED_H

#include <stdbool.h>

/* False: this kernel can't tell. */
bool entered_start(void);
/* Prints how many there are, and the names of those that were not entered. */
void entered_print(void);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BENCH_UFFD_H
#define BENCH_UFFD_H

#include <stddef.h>

/*
 * An anonymous area of size bytes, filled with the pattern on demand by a userfaultfd handler thread,
 * copy bytes (a power of two of pages) at a time; with process, the handler is a process of its own, as
 * it has to be where the program isn't changed. Ends the process with a message when it can't.
 */
void *uffd_map(size_t size, size_t copy, int process);

/* Make all of it missing again. */
void uffd_drop(void *area, size_t size);

#endif

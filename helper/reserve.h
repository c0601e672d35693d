/* SPDX-License-Identifier: GPL-2.0 */
/*
 * reserve: what may be given up for want of room leaves others some: a sixteenth of the file system, or a GiB.
 *
 * Threads: any.
 */
#ifndef REGIONFS_RESERVE_H
#define REGIONFS_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

/* How much of a file system of so many bytes that is. */
uint64_t reserve_of(uint64_t total);
/* Would there be as much left after so many more bytes in the file? true, where nobody can tell. */
bool reserve_is_left(int fd, uint64_t length);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* whole-io: reading and writing all that was asked for, at a place of a file, whatever interrupts. Any thread; they block. */
#ifndef REGIONFS_WHOLE_IO_H
#define REGIONFS_WHOLE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* 0, or a negative errno: some of it may have been written. */
int whole_write(int fd, const void *data, size_t len, uint64_t at);
/* How much there was; less than len only at the end of the file. Or a negative errno. */
ssize_t whole_read(int fd, void *data, size_t len, uint64_t at);

#endif

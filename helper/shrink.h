/* SPDX-License-Identifier: GPL-2.0 */
/* shrink: bytes on their way, made shorter by zstd where that pays. Any thread; each has a context of its own, of bounded size. */
#ifndef REGIONFS_SHRINK_H
#define REGIONFS_SHRINK_H

#include <stddef.h>
#include <stdint.h>

/* What is shorter than this is not worth the trouble. */
#define SHRINK_MIN 4096u
/* The most that is taken at a time. */
#define SHRINK_MAX (256u << 10)

/* Shrinks len bytes in place. Their new length, or 0: they would not be a sixteenth shorter, or there is no memory; then they are as they were. */
size_t shrink_do(void *data, size_t len);
/*
 * The reverse: from len bytes, of whoever sent them, into exactly into_len. -EPROTO: they are not one frame that says so, and has them; then into may
 * hold anything. -ENOMEM.
 */
int shrink_undo(const void *data, size_t len, void *into, size_t into_len);

#endif

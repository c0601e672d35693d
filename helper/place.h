/* SPDX-License-Identifier: GPL-2.0 */
/*
 * place: where else a region's bytes may be: another region of this instance, or any source. It is read only, opened with the first read, and opened
 * again when it has gone; what is read there is not to be trusted, but by its hash.
 *
 * Threads: the main loop's alone. Life: place_new() to place_close(), after which it waits by itself for what is under way.
 */
#ifndef REGIONFS_PLACE_H
#define REGIONFS_PLACE_H

#include <stdint.h>

#define PLACE_REGION "region:"	/* and its path */

struct place;
struct place_read;
struct regiond;

/* Can this be one? On error a sentence. */
int place_check(const char *uri, char *why, size_t why_len);
/* uri: one that place_check() has taken. NULL: no memory. */
struct place *place_new(struct regiond *regiond, const char *uri);
/* Nothing that was asked for comes any more. */
void place_close(struct place *place);
const char *place_uri(const struct place *place);
/*
 * length bytes from offset; beyond its end there are zeroes. Once, never from within: done(arg, error, data), data malloc'ed and the callee's when error
 * is 0, else NULL. -ETIMEDOUT: not within ms. -EBUSY: some reads have not come back for longer than that. NULL: no memory.
 */
struct place_read *place_read(struct place *place, uint64_t offset, uint32_t length, uint32_t ms,
			      void (*done)(void *arg, int error, uint8_t *data), void *arg);
/*
 * Where it has bytes, as BACKEND_DATA with BACKEND_HERE, from offset on. As place_read(): found(arg, error, offset, length).
 */
struct place_read *place_find(struct place *place, uint64_t offset, uint32_t ms, void (*found)(void *arg, int error, uint64_t offset, uint64_t length),
			      void *arg);
/* done, or found, does not come. */
void place_cancel(struct place_read *read);

#endif

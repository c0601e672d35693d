/* SPDX-License-Identifier: GPL-2.0 */
/*
 * state: what must outlive the kernel's registry: the regions of the instance, and its settings. A log of lines
 * in the state directory, each with a checksum; a torn end is dropped; when it has grown it is written anew.
 *
 *     CRC32 instance id=0x1234         the regions that follow are this life's of the instance; those before are gone
 *     CRC32 region id=7 path=a%20b source=file:/x size=4096 mode=420 ...
 *                                      policy= where it is managed, see policy.h
 *                                      seed= and resume= while it is being given away, see seeder-left.c
 *                                      handover= the command of a migration that is under way, behind= that of the leech that a
 *                                      region which is seeded on still has, see handover.h
 *     CRC32 forget id=7
 *     CRC32 setting source=memory:
 *
 * Main loop only, except state_clean().
 */
#ifndef REGIONFS_STATE_H
#define REGIONFS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct region_info;
struct state;
struct text;

/* Takes the directory (made when it isn't there) for this process: -EBUSY while another one has it. Reads the log. */
int state_open(struct state **state, const char *dir, char *why, size_t why_len);
/*
 * Writes go through this loop from now on. snapshot(arg, text): add a record_region() line for each region that was
 * put and not forgotten; failed(arg, error): the disk doesn't take it, which is tried again.
 */
void state_start(struct state *state, struct loop *loop, void (*snapshot)(void *arg, struct text *text),
		 void (*failed)(void *arg, int error), void *arg);
/* What was put is written, without waiting for the disk. */
void state_close(struct state *state);

/* Bytes at the log's end that could not be read; they were put aside as regions.log.damaged, if that could be written. */
uint64_t state_damaged(const struct state *state);
/* What was read. Of the instance with this id; 0 when there was none. */
uint64_t state_instance(const struct state *state);
/* Each region that was read and neither put nor forgotten since; unlinked ones too. Stops when fn returns non-zero. */
int state_each(struct state *state, int (*fn)(const struct region_info *info, bool unlinked, void *arg), void *arg);
/* One of them, NULL when there is none. Valid until it is put or forgotten. */
const struct region_info *state_find(struct state *state, uint64_t id);
/* NULL: not set */
const char *state_setting(const struct state *state, const char *key);

/*
 * From now on the log is this instance's, and what was put so far is dropped: the caller puts again what it has, and then says that
 * it is complete. Until then the disk has the older log, so that whatever happens meanwhile, all regions are in one of the two.
 * keep: the older log stays beside the new one for people, since not all of it could be used.
 */
void state_reset(struct state *state, uint64_t instance, bool keep);
void state_complete(struct state *state);
void state_put(struct state *state, const struct region_info *info, bool unlinked);
void state_forget(struct state *state, uint64_t id);
void state_set(struct state *state, const char *key, const char *value);

/* done(waiter, error) when all that was put before is on stable storage; -EAGAIN between reset and complete. */
struct state_waiter {
	void (*done)(struct state_waiter *waiter, int error);
	struct list list;
};
void state_sync(struct state *state, struct state_waiter *waiter);
/* Any thread: is nothing waiting to be written? */
bool state_clean(const struct state *state);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* uring: the ring below a loop. Only loop.c asks for it; everyone else sees loop.h. */
#ifndef REGIONFS_URING_H
#define REGIONFS_URING_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct uring;

int uring_open(struct uring **uring, unsigned int entries);
/* Cancels what is under way and waits for it, within bounds. */
void uring_close(struct uring *uring);
/* May it look for completions for a moment before it sleeps (polling.h)? Not at first. By the thread that it is for. */
void uring_may_poll(struct uring *uring, bool on);
void uring_expect(struct uring *uring, bool polled);
/*
 * Submits what was started, waits for a completion for at most ns nanoseconds (0: not at all, UINT64_MAX: for ever),
 * and calls back for those that are there. Returns how many, or a negative errno when the ring is broken.
 */
int uring_turn(struct uring *uring, uint64_t ns);

/* loop.c's: the ring of a loop. */
struct uring *loop_uring(struct loop *loop);

#endif

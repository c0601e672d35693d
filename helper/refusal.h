/* SPDX-License-Identifier: GPL-2.0 */
/*
 * refusal: the word of a leecher that has given up after it asked for the hand-over: the region stays with the other side, which may be waiting
 * for that, frozen. It is on stable storage before it is said, and is said until it is heard, also by the next helper.
 *
 * Threads: the main loop's alone. Life: its own, from the start until the other side has answered.
 */
#ifndef REGIONFS_REFUSAL_H
#define REGIONFS_REFUSAL_H

struct regiond;

/*
 * The region here is gone, or about to go. from: the other side's URI. told(arg), maybe from within: it has heard it, or has not for three
 * seconds, and goes on being told.
 */
void refusal_start(struct regiond *regiond, const char *token, const char *from, void (*told)(void *arg), void *arg);
/* At start, when the regions are known: those that an earlier helper has not got across. */
void refusal_restart(struct regiond *regiond);

#endif

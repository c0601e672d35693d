/* SPDX-License-Identifier: GPL-2.0 */
/*
 * notice: what the other side of a leech has still to hear when there is nothing of that left here: that it keeps its region, which was
 * refused after it had been asked for and may be waiting for that, frozen; or that all of it is here, so that it may let go of its bytes. It is on
 * stable storage before it is said, and is said until it is heard, also by the next helper.
 *
 * Threads: the main loop's alone. Life: its own, from the start until the other side has answered.
 */
#ifndef REGIONFS_NOTICE_H
#define REGIONFS_NOTICE_H

#include "chunkmap.h"

struct regiond;

enum notice_kind {
	NOTICE_REFUSED,
	NOTICE_COMPLETE,
	NOTICE_NOTHING,		/* the record goes, once what the state log says does not need it */
};

struct notice_words {
	enum notice_kind kind;
	const char *token, *from;		/* the leech's, and the other side's URI */
	struct chunkmap_owner owner;		/* COMPLETE */
	/* noted(noted_arg), or NULL: it is on stable storage, or is not to be; maybe from within */
	void (*noted)(void *arg);
	void *noted_arg;
};

/*
 * The leech is gone, or about to go. told(arg), maybe from within, or NULL: it has heard it, or has not for three
 * seconds, and goes on being told.
 */
void notice_start(struct regiond *regiond, const struct notice_words *words, void (*told)(void *arg), void *arg);
/* At start, when the regions are known: those that an earlier helper has not got across. */
void notice_restart(struct regiond *regiond);

#endif

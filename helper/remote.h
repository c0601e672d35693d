/* SPDX-License-Identifier: GPL-2.0 */
/*
 * remote: a managed region's far side: a backend that may be away. It is opened again when it dies, with back-off;
 * requests wait meanwhile, and those that fail for a reason that goes by itself are tried again.
 *
 * Threads: the home loop, except remote_try().
 */
#ifndef REGIONFS_REMOTE_H
#define REGIONFS_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"

struct remote;

enum remote_state {
	REMOTE_OPENING,		/* for the first time */
	REMOTE_UP,
	REMOTE_AWAY,		/* could not be opened, has died, or doesn't answer; tried again */
};

struct remote_options {
	struct backend_open *open;	/* copied, without done and why; its uri is moved */
	void *arg;
	/* When the state has changed: as it is now. error and why: the last failure, 0 when UP. Out of the loop, and it may close the remote. */
	void (*changed)(void *arg, enum remote_state state, int error, const char *why);
	/*
	 * Optional. A backend was opened, and nothing else was asked of it yet: its BACKEND_VERSION, or NULL where that is not known. Requests wait until
	 * remote_verified(), which may come from within, and must not come after remote_close().
	 */
	void (*verify)(void *arg, const char *version);
	/* It is AWAY, and not tried, until remote_go(): then OPENING. */
	bool held;
};

/* Begins to open the backend; changed() follows. -ENOMEM. */
int remote_open(struct remote **remote, const struct remote_options *options);
/* What waits fails with -ESHUTDOWN; what is under way ends first. Nothing changes any more. closed comes out of the loop. */
void remote_close(struct remote *remote, void (*closed)(void *arg), void *arg);
/*
 * Nobody is to wait for a source that is away any more: what waits for a backend, or for its next try, fails with -ESHUTDOWN, and from now on so does
 * what would. What a backend has ends as ever.
 */
void remote_let_go(struct remote *remote);
/* One that was opened held is opened now. */
void remote_go(struct remote *remote);
/*
 * on: the source is not ours to write any more. It is opened anew for reading alone, so that another one may become its writer, and what would change
 * it fails with -ESHUTDOWN, also what is under way. READs wait for the next backend meanwhile. !on: opened anew as it was asked for.
 */
void remote_read_only(struct remote *remote, bool on);
/*
 * As backend_submit(), but it comes back only with 0, a final error, or -ESHUTDOWN. The request's op, range, data
 * and flags must stay as they are until done; BACKEND_DESTROY is tried once, and fails at once while it is away.
 */
void remote_submit(struct remote *remote, struct backend_req *req);
/*
 * Any thread: as remote_submit(), in the caller's thread; false: it is not up, and req is untouched. The caller sees
 * to it that remote_close() comes after the request's end.
 */
bool remote_try(struct remote *remote, struct backend_req *req);
enum remote_state remote_state(const struct remote *remote);
/* Of verify(). */
void remote_verified(struct remote *remote);
/* How many requests so far may have changed the source. */
uint64_t remote_changes(const struct remote *remote);
/* How often a backend was opened. What was answered by one and not synced by the same may be lost. */
uint64_t remote_opened(const struct remote *remote);
/* NULL until it was UP for the first time; then as of the last opening. */
const struct backend_caps *remote_caps(const struct remote *remote);
/* Since when it is away, as loop_now_ns(); 0: it is not. */
uint64_t remote_away_since(const struct remote *remote);
/* The last error and its sentence; 0 and "" when there was none since it is UP. */
int remote_error(const struct remote *remote, char *why, size_t why_len);

#endif

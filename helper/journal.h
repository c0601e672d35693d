/* SPDX-License-Identifier: GPL-2.0 */
/*
 * journal: staged requests and PUBLISH (BACKEND_STAGED) for a backend whose bytes are on this host and that can't do it by itself. What is staged goes
 * to a file beside the source. PUBLISH writes down there that the batch stands, which is the decision, and then does it to the
 * source. Who opens a source with a batch that was decided does it (again) before anything else; one that was not is dropped.
 *
 * Order on the disk: the batch, the decision, the source, the note that it is done. After each there is a sync.
 *
 * While a batch is being done no other request is let through to the source but READs of what it leaves alone, and before it begins those that are
 * under way there have ended: so nobody sees a part of it. What fails then leaves the backend dead, and the next one that is opened does it.
 *
 * Threads: home, but for the gate.
 */
#ifndef REGIONFS_JOURNAL_H
#define REGIONFS_JOURNAL_H

#include <stdbool.h>

#include "backend.h"

struct journal;

#define JOURNAL_SUFFIX ".regionfs-journal"
/* Is it what a journal of a file or a directory is called? Then it is no source's name. */
bool journal_is_name(const char *path);

/* A batch was decided, and the source was opened for reading: it has to be opened for writing. */
#define JOURNAL_WANTS_WRITER 1

/*
 * For a backend that has just opened, whose ops have a journal: done(backend, error), from within only where there is no memory. Sets caps.publish. error as in
 * backend_opened(), or JOURNAL_WANTS_WRITER; then the backend is still open.
 */
void journal_open(struct backend *backend, void (*done)(struct backend *backend, int error));
/* No request is under way. A batch that was not published is dropped by the next opening. */
void journal_close(struct journal *journal);

/* A staged request or PUBLISH. Any thread. */
void journal_submit(struct journal *journal, struct backend_req *req);

/* Any thread: may the request go to the source now? false: it is held, and will be submitted again, or answered. */
bool journal_enter(struct journal *journal, struct backend_req *req);
/* Any thread: it has left the source. */
void journal_leave(struct journal *journal, struct backend_req *req);

#endif

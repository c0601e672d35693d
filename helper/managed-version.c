// SPDX-License-Identifier: GPL-2.0
/*
 * managed: is what is here of the source still what the source has? Each time that the source is opened, and before anything else is asked of it, its
 * version (BACKEND_VERSION) is compared with the one that the store has noted. Where they differ, somebody else has written there while
 * nobody here had it open: what is clean goes, from the store and the kernel's page cache, and is fetched again. What the source has not got
 * stays, and is pushed.
 *
 * What we push is a new version, too: it is asked for and noted after each push. That may be while the next one is under way, since what we change
 * ourselves is here as unpushed. Only what others change in between would be taken for ours: nobody is to write a source that is open here.
 * While pushes are not settled (store_push_begin()) another version is taken for theirs: a helper that is killed in the middle of one, or a link that is
 * cut, costs nothing that is here. Who else has written there just then is not noticed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "managed-event.h"
#include "managed-private.h"
#include "region-private.h"

/* A source that does not answer holds up the end so long. */
#define LAST_MS 2000u

/* ---- another one ---- */

static void changed_end(struct managed *managed)
{
	managed->nr_busy--;
	if (!managed->remote_closing)
		remote_verified(managed->remote);
	managed_idle(managed);
}

/* Everything that was pushed until the version was asked for is in it, and nothing more is on its way. */
static bool is_settled(struct managed *managed)
{
	bool pushing = managed->pusher && !managed->pusher_closed && pusher_stats(managed->pusher)->pushing;

	return !pushing && remote_changes(managed->remote) == managed->version.changes;
}

static void dropped(struct store_io *io, int error)
{
	struct managed *managed = container_of(io, struct managed, version.io);

	managed_new_version(managed);
	if (managed->puller)
		atomic_store(&managed->pulling, true);
	managed_event(managed->region, "source-changed", "by somebody else: what was here of it is fetched again");
	region_tell_changed(managed->region);
	store_set_version(managed->store, managed->version.text, is_settled(managed));
	changed_end(managed);
}

static void changed(struct managed *managed, const char *version)
{
	snprintf(managed->version.text, sizeof(managed->version.text), "%s", version);
	managed->nr_busy++;
	/* what is on its way is of an earlier source, where there was one */
	managed_fetch_spoil(managed, 0, UINT64_MAX);
	managed->version.io.done = dropped;
	store_drop_clean(managed->store, &managed->version.io);
}

static bool is_changed(const struct managed *managed, const char *version)
{
	const char *noted = store_version(managed->store);

	return noted && strcmp(noted, version);
}

void managed_verify(void *arg, const char *version)
{
	struct managed *managed = arg;
	bool other = version && is_changed(managed, version);

	/* who has it now changes it, but for what is not there yet: that is the same here and at the source */
	if (managed->handed) {
		managed->version.known = false;
		remote_verified(managed->remote);
		return;
	}
	managed->version.known = version;
	managed->version.changes = remote_changes(managed->remote);
	if (other && !store_pushing(managed->store) && !managed->closing) {
		changed(managed, version);
		return;
	}
	if (other)
		log_info("%s: was being pushed to, and is taken to have changed by that alone", managed->backend.uri.text);
	if (version)
		store_set_version(managed->store, version, is_settled(managed));
	remote_verified(managed->remote);
}

/* ---- for who has this region for a source ---- */

/*
 * With a store: a number that grows with each change here, of a count that goes on for as long as nothing can have been lost of it: over an orderly stop, but
 * not over a kill. Then all is another one to those who ask.
 */
void managed_version_found(struct managed *managed)
{
	const char *mark = store_mark(managed->store);
	uint64_t *id = &managed->version.id;

	managed->backend.caps.version = true;
	if (mark && sscanf(mark, "%" SCNx64 "-%" SCNx64, id, &managed->version.nr) == 2)
		return;
	managed->version.nr = 0;
	if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
		managed->backend.caps.version = false;
}

void managed_version_leave(struct managed *managed)
{
	char mark[64];

	snprintf(mark, sizeof(mark), "%" PRIx64 "-%" PRIx64, managed->version.id, managed->version.nr);
	if (managed->backend.caps.version)
		store_leave_mark(managed->store, mark);
}

struct passed {
	struct managed *managed;
	struct backend_req *outer;
	struct backend_req inner;
};

static void passed_done(struct backend_req *req, int error)
{
	struct passed *passed = container_of(req, struct passed, inner);
	struct managed *managed = passed->managed;
	struct backend_req *outer = passed->outer;

	free(passed);
	managed->nr_busy--;
	backend_done(outer, error);
	managed_idle(managed);
}

/* Without a store: the source's. */
static void pass_on(struct managed *managed, struct backend_req *req)
{
	struct passed *passed = calloc(1, sizeof(*passed));

	if (!passed) {
		backend_done(req, -ENOMEM);
		return;
	}
	passed->managed = managed;
	passed->outer = req;
	passed->inner = (struct backend_req){ .op = BACKEND_VERSION, .data = req->data, .loop = managed_loop(managed), .done = passed_done };
	managed->nr_busy++;
	remote_submit(managed->remote, &passed->inner);
}

void managed_version_start(struct managed *managed, struct backend_req *req)
{
	if (!managed->backend.caps.version) {
		backend_done(req, -EOPNOTSUPP);
	} else if (managed->store) {
		snprintf(req->data, BACKEND_VERSION_MAX, "managed-%" PRIx64 "-%" PRIx64, managed->version.id, managed->version.nr);
		backend_done(req, 0);
	} else {
		pass_on(managed, req);
	}
}

/* ---- our own ---- */

static void version_came(struct backend_req *req, int error)
{
	struct managed *managed = container_of(req, struct managed, version.req);

	managed->version.asking = false;
	managed->nr_busy--;
	if (error)
		managed->version.changes = UINT64_MAX;
	else if (managed->version.known)
		store_set_version(managed->store, managed->version.text, is_settled(managed));
	if (managed->version.last)
		managed_version_end(managed);
	else if (managed->version.again && !managed->closing)
		managed_note_version(managed);
	managed_idle(managed);
}

void managed_note_version(struct managed *managed)
{
	struct backend_req *req = &managed->version.req;

	managed->version.again = managed->version.asking;
	if (!managed->version.known || managed->version.asking)
		return;
	managed->version.asking = true;
	managed->version.changes = remote_changes(managed->remote);
	managed->nr_busy++;
	*req = (struct backend_req){ .op = BACKEND_VERSION, .data = managed->version.text, .loop = managed_loop(managed), .done = version_came };
	remote_submit(managed->remote, req);
}

/* ---- the last one ---- */

static bool is_noted(const struct managed *managed)
{
	return !managed->version.known || remote_changes(managed->remote) == managed->version.changes;
}

static void last_over(struct managed *managed)
{
	loop_timer_cancel(managed_loop(managed), &managed->version.timer);
	managed->version.last = false;
	managed_close_remote(managed);
}

static void last_late(struct loop_timer *timer)
{
	last_over(container_of(timer, struct managed, version.timer));
}

bool managed_version_last(struct managed *managed)
{
	bool wanted = !managed->gone && (managed->version.asking || !is_noted(managed));

	if (!wanted || remote_state(managed->remote) != REMOTE_UP)
		return false;
	managed->version.last = true;
	managed->version.timer.fire = last_late;
	loop_timer_set(managed_loop(managed), &managed->version.timer, LAST_MS);
	managed_version_end(managed);
	return true;
}

/* What the pusher has under way is of the last version, too. */
void managed_version_end(struct managed *managed)
{
	if (!managed->version.last || !managed->pusher_closed || managed->version.asking)
		return;
	if (is_noted(managed) || managed->version.changes == UINT64_MAX)
		last_over(managed);
	else
		managed_note_version(managed);
}

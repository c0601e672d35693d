// SPDX-License-Identifier: GPL-2.0
/*
 * target-claim: a peer becomes the writer of a region here. Nobody here may have it open for writing; it becomes read-only; then
 * all that programs here have written before is brought to the backend. Only after that is the peer let in: its WRITEs go
 * to the backend past the kernel, and one that the kernel still had would land on top of them.
 *
 * Whose the read-only is stands in the state directory, before it is set and until it is taken back. So the next helper knows
 * that it may let a peer in, or take it back. A user who sets it by hand, either way, makes it his own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "target-private.h"

static void claim_end(struct shared *shared, int error, const char *why)
{
	shared->wrote |= !error;
	shared->claimed(shared->claim_arg, error, why);
}

static struct netlink_call *claim_call(struct shared *shared, uint8_t cmd,
				       void (*done)(struct netlink_call *call, int error, const char *why))
{
	struct netlink_call *call = &shared->call;

	memset(call, 0, sizeof(*call));
	call->cmd = cmd;
	call->done = done;
	netlink_set(&call->attrs, REGION, region, shared->region->info.id);
	return call;
}

static void set_read_only(struct shared *shared, struct netlink_call *call, bool on)
{
	netlink_set(&call->attrs, FLAGS, flags, on ? REGIONFS_REGION_READ_ONLY : 0);
	netlink_set(&call->attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_READ_ONLY);
	netlink_call(shared->region->regiond->netlink, call);
}

/* ---- it can't be had after all: programs here may write again ---- */

static void claim_undone(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, call);

	if (error)
		log_warning("%s stays read-only: %s", shared->region->info.path, *why ? why : strerror(-error));
	else
		region_set_claimed(shared->region, false);
	shared->revoked = error != 0;
	claim_end(shared, shared->claim_error, shared->claim_why);
}

static void claim_undo(struct shared *shared, int error, const char *what, const char *why)
{
	/* what is slow, or in use, is no reason to give up for good */
	shared->claim_error = error == -EBUSY ? -EAGAIN : error;
	snprintf(shared->claim_why, sizeof(shared->claim_why), "%s: %s", what, *why ? why : strerror(-error));
	set_read_only(shared, claim_call(shared, REGIONFS_CMD_REGION_SET, claim_undone), false);
}

/* ---- step by step ---- */

/* What the kernel says of it; the answer itself comes in done(). */
static void claim_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	call->attrs.writers = attrs->writers;
	call->attrs.flags = attrs->flags;
	call->attrs.size = attrs->size;
}

/* Opening it has done a batch of an earlier peer's: the kernel has been told of another size since it was asked. */
static void claim_resized(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, call);

	if (error) {
		claim_undo(shared, error, "its size cannot be told", why);
		return;
	}
	shared->size = call->attrs.size;
	claim_end(shared, 0, "");
}

static void claim_ask_size(struct shared *shared)
{
	struct netlink_call *call = claim_call(shared, REGIONFS_CMD_REGION_GET, claim_resized);

	call->item = claim_item;
	netlink_call(shared->region->regiond->netlink, call);
}

/* Opened for writing, though it is read-only now: so what the peer is told of the source is what it can do. */
static void claim_opened(struct region *region, int error, void *arg)
{
	struct shared *shared = arg;

	if (error) {
		claim_undo(shared, error, "its source cannot be written", region->why);
	} else if (region->backend->replayed.length) {
		region_tell_replayed_before(region);
		claim_ask_size(shared);
	} else {
		claim_end(shared, 0, "");
	}
}

static void claim_written(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, call);

	if (error)
		claim_undo(shared, error, "what programs there have written cannot be brought to its source", why);
	else
		region_open_writable(shared->region, claim_opened, shared);
}

static void claim_write(struct shared *shared)
{
	struct netlink_call *call = claim_call(shared, REGIONFS_CMD_WRITEBACK, claim_written);

	shared->revoked = true;
	netlink_flag(&call->attrs, SYNC);
	netlink_call(shared->region->regiond->netlink, call);
}

static void claim_revoked(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, call);

	if (!error) {
		claim_write(shared);
		return;
	}
	region_set_claimed(shared->region, false);
	claim_end(shared, error, why);
}

static void claim_marked(struct state_waiter *waiter, int error)
{
	struct shared *shared = container_of(waiter, struct shared, marked);

	if (!error) {
		set_read_only(shared, claim_call(shared, REGIONFS_CMD_REGION_SET, claim_revoked), true);
		return;
	}
	region_set_claimed(shared->region, false);
	claim_end(shared, error, "the state directory there cannot be written");
}

static void claim_mark(struct shared *shared)
{
	region_set_claimed(shared->region, true);
	shared->marked.done = claim_marked;
	state_sync(shared->region->regiond->state, &shared->marked);
}

static void claim_looked(struct netlink_call *call, int error, const char *why)
{
	struct shared *shared = container_of(call, struct shared, call);

	/* Until it is given back, nobody but us changes it. */
	shared->size = error ? 0 : call->attrs.size;
	if (error)
		claim_end(shared, error, why);
	else if (call->attrs.flags & REGIONFS_REGION_READ_ONLY && shared->region->info.claimed)
		claim_write(shared);	/* by an earlier helper, for this or another peer */
	else if (call->attrs.flags & REGIONFS_REGION_READ_ONLY)
		claim_end(shared, -EROFS, "it is read-only there");
	else if (call->attrs.writers)
		claim_end(shared, -EBUSY, "a program there has it open for writing");
	else
		claim_mark(shared);
}

void shared_claim(struct target *target, void (*done)(void *arg, int error, const char *why), void *arg)
{
	struct shared *shared = to_shared(target);
	struct netlink_call *call;

	shared->claimed = done;
	shared->claim_arg = arg;
	if (shared->plain) {
		done(arg, -EROFS, "it is being migrated");
		return;
	}
	call = claim_call(shared, REGIONFS_CMD_REGION_GET, claim_looked);
	call->item = claim_item;
	netlink_call(shared->region->regiond->netlink, call);
}

/* ---- the end ---- */

struct release {
	struct netlink_call call;
	struct region *region;
};

static void released(struct netlink_call *call, int error, const char *why)
{
	struct release *release = container_of(call, struct release, call);

	if (!error || error == -ENOENT)
		region_set_claimed(release->region, false);
	else
		log_warning("a region stays read-only after its last peer: %s", *why ? why : strerror(-error));
	region_put(release->region);
	free(release);
}

struct drop {
	struct backend_req req;
};

static void dropped(struct backend_req *req, int error)
{
	free(container_of(req, struct drop, req));
}

/* What it has staged, and not published, takes room. What others have, who write by another target, is theirs. */
void shared_drop(struct target *target)
{
	struct region *region = to_shared(target)->region;
	struct drop *drop;

	if (!to_shared(target)->wrote || atomic_load(&region->state) != REGION_READY || !region->backend->caps.publish)
		return;
	drop = calloc(1, sizeof(*drop));
	if (!drop)
		return;
	drop->req.op = BACKEND_DROP;
	drop->req.loop = region->regiond->loop;
	drop->req.done = dropped;
	region_submit(region->regiond->regions, region->info.id, &drop->req);
}

void shared_release(struct target *target)
{
	struct shared *shared = to_shared(target);
	struct release *release;

	shared_drop(target);
	shared->wrote = false;
	if (!shared->revoked)
		return;
	shared->revoked = false;
	release = shared->region->info.claimed ? calloc(1, sizeof(*release)) : NULL;
	if (!release)
		return;
	release->region = region_get(shared->region);
	release->call.cmd = REGIONFS_CMD_REGION_SET;
	release->call.done = released;
	netlink_set(&release->call.attrs, REGION, region, shared->region->info.id);
	set_read_only(shared, &release->call, false);
}

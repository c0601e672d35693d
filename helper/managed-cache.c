// SPDX-License-Identifier: GPL-2.0
/*
 * managed: without a local store, when the kernel's page cache is all there is. Changes go to the source, and so do READs of what is not on
 * its way. What the puller fetches is put into the page cache (STORE); who asks for it while it is under way gets it from there: a reader
 * that has caught up with the puller is no miss that the puller gives way to.
 *
 * A token is taken before the source is read, so that the kernel knows what was overtaken when it gets the bytes. Of the READs that wait for them the kernel
 * can't know: a change marks its pages in what is under way, as it is begun and as it ends, and nobody waits for those any more.
 *
 * With a timeout each READ has a fetch of its own or waits for one: it can be given up.
 */
#include <errno.h>
#include <stdlib.h>

#include <linux/regionfs.h>

#include "device.h"
#include "managed-private.h"
#include "region.h"
#include "regiond.h"

/* ---- for the puller ---- */

bool managed_cache_absent(struct managed *managed, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length)
{
	uint64_t at = from, end;

	while (at < limit && pages_test(managed->pulled, at, PAGES_SIZE) != PAGES_NONE)
		at += PAGES_SIZE;
	for (end = at; end < limit && end - at < WINDOW_UNIT_MAX; end += PAGES_SIZE)
		if (pages_test(managed->pulled, end, PAGES_SIZE) != PAGES_NONE)
			break;
	*offset = at;
	*length = end - at;
	return at < limit;
}

struct cache_fetch {
	struct loop_op op;
	struct regionfs_token token;
	struct regionfs_store store;
};

static struct cache_fetch *cache_of(struct fetch *fetch)
{
	return (struct cache_fetch *)fetch->store.private;
}

static void stored(struct fetch *fetch, int res)
{
	struct managed *managed = fetch->managed;

	/* overtaken by a write, whose pages are there: the rest will be asked for, or pulled next time */
	if (res >= 0 || res == -ESTALE)
		pages_set(managed->pulled, fetch->offset, fetch->length);
	managed_fetch_free(fetch, res >= 0 || res == -ESTALE ? 0 : res == -ENOMEM ? -EAGAIN : res);
}

_Static_assert(sizeof(struct cache_fetch) <= sizeof(((struct store_io *)0)->private), "the store's part is not used then");

static struct fetch *fetch_of_op(struct loop_op *op)
{
	char *private = (char *)container_of(op, struct cache_fetch, op);

	return container_of(container_of(private, struct store_io, private[0]), struct fetch, store);
}

static void store_answered(struct loop_op *op, int res)
{
	stored(fetch_of_op(op), res);
}

static void command(struct fetch *fetch, uint32_t cmd_op, void *arg, void (*done)(struct loop_op *op, int res))
{
	struct managed *managed = fetch->managed;
	struct regionfs_io_cmd cmd = { .addr = (uintptr_t)arg };
	struct loop_op *op = &cache_of(fetch)->op;

	op->done = done;
	/* at the end of the process there is none */
	if (!managed->region->regiond->device ||
	    device_command(managed->region->regiond->device, managed_loop(managed), op, cmd_op, &cmd))
		done(op, -ENODEV);
}

static void pulled(struct backend_req *req, int error)
{
	struct fetch *fetch = container_of(req, struct fetch, req);
	struct managed *managed = fetch->managed;
	struct regionfs_store *store = &cache_of(fetch)->store;

	fetch->landed = true;
	if (error)
		managed_fetch_disown(fetch);
	managed_fetch_answer(fetch, error);
	if (error || managed->closing) {
		managed_fetch_free(fetch, error ? error : -ESHUTDOWN);
		return;
	}
	atomic_fetch_add_explicit(&managed->fetched, req->data ? fetch->length : 0, memory_order_relaxed);
	*store = (struct regionfs_store){ .region = managed->region->info.id, .offset = fetch->offset,
					  .addr = (uintptr_t)req->data, .token = cache_of(fetch)->token.token,
					  .epoch = managed->region->info.epoch, .length = fetch->length };
	command(fetch, REGIONFS_IO_STORE, store, store_answered);
}

static void token_taken(struct loop_op *op, int res)
{
	struct fetch *fetch = fetch_of_op(op);
	int error = res < 0 ? res : fetch->managed->closing ? -ESHUTDOWN : 0;

	if (error) {
		managed_fetch_dismiss(fetch);
		managed_fetch_free(fetch, error);
	} else {
		managed_fetch_submit(fetch, pulled);
	}
}

void managed_cache_fetch(struct fetch *fetch)
{
	struct regionfs_token *token = &cache_of(fetch)->token;

	*token = (struct regionfs_token){ .region = fetch->managed->region->info.id };
	command(fetch, REGIONFS_IO_TOKEN, token, token_taken);
}

/* ---- READs that wait for it ---- */

/* The kernel's readahead has it: it need not be pulled. */
static void note_kept(struct managed *managed, uint64_t offset, uint64_t length, int error)
{
	if (!managed->pulled)
		return;
	if (!error)
		pages_set(managed->pulled, offset, (length + PAGES_SIZE - 1) & ~(uint64_t)(PAGES_SIZE - 1));
	else if (managed->puller)
		puller_kick(managed->puller);
}

static void came(struct backend_req *req, int error)
{
	struct fetch *fetch = container_of(req, struct fetch, req);
	struct managed *managed = fetch->managed;

	managed_fetch_disown(fetch);
	managed_fetch_answer(fetch, error);
	if (fetch->kept)
		note_kept(managed, fetch->offset, fetch->length, error);
	managed_fetch_free(fetch, error);
}

/* For what of a READ is not on its way yet. */
void managed_cache_read(struct fetch *fetch)
{
	managed_fetch_submit(fetch, came);
}

/* ---- past it, to the source ---- */

struct through {
	struct managed *managed;
	struct backend_req *outer;
	struct backend_req inner;
	struct miss miss;
};

static void spoil(const struct through *through)
{
	const struct backend_req *outer = through->outer;

	if (outer->op == BACKEND_RESIZE)
		managed_fetch_spoil(through->managed, outer->arg < outer->length ? outer->arg : outer->length, UINT64_MAX);
	else if (outer->op != BACKEND_READ)
		managed_fetch_spoil(through->managed, outer->offset, outer->length);
}

static void note_changed(struct managed *managed, const struct backend_req *outer)
{
	if (outer->op == BACKEND_WRITE || outer->op == BACKEND_RESIZE)
		managed_follow_size(managed, outer);
	managed_note_change(managed);
}

static void through_done(struct backend_req *req, int error)
{
	struct through *through = container_of(req, struct through, inner);
	struct managed *managed = through->managed;
	struct backend_req *outer = through->outer;

	if (outer->op == BACKEND_READ)
		managed_miss_end(managed, outer, &through->miss);
	if (managed_is_ahead(outer))
		note_kept(managed, outer->offset, outer->length, error);
	spoil(through);
	if (!error && outer->op != BACKEND_READ)
		note_changed(managed, outer);
	outer->data = through->inner.data;
	free(through);
	managed->nr_busy--;
	backend_done(outer, error);
	managed_idle(managed);
}

static void start(struct managed *managed, struct backend_req *req)
{
	struct through *through = malloc(sizeof(*through));

	if (!through) {
		backend_done(req, -ENOMEM);
		return;
	}
	through->managed = managed;
	through->outer = req;
	through->miss = (struct miss){ .since = loop_now_ns(), .bytes = (uint32_t)req->length };
	through->inner = *req;
	through->inner.loop = managed_loop(managed);
	through->inner.done = through_done;
	managed->nr_busy++;
	if (req->op == BACKEND_READ)
		managed_miss_begin(managed, req, &through->miss, req->offset, req->offset + req->length);
	spoil(through);
	remote_submit(managed->remote, &through->inner);
}

void managed_source_changed(struct managed *managed, uint64_t offset, uint64_t length)
{
	if (!managed->store)
		managed_fetch_spoil(managed, offset, length);
}

/*
 * A READ that may have to be answered before the source does, for its deadline or since the region is removed: what comes later must not go into the memory
 * of who has asked. A write that was given to the source waits in any case, since it may still land there.
 */
static bool may_be_late(const struct managed *managed)
{
	return managed_has_timeout(managed) || remote_state(managed->remote) != REMOTE_UP;
}

void managed_through(struct managed *managed, struct backend_req *req)
{
	uint64_t end = req->offset + req->length;

	if (req->op == BACKEND_READ && (may_be_late(managed) ||
	    managed_fetch_next(managed, req->offset, end, req->flags & BACKEND_DEMAND) < end))
		managed_read_start(managed, req);
	else
		start(managed, req);
}

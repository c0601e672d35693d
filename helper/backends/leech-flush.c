// SPDX-License-Identifier: GPL-2.0
/*
 * leech: what outlives the host. A chunk that is here counts after a power cut only if the record says so, and that says so only of what the local
 * store has made durable; for anything else the other side is asked again, which keeps its bytes until COMPLETE. But what a program has
 * written and synced is here alone, so its SYNC ends when the record has its chunks.
 */
#include <errno.h>
#include <stdlib.h>

#include "backends/leech-private.h"

#define BEHIND_MS 5000u

static void flush_end(struct leech_flush *flush, int error)
{
	struct leech *leech = flush->leech;

	leech->nr_flushes--;
	list_del(&flush->list);
	free(flush->snapshot);
	flush->snapshot = NULL;
	flush->done(flush, error);
	leech_close_more(leech);	/* may free it */
}

static void flush_saved(struct leech_record_waiter *waiter, int error)
{
	flush_end(container_of(waiter, struct leech_flush, saved), error);
}

static void flush_synced(struct backend_req *req, int error)
{
	struct leech_flush *flush = container_of(req, struct leech_flush, sync);
	struct leech *leech = flush->leech;

	if (error) {
		flush_end(flush, error);
		return;
	}
	leech_record_synced(leech->record, flush->snapshot, leech->map);
	flush->snapshot = NULL;
	flush->saved.done = flush_saved;
	leech_record_save(leech->record, &flush->saved);
}

struct leech_flush *leech_flush_start(struct leech *leech, struct backend_req *outer,
				      void (*done)(struct leech_flush *flush, int error))
{
	struct leech_flush *flush = calloc(1, sizeof(*flush));

	if (flush)
		flush->snapshot = leech_record_snapshot(leech->map);
	if (!flush || !flush->snapshot) {
		free(flush);
		return NULL;
	}
	flush->leech = leech;
	flush->outer = outer;
	flush->done = done;
	flush->sync.op = BACKEND_SYNC;
	/* of a managed one the store is meant, but where a program asks */
	flush->sync.flags = outer && outer->op == BACKEND_SYNC ? outer->flags : BACKEND_BULK;
	flush->sync.loop = leech->backend.loop;
	flush->sync.done = flush_synced;
	leech->nr_flushes++;
	list_add(&leech->flushes, &flush->list);
	backend_submit(leech->local, &flush->sync);
	return flush;
}

static void flushed_for(struct leech_flush *flush, int error)
{
	struct backend_req *req = flush->outer;

	free(flush);
	backend_done(req, error);
}

void leech_flush_for(struct leech *leech, struct backend_req *req)
{
	if (!leech_flush_start(leech, req, flushed_for))
		backend_done(req, -ENOMEM);
}

/* ---- behind: so that little is fetched again after a power cut, and little is left to be done at the end ---- */

static void flushed_behind(struct leech_flush *flush, int error)
{
	struct leech *leech = flush->leech;

	free(flush);
	leech->behind = NULL;
	leech_flush_behind(leech);
}

static void flush_now(struct loop_timer *timer)
{
	struct leech *leech = container_of(timer, struct leech, flush_timer);

	if (!leech->parting && !leech->behind)
		leech->behind = leech_flush_start(leech, NULL, flushed_behind);
}

void leech_flush_behind(struct leech *leech)
{
	if (leech->parting || leech->all_here || chunkmap_state(leech->map) == CHUNKMAP_COMPLETE)
		return;
	leech->flush_timer.fire = flush_now;
	loop_timer_set(leech->backend.loop, &leech->flush_timer, BEHIND_MS);
}

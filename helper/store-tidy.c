// SPDX-License-Identifier: GPL-2.0
/*
 * store-tidy: now and then, and when the log has files that it could let go of: the log to the disk, the base to the disk, and then the
 * files whose changes are all at the source go. Only then: until a flush the base's entries on the disk may still match older bytes.
 */
#include <string.h>

#include "log.h"
#include "store-private.h"

#define SOON_MS		1000
/* An empty log that is not used for so long, or that stands in the way, takes no room. */
#define IDLE_NS		10000000000ull

static void tidy_start(struct store *store);

/* Nothing of the log may be needed: then it takes no room, where it isn't used or room is missing. */
static bool may_empty(const struct store *store)
{
	return list_empty(&store->gens) && list_empty(&store->ops) &&
	       (store->full || store->tidy.then || loop_now_ns() - store->last_change > IDLE_NS);
}

/* At the end no PUSHED may be on its way: one that was made while another was may be behind the sync. */
static void tidy_ended(struct store *store, int error)
{
	struct tidy *tidy = &store->tidy;
	void (*then)(struct store *store) = tidy->then;

	tidy->running = false;
	if (error) {
		tidy->dirty = true;
		if (tidy->told != error)
			log_warning("%s: the local store can't be written to the disk: %s", store->options.dir, strerror(-error));
	}
	tidy->told = error;
	if (!then) {
		if (tidy->dirty || redo_bytes(store->redo))
			loop_timer_set(store->loop, &tidy->timer, SOON_MS);
	} else if ((!error && tidy->again) || store->noting || store->forgetting) {
		tidy_start(store);
	} else {
		tidy->then = NULL;
		then(store);
	}
}

/* PUSHED came before the sync in the log's order, unless it could not be noted. */
static void flushed(struct base_io *io, int error)
{
	struct store *store = container_of(io, struct store, tidy.base);
	struct tidy *tidy = &store->tidy;

	/* what the base has lost by that the log may have */
	if (error && !list_empty(&store->gens))
		atomic_store(&store->holes, true);
	if (!error && tidy->drops != store->version.gone)
		store_version_gone(store, tidy->drops);
	if (!error && !(may_empty(store) && redo_free_all(store->redo, tidy->pushed)) && store->noted >= tidy->gen && !tidy->error)
		redo_free(store->redo, tidy->gen, tidy->mark);
	tidy->error = error ? error : tidy->error;
	tidy_ended(store, tidy->error);
}

/* What the base has not yet, or not all of it, the log must keep: a flush knows of what has come. */
static void keep_logged(struct store *store)
{
	struct tidy *tidy = &store->tidy;
	struct list *pos;

	list_for_each(pos, &store->ops) {
		const struct op *op = list_entry(pos, struct op, list);

		if (!op->logged)
			continue;
		if (tidy->gen >= op->logged)
			tidy->gen = op->logged - 1;
		if (tidy->pushed >= op->logged)
			tidy->pushed = op->logged - 1;
	}
}

/* A log that can't be synced may still go as a whole. */
static void log_synced(struct redo_io *io, int error)
{
	struct store *store = container_of(io, struct store, tidy.redo);
	struct tidy *tidy = &store->tidy;

	tidy->error = error;
	if (error && !may_empty(store)) {
		tidy_ended(store, error);
		store_unhold(store);
		return;
	}
	keep_logged(store);
	tidy->base.done = flushed;
	tidy->dirty = false;
	tidy->drops = store->version.drops;
	base_flush(store->base, &tidy->base);
	store_unhold(store);
}

static void tidy_start(struct store *store)
{
	struct tidy *tidy = &store->tidy;

	loop_timer_cancel(store->loop, &tidy->timer);
	tidy->running = true;
	tidy->again = false;
	store_gen_note(store);
	tidy->pushed = store->pushed;
	tidy->gen = store->noting ? store->note.gen : store->noted;
	tidy->mark = redo_mark(store->redo);
	store->holding = true;
	memset(&tidy->redo, 0, sizeof(tidy->redo));
	tidy->redo.done = log_synced;
	redo_sync(store->redo, &tidy->redo);
}

static bool is_due(const struct store *store)
{
	return store->tidy.dirty || redo_can_free(store->redo, store->noted, may_empty(store));
}

static void tidy_fired(struct loop_timer *timer)
{
	struct store *store = container_of(timer, struct store, tidy.timer);

	if (is_due(store))
		tidy_start(store);
	else if (redo_bytes(store->redo))
		loop_timer_set(store->loop, timer, SOON_MS);
}

void store_tidy_soon(struct store *store)
{
	struct tidy *tidy = &store->tidy;

	if (tidy->running || store->closed)
		return;
	tidy->timer.fire = tidy_fired;
	if (redo_can_free(store->redo, store->noted, store->full && may_empty(store)))
		tidy_start(store);
	else if (!tidy->timer.slot)
		loop_timer_set(store->loop, &tidy->timer, SOON_MS);
}

void store_tidy_last(struct store *store, void (*then)(struct store *store))
{
	store->tidy.then = then;
	if (store->tidy.running)
		store->tidy.again = true;
	else
		tidy_start(store);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * leech: the rest, of a region whose source moves with it: the chunks that are not to come from the other side any more, since that is lost, or its operator has given it
 * up. The local store may have what they were some rounds ago, and would push that over what the source has of them. So that is dropped, and then what is here is pushed.
 * A chunk that is being overwritten, or stored, is waited for: then it is here.
 */
#include <errno.h>
#include <string.h>

#include "adopter.h"
#include "backends/leech-private.h"
#include "log.h"

#define AGAIN_MS 1000u
#define LEAVING_TRIES 3u

static void rest_next(struct leech *leech);

static bool is_over(const struct leech *leech)
{
	return leech->closing && !leech->rest.leaving;
}

static void again(struct loop_timer *timer)
{
	struct leech *leech = container_of(timer, struct leech, rest.timer);

	if (is_over(leech))
		return;
	leech->rest.at = 0;
	leech->rest.waits = true;
	leech_rest_more(leech);
	if (leech->rest.leaving)
		leech->nr_notes--;	/* the timer's */
}

static void later(struct leech *leech)
{
	leech->rest.timer.fire = again;
	loop_timer_set(leech->backend.loop, &leech->rest.timer, AGAIN_MS);
}

/* Nobody but us knows of what was written here: it is worth a few tries. */
static bool leaves_later(struct leech *leech)
{
	if (!leech->rest.leaving || ++leech->rest.tries > LEAVING_TRIES)
		return false;
	later(leech);
	return true;
}

/*
 * One that is removed before the other side has heard that it is owned here may have been taken back over there: what is here is not to go over what is written
 * there since, and stays in the store, as of any source that is not to be had.
 */
static void push(struct leech *leech)
{
	if (!leech->rest.leaving || leech->owned_heard || leech_record_head(leech->record)->state != LEECH_RECORD_OWNED)
		leech->outer.adopter->push(leech->local);
}

/* Whoever waits for it hears of an error; where nobody does it is tried until it succeeds. */
static void rest_end(struct leech *leech, int error)
{
	void (*done)(void *arg, int error) = leech->rest.done;

	if (error && !is_over(leech))
		log_error("%s: what has not come could not be dropped: %s", leech->backend.uri.text, strerror(-error));
	leech->rest.under_way = false;
	leech->rest.waits = false;
	leech->rest.done = NULL;
	leech->rest.over |= !error;
	if (!error && !is_over(leech)) {
		push(leech);
		leech_drain_lost(leech);
	}
	if (error && !done && !leech->closing)
		later(leech);
	if (done)
		done(leech->rest.done_arg, error);
	if (error && leaves_later(leech))
		return;
	leech->nr_notes--;
	leech_close_more(leech);	/* may free it */
}

static void flushed(struct leech_flush *flush, int error)
{
	struct leech *leech = flush->leech;

	free(flush);
	rest_end(leech, error);
}

static void dropped(void *arg, int error)
{
	struct leech *leech = arg;

	leech->rest.error = error;
	leech->rest.more = true;
	if (!leech->rest.running)
		rest_next(leech);
}

/* The next chunks that are missing, and at which nobody is; false: there are none. */
static bool next_run(struct leech *leech, uint64_t *first, uint64_t *end)
{
	uint64_t chunks = chunkmap_chunks(leech->map), at = leech->rest.at;

	while ((at = chunkmap_absent(leech->map, at)) < chunks && bitmap_get(leech->busy, at)) {
		leech->rest.skipped = at < leech->rest.skipped ? at : leech->rest.skipped;
		at++;
	}
	*first = at;
	while (at < chunks && !chunkmap_present(leech->map, at) && !bitmap_get(leech->busy, at))
		at++;
	*end = leech->rest.at = at;
	return *first < at;
}

static void all_dropped(struct leech *leech)
{
	if (leech->rest.skipped != UINT64_MAX && !is_over(leech)) {
		leech->rest.at = leech->rest.skipped;
		leech->rest.waits = true;
		/* who was there may have gone meanwhile, and has told nobody */
		if (!bitmap_get(leech->busy, leech->rest.skipped))
			leech_rest_more(leech);
		return;
	}
	if (is_over(leech) || !leech_flush_start(leech, NULL, flushed))
		rest_end(leech, is_over(leech) ? -ESHUTDOWN : -ENOMEM);
}

/* The store may answer from within: a loop, not a stack. */
static void rest_next(struct leech *leech)
{
	uint64_t chunk = chunkmap_chunk(leech->map), first, end;

	leech->rest.running = true;
	while (leech->rest.more && !leech->rest.error && !is_over(leech) && next_run(leech, &first, &end)) {
		leech->rest.more = false;
		leech->outer.adopter->drop(leech->local, first * chunk, (end - first) * chunk, dropped, leech);
	}
	leech->rest.running = false;
	if (!leech->rest.more)
		return;
	leech->rest.more = false;
	if (leech->rest.error)
		rest_end(leech, leech->rest.error);
	else
		all_dropped(leech);
}

static void begin(struct loop_task *task)
{
	struct leech *leech = container_of(task, struct leech, rest.task);

	leech->rest.posted = false;
	if (!leech->rest.under_way)
		leech->nr_notes++;
	leech->rest.under_way = true;
	leech->rest.error = 0;
	leech->rest.skipped = UINT64_MAX;
	leech->rest.more = true;
	leech->nr_notes--;
	rest_next(leech);	/* may free it */
}

void leech_rest_more(struct leech *leech)
{
	if (!leech->rest.waits || leech->rest.posted)
		return;
	leech->rest.waits = false;
	leech->rest.posted = true;
	leech->nr_notes++;
	leech->rest.task.run = begin;
	loop_post(leech->backend.loop, &leech->rest.task);
}

/* Where something stays missing nobody else sees to it. */
void leech_drain_lost(struct leech *leech)
{
	if (leech_record_head(leech->record)->state == LEECH_RECORD_LOST && chunkmap_missing(leech->map))
		leech_drains(leech);
}

bool leech_drop_rest(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	if (!leech->adopts || leech->rest.over || leech->rest.under_way || leech->rest.posted)
		return false;
	leech->rest.done = done;
	leech->rest.done_arg = arg;
	leech->rest.at = 0;
	leech->rest.waits = true;
	leech_rest_more(leech);
	return true;
}

/* ---- the region is removed ---- */

static void last_noted(struct leech_record_waiter *waiter, int error)
{
	struct leech *leech = container_of(waiter, struct leech, drain.noted);

	if (error)
		log_error("%s: that it is pushed could not be written down: %s", leech->backend.uri.text, strerror(-error));
	else if (leech->rest.over)
		push(leech);
	else
		leech_drop_rest(leech, NULL, NULL);
	leech->nr_notes--;
	leech_close_more(leech);	/* may free it */
}

bool leech_drop_last(struct leech *leech)
{
	if (leech->rest.leaving || !leech->adopts || !leech_is_ours(leech) || !leech->outer.adopter->owes(leech->local))
		return false;
	leech->rest.leaving = true;
	loop_timer_cancel(leech->backend.loop, &leech->rest.timer);
	if (leech->outer.adopter->is_memory(leech->local)) {
		leech_note_pushing(leech, last_noted);
		return true;
	}
	if (!leech->rest.over)
		return leech_drop_rest(leech, NULL, NULL);
	push(leech);
	return false;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * leech: a store in memory, in front of a source that moves with the region. COMPLETE has the other side drop its bytes, so the source has to have all of them
 * first. From the first push on the source is ahead of what the other side has, and that has some of its bytes there alone: should this host be booted
 * before the record says COMPLETE, what could be had again would be a mixture of both. The record says before that it is pushed, and who finds
 * that at start, with the memory gone, makes it LOST (restore.c): no byte is read that was not written since.
 */
#include <errno.h>
#include <string.h>

#include "adopter.h"
#include "backends/leech-private.h"
#include "log.h"

#define AGAIN_MS 1000u

/* What is missing of one that is LOST may never come. */
static void go_on(struct leech *leech)
{
	if (chunkmap_missing(leech->map))
		leech_drains(leech);
	else
		leech_complete(leech);
}

static void again(struct loop_timer *timer)
{
	struct leech *leech = container_of(timer, struct leech, drain.timer);

	if (!leech->closing)
		go_on(leech);
}

static void later(struct leech *leech)
{
	leech->drain.under_way = false;
	leech->drain.timer.fire = again;
	if (!leech->closing)
		loop_timer_set(leech->backend.loop, &leech->drain.timer, AGAIN_MS);
}

static void drained(void *arg, int error)
{
	struct leech *leech = arg;

	if (error || leech->closing) {
		later(leech);
		return;
	}
	leech->drain.under_way = false;
	leech->drain.once = true;
	/* what overwrites the last of what was missing is to be at the source, too, before it is complete */
	leech->drain.done = !chunkmap_missing(leech->map);
	if (leech->drain.done)
		leech_complete(leech);
}

static void noted(struct leech_record_waiter *waiter, int error)
{
	struct leech *leech = container_of(waiter, struct leech, drain.noted);

	leech->nr_notes--;
	if (error)
		log_error("%s: that it is pushed could not be written down: %s", leech->backend.uri.text, strerror(-error));
	if (error || leech->closing) {
		later(leech);
		leech_close_more(leech);	/* may free it */
		return;
	}
	leech->outer.adopter->drain(leech->local, drained, leech);
}

void leech_note_pushing(struct leech *leech, void (*done)(struct leech_record_waiter *waiter, int error))
{
	leech_record_head(leech->record)->pushing = true;
	leech->drain.noted.done = done;
	leech->nr_notes++;
	leech_record_save(leech->record, &leech->drain.noted);
}

bool leech_is_volatile(const struct leech *leech)
{
	return leech->adopts && leech->local && leech->outer.adopter->is_memory(leech->local) && !leech->drain.once;
}

bool leech_drains(struct leech *leech)
{
	if (!leech->adopts || leech->drain.done || !leech->outer.adopter->is_memory(leech->local))
		return false;
	if (leech->drain.under_way || leech->drain.timer.slot || leech->closing || leech_is_diverged(leech))
		return true;
	/* it is being handed on, and the next host's to push; it may come back */
	if (leech->outer.adopter->is_handed(leech->local)) {
		later(leech);
		return true;
	}
	leech->drain.under_way = true;
	leech_note_pushing(leech, noted);
	return true;
}

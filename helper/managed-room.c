// SPDX-License-Identifier: GPL-2.0
/*
 * managed: room for changes that the store had none for. What the source has as well gives way first; then what it has not goes there. They are
 * tried again when something has been pushed, when the store has let go of its log, some time after that, and by a timer, until the region's
 * deadline: a source that is away may come back.
 */
#include <errno.h>
#include <string.h>

#include "managed-event.h"
#include "managed-private.h"

#define GIVE		(32u << 20)
/* A file system may say that it has given room, and still have none. */
#define ROUNDS		8u
#define FIRST_MS	1000u
#define MOST_MS		30000u
/* So often it is tried when there is nothing more that could be pushed. */
#define TRIES		4u

static void room_later(struct managed *managed, bool slower);

static void again(struct managed *managed)
{
	managed->room.rounds = 0;
	managed_retry_no_room(managed);
}

static void fired(struct loop_timer *timer)
{
	again(container_of(timer, struct managed, room.timer));
}

/* ---- what is not at the source goes there ---- */

/* Where it can't, the pusher tries again by itself, and so does the timer. */
static void pushed(struct pusher_wait *wait, int error)
{
	struct managed *managed = container_of(wait, struct managed, room.wait);

	managed->room.pushing = false;
	if (!error && !managed->closing)
		managed_room_came(managed);
	managed->nr_busy--;
	managed_idle(managed);
}

static void push(struct managed *managed)
{
	if (!managed->room.told) {
		managed->room.told = true;
		managed_event(managed->region, "store-full", "the local store has no room for what is written");
	}
	if (managed->room.pushing || !managed->pusher)
		return;
	managed->room.pushing = true;
	managed->nr_busy++;
	managed->room.wait.done = pushed;
	pusher_flush(managed->pusher, &managed->room.wait);
}

static void none_left(struct managed *managed)
{
	bool any = store_gen_oldest(managed->store);

	managed->room.tries = any ? 0 : managed->room.tries + 1;
	if (managed->room.tries > TRIES) {
		managed->room.tries = 0;
		managed_fail_no_room(managed, UINT64_MAX, -ENOSPC);
	} else if (any) {
		push(managed);
	}
	/* with the source up, room comes as it is pushed */
	room_later(managed, any && managed_is_stuck(managed));
}

static void room_later(struct managed *managed, bool slower)
{
	uint64_t ms = managed->room.ms ? managed->room.ms : FIRST_MS;

	if (managed->closing || managed->room.timer.slot || list_empty(&managed->no_room))
		return;
	managed->room.timer.fire = fired;
	loop_timer_set(managed_loop(managed), &managed->room.timer, ms);
	managed->room.ms = !slower ? ms : ms * 2 < MOST_MS ? ms * 2 : MOST_MS;
}

/* ---- what it has as well gives way ---- */

static void given(struct store_io *io, int error)
{
	struct managed *managed = container_of(io, struct managed, room.io);

	managed->room.giving = false;
	if (!managed->closing && !error)
		managed_retry_no_room(managed);
	else if (!managed->closing)
		none_left(managed);
	managed->nr_busy--;
	managed_idle(managed);
}

void managed_room_make(struct managed *managed)
{
	struct store_io *io = &managed->room.io;

	if (managed->leaving)
		managed_let_go(managed);
	if (managed->room.giving || managed->room.timer.slot || managed->closing || list_empty(&managed->no_room))
		return;
	if (managed->room.rounds++ >= ROUNDS) {
		none_left(managed);
		return;
	}
	managed->room.giving = true;
	managed->nr_busy++;
	memset(io, 0, sizeof(*io));
	io->length = GIVE;
	io->done = given;
	store_give(managed->store, io);
}

/* ---- there is some ---- */

void managed_room_came(struct managed *managed)
{
	loop_timer_cancel(managed_loop(managed), &managed->room.timer);
	managed->room.ms = 0;
	managed->room.tries = 0;
	managed->room.moved = loop_now_ns();
	again(managed);
}

void managed_room_taken(struct managed *managed)
{
	managed->room.told = false;
	managed->room.rounds = managed->room.tries = 0;
	managed->room.moved = loop_now_ns();
	managed->room.ms = 0;
}

void managed_room_settle(struct managed *managed)
{
	if (list_empty(&managed->no_room))
		loop_timer_cancel(managed_loop(managed), &managed->room.timer);
	else if (!managed->room.giving && !managed->room.retrying)
		room_later(managed, false);
}

// SPDX-License-Identifier: GPL-2.0
/* pusher: its life, who waits for it, and what it tells. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pusher-private.h"

/* While the source is away, in case nobody tells that it is back. */
#define AWAY_LOOK (2 * SECOND)
/* What has failed is tried again by flushes. */
#define HURRY_EVERY SECOND

/* ---- looking ---- */

static void look_later(struct pusher *pusher)
{
	if (pusher->posted)
		return;
	pusher->posted = true;
	loop_post(pusher->options.loop, &pusher->task);
}

/* Whoever changed the store has not answered yet: the others know of it before anything can depend on it. */
void pusher_kick(struct pusher *pusher)
{
	barriers_changed(&pusher->member);
	look_later(pusher);
}

void pusher_wake_at(struct pusher *pusher, uint64_t when)
{
	if (!pusher->wake || when < pusher->wake)
		pusher->wake = when;
}

static void set_timer(struct pusher *pusher, uint64_t now)
{
	struct loop *loop = pusher->options.loop;

	if (!pusher->wake)
		loop_timer_cancel(loop, &pusher->timer);
	else
		loop_timer_set(loop, &pusher->timer, pusher->wake > now ? (pusher->wake - now) / MS + 1 : 0);
}

static void pusher_free(struct pusher *pusher)
{
	void (*closed)(void *arg) = pusher->closed;
	void *arg = pusher->closed_arg;

	loop_timer_cancel(pusher->options.loop, &pusher->timer);
	extents_free(&pusher->sent[0]);
	extents_free(&pusher->sent[1]);
	barriers_forget(&pusher->own, pusher->member.key);
	free(pusher);
	closed(arg);
}

/* The last answer asks for a look, and that one finds nothing under way. */
static void look_closing(struct pusher *pusher)
{
	pusher_wake_waits(pusher, UINT64_MAX, -ESHUTDOWN);
	if (!pusher->nr_sends && !pusher->batch.busy && !pusher->posted)
		pusher_free(pusher);
}

static void pusher_look(struct pusher *pusher)
{
	uint64_t now = loop_now_ns();
	struct store_stats store;

	if (pusher->closing) {
		look_closing(pusher);
		return;
	}
	pusher->wake = 0;
	batch_advance(pusher, now);
	pusher_wake_waits(pusher, batch_oldest(pusher), 0);
	if (pusher->held)
		pusher_wake_waits(pusher, UINT64_MAX, -ESHUTDOWN);
	if (pusher->closing)
		return;
	if (remote_state(pusher->options.remote) != REMOTE_UP && batch_oldest(pusher) != UINT64_MAX)
		pusher_wake_at(pusher, now + AWAY_LOOK);
	store_stats(pusher->options.store, &store);
	pusher_tell_limit(pusher, store.unpushed, now);
	set_timer(pusher, now);
}

static void posted(struct loop_task *task)
{
	struct pusher *pusher = container_of(task, struct pusher, task);

	pusher->posted = false;
	pusher_look(pusher);
}

static void timer_fired(struct loop_timer *timer)
{
	pusher_look(container_of(timer, struct pusher, timer));
}

/* ---- who waits ---- */

static uint64_t newest_gen(struct pusher *pusher)
{
	struct store *store = pusher->options.store;
	struct store_gen *gen = store_gen_oldest(store), *after;

	while (gen && (after = store_gen_after(store, gen)))
		gen = after;
	return gen ? gen->gen : 0;
}

uint64_t pusher_aim(struct pusher *pusher)
{
	struct barriers *barriers = pusher->member.barriers;
	uint64_t newest = newest_gen(pusher);

	if (newest == barriers_gen(barriers))
		barriers_close(barriers);
	if (newest > pusher->target)
		pusher->target = newest;
	barriers_want(&pusher->member, newest);
	return newest;
}

void pusher_wake_waits(struct pusher *pusher, uint64_t oldest, int error)
{
	struct list done, *pos, *tmp;

	list_init(&done);
	list_for_each_safe(pos, tmp, &pusher->waits) {
		if (list_entry(pos, struct pusher_wait, list)->gen >= oldest && !error)
			continue;
		list_del(pos);
		list_add(&done, pos);
	}
	/* each may give up another one, or begin to wait again */
	while ((pos = list_pop(&done))) {
		struct pusher_wait *wait = list_entry(pos, struct pusher_wait, list);

		wait->done(wait, error);
	}
}

/* Who flushes again whenever that has failed would else keep the source, and the loop, busy with it. */
static void hurry(struct pusher *pusher, uint64_t now)
{
	uint64_t next = pusher->hurried_at + HURRY_EVERY;

	if (pusher->retry_at <= now)
		return;
	if (pusher->hurried_at && now < next) {
		pusher->retry_at = next < pusher->retry_at ? next : pusher->retry_at;
		return;
	}
	pusher->hurried_at = now;
	pusher->retry_at = 0;
}

void pusher_flush(struct pusher *pusher, struct pusher_wait *wait)
{
	wait->gen = pusher_aim(pusher);
	/* What is at the source, but not noted, is not in the store's list any more. */
	if (pusher->batch.state == BATCH_NOTING && wait->gen < pusher->batch.upto)
		wait->gen = pusher->batch.upto;
	list_add(&pusher->waits, &wait->list);
	hurry(pusher, loop_now_ns());
	pusher_kick(pusher);
}

void pusher_let_go(struct pusher *pusher)
{
	pusher_wake_waits(pusher, UINT64_MAX, -ESHUTDOWN);
}

void pusher_unwait(struct pusher_wait *wait)
{
	list_del(&wait->list);
}

void pusher_rest(struct pusher *pusher, bool rest)
{
	pusher->resting = rest;
	pusher_kick(pusher);
}

void pusher_hold(struct pusher *pusher, bool hold)
{
	pusher->held = hold;
	pusher->retry_at = 0;
	pusher_kick(pusher);
}

void pusher_settle(struct pusher *pusher)
{
	pusher->debt = 0;
}

/* ---- life ---- */

static uint64_t member_oldest(struct barrier_member *member)
{
	return batch_oldest(container_of(member, struct pusher, member));
}

static void member_go(struct barrier_member *member)
{
	look_later(container_of(member, struct pusher, member));
}

/* A region that has moved here may have all of its bytes to push: its writers are slowed for what they write, and not for that. */
static void take_debt(struct pusher *pusher)
{
	uint64_t most = pusher->options.policy->max_unpushed;
	struct store_stats store;

	store_stats(pusher->options.store, &store);
	pusher->debt = pusher->options.owes && store.unpushed > most ? store.unpushed : 0;
}

int pusher_open(struct pusher **result, const struct pusher_options *options)
{
	struct pusher *pusher = calloc(1, sizeof(*pusher));
	struct barriers *barriers;

	if (!pusher)
		return -ENOMEM;
	pusher->options = *options;
	pusher->size = UINT64_MAX;
	list_init(&pusher->sends);
	list_init(&pusher->waits);
	extents_init(&pusher->sent[0]);
	extents_init(&pusher->sent[1]);
	pusher->task.run = posted;
	pusher->timer.fire = timer_fired;
	barriers_init(&pusher->own);
	barriers = options->barriers ? options->barriers : &pusher->own;
	barriers_recovered(barriers, store_recovered(options->store));
	pusher->member.oldest = member_oldest;
	pusher->member.go = member_go;
	pusher->member.key = options->region;
	take_debt(pusher);
	/* OPENING: until it knows more its oldest is 0 */
	if (barriers_join(barriers, &pusher->member)) {
		free(pusher);
		return -ENOMEM;
	}
	batch_open(pusher);
	*result = pusher;
	return 0;
}

void pusher_close(struct pusher *pusher, void (*closed)(void *arg), void *arg)
{
	batch_leave(pusher);
	barriers_leave(&pusher->member);
	pusher->closing = true;
	pusher->closed = closed;
	pusher->closed_arg = arg;
	/* The kernel would keep it until the region is open again, or for good. */
	if (pusher->stats.limit)
		pusher->options.limit(pusher->options.arg, 0);
	pusher->stats.limit = 0;
	pusher_kick(pusher);
}

/* Numbers go up in the store, whoever gives them. */
int pusher_set_barriers(struct pusher *pusher, struct barriers *barriers)
{
	struct barriers *from = pusher->member.barriers, *to = barriers ? barriers : &pusher->own;
	int err;

	if (pusher->closing || from == to)
		return 0;
	if (from == &pusher->own && batch_oldest(pusher) != UINT64_MAX)
		return -EBUSY;
	barriers_recovered(to, barriers_gen(from) - 1);
	err = barriers_reserve(to);
	if (err)
		return err;
	barriers_quit(&pusher->member);
	barriers_join(to, &pusher->member);
	pusher_kick(pusher);
	return 0;
}

void pusher_demand_begin(struct pusher *pusher)
{
	if (pusher->has_window)
		window_demand_begin(&pusher->window, loop_now_ns());
}

void pusher_demand_end(struct pusher *pusher, uint32_t length, uint64_t took_ns)
{
	if (!pusher->has_window)
		return;
	window_demand_end(&pusher->window, loop_now_ns(), length, took_ns);
	if (pusher->batch.state == BATCH_SENDING)
		look_later(pusher);
}

uint64_t pusher_gen(struct pusher *pusher)
{
	return barriers_gen(pusher->member.barriers);
}

const struct pusher_stats *pusher_stats(struct pusher *pusher)
{
	struct pusher_stats *stats = &pusher->stats;
	struct store_stats store;

	store_stats(pusher->options.store, &store);
	stats->pushing = pusher->batch.state != BATCH_NONE;
	stats->held = pusher->held;
	stats->away = remote_state(pusher->options.remote) != REMOTE_UP;
	stats->stopped = pusher->resting && batch_oldest(pusher) == UINT64_MAX;
	stats->unpushed = store.unpushed;
	stats->oldest_ns = store.oldest ? loop_now_ns() - store.oldest : 0;
	stats->in_flight = pusher->in_flight;
	stats->waits_for = barriers_holder(&pusher->member);
	return stats;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * pusher-batch: one generation, or several that are published as one, on the way from the store to the source.
 *
 * Nothing goes to the source that the store could still forget in a power cut: a program that goes on from the older bytes must not find
 * the newer ones at the source. And nothing newer goes there before the store is sure to remember what is there
 * already: else it would be sent again, over the newer one. So a batch begins and ends with the store's sync.
 *
 * A batch ends before the next one begins. With many generations at a source that can publish, that costs three round trips for all
 * of them; at one that can't, two or three for each.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "pusher-private.h"

#define RETRY_FIRST	SECOND
#define RETRY_MOST	(60 * SECOND)
/* A source that forgets a batch again and again is in error. */
#define RESTAGE_MOST	4u
/* Merging ends at this part of max_unpushed, so that room comes back bit by bit. */
#define MERGE_PART	8

uint64_t batch_oldest(struct pusher *pusher)
{
	const struct store_gen *gen;

	if (pusher->batch.state == BATCH_NOTING || pusher->batch.state == BATCH_OPENING)
		return pusher->batch.oldest;
	gen = store_gen_oldest(pusher->options.store);
	return gen ? gen->oldest : UINT64_MAX;
}

static void new_state(struct batch *batch, enum batch_state state)
{
	batch->state = state;
	batch->error = 0;
	batch->why[0] = '\0';
}

/* ---- its end ---- */

static void batch_report(struct pusher *pusher, int error, const char *why)
{
	pusher->stats.error = error;
	snprintf(pusher->stats.why, sizeof(pusher->stats.why), "%s", why);
	if (error)
		pusher_wake_waits(pusher, UINT64_MAX, error);
	pusher->options.pushed(pusher->options.arg, error, pusher->stats.why);
}

static void retry_later(struct pusher *pusher, uint64_t now)
{
	uint64_t wait = RETRY_FIRST << (pusher->tries < 6 ? pusher->tries : 6);

	pusher->tries++;
	pusher->retry_at = now + (wait < RETRY_MOST ? wait : RETRY_MOST);
	pusher_wake_at(pusher, pusher->retry_at);
}

/* A change got late into its generation while that was being sent: ranges, and a RESIZE, are other ones than when it began. */
static bool is_outrun(const struct batch *batch)
{
	return batch->gen && (batch->gen->pending || batch->gen->last != batch->last);
}

/* All of it is sent again, from the start; what the source has of it, it gets once more. */
static void batch_failed(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;
	int error = batch->error;
	char why[256];

	if (is_outrun(batch)) {
		new_state(batch, BATCH_NONE);
		return;
	}
	snprintf(why, sizeof(why), "%s", *batch->why ? batch->why : strerror(-error));
	pusher_rate_sample(pusher, now, true);
	batch->failed = batch->state == BATCH_NOTING || batch->state == BATCH_OPENING;
	new_state(batch, batch->failed ? batch->state : BATCH_NONE);
	if (error == -ESTALE && batch->publish && pusher->restaged++ < RESTAGE_MOST)
		return;
	retry_later(pusher, now);
	if (error != -ESHUTDOWN)
		batch_report(pusher, error, why);
}

static void batch_noted(struct pusher *pusher)
{
	bool arrived = pusher->batch.state == BATCH_NOTING;

	pusher->batch.state = BATCH_NONE;
	pusher->tries = 0;
	pusher->restaged = 0;
	pusher->stats.generations += arrived;
	barriers_changed(&pusher->member);
	if (arrived)
		batch_report(pusher, 0, "");
}

static void local_done(struct store_io *io, int error)
{
	struct pusher *pusher = container_of(io, struct pusher, io);
	struct batch *batch = &pusher->batch;

	batch->busy = false;
	batch->error = error;
	if (!error)
		pusher->synced_at = pusher->syncing_at;
	else
		snprintf(batch->why, sizeof(batch->why), "the local store could not be synced: %s", strerror(-error));
	pusher_kick(pusher);
}

static void local_sync(struct pusher *pusher)
{
	pusher->batch.busy = true;
	pusher->syncing_at = loop_now_ns();
	memset(&pusher->io, 0, sizeof(pusher->io));
	pusher->io.done = local_done;
	store_sync(pusher->options.store, &pusher->io);
}

static void local_begun(struct store_io *io, int error)
{
	struct pusher *pusher = container_of(io, struct pusher, io);

	pusher->batch.busy = false;
	if (!pusher->closing && pusher->batch.last >= pusher->synced_at)
		local_sync(pusher);
	else
		pusher_kick(pusher);
}

/* The store knows that the source is about to change by our own hand; then nothing goes there that it could forget. */
static void local_begin(struct pusher *pusher)
{
	pusher->batch.busy = true;
	memset(&pusher->io, 0, sizeof(pusher->io));
	pusher->io.done = local_begun;
	store_push_begin(pusher->options.store, &pusher->io);
}

/* The size that the source has at least: the zeroes at its end may be what makes it so long. */
static void note_size(struct pusher *pusher)
{
	const struct batch *batch = &pusher->batch;

	if (batch->gen->resized)
		pusher->size = pusher_resize_to(pusher, batch->gen);
	if (pusher->size != UINT64_MAX && pusher->size < batch->reach)
		pusher->size = batch->reach;
}

/*
 * The helper before this one may have noted what it has pushed without making that durable: the others would go on, and after a power cut it
 * would all be pushed again, behind their backs. Until then its oldest generation is 0.
 */
void batch_open(struct pusher *pusher)
{
	pusher->batch.state = BATCH_OPENING;
	local_sync(pusher);
}

/* What is not durable of what it has noted is pushed once more after a power cut. That the others should wait for it for ever would be worse. */
void batch_leave(struct pusher *pusher)
{
	const struct store_gen *gen = store_gen_oldest(pusher->options.store);

	if (pusher->batch.state == BATCH_OPENING)
		pusher->batch.oldest = gen ? gen->oldest : UINT64_MAX;
}

static void noted_done(struct store_io *io, int error)
{
	struct pusher *pusher = container_of(io, struct pusher, io);
	struct batch *batch = &pusher->batch;

	batch->busy = false;
	batch->error = error;
	if (error)
		snprintf(batch->why, sizeof(batch->why), "the local store could not note what is at the source: %s", strerror(-error));
	pusher_kick(pusher);
}

static void local_note(struct pusher *pusher)
{
	pusher->batch.busy = true;
	memset(&pusher->io, 0, sizeof(pusher->io));
	pusher->io.done = noted_done;
	store_note(pusher->options.store, &pusher->io);
}

static void batch_arrived(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;

	pusher_rate_sample(pusher, now, true);
	note_size(pusher);
	new_state(batch, BATCH_NOTING);
	store_gen_pushed(pusher->options.store, batch->gen);
	batch->gen = NULL;
	local_note(pusher);
}

/* ---- SYNC or PUBLISH ---- */

static void end_done(struct backend_req *req, int error)
{
	struct pusher *pusher = container_of(req, struct pusher, end);
	struct batch *batch = &pusher->batch;

	batch->busy = false;
	batch->error = error;
	if (error && !pusher->closing)
		remote_error(pusher->options.remote, batch->why, sizeof(batch->why));
	pusher_kick(pusher);
}

static void end_start(struct pusher *pusher)
{
	struct batch *batch = &pusher->batch;

	batch->state = BATCH_ENDING;
	if (!batch->requests)
		return;
	batch->busy = true;
	send_prepare(pusher, &pusher->end, batch->publish ? BACKEND_PUBLISH : BACKEND_SYNC);
	pusher->end.done = end_done;
	remote_submit(pusher->options.remote, &pusher->end);
}

/*
 * A source that was opened anew in between may have lost what it had answered before: the SYNC says nothing about that. (A staged batch is answered
 * -ESTALE then.) And a change that got late into its generation may have missed its turn.
 */
static bool is_whole(struct pusher *pusher)
{
	const struct batch *batch = &pusher->batch;

	if (batch->gen->last != batch->last)
		return false;
	return batch->publish || batch->opened == remote_opened(pusher->options.remote);
}

static bool end_step(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;

	if (batch->error)
		batch_failed(pusher, now);
	else if (batch->gen->pending && is_whole(pusher))
		return false;	/* one that finds no room changes nothing; its end kicks */
	else if (is_whole(pusher))
		batch_arrived(pusher, now);
	else
		batch->state = BATCH_NONE;
	return true;
}

/* ---- its beginning ---- */

/*
 * What was recovered may have been published in one run before the helper died, so it has to be in one run again: there is no end to that,
 * and it begins only when the limit is known, which then is not less than it was before (see barrier.h).
 */
static bool is_recovered(const struct pusher *pusher, uint64_t gen)
{
	return gen <= store_recovered(pusher->options.store);
}

static bool takes_next(struct pusher *pusher, const struct store_gen *gen, const struct store_gen *next, uint64_t limit)
{
	if (!next || next->gen > limit || next->pending)
		return false;
	return gen->half_merged || is_recovered(pusher, next->gen) ||
	       gen->changed.bytes < pusher->options.policy->max_unpushed / MERGE_PART;
}

static int merge(struct pusher *pusher, struct store_gen *gen)
{
	struct store *store = pusher->options.store;
	uint64_t limit = barriers_limit(&pusher->member);
	const struct store_gen *next;
	int err = 0;

	while (!err && (next = store_gen_after(store, gen), takes_next(pusher, gen, next, limit))) {
		uint64_t bytes = gen->changed.bytes + next->changed.bytes;

		err = store_gen_merge(store, gen);
		if (!err)
			pusher->stats.saved += bytes - gen->changed.bytes;
	}
	return err;
}

static uint64_t random_id(void)
{
	uint64_t id = 0;

	while (!id)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = loop_now_ns();
	return id;
}

/* Without an order to keep nobody needs it, and the source has half the work, and a round trip less. */
static bool publishes(const struct pusher *pusher)
{
	return remote_caps(pusher->options.remote)->publish && pusher->member.barriers != &pusher->own;
}

static void batch_set(struct pusher *pusher, struct store_gen *gen)
{
	const struct backend_caps *caps = remote_caps(pusher->options.remote);

	pusher->batch = (struct batch){
		.state = BATCH_LOCAL, .gen = gen, .id = random_id(), .publish = publishes(pusher), .opened = remote_opened(pusher->options.remote),
	};
	if (!pusher->has_window)
		window_init(&pusher->window, caps->max_request, loop_now_ns());
	pusher->has_window = true;
}

/* What was merged can't be told apart any more. The source may have been another one then. */
static bool is_torn(const struct pusher *pusher, const struct store_gen *gen)
{
	return (gen->oldest != gen->gen || gen->half_merged) && !pusher_is_merging(pusher, pusher->batch.publish);
}

static void batch_refuse(struct pusher *pusher, uint64_t now)
{
	retry_later(pusher, now);
	batch_report(pusher, -EOPNOTSUPP, "the source can't publish at once any more, and bit by bit it would not be in order: waiting until it can "
		     "again, or for push-order=any");
}

static void batch_begin(struct pusher *pusher, struct store_gen *gen, uint64_t now)
{
	struct batch *batch = &pusher->batch;

	batch_set(pusher, gen);
	if (is_torn(pusher, gen)) {
		new_state(batch, BATCH_NONE);
		batch_refuse(pusher, now);
		return;
	}
	if (pusher_is_merging(pusher, batch->publish))
		batch->error = merge(pusher, gen);
	if (!batch->error && gen->half_merged) {
		/* the rest may not be whole yet */
		new_state(batch, BATCH_NONE);
		retry_later(pusher, now);
		return;
	}
	batch->upto = gen->gen;
	batch->oldest = gen->oldest;
	batch->last = gen->last;
	barriers_want(&pusher->member, batch->upto);
	pusher_rate_begin(pusher, now);
	if (!batch->error)
		local_begin(pusher);
}

static bool batch_try(struct pusher *pusher, uint64_t now)
{
	struct store_gen *gen = store_gen_oldest(pusher->options.store);

	if (!gen || !pusher_is_due(pusher, gen, now) || gen->pending)
		return false;
	if (now < pusher->retry_at) {
		pusher_wake_at(pusher, pusher->retry_at);
		return false;
	}
	if (remote_state(pusher->options.remote) != REMOTE_UP)
		return false;
	if (is_recovered(pusher, gen->oldest) && !barriers_may_push(&pusher->member, gen->oldest)) {
		barriers_want(&pusher->member, gen->oldest);
		return false;
	}
	batch_begin(pusher, gen, now);
	return true;
}

/* ---- its way ---- */

static bool local_step(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;

	if (batch->error)
		batch_failed(pusher, now);
	else
		new_state(batch, BATCH_SENDING);
	return true;
}

/* One that publishes is staged before it is its turn: nobody sees it. */
static bool is_allowed(struct pusher *pusher)
{
	struct batch *batch = &pusher->batch;

	if (!batch->allowed)
		batch->allowed = barriers_may_push(&pusher->member, batch->upto);
	return batch->allowed;
}

static bool sending_step(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;

	pusher_rate_sample(pusher, now, false);
	if (pusher->held && !batch->error)
		batch->error = -ESHUTDOWN;
	if (batch->error) {
		if (!pusher->nr_sends)
			batch_failed(pusher, now);
		return batch->state != BATCH_SENDING;
	}
	if (!batch->publish && !is_allowed(pusher))
		return false;
	if (!send_more(pusher, now) || pusher->nr_sends || !is_allowed(pusher))
		return false;
	end_start(pusher);
	return true;
}

static bool noting_step(struct pusher *pusher, uint64_t now)
{
	struct batch *batch = &pusher->batch;

	if (batch->error) {
		batch_failed(pusher, now);
		return true;
	}
	if (!batch->failed) {
		batch_noted(pusher);
		return true;
	}
	if (now < pusher->retry_at) {
		pusher_wake_at(pusher, pusher->retry_at);
		return false;
	}
	batch->failed = false;
	if (batch->state == BATCH_NOTING)
		local_note(pusher);
	else
		local_sync(pusher);
	return false;
}

static bool batch_step(struct pusher *pusher, uint64_t now)
{
	if (pusher->batch.busy || pusher->closing)
		return false;
	switch (pusher->batch.state) {
	case BATCH_NONE:
		return !pusher->held && batch_try(pusher, now);
	case BATCH_LOCAL:
		return local_step(pusher, now);
	case BATCH_SENDING:
		return sending_step(pusher, now);
	case BATCH_ENDING:
		return end_step(pusher, now);
	case BATCH_OPENING:
	case BATCH_NOTING:
		return noting_step(pusher, now);
	}
	return false;
}

void batch_advance(struct pusher *pusher, uint64_t now)
{
	while (batch_step(pusher, now))
		;
}

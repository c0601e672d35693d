// SPDX-License-Identifier: GPL-2.0
/* puller: what is fetched, and when. */
#include <errno.h>
#include <stdlib.h>

#include "puller-private.h"

#define MS		1000000ULL
#define SECOND		1000000000ULL
#define BACKOFF_MIN	100u
#define BACKOFF_MAX	5000u
/* Without room, or memory, it looks again; the host may tell earlier. */
#define YIELD_MS	1000u
/* Requests in one step: who is answered at once must not keep the loop from everything else. */
#define STEP		64u
/* Passes that follow each other closely come of a store that is too small; each waits for twice as long. */
#define REST_MIN	1000u
#define REST_MAX	60000u

/* Of all pullers, which share the home loop. */
static uint64_t all_in_flight;

/* ---- waiting ---- */

static void wake_in(struct puller *puller, uint64_t ns)
{
	loop_timer_set(puller->host.loop, &puller->wake, (ns + MS - 1) / MS);
}

static void wake_at(struct puller *puller, uint64_t at, uint64_t now)
{
	wake_in(puller, at > now ? at - now : 0);
}

static void back_off(struct puller *puller, uint64_t now)
{
	/* All that was under way fails together: that is one failure. */
	if (now < puller->backoff_until)
		return;
	puller->backoff_ms = puller->backoff_ms ? puller->backoff_ms * 2 : BACKOFF_MIN;
	if (puller->backoff_ms > BACKOFF_MAX)
		puller->backoff_ms = BACKOFF_MAX;
	puller->backoff_until = now + puller->backoff_ms * MS;
}

void puller_look(struct puller *puller, bool again)
{
	puller->backoff_ms = 0;
	puller->backoff_until = 0;
	puller->kicked |= again;
	puller_pump(puller);
}

/* ---- the limit: a bucket that may be overdrawn by one request ---- */

static void refill(struct puller *puller, uint64_t now)
{
	/* Enough that the loop's clock, which counts in ms, makes no difference. */
	int64_t most = (int64_t)(puller->limit / 20) + WINDOW_UNIT_MIN;
	uint64_t past = now - puller->tokens_at;

	/* Any debt is paid by then. */
	if (past > 1000 * SECOND)
		past = 1000 * SECOND;
	puller->tokens += (int64_t)((unsigned __int128)puller->limit * past / SECOND);
	if (puller->tokens > most)
		puller->tokens = most;
	puller->tokens_at = now;
}

void puller_set_limit(struct puller *puller, uint64_t bytes_per_second)
{
	puller->limit = bytes_per_second > INT64_MAX / 4000 ? 0 : bytes_per_second;
	puller->tokens = 0;
	puller->tokens_at = loop_now_ns();
}

/* ns until the limit allows a request; 0: now. */
static uint64_t limited(struct puller *puller, uint64_t now)
{
	if (!puller->limit)
		return 0;
	refill(puller, now);
	if (puller->tokens > 0)
		return 0;
	return (uint64_t)((unsigned __int128)(1 - puller->tokens) * SECOND / puller->limit) + 1;
}

/* A request is a tenth of a second's worth at most, so that a low limit doesn't come in lumps. */
static uint32_t limited_unit(const struct puller *puller, uint32_t unit)
{
	while (puller->limit && unit > WINDOW_UNIT_MIN && unit > puller->limit / 10)
		unit /= 2;
	return unit;
}

/* ---- what is next ---- */

static void io_free(struct pull_io *io)
{
	list_del(&io->list);
	free(io);
}

/* Of what failed, what is still absent. */
static bool next_again(struct puller *puller, uint64_t most, uint64_t *offset, uint64_t *length)
{
	while (!list_empty(&puller->again)) {
		struct pull_io *io = list_entry(puller->again.next, struct pull_io, list);
		uint64_t end = io->offset + io->length;

		if (end > puller->order.size)
			end = puller->order.size;
		if (io->offset < end && puller->host.absent(puller->host.arg, io->offset, end, offset, length)) {
			if (*length > most)
				*length = most;
			return true;
		}
		io_free(io);
	}
	return false;
}

static bool next_range(struct puller *puller, uint64_t most, uint64_t *offset, uint64_t *length)
{
	if (!next_again(puller, most, offset, length) &&
	    !pull_order_next(&puller->order, puller->host.absent, puller->host.arg, most, offset, length))
		return false;
	/* So that the next ones begin where chunks do. */
	if (*length > most - *offset % most)
		*length = most - *offset % most;
	return true;
}

static void took_range(struct puller *puller, uint64_t offset, uint64_t length)
{
	struct pull_io *io;

	if (list_empty(&puller->again)) {
		pull_order_took(&puller->order, offset, length);
		return;
	}
	io = list_entry(puller->again.next, struct pull_io, list);
	io->length = (uint32_t)(io->offset + io->length - (offset + length));
	io->offset = offset + length;
	if (!io->length)
		io_free(io);
}

/* ---- a request ---- */

static void count(struct puller *puller, uint64_t now, uint32_t bytes)
{
	uint64_t second = now / SECOND;
	unsigned int slot = second % PULLER_SECONDS;

	if (puller->recent[slot].second != second)
		puller->recent[slot].bytes = 0;
	puller->recent[slot].second = second;
	puller->recent[slot].bytes += bytes;
	puller->stats.pulled += bytes;
}

static void fetched(struct pull_io *io, int error)
{
	struct puller *puller = io->puller;
	uint64_t now = loop_now_ns();

	window_done(&puller->window, now, &io->mark, error != 0);
	all_in_flight -= io->length;
	list_del(&io->list);
	if (!error) {
		count(puller, now, io->length);
		puller->backoff_ms = 0;
		puller->backoff_until = 0;
	} else if (error == -EAGAIN) {
		back_off(puller, now);
		list_add(&puller->again, &io->list);
	} else {
		puller->unreadable = true;
	}
	if (error != -EAGAIN)
		free(io);
	puller_pump(puller);
	puller_settle(puller);
}

static bool fetch(struct puller *puller, uint64_t now, uint64_t offset, uint32_t length)
{
	struct pull_io *io = calloc(1, sizeof(*io));

	if (!io)
		return false;
	took_range(puller, offset, length);
	io->offset = offset;
	io->length = length;
	io->done = fetched;
	io->puller = puller;
	list_init(&io->list);
	list_add(&puller->flying, &io->list);
	window_sent(&puller->window, now, length, &io->mark);
	all_in_flight += length;
	puller->tokens -= length;
	puller->pulled_any = true;
	puller->over = false;
	puller->host.fetch(puller->host.arg, io);
	return true;
}

/* ---- passes ---- */

/* A pass that does not follow the one before closely is not held up. */
static void rest(struct puller *puller, uint64_t now)
{
	bool close = puller->passes && now < puller->rest_until + REST_MAX * MS;

	puller->rest_ms = !close ? 0 : puller->rest_ms ? puller->rest_ms * 2 : REST_MIN;
	if (puller->rest_ms > REST_MAX)
		puller->rest_ms = REST_MAX;
	puller->rest_until = now + puller->rest_ms * MS;
	puller->passes++;
}

static void pass_begin(struct puller *puller)
{
	puller->pulled_any = false;
	puller->unreadable = false;
	puller->kicked = puller->tight = puller->over = false;
	pull_order_again(&puller->order);
}

/* Nothing is left to be taken, nothing under way. */
static void pass_end(struct puller *puller, uint64_t now)
{
	bool tell = puller->pulled_any || !puller->passes;

	puller->over = true;
	if (puller->unreadable) {
		puller->kicked = true;
		puller->rest_until = now + BACKOFF_MAX * MS;
		wake_at(puller, puller->rest_until, now);
		return;
	}
	if (tell)
		rest(puller, now);
	puller->pulled_any = false;
	puller->stats.complete = true;
	if (tell && puller->host.complete)
		puller->host.complete(puller->host.arg);
}

/* Nothing is left to be taken. true: a new pass has begun. */
static bool pass_over(struct puller *puller, uint64_t now)
{
	if (!list_empty(&puller->flying))
		return false;
	if (!puller->over)
		pass_end(puller, now);
	if (!puller->kicked)
		return false;
	if (now < puller->rest_until) {
		wake_at(puller, puller->rest_until, now);
		return false;
	}
	pass_begin(puller);
	return true;
}

/* ---- the pump ---- */

/* 0: something may be sent now, so long; else what it waits for has its timer, or tells. */
static uint32_t room(struct puller *puller, uint64_t now)
{
	uint64_t wake = window_wake(&puller->window, now), wait = limited(puller, now);
	uint32_t unit = window_room(&puller->window, now);

	if (puller->backoff_ms && (now < puller->backoff_until || !list_empty(&puller->flying))) {
		/* After a failure a single request shows whether it is over. */
		if (now < puller->backoff_until)
			wake_at(puller, puller->backoff_until, now);
		return 0;
	}
	if (!list_empty(&puller->flying) && all_in_flight + unit > PULLERS_MAX)
		unit = 0;
	else if (all_in_flight + unit > PULLERS_MAX)
		unit = unit < WINDOW_UNIT_MIN ? unit : WINDOW_UNIT_MIN;
	if (wait)
		wake_in(puller, wait);
	else if (wake)
		wake_at(puller, wake, now);
	return wait ? 0 : limited_unit(puller, unit);
}

/* Only while there is something to be pulled. */
static void watch_pressure(struct puller *puller)
{
	const struct puller_host *host = &puller->host;

	if (puller->closing || !puller->started || puller->paused || !puller->named_any || puller->over)
		pressure_unwatch(&puller->pressure);
	else
		pressure_watch(&puller->pressure, host->loop, host->psi ? host->psi : PRESSURE_PSI,
			       host->meminfo ? host->meminfo : PRESSURE_MEMINFO);
}

static bool must_yield(struct puller *puller)
{
	bool full = puller->host.room && !puller->host.room(puller->host.arg);

	puller->tight |= full;
	puller->stats.yielding = full || pressure_is_high();
	if (puller->stats.yielding)
		wake_in(puller, YIELD_MS * MS);
	return puller->stats.yielding;
}

/* true: there may be more to do at once. */
static bool step(struct puller *puller)
{
	uint64_t now = loop_now_ns(), offset, length;
	uint32_t unit;

	if (puller->closing || puller->paused || !puller->started || !puller->named_any)
		return false;
	unit = room(puller, now);
	if (!next_range(puller, unit ? unit : WINDOW_UNIT_MIN, &offset, &length)) {
		puller->stats.yielding = false;
		return pass_over(puller, now);
	}
	puller->over = false;
	puller->stats.complete = false;
	if (!unit || must_yield(puller))
		return false;
	if (fetch(puller, now, offset, (uint32_t)length))
		return true;
	wake_in(puller, YIELD_MS * MS);
	return false;
}

static void pump(struct loop_task *task)
{
	struct puller *puller = container_of(task, struct puller, pump);
	unsigned int left = STEP;

	puller->posted = false;
	puller->pumping = true;
	while (left && step(puller))
		left--;
	puller->pumping = false;
	watch_pressure(puller);
	if (!left)
		puller_pump(puller);
	puller_settle(puller);
}

void puller_pump(struct puller *puller)
{
	if (puller->posted || puller->pumping || puller->closing)
		return;
	puller->posted = true;
	loop_post(puller->host.loop, &puller->pump);
}

static void woken(struct loop_timer *timer)
{
	puller_pump(container_of(timer, struct puller, wake));
}

void puller_pump_init(struct puller *puller)
{
	list_init(&puller->flying);
	list_init(&puller->again);
	puller->pump.run = pump;
	puller->wake.fire = woken;
}

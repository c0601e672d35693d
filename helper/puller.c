// SPDX-License-Identifier: GPL-2.0
/* puller: its life, and what it is told and asked. What it fetches when is in puller-pump.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "puller-private.h"

#define PAGE	4096u
#define SECOND	1000000000ULL

/* ---- life ---- */

static uint32_t longest(uint32_t max_request)
{
	uint32_t most = max_request ? max_request & ~(PAGE - 1) : WINDOW_UNIT_MAX;

	return most ? most : PAGE;
}

static void pressure_changed(struct pressure_watch *watch)
{
	puller_pump(container_of(watch, struct puller, pressure));
}

int puller_open(struct puller **result, const struct puller_host *host, const struct policy *policy, uint64_t size,
		uint32_t max_request, char *why, size_t why_len)
{
	struct puller *puller = calloc(1, sizeof(*puller));
	int ret;

	if (!puller) {
		snprintf(why, why_len, "no memory");
		return -ENOMEM;
	}
	ret = pull_order_open(&puller->order, policy, size, why, why_len);
	if (ret) {
		free(puller);
		return ret;
	}
	puller->host = *host;
	puller->named_any = policy->pull != PULL_NONE;
	puller->pressure.changed = pressure_changed;
	puller_pump_init(puller);
	puller_set_limit(puller, policy->pull_rate);
	window_init(&puller->window, longest(max_request), loop_now_ns());
	*result = puller;
	return 0;
}

void puller_settle(struct puller *puller)
{
	void (*closed)(void *arg) = puller->closed;
	void *arg = puller->closed_arg;
	struct list *entry;

	if (!puller->closing || !list_empty(&puller->flying) || puller->posted || puller->pumping)
		return;
	while ((entry = list_pop(&puller->again)))
		free(list_entry(entry, struct pull_io, list));
	pull_order_close(&puller->order);
	free(puller);
	closed(arg);
}

void puller_close(struct puller *puller, void (*closed)(void *arg), void *arg)
{
	puller->closing = true;
	puller->closed = closed;
	puller->closed_arg = arg;
	loop_timer_cancel(puller->host.loop, &puller->wake);
	pressure_unwatch(&puller->pressure);
	puller_settle(puller);
}

/* ---- what it is told ---- */

void puller_start(struct puller *puller)
{
	if (puller->started || puller->closing)
		return;
	puller->started = true;
	puller->began = loop_now_ns();
	puller_pump(puller);
}

void puller_kick(struct puller *puller)
{
	puller_look(puller, !puller->tight);
}

void puller_pause(struct puller *puller, bool pause)
{
	if (puller->paused == pause)
		return;
	puller->paused = pause;
	puller->rest_until = 0;
	puller_look(puller, !pause);
}

void puller_set_rate(struct puller *puller, uint64_t bytes_per_second)
{
	puller_set_limit(puller, bytes_per_second);
	puller_pump(puller);
}

/* Without memory for another map of what is behind us the old one serves on, and what is new is left to the misses. */
void puller_resize(struct puller *puller, uint64_t size)
{
	if (size == puller->order.size)
		return;
	if (pull_order_resize(&puller->order, size) && size < puller->order.size)
		puller->order.size = size;
	puller_look(puller, true);
}

void puller_demand_begin(struct puller *puller, uint64_t offset, uint32_t length)
{
	window_demand_begin(&puller->window, loop_now_ns());
	pull_order_demand(&puller->order, offset, length);
}

void puller_demand_end(struct puller *puller, uint32_t length, uint64_t took_ns)
{
	window_demand_end(&puller->window, loop_now_ns(), length, took_ns);
	puller_pump(puller);
}

void puller_passed_begin(struct puller *puller, uint64_t offset, uint32_t length)
{
	pull_order_demand(&puller->order, offset, length);
}

void puller_passed_end(struct puller *puller, uint32_t length)
{
	window_others(&puller->window, length);
}

/* ---- what it is asked ---- */

/* Of this second and the three before it, or since the start when that was later. */
static uint64_t recent_rate(const struct puller *puller, uint64_t now)
{
	uint64_t second = now / SECOND, bytes = 0, ns = (PULLER_SECONDS - 1) * SECOND + now % SECOND;

	for (unsigned int i = 0; i < PULLER_SECONDS; i++)
		if (puller->recent[i].second + PULLER_SECONDS > second)
			bytes += puller->recent[i].bytes;
	if (now - puller->began < ns)
		ns = now - puller->began;
	return ns ? (uint64_t)((unsigned __int128)bytes * SECOND / ns) : 0;
}

const struct puller_stats *puller_stats(struct puller *puller)
{
	struct puller_stats *stats = &puller->stats;
	uint64_t now = loop_now_ns();

	stats->running = puller->started && puller->named_any && !puller->paused && !puller->over;
	stats->paused = puller->paused;
	stats->in_flight = puller->window.in_flight;
	stats->window = window_limit(&puller->window, now);
	stats->rate = recent_rate(puller, now);
	stats->trip = puller->window.trip;
	return stats;
}

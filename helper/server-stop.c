// SPDX-License-Identifier: GPL-2.0
/*
 * server-stop: the orderly end of all exports, before the helper's. What peers have under way is done, and regions that they wrote go
 * back to the programs here. Seeds are their seeder's to end.
 */
#include <errno.h>
#include <stdlib.h>

#include "export.h"
#include "listener.h"

#define STOP_MS 3000

struct stop {
	struct loop *loop;
	struct loop_timer timer;
	unsigned int left;		/* exports, and the start */
	bool told;
	void (*stopped)(void *arg);
	void *arg;
};

static void stop_tell(struct stop *stop)
{
	if (stop->told)
		return;
	stop->told = true;
	loop_timer_cancel(stop->loop, &stop->timer);
	stop->stopped(stop->arg);
}

static void stop_one(void *arg)
{
	struct stop *stop = arg;

	if (--stop->left)
		return;
	stop_tell(stop);
	free(stop);
}

/* A request hangs in a backend: what is claimed is known to the next helper. */
static void stop_late(struct loop_timer *timer)
{
	stop_tell(container_of(timer, struct stop, timer));
}

static void stop_listener(struct stop *stop, struct listener *listener)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &listener->exports) {
		struct export *export = list_entry(at, struct export, list);

		if (export->seed || export->closing)
			continue;
		stop->left++;
		export_close(export, stop_one, stop);
	}
}

void server_stop(struct server *server, void (*stopped)(void *arg), void *arg)
{
	struct stop *stop = calloc(1, sizeof(*stop));
	struct list *at;

	if (!stop) {
		stopped(arg);
		return;
	}
	*stop = (struct stop){ .loop = server->loop, .left = 1, .stopped = stopped, .arg = arg };
	stop->timer.fire = stop_late;
	loop_timer_set(stop->loop, &stop->timer, STOP_MS);
	list_for_each(at, &server->listeners)
		stop_listener(stop, list_entry(at, struct listener, list));
	stop_one(stop);
}

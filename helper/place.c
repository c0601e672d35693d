// SPDX-License-Identifier: GPL-2.0
/*
 * place: see place.h. A read is the place's until it has come back, however long that takes; who asked for it waits no longer than was said. So a
 * place that hangs holds nobody up.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "place.h"
#include "region.h"
#include "regiond.h"
#include "target.h"

/* After an opening that failed. */
#define AGAIN_NS	5000000000ULL
/* For a peer that is away: then a read there fails, and nothing is left of it. */
#define PEER_TIMEOUT	"timeout=10"
/* Reads that nobody waits for any more, and that have not come back: with so many of them, a place is not asked for more. */
#define ABANDONED_MOST	4u

enum place_state {
	PLACE_CLOSED,
	PLACE_OPENING,
	PLACE_OPEN,
	PLACE_FAILED,		/* not again before again_at */
};

struct place {
	struct regiond *regiond;
	char *uri;
	enum place_state state;
	struct backend_open open;
	struct backend *backend;	/* of a source */
	struct target *target;
	struct list waiting;		/* reads, while it is being opened */
	unsigned int reads;		/* all that are not freed */
	unsigned int in_flight;		/* of these, those that the target has */
	unsigned int abandoned;		/* of these, those that nobody waits for any more */
	uint64_t again_at;
	bool stale;			/* a region that has failed: another one may be there by now */
	int error;			/* why it failed */
	bool closing;
	struct loop_task settle;
	bool settling;
};

struct place_read {
	struct list list;
	struct place *place;
	uint8_t *data;
	struct backend_req req;
	struct loop_task task;
	struct loop_timer timer;
	bool abandoned;
	/* NULL both: nobody waits */
	void (*done)(void *arg, int error, uint8_t *data);
	void (*found)(void *arg, int error, uint64_t offset, uint64_t length);
	void *arg;
};

static bool is_region(const char *uri)
{
	return !strncmp(uri, PLACE_REGION, strlen(PLACE_REGION));
}

int place_check(const char *uri, char *why, size_t why_len)
{
	if (!is_region(uri))
		return backend_check(uri, why, why_len);
	if (uri[strlen(PLACE_REGION)])
		return 0;
	snprintf(why, why_len, "which region? region:PATH");
	return -EINVAL;
}

const char *place_uri(const struct place *place)
{
	return place->uri;
}

/* Once nothing of it is under way. */
static void settle(struct loop_task *task)
{
	struct place *place = container_of(task, struct place, settle);

	place->settling = false;
	if (place->target && !place->in_flight && (place->closing || place->stale || (place->backend && atomic_load(&place->backend->dead)))) {
		place->target->ops->close(place->target);
		place->target = NULL;
		place->backend = NULL;
		place->state = PLACE_CLOSED;
		place->stale = false;
	}
	if (!place->closing || place->reads || place->state == PLACE_OPENING)
		return;
	free(place->uri);
	free(place);
}

/* Out of the loop: a target is not closed from within what ends a request. */
static void settle_soon(struct place *place)
{
	if (place->settling)
		return;
	place->settling = true;
	loop_post(place->regiond->loop, &place->settle);
}

struct place *place_new(struct regiond *regiond, const char *uri)
{
	struct place *place = calloc(1, sizeof(*place));

	if (place)
		place->uri = strdup(uri);
	if (!place || !place->uri) {
		free(place);
		return NULL;
	}
	place->regiond = regiond;
	place->settle.run = settle;
	list_init(&place->waiting);
	return place;
}

/* ---- a read's end ---- */

static void leave(struct place_read *read)
{
	loop_timer_cancel(read->place->regiond->loop, &read->timer);
	read->done = NULL;
	read->found = NULL;
}

static void abandon(struct place_read *read)
{
	read->place->abandoned += !read->abandoned;
	read->abandoned = true;
}

static void tell(struct place_read *read, int error)
{
	void (*found)(void *, int, uint64_t, uint64_t) = read->found;
	void (*done)(void *, int, uint8_t *) = read->done;
	uint8_t *data = error ? NULL : read->data;

	leave(read);
	if (done && !error)
		read->data = NULL;
	if (done)
		done(read->arg, error, data);
	else if (found)
		found(read->arg, error, read->req.offset, read->req.length);
}

static void read_end(struct place_read *read, int error)
{
	struct place *place = read->place;

	tell(read, error);
	place->abandoned -= read->abandoned;
	free(read->data);
	free(read);
	place->reads--;
	settle_soon(place);
}

static void came(struct backend_req *req, int error)
{
	struct place_read *read = container_of(req, struct place_read, req);

	read->place->in_flight--;
	read->place->stale |= error && error != -ENXIO && error != -EOPNOTSUPP && !read->place->backend;
	read_end(read, error);
}

static void late(struct loop_timer *timer)
{
	struct place_read *read = container_of(timer, struct place_read, timer);

	abandon(read);
	tell(read, -ETIMEDOUT);
}

void place_cancel(struct place_read *read)
{
	abandon(read);
	leave(read);
}

static bool is_waited_for(const struct place_read *read)
{
	return read->done || read->found;
}

/* ---- opening ---- */

static void submit(struct place_read *read)
{
	read->place->in_flight++;
	read->place->target->ops->submit(read->place->target, &read->req);
}

static void opened(struct place *place, int error)
{
	struct list waiting, *entry;

	place->state = error ? PLACE_FAILED : PLACE_OPEN;
	place->error = error;
	place->again_at = loop_now_ns() + AGAIN_NS;
	list_init(&waiting);
	list_splice(&waiting, &place->waiting);
	while ((entry = list_pop(&waiting))) {
		struct place_read *read = list_entry(entry, struct place_read, list);

		if (error || place->closing || !is_waited_for(read))
			read_end(read, error ? error : -ESHUTDOWN);
		else
			submit(read);
	}
	settle_soon(place);
}

static void region_opened(struct region *region, int error, void *arg)
{
	struct place *place = arg;

	if (!error)
		error = target_region(&place->target, region);
	opened(place, error);
}

/* As programs here see it, with what is dirty. */
static void open_region(struct place *place)
{
	struct region *region = region_find_path(place->regiond->regions, place->uri + strlen(PLACE_REGION));

	if (!region) {
		opened(place, -ENOENT);
		return;
	}
	region_open(region, region_opened, place);
	region_put(region);
}

static void source_opened(struct backend_open *open, struct backend *backend, int error)
{
	struct place *place = container_of(open, struct place, open);

	if (!error)
		error = target_source(&place->target, backend);
	if (!error)
		place->backend = backend;
	else if (backend)
		backend_close(backend, NULL, NULL);
	opened(place, error);
}

static void open_source(struct place *place)
{
	const struct config *config = place->regiond->config;
	struct backend_open *open = &place->open;
	char uri[4096 + 16];
	bool peer = !strncmp(place->uri, "peer", 4);

	memset(open, 0, sizeof(*open));
	snprintf(uri, sizeof(uri), "%s%s%s", place->uri, !peer ? "" : strchr(place->uri, '?') ? "&" : "?", peer ? PEER_TIMEOUT : "");
	if (uri_parse(&open->uri, uri, open->why, sizeof(open->why))) {
		opened(place, -EINVAL);
		return;
	}
	open->loop = place->regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->state_dir = config->state_dir;
	open->credentials = config->credentials;
	open->instance_id = place->regiond->instance_id;
	open->attach_gen = place->regiond->attach_gen;
	open->read_only = true;
	open->patience_ms = 1000;
	open->done = source_opened;
	backend_open(open);
}

static void start(struct loop_task *task)
{
	struct place_read *read = container_of(task, struct place_read, task);
	struct place *place = read->place;

	if (!is_waited_for(read) || place->closing) {
		read_end(read, -ESHUTDOWN);
	} else if (place->abandoned >= ABANDONED_MOST) {
		read_end(read, -EBUSY);
	} else if (place->state == PLACE_OPEN) {
		submit(read);
	} else if (place->state == PLACE_FAILED && loop_now_ns() < place->again_at) {
		read_end(read, place->error);
	} else {
		list_add(&place->waiting, &read->list);
		if (place->state == PLACE_OPENING)
			return;
		place->state = PLACE_OPENING;
		if (is_region(place->uri))
			open_region(place);
		else
			open_source(place);
	}
}

/* ---- life ---- */

void place_close(struct place *place)
{
	if (!place)
		return;
	place->closing = true;
	settle_soon(place);
}

static void read_begin(struct place *place, struct place_read *read, uint32_t ms)
{
	read->place = place;
	read->req.loop = place->regiond->loop;
	read->req.done = came;
	read->timer.fire = late;
	loop_timer_set(place->regiond->loop, &read->timer, ms);
	place->reads++;
	read->task.run = start;
	loop_post(place->regiond->loop, &read->task);
}

struct place_read *place_read(struct place *place, uint64_t offset, uint32_t length, uint32_t ms,
			      void (*done)(void *arg, int error, uint8_t *data), void *arg)
{
	struct place_read *read = calloc(1, sizeof(*read));

	if (read)
		read->data = malloc(length);
	if (!read || !read->data) {
		free(read);
		return NULL;
	}
	read->done = done;
	read->arg = arg;
	read->req = (struct backend_req){ .op = BACKEND_READ, .flags = BACKEND_BULK, .offset = offset, .length = length, .data = read->data };
	read_begin(place, read, ms);
	return read;
}

struct place_read *place_find(struct place *place, uint64_t offset, uint32_t ms, void (*found)(void *arg, int error, uint64_t offset, uint64_t length),
			      void *arg)
{
	struct place_read *read = calloc(1, sizeof(*read));

	if (!read)
		return NULL;
	read->found = found;
	read->arg = arg;
	read->req = (struct backend_req){ .op = BACKEND_DATA, .flags = BACKEND_HERE, .offset = offset };
	read_begin(place, read, ms);
	return read;
}

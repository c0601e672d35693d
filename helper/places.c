// SPDX-License-Identifier: GPL-2.0
/* places: see places.h. They are asked one after the other, first the one that had what was looked for last. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"
#include "places.h"
#include "regiond.h"

/* For one place to answer: more than a peer needs to be found away. */
#define PATIENCE_MS 15000u

struct known {
	struct places places;
	struct regiond *regiond;
	struct place **place;
	unsigned int best;
};

struct places_search {
	struct known *known;
	uint64_t offset;
	uint32_t length;
	uint8_t hash[CHUNK_HASH];
	void (*done)(void *arg, int error, uint8_t *data);
	void *arg;
	unsigned int first, asked, nr;	/* which one is first; how many were asked, of how many */
	bool unsure;			/* one could not be */
	struct place_read *read;
	uint8_t *data;			/* that is being looked at */
	struct loop_work work;
	struct loop_task task;
};

static struct known *to_known(struct places *places)
{
	return container_of(places, struct known, places);
}

int places_add(struct places *places, const char *uri)
{
	struct known *known = to_known(places);
	struct place **more;

	for (unsigned int i = 0; i < places->nr; i++)
		if (!strcmp(place_uri(known->place[i]), uri))
			return 0;
	more = realloc(known->place, (places->nr + 1) * sizeof(struct place *));
	if (!more)
		return -ENOMEM;
	known->place = more;
	more[places->nr] = place_new(known->regiond, uri);
	if (!more[places->nr])
		return -ENOMEM;
	places->nr++;
	return 0;
}

const char *places_uri(const struct places *places, unsigned int i)
{
	return place_uri(container_of(places, struct known, places)->place[i]);
}

/* ---- a search ---- */

static void search_next(struct places_search *search);

static void search_end(struct places_search *search, int error)
{
	void (*done)(void *, int, uint8_t *) = search->done;
	uint8_t *data = search->data;
	void *arg = search->arg;

	if (error || !done) {
		free(data);
		data = NULL;
	}
	places_put(&search->known->places);
	free(search);
	if (done)
		done(arg, error, data);
}

static int look(struct loop_work *work)
{
	struct places_search *search = container_of(work, struct places_search, work);
	uint8_t hash[CHUNK_HASH];
	int ret = chunk_hash(search->data, search->length, hash);

	return ret ? ret : memcmp(hash, search->hash, CHUNK_HASH) ? -ENODATA : 0;
}

static void looked(struct loop_work *work, int res)
{
	struct places_search *search = container_of(work, struct places_search, work);

	if (!res)
		search->known->best = (search->first + search->asked - 1) % search->nr;
	if (!search->done || !res) {
		search_end(search, res);
		return;
	}
	free(search->data);
	search->data = NULL;
	search->unsure |= res != -ENODATA;
	search_next(search);
}

static void came(void *arg, int error, uint8_t *data)
{
	struct places_search *search = arg;

	search->read = NULL;
	if (error) {
		search->unsure = true;
		search_next(search);
		return;
	}
	search->data = data;
	search->work.work = look;
	search->work.done = looked;
	loop_work(search->known->regiond->loop, &search->work);
}

static void search_next(struct places_search *search)
{
	unsigned int i;

	while (search->asked < search->nr && !search->read) {
		i = (search->first + search->asked++) % search->nr;
		search->read = place_read(search->known->place[i], search->offset, search->length, PATIENCE_MS, came, search);
		search->unsure |= !search->read;
	}
	if (!search->read)
		search_end(search, search->unsure ? -EHOSTUNREACH : -ENODATA);
}

static void begin(struct loop_task *task)
{
	struct places_search *search = container_of(task, struct places_search, task);

	if (search->done)
		search_next(search);
	else
		search_end(search, -ECANCELED);
}

static struct places_search *search_start(struct places *places, uint64_t offset, uint32_t length, const uint8_t hash[CHUNK_HASH],
					   void (*done)(void *arg, int error, uint8_t *data), void *arg)
{
	struct places_search *search = calloc(1, sizeof(*search));
	struct known *known = to_known(places);

	if (!search)
		return NULL;
	search->known = known;
	places_get(places);
	search->offset = offset;
	search->length = length;
	memcpy(search->hash, hash, CHUNK_HASH);
	search->done = done;
	search->arg = arg;
	search->nr = places->nr;
	search->first = known->best < places->nr ? known->best : 0;
	search->task.run = begin;
	loop_post(known->regiond->loop, &search->task);
	return search;
}

static void search_cancel(struct places_search *search)
{
	search->done = NULL;
	if (!search->read)
		return;		/* it ends when it comes round, or the pool is done with it */
	place_cancel(search->read);
	search->read = NULL;
	search_end(search, -ECANCELED);
}

/* ---- life ---- */

static void known_free(struct places *places)
{
	struct known *known = to_known(places);

	for (unsigned int i = 0; i < places->nr; i++)
		place_close(known->place[i]);
	free(known->place);
	free(known);
}

static const struct places_ops known_ops = { .search = search_start, .cancel = search_cancel, .free = known_free };

struct places *places_new(struct regiond *regiond)
{
	struct known *known = calloc(1, sizeof(*known));

	if (!known)
		return NULL;
	known->places = (struct places){ .ops = &known_ops, .users = 1 };
	known->regiond = regiond;
	return &known->places;
}

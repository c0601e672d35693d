// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: where else a region's bytes may be (--also): a peer that has a copy, a file, another region here. Of use once it is owned here and the other
 * side is away or lost; backends/leech-elsewhere.c looks there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-private.h"
#include "managed-event.h"
#include "place.h"
#include "places.h"
#include "regiond.h"

/* ---- the arguments ---- */

static bool is_itself(const struct leecher *leecher, const char *uri)
{
	size_t len = strlen(PLACE_REGION);

	return !strncmp(uri, PLACE_REGION, len) && !strcmp(uri + len, leecher->path);
}

/* Those that have keys of their own keep them. */
static char *with_keys(struct control_call *call, const char *uri)
{
	bool keyed = strstr(uri, "credential=") || strstr(uri, "psk=") || strstr(uri, "cert=");

	return strncmp(uri, "peer://", 7) || keyed ? strdup(uri) : leecher_source(call, uri);
}

/* As it is looked for: paths of regions begin with no slash. NULL: no memory. */
static char *written_out(struct control_call *keys, const char *uri)
{
	const char *path = uri + strlen(PLACE_REGION);
	char *plain;

	if (strncmp(uri, PLACE_REGION, strlen(PLACE_REGION)) || *path != '/')
		return with_keys(keys, uri);
	path += strspn(path, "/");
	return asprintf(&plain, PLACE_REGION "%s", path) < 0 ? NULL : plain;
}

static int check_one(struct control_call *call, const struct leecher *leecher, const char *uri)
{
	char why[256] = "out of memory";
	int ret = uri ? place_check(uri, why, sizeof(why)) : -ENOMEM;

	if (!ret && is_itself(leecher, uri)) {
		snprintf(why, sizeof(why), "%s is what is to be looked for", uri);
		ret = -EINVAL;
	}
	if (!ret && strlen(uri) >= LEECH_RECORD_FROM) {
		snprintf(why, sizeof(why), "a URI is longer than %u bytes", LEECH_RECORD_FROM - 1);
		ret = -ENAMETOOLONG;
	}
	if (ret)
		control_fail(call, ret, "--also: %s", why);
	return ret;
}

/* Those of uris that can be used, as they are looked for: all of them, or the call has failed. */
static int check_all(struct control_call *call, struct control_call *keys, const struct leecher *leecher, json_t *uris, json_t *good)
{
	json_t *uri;
	size_t i;
	int ret;

	json_array_foreach(uris, i, uri) {
		char *plain = written_out(keys, json_string_value(uri));

		ret = check_one(call, leecher, plain);
		if (!ret && json_array_append_new(good, json_string_nocheck(plain))) {
			control_fail(call, -ENOMEM, "out of memory");
			ret = -ENOMEM;
		}
		free(plain);
		if (ret)
			return ret;
	}
	return 0;
}

static int add_good(struct control_call *call, struct leecher *leecher, json_t *good)
{
	json_t *uri;
	int ret = 0;
	size_t i;

	if (!leecher->places)
		leecher->places = places_new(leecher->regiond);
	if (!leecher->places)
		ret = -ENOMEM;
	json_array_foreach(good, i, uri)
		ret = ret ? ret : places_add(leecher->places, json_string_value(uri));
	if (ret)
		control_fail(call, ret, "out of memory");
	return ret;
}

/* None of them, if one cannot be used. keys: the call whose keys those get that have none. */
static int add_all(struct control_call *call, struct control_call *keys, struct leecher *leecher, json_t *uris)
{
	json_t *good = json_array();
	int ret = json_array_size(uris) ? check_all(call, keys, leecher, uris, good) : 0;

	if (!ret && json_array_size(good))
		ret = add_good(call, leecher, good);
	json_decref(good);
	return ret;
}

int leecher_take_also(struct control_call *call, struct leecher *leecher)
{
	json_t *uris;

	return control_strings(call, "also", &uris) ? -EINVAL : add_all(call, call, leecher, uris);
}

/* The next helper's arguments have them as well. */
static int remember(struct leecher *leecher, json_t *more)
{
	json_t *args = json_loads(leecher->again, 0, NULL), *uris = json_object_get(args, "also");
	char *text = NULL;

	if (json_is_object(args) && !json_is_array(uris)) {
		uris = json_array();
		json_object_set_new(args, "also", uris);
	}
	if (uris && !json_array_extend(uris, more))
		text = json_dumps(args, JSON_COMPACT);
	json_decref(args);
	if (!text)
		return -ENOMEM;
	free(leecher->again);
	leecher->again = text;
	leecher_note_again(leecher);
	return 0;
}

int leecher_add_also(struct control_call *call, struct leecher *leecher)
{
	struct control_call *first;
	json_t *more;
	int ret;

	if (control_strings(call, "also", &more))
		return -EINVAL;
	if (!json_array_size(more))
		return 0;
	first = control_again(leecher->regiond, leecher->again, NULL);
	ret = add_all(call, first ? first : call, leecher, more);
	if (first)
		control_ok(first, NULL);
	if (ret)
		return ret;
	ret = remember(leecher, more);
	if (ret) {
		control_fail(call, ret, "out of memory");
		return ret;
	}
	leecher->also_more = true;
	leecher_use_also(leecher);
	return 0;
}

/* ---- what comes of it ---- */

void leecher_use_also(struct leecher *leecher)
{
	if (leecher->leech && leecher->places)
		leech_set_places(leecher->leech, leecher->places);
}

void leecher_nowhere(struct leech_watch *watch)
{
	struct leecher *leecher = container_of(watch, struct leecher, watch);
	const struct chunkmap *map = leech_map(leecher->leech);
	uint64_t first = chunkmap_absent(map, 0), chunk = chunkmap_chunk(map);

	snprintf(leecher->why, sizeof(leecher->why), "the other side is lost, and %llu bytes that nobody else has, the first of them at %llu",
		 (unsigned long long)(chunkmap_missing(map) * chunk), (unsigned long long)(first * chunk));
	managed_event(leecher->handover.region, "source-lost", leecher->why);
}

void leecher_show_also(const struct leecher *leecher, json_t *show)
{
	const struct leech_stats *stats = leecher->leech ? leech_stats(leecher->leech) : NULL;
	const struct chunkmap *map = leecher->leech ? leech_map(leecher->leech) : NULL;
	json_t *also = json_array();

	for (unsigned int i = 0; i < places_nr(leecher->places); i++)
		json_array_append_new(also, control_text(places_uri(leecher->places, i)));
	if (json_array_size(also))
		json_object_set_new(show, "also", also);
	else
		json_decref(also);
	if (stats && stats->elsewhere)
		json_object_set_new(show, "elsewhere_bytes", json_integer((json_int_t)stats->elsewhere));
	if (stats && stats->hashed)
		json_object_set_new(show, "hashed_bytes", json_integer((json_int_t)(stats->hashed * chunkmap_chunk(map))));
	if (map && leecher->lost && chunkmap_missing(map))
		json_object_set_new(show, "lost_bytes", json_integer((json_int_t)(chunkmap_missing(map) * chunkmap_chunk(map))));
}

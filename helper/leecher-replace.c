// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: a region comes back to a host that it has left. What that has of it still, moved and of no use to anybody, makes room: it is removed, and
 * with --reuse its bytes become the new one's local store, so that only what has changed since is sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-private.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder.h"

int leecher_may_replace(const struct region *region, char *why, size_t len)
{
	bool moved = region->info.flags & REGIONFS_REGION_MOVED;

	if (moved && !handover_holds(region) && !seeder_is_left(&region->info))
		return 0;
	if (moved)
		snprintf(why, len, "%s has moved away from here, but not all of it has been fetched: it can come back when 'regionctl wait %s' says that it is complete",
			 region->info.path, region->info.path);
	else
		snprintf(why, len, "there is a region %s here already", region->info.path);
	return moved ? -EBUSY : -EEXIST;
}

int leecher_may_replace_unnamed(const struct region *region, char *why, size_t len)
{
	int ret = leecher_may_replace(region, why, len);

	if (ret || !(region->info.given & REGION_GIVEN_UP))
		return ret;
	snprintf(why, len, "%s has moved away from here, and was given up with 'abort --force': what is here may be the last of its bytes. Remove it, or leech it by its name",
		 region->info.path);
	return -EEXIST;
}

/* With --reuse, unless the user says where; NULL: nothing of it can be. */
const char *leecher_store_left(const struct region *region)
{
	const char *source = region ? region->info.source : NULL;

	return source && !region->info.policy && strncmp(source, "leech:", 6) && backend_local(source) ? source : NULL;
}

struct replacing {
	struct leecher *leecher;
	struct region *region;
	char *source;			/* not the old one's to delete; NULL: it may */
	void (*then)(struct leecher *leecher, int error, const char *why);
};

static void end(struct replacing *replacing, int error, const char *why)
{
	struct leecher *leecher = replacing->leecher;
	void (*then)(struct leecher *, int, const char *) = replacing->then;

	region_put(replacing->region);
	free(replacing->source);
	free(replacing);
	then(leecher, error, why);
}

static void removed(void *arg, int error, const char *why)
{
	end(arg, error, why);
}

static void disowned(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct replacing *replacing = arg;

	if (!error)
		error = region_set_source(replacing->region, replacing->source);
	if (error)
		end(replacing, error, *why ? why : "out of memory");
	else
		handover_remove(replacing->region, removed, replacing);
}

/* Whoever has it open keeps it for a while: it must not take the bytes with it then. */
static void disown(struct replacing *replacing)
{
	struct handover_ask *ask = handover_ask_new(replacing->region, REGIONFS_CMD_REGION_SET, disowned, replacing);

	if (!ask) {
		end(replacing, -ENOMEM, "out of memory");
		return;
	}
	netlink_set(&ask->call.attrs, SOURCE, source, replacing->source);
	handover_ask(ask, replacing->region);
}

/* The same but for who deletes it. Out of memory: they are. */
static bool is_same_store(const char *one, const char *other)
{
	char *first = one ? backend_disown(one) : NULL, *second = other ? backend_disown(other) : NULL;
	bool same = one && other && (!first || !second || !strcmp(first, second));

	free(first);
	free(second);
	return same;
}

void leecher_replace(struct leecher *leecher, struct region *region, void (*then)(struct leecher *leecher, int error, const char *why))
{
	struct replacing *replacing = calloc(1, sizeof(*replacing));
	bool keep = is_same_store(leecher->local, region->info.source);

	if (replacing && keep)
		replacing->source = backend_disown(region->info.source);
	if (!replacing || (keep && !replacing->source)) {
		free(replacing);
		then(leecher, -ENOMEM, "out of memory");
		return;
	}
	replacing->leecher = leecher;
	replacing->region = region_get(region);
	replacing->then = then;
	region->info.purge = false;
	/* nobody reads it any more, and its lock is wanted */
	region_open_another(region);
	if (keep)
		disown(replacing);
	else
		handover_remove(region, removed, replacing);
}

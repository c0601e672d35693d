// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: one that was a follower, and could not be promoted, follows again. Of what its local store had, some may be newer by now, so it is compared with
 * what is there, and locked until then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "follower.h"
#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

static char *followed(const struct leecher *leecher)
{
	json_t *args = leecher->again ? json_loads(leecher->again, 0, NULL) : NULL;
	const char *text = json_string_value(json_object_get(args, "followed"));
	char *copy = text ? strdup(text) : NULL;

	json_decref(args);
	return copy;
}

bool leecher_may_follow(const struct leecher *leecher)
{
	char *text = leecher->aborting ? NULL : followed(leecher);
	bool may = text != NULL;

	free(text);
	return may;
}

struct return_to {
	void (*done)(void *arg, int error, const char *why);
	void *arg;
};

static void returned(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct return_to *to = arg;

	to->done(to->arg, error, why);
	free(to);
}

void leecher_return(struct leecher *leecher, void (*done)(void *arg, int error, const char *why), void *arg)
{
	struct return_to *to = malloc(sizeof(*to));
	struct handover_ask *ask = to ? handover_ask_new(leecher->handover.region, REGIONFS_CMD_REGION_SET, returned, to) : NULL;

	if (!ask) {
		free(to);
		done(arg, -ENOMEM, "out of memory");
		return;
	}
	*to = (struct return_to){ done, arg };
	netlink_set(&ask->call.attrs, SOURCE, source, leecher->local);
	netlink_set(&ask->call.attrs, FLAGS, flags, REGIONFS_REGION_READ_ONLY);
	netlink_set(&ask->call.attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_READ_ONLY);
	handover_ask(ask, leecher->handover.region);
}

struct leecher_was leecher_was(const struct leecher *leecher)
{
	return (struct leecher_was){ followed(leecher), strdup(leecher->local) };
}

void leecher_follow(struct region *region, struct leecher_was *was)
{
	if (was->again && was->local && !region_set_source(region, was->local)) {
		region->info.flags |= REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_LOCKED;
		region_set_handover(region, was->again);
		was->again = NULL;
		follower_resume(region);
	} else {
		log_error("%s follows its source no longer: out of memory", region->info.path ? region->info.path : "?");
	}
	free(was->again);
	free(was->local);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: one that was a follower, and could not be promoted, follows again. Where it has met its owner, some of what its local store had may be newer by
 * now, so it is compared with what is there, and locked until then. Where it has not, it is shown as it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "follower.h"
#include "follower-record.h"
#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

/* For an owner to be away. */
#define AWAY_NS (5 * 1000000000ULL)

static char *followed(const struct leecher *leecher)
{
	json_t *args = leecher->again ? json_loads(leecher->again, 0, NULL) : NULL;
	const char *role = json_string_value(json_object_get(args, "role"));
	/* whoever was killed before he had written down that it is a leecher has left what it was */
	bool is = role && !strcmp(role, "follower");
	const char *text = is ? leecher->again : json_string_value(json_object_get(args, "followed"));
	char *copy = text ? strdup(text) : NULL;

	json_decref(args);
	return copy;
}

bool leecher_may_follow(const struct leecher *leecher)
{
	return leecher->was_follower && !leecher->ending;
}

bool leecher_was_follower(const struct leecher *leecher)
{
	char *text = followed(leecher);
	bool was = text != NULL;

	free(text);
	return was;
}

void leecher_spoil(const struct leecher *leecher)
{
	if (leecher->was_follower)
		follower_record_unlink(leecher->regiond->config, leecher->token);
}

bool leecher_is_unspoilt(const struct leecher *leecher)
{
	return leecher->was_follower && follower_record_exists(leecher->regiond->config, leecher->token);
}

static bool hears(const struct leecher *leecher)
{
	const struct session *session = leecher->leech ? leech_session(leecher->leech) : NULL;

	return session && session->links[0].state == LINK_UP;
}

/* What it is to ask of its owner takes no time at all; afterwards nobody but the owner may say what has become of it. */
void leecher_look_followed(struct leecher *leecher)
{
	uint64_t now = loop_now_ns();

	if (!leecher->was_follower || leecher->state > LEECHER_PULLING || leecher->giving_up)
		return;
	if (hears(leecher) || !leecher->heard_at)
		leecher->heard_at = now;
	else if (now - leecher->heard_at > AWAY_NS)
		leecher_fail(leecher, -ENOTCONN, "its owner has gone before it was asked to hand it over");
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

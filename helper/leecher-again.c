// SPDX-License-Identifier: GPL-2.0
/* leecher: what an earlier helper's user had asked for, from the arguments that it noted, and from the region's source. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backend.h"
#include "key16.h"
#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

static const char *noted_text(const struct region_info *info)
{
	if (control_again_is(info->behind, "leecher"))
		return info->behind;
	/* an old one says no role */
	return info->handover && !control_again_is(info->handover, "seeder") ? info->handover : "{}";
}

/* What the user wanted; an earlier version's helper did not write it down. */
static void take_again(struct leecher *leecher, struct region *region)
{
	const char *text = noted_text(&region->info);
	struct control_call *call = control_again(region->regiond, text, NULL);

	leecher->again = strdup(text);
	leecher->manual = leecher->resumed = true;
	leecher->suspend.begun = SUSPEND_ALL;
	if (!call)
		return;
	/* first: whatever else of it cannot be used, the resume hook runs, once */
	if (control_bool(call, "resumed", &leecher->resumed))
		return;
	leecher->resumed &= control_has(call, "resumed");
	if (!suspend_take(&leecher->suspend, call) && !leecher_take_when(call, leecher))
		control_ok(call, NULL);
}

/* Where else its bytes may be. What is wrong with these arguments, which the log says, is no reason to do without the others. */
static void take_places(struct leecher *leecher)
{
	struct control_call *call = control_again(leecher->regiond, leecher->again, NULL);
	bool reuse = leecher->reuse;

	if (call && !leecher_take_also(call, leecher))
		control_ok(call, NULL);
	call = control_again(leecher->regiond, leecher->again, NULL);
	if (call && !leecher_take_reuse(call, leecher))
		control_ok(call, NULL);
	leecher->reuse = reuse;		/* which its source says */
}

int leecher_make_token(struct leecher *leecher)
{
	uint8_t random[KEY16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	key16_text(leecher->token, random);
	return 0;
}

int leecher_make_source(struct leecher *leecher)
{
	char *local = uri_encode(leecher->local), *from = uri_encode(leecher->from);
	char *policy = uri_encode(leecher->policy ? leecher->policy : "");
	int n = -1;

	if (local && from && policy)
		n = asprintf(&leecher->source, "leech:%s?local=%s&from=%s%s%s%s%s%s", leecher->token, local, from,
			     backend_owned(leecher->local) ? "&owned" : "", leecher->reuse ? "&reuse" : "",
			     leecher->unfenced ? "&unfenced" : "",
			     leecher->policy ? "&policy=" : "", policy);
	free(local);
	free(from);
	free(policy);
	if (n < 0)
		leecher->source = NULL;
	return n < 0 ? -ENOMEM : n > REGIONFS_SOURCE_MAX ? -ENAMETOOLONG : 0;
}

static bool take_source(struct leecher *leecher, struct region *region, const struct uri *uri)
{
	const char *local = uri_option(uri, "local"), *from = uri_option(uri, "from"), *policy = uri_option(uri, "policy");

	leecher->was_follower = leecher_was_follower(leecher);
	snprintf(leecher->token, sizeof(leecher->token), "%s", uri->path);
	leecher->path = strdup(region->info.path ? region->info.path : "?");
	leecher->local = local ? strdup(local) : NULL;
	leecher->from = from ? strdup(from) : NULL;
	leecher->policy = policy ? strdup(policy) : NULL;
	leecher->reply = malloc(LEECHER_REPLY);
	leecher->reuse = uri_option(uri, "reuse");
	return leecher->path && leecher->local && leecher->from && leecher->reply && leecher->again && (!policy || leecher->policy);
}

bool leecher_recall(struct leecher *leecher, struct region *region, const struct uri *uri)
{
	take_again(leecher, region);
	if (!take_source(leecher, region, uri))
		return false;
	take_places(leecher);
	return true;
}

void leecher_join_again(struct leecher *leecher)
{
	json_t *args = json_loads(leecher->again, 0, NULL);
	struct group *group;
	unsigned int nth;

	if (group_of_args(args)) {
		group = group_again(leecher->regiond, HANDOVER_LEECHER, args, &nth);
		if (group)
			group_join(group, &leecher->handover, nth);
		else
			log_error("%s is on its way here with others, of which nothing is known: %s", leecher->path, "out of memory");
		group_put(group);
	}
	json_decref(args);
}

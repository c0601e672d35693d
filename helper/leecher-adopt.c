// SPDX-License-Identifier: GPL-2.0
/* leecher: a region whose source moves with it: it will be a managed one here, and this host the only one that pushes to its source. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control-policy.h"
#include "leecher-private.h"
#include "managed.h"
#include "probe.h"
#include "regiond.h"

/* ---- the arguments ---- */

bool leecher_adopts(const struct leecher *leecher)
{
	return leecher->policy && !backend_owned(leecher->local);
}

/* NULL: it will do. */
static const char *refusal(const struct leecher *leecher, const struct policy *policy)
{
	if (policy->local == LOCAL_CACHE)
		return "a region that is managed while it comes needs a store here: --local memory or --local file:DIR";
	if (policy->local == LOCAL_MEMORY && policy->durability == DURABILITY_REMOTE)
		return "in memory nothing of it is pushed before all of it is here, so no fsync could end at its source until then, as --durability remote "
		       "has it: --local file:DIR, or --durability local";
	if (leecher->reuse)
		return "--reuse compares what is in --local-source, and with a store in front of it that is the other host's until it has moved: leave out "
		       "one of them";
	return NULL;
}

int leecher_take_policy(struct control_call *call, struct leecher *leecher)
{
	struct policy policy;
	const char *why;
	int ret = control_policy_leech(call, &leecher->policy);

	if (!ret)
		ret = control_bool(call, "unfenced", &leecher->unfenced);
	if (ret || !leecher->policy)
		return ret;
	ret = policy_parse(&policy, leecher->policy, NULL, 0);
	if (ret) {
		control_fail(call, ret, "%s", strerror(-ret));
		return ret;
	}
	why = refusal(leecher, &policy);
	policy_free(&policy);
	if (why)
		control_fail(call, -EINVAL, "%s", why);
	return why ? -EINVAL : 0;
}

/* ---- the source ---- */

struct look {
	struct leecher *leecher;
	void (*then)(struct leecher *leecher, int error, const char *why);
};

static void looked(struct probe *probe, void *arg, int error, const char *why)
{
	struct look look = *(struct look *)arg;
	bool loose = !error && probe->fence == FENCE_NONE && !look.leecher->unfenced;
	char text[640];

	free(arg);
	if (error)
		snprintf(text, sizeof(text), "%s, which is to move with it, can't be used from here: %s", look.leecher->local, why);
	else if (loose)
		snprintf(text, sizeof(text), "%s can't tell this host from the last one: what that has sent, and is still on its way, may land after what is "
			 "written here (no lock that all hosts hear of). --unfenced takes it nevertheless", look.leecher->local);
	if (!error) {
		look.leecher->looked = true;
		look.leecher->source_size = probe->size;
		look.leecher->source_fixed = probe->fixed_size;
	}
	probe_free(probe);
	look.then(look.leecher, error ? error : loose ? -EPERM : 0, error || loose ? text : "");
}

void leecher_look_at_source(struct leecher *leecher, void (*then)(struct leecher *leecher, int error, const char *why))
{
	struct look *look;

	/* one of its own is made when it is pushed to, and has no other writer */
	if (!leecher->policy || backend_owned(leecher->local)) {
		then(leecher, 0, "");
		return;
	}
	look = malloc(sizeof(*look));
	if (!look) {
		then(leecher, -ENOMEM, "out of memory");
		return;
	}
	*look = (struct look){ leecher, then };
	probe_moving(leecher->regiond, leecher->local, looked, look);
}

/*
 * One that is smaller may be what the region has grown from, of which the source has not heard. One that is larger would be cut off, and can be the region's only if
 * it has shrunk, and that was not pushed.
 */
bool leecher_fits_source(const struct leecher *leecher, uint64_t size, char *why, size_t len)
{
	bool too_small = leecher->source_fixed && leecher->source_size < size, too_large = !leecher->source_fixed && leecher->source_size > size;

	if (!leecher->looked || (!too_small && !too_large))
		return true;
	snprintf(why, len, "%s has %llu bytes, and the region has %llu: %s", leecher->local, (unsigned long long)leecher->source_size,
		 (unsigned long long)size, too_small ? "there is no room for it" : "is it its source? It would be cut off. If it is, 'regionctl sync' it on the other host first");
	return false;
}

/* ---- moving in ---- */

void leecher_note_policy(struct leecher *leecher, void (*then)(struct state_waiter *waiter, int error))
{
	struct region *region = leecher->handover.region;
	int ret = leecher->policy ? region_set_policy(region, leecher->policy, false) : 0;

	leecher->noted.done = then;
	if (ret || !leecher->policy)
		then(&leecher->noted, ret);
	else
		state_sync(leecher->regiond->state, &leecher->noted);
}

/* ---- stat ---- */

void leecher_show_adoption(const struct leecher *leecher, json_t *show)
{
	const struct managed *managed = leecher->leech ? managed_of(leech_local(leecher->leech)) : NULL;
	const char *why;

	if (!leecher->policy)
		return;
	json_object_set_new(show, "adopts", control_text(leecher->local));
	if (!managed)
		return;
	json_object_set_new(show, "adoption", json_string(managed_adopt_state(managed, &why)));
	if (*why)
		json_object_set_new(show, "adoption_error", control_text(why));
}

// SPDX-License-Identifier: GPL-2.0
/* leecher: the commands on a region that is being leeched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher-private.h"
#include "regiond.h"

static struct leecher *leecher_of(struct region *region)
{
	return container_of(handover_of(region), struct leecher, handover);
}

void leecher_finalize(struct control_call *call, struct region *region)
{
	struct leecher *leecher = leecher_of(region);

	if (leecher->state == LEECHER_FAILED) {
		control_fail(call, -ECANCELED, "leeching %s was given up: %s", leecher->path, leecher->why);
	} else if (leecher->state >= LEECHER_OWNED) {
		control_ok(call, leecher->handover.show(&leecher->handover));
	} else if (leecher->finalizing) {
		control_fail(call, -EALREADY, "%s is being finalized", leecher->path);
	} else if (!leecher_take_finalize(call, leecher)) {
		leecher->finalizing = call;
		leecher_next(leecher);
	}
}

void leecher_abort(struct control_call *call, struct region *region)
{
	struct leecher *leecher = leecher_of(region);

	if (leecher->aborting || leecher->state == LEECHER_FAILED || (leecher->giving_up && leecher->state < LEECHER_OWNED))
		control_fail(call, -EALREADY, "leeching %s is being aborted", leecher->path);
	else if (leecher->state >= LEECHER_OWNED)
		control_fail(call, -EBUSY, "%s is owned here: to give it back, seed it", leecher->path);
	else {
		leecher->aborting = call;
		leecher_fail(leecher, -ECANCELED, "aborted by the user");
	}
}

/* ---- what an earlier helper has left ---- */

static void cleaned(void *arg, int error, const char *why)
{
	if (error)
		control_fail(arg, error, "%s", why);
	else
		control_ok(arg, NULL);
}

/* One without a leecher has not been taken up again: there was no memory, or its source makes no sense. */
void leecher_clean(struct control_call *call, struct region *region)
{
	struct leech_record_head head;

	if (leecher_left(region->regiond, region->info.source, &head))
		control_fail(call, -EINVAL, "%s is not being migrated", region->info.path);
	else if (head.state != LEECH_RECORD_PULLING && head.state != LEECH_RECORD_REFUSED)
		control_fail(call, -EBUSY, "%s is owned here: to give it back, seed it", region->info.path);
	else
		handover_remove(region, cleaned, call);
}

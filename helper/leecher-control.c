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

	if (leecher->state >= LEECHER_OWNED) {
		control_ok(call, leecher->handover.show(&leecher->handover));
	} else if (leecher->finalizing) {
		control_fail(call, -EALREADY, "%s is being finalized", leecher->path);
	} else {
		leecher->finalizing = call;
		leecher->wanted = true;
		leecher_next(leecher);
	}
}

void leecher_abort(struct control_call *call, struct region *region)
{
	struct leecher *leecher = leecher_of(region);

	if (leecher->state >= LEECHER_OWNED)
		control_fail(call, -EBUSY, "%s is owned here: to give it back, seed it", leecher->path);
	else if (leecher->aborting || leecher->giving_up)
		control_fail(call, -EALREADY, "leeching %s is being aborted", leecher->path);
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

void leecher_clean(struct control_call *call, struct region *region)
{
	enum chunkmap_state state = CHUNKMAP_PULLING;
	struct chunkmap *map;

	if (!region->info.source || strncmp(region->info.source, "leech:", 6)) {
		control_fail(call, -EINVAL, "%s is not being migrated", region->info.path);
		return;
	}
	/* Without its map nothing of it can be used. */
	if (!leecher_left_map(region, &map)) {
		state = chunkmap_state(map);
		chunkmap_close(map);
	}
	if (state != CHUNKMAP_PULLING) {
		control_fail(call, -EBUSY, "%s is owned here: to give it back, seed it", region->info.path);
		return;
	}
	handover_remove(region, cleaned, call);
}

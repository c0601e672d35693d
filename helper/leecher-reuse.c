// SPDX-License-Identifier: GPL-2.0
/* leecher: what need not be sent, since it is here already: in the local store (--reuse), or in other regions (--reuse-from). Before the first pull. */
#include <errno.h>
#include <string.h>

#include "chunk-index.h"
#include "leecher-private.h"
#include "regiond.h"

int leecher_take_reuse(struct control_call *call, struct leecher *leecher)
{
	struct region *region;
	json_t *paths, *path;
	size_t i;

	if (control_bool(call, "reuse", &leecher->reuse) || control_strings(call, "reuse_from", &paths))
		return -EINVAL;
	json_array_foreach(paths, i, path) {
		region = region_find_path(leecher->regiond->regions, json_string_value(path));
		/* the next helper does without what has gone meanwhile */
		if (!region && !call->again) {
			control_fail(call, -ENOENT, "--reuse-from: there is no region %s here", json_string_value(path));
			return -ENOENT;
		}
		if (region)
			region_put(region);
	}
	leecher->reuse_from = json_array_size(paths) ? json_incref(paths) : NULL;
	return 0;
}

static void index_built(void *arg, struct places *places)
{
	struct leecher *leecher = arg;

	leecher->index = NULL;
	if (leecher_leaves(leecher))
		leecher_reused(leecher);
	else
		leech_reuse(leecher->leech, leecher->reuse, places, leecher_reused, leecher);
	places_put(places);
}

void leecher_reuse(struct leecher *leecher)
{
	const struct chunkmap *map = leech_map(leecher->leech);
	bool empty = chunkmap_missing(map) == chunkmap_chunks(map);

	leecher->stepping = true;
	if (!empty || (!leecher->reuse && !leecher->reuse_from)) {
		leecher_reused(leecher);
		return;
	}
	if (leecher->reuse_from)
		leecher->index = chunk_index_build(leecher->regiond, leecher->reuse_from, chunkmap_chunk(map), index_built, leecher);
	if (!leecher->index)
		leech_reuse(leecher->leech, leecher->reuse, NULL, leecher_reused, leecher);
}

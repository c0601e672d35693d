// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: what an earlier helper has left. The map tells whether the region is owned here. If so there is no way but forward, from
 * wherever that helper died: the kernel is told again, as long as it has the region locked; the leech backend is
 * opened, though nobody may ask for it, since it tells the other side and fetches the rest; and when all is here the local
 * store becomes the source. The resume hook is not run again.
 */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "leecher-private.h"
#include "log.h"
#include "regiond.h"

#define AGAIN_MS 1000u

int leecher_left_map(struct region *region, struct chunkmap **map)
{
	char path[4096];
	struct uri uri;
	int ret = uri_parse(&uri, region->info.source, NULL, 0);

	if (ret)
		return ret;
	leech_map_path(path, sizeof(path), region->regiond->config->run_dir, uri.path);
	uri_free(&uri);
	return chunkmap_open(map, path, region->regiond->instance_id);
}

/* ---- the backend ---- */

static void open_again(struct leecher *leecher);

static void again_later(struct loop_timer *timer)
{
	open_again(container_of(timer, struct leecher, limit));
}

/* The other side may be away: its bytes are waited for as long as it takes. */
static void opened_again(struct region *region, int error, void *arg)
{
	struct leecher *leecher = arg;

	if (region->handover != &leecher->handover || leecher->leech)
		return;
	leecher->leech = error ? NULL : leech_of(region->backend);
	if (leecher->leech) {
		leecher_opened_again(leecher);
		return;
	}
	snprintf(leecher->why, sizeof(leecher->why), "%s", *region->why ? region->why : "its source was changed");
	leecher->limit.fire = again_later;
	loop_timer_set(leecher->regiond->loop, &leecher->limit, AGAIN_MS);
}

static void open_again(struct leecher *leecher)
{
	struct region *region = leecher->handover.region;

	if (leecher->regiond->stopping)
		return;
	if (!atomic_load(&region->forgotten)) {
		region_open(region, opened_again, leecher);
		return;
	}
	leecher->giving_up = true;
	leecher->error = -ECANCELED;
	if (!leecher->stepping)
		leecher_stepped(leecher);
}

/* ---- at start ---- */

static void go_on(struct region *region, const struct uri *uri, const struct chunkmap *map)
{
	struct leecher *leecher = leecher_again(region, uri, map);

	if (!leecher) {
		log_error("%s is owned here, but not served yet: out of memory", region->info.path);
		return;
	}
	log_info("%s is owned here since an earlier helper; the rest of it is fetched", leecher->path);
	/* Which ranges are to be dropped went with that helper; a locked region has no pages that matter. */
	if (region->info.flags & REGIONFS_REGION_LOCKED && !leecher_add_range(leecher, 0, INT64_MAX))
		leecher_tell_kernel(leecher);
	open_again(leecher);
}

static int restart(struct region *region, void *arg)
{
	struct chunkmap *map;
	struct uri uri;

	if (region->handover || !region->info.source || strncmp(region->info.source, "leech:", 6) ||
	    leecher_left_map(region, &map))
		return 0;
	if (chunkmap_state(map) != CHUNKMAP_PULLING && !uri_parse(&uri, region->info.source, NULL, 0)) {
		go_on(region, &uri, map);
		uri_free(&uri);
	}
	chunkmap_close(map);
	return 0;
}

void leecher_restart(struct regiond *regiond)
{
	region_each(regiond->regions, restart, NULL);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * region-rate: how fast a region's writers may be. Several may want them slowed: the pusher, whose store fills, and a leecher, that
 * programs are too fast for. The kernel has one limit: the lowest. It forgets it with this helper.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/regionfs.h>

#include "log.h"
#include "netlink.h"
#include "region-private.h"
#include "regiond.h"

#define RATE_RETRY_MS 1000

struct rate {
	struct netlink_call call;
	struct loop_timer timer;
	struct region *region;
	uint64_t told;
};

static void rate_end(struct rate *rate)
{
	rate->region->rate_telling = false;
	region_put(rate->region);
	free(rate);
}

static void rate_told(struct netlink_call *call, int error, const char *why);

static void rate_tell(struct rate *rate)
{
	struct region *region = rate->region;

	if (!region->regiond->netlink || atomic_load(&region->forgotten)) {
		rate_end(rate);
		return;
	}
	rate->told = region->write_rate;
	memset(&rate->call, 0, sizeof(rate->call));
	rate->call.cmd = REGIONFS_CMD_WRITE_RATE;
	netlink_set(&rate->call.attrs, REGION, region, region->info.id);
	netlink_set(&rate->call.attrs, WRITE_RATE, write_rate, rate->told);
	rate->call.done = rate_told;
	netlink_call(region->regiond->netlink, &rate->call);
}

static void rate_again(struct loop_timer *timer)
{
	rate_tell(container_of(timer, struct rate, timer));
}

static void rate_told(struct netlink_call *call, int error, const char *why)
{
	struct rate *rate = container_of(call, struct rate, call);
	struct region *region = rate->region;

	if (error && error != -ENOENT && error != -ENODEV && error != -ENOTCONN && error != -ECANCELED && !region->regiond->stopping) {
		log_warning("region %s: its writers can't be told their pace: %s", region->info.path, *why ? why : strerror(-error));
		rate->timer.fire = rate_again;
		loop_timer_set(region->regiond->loop, &rate->timer, RATE_RETRY_MS);
	} else if (!error && rate->told != region->write_rate) {
		rate_tell(rate);
	} else {
		rate_end(rate);
	}
}

static uint64_t lowest(const struct region *region)
{
	uint64_t rate = 0;

	for (unsigned int i = 0; i < REGION_RATES; i++)
		if (region->write_rates[i] && (!rate || region->write_rates[i] < rate))
			rate = region->write_rates[i];
	return rate;
}

/* Without memory it is as it was, and told with the next change. */
void region_limit_writers(struct region *region, enum region_rate who, uint64_t bytes_per_second)
{
	struct rate *rate;

	region->write_rates[who] = bytes_per_second;
	if (lowest(region) == region->write_rate || !region->regiond->netlink)
		return;
	if (region->rate_telling) {
		region->write_rate = lowest(region);
		return;
	}
	rate = calloc(1, sizeof(*rate));
	if (!rate)
		return;
	region->write_rate = lowest(region);
	region->rate_telling = true;
	rate->region = region_get(region);
	rate_tell(rate);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * How long programs waited for READs. Counted where they sleep (or poll: poll.c), each wait in one place: read_folio() for its own request; faults and read()
 * for a folio that readahead or someone else has asked for; O_DIRECT for a batch. An access that finds its bytes is not even timed.
 */
#include <linux/ktime.h>
#include <linux/log2.h>
#include "region.h"

static unsigned int regionfs_waits_bucket(u64 ns)
{
	u64 us = div_u64(ns, NSEC_PER_USEC);

	return us < 2 ? 0 : min_t(unsigned int, ilog2(us), REGIONFS_WAITS_BUCKETS - 1);
}

/* An access waited from @since, by ktime_get_ns(), until now. How long, in ns. */
u64 regionfs_waited(struct regionfs_region *region, u64 since)
{
	u64 ns = ktime_get_ns() - since;
	unsigned int bucket = regionfs_waits_bucket(ns);

	atomic64_inc(&region->waits[bucket]);
	atomic64_inc(&region->inst->waits[bucket]);
	regionfs_stat_add(region, REGIONFS_STAT_WAITS, 1);
	regionfs_stat_add(region, REGIONFS_STAT_WAIT_NS, ns);
	return ns;
}

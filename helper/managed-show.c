// SPDX-License-Identifier: GPL-2.0
/* managed: what people and the kernel are told, and what can be changed while it runs. The home loop's. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/regionfs.h>

#include "device.h"
#include "log.h"
#include "managed-private.h"
#include "netlink.h"
#include "region-private.h"
#include "regiond.h"

const struct policy *managed_policy(const struct managed *managed)
{
	return &managed->policy;
}

struct puller *managed_puller(struct managed *managed)
{
	return managed->puller;
}

struct pusher *managed_pusher(struct managed *managed)
{
	return managed->pusher;
}

struct profile *managed_profile(struct managed *managed)
{
	return managed->profile;
}

void managed_note_touched(struct managed *managed)
{
	uint64_t offset = 0, length;

	for (; managed->store && store_touched(managed->store, &offset, &length); offset += length)
		profile_touch(managed->profile, offset, length);
}

void managed_profile_reset(struct managed *managed)
{
	profile_reset(managed->profile);
	if (managed->store)
		store_untouch(managed->store);
}

/* ---- how much may be near ---- */

/* In memory half of what there is, unless all of the region fits into that. */
uint64_t managed_budget(const struct managed *managed)
{
	static uint64_t half;

	if (!half)
		half = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
	if (managed->policy.local_size)
		return managed->policy.local_size;
	return managed->policy.local == LOCAL_FILE || managed_size(managed) <= half ? 0 : half;
}

uint64_t managed_store_budget(const struct managed *managed)
{
	uint64_t budget = managed_budget(managed);

	return managed->policy.local == LOCAL_MEMORY && managed_size(managed) <= budget ? 0 : budget;
}

void managed_follow_budget(struct managed *managed)
{
	uint64_t budget = managed_store_budget(managed);

	if (managed->closing || budget == managed->budget)
		return;
	managed->budget = budget;
	store_set_budget(managed->store, budget);
}

/* ---- statistics ---- */

void managed_stats(struct managed *managed, struct managed_stats *stats)
{
	uint64_t away = remote_away_since(managed->remote);

	memset(stats, 0, sizeof(*stats));
	stats->hits = atomic_load(&managed->hits);
	stats->misses = atomic_load(&managed->misses);
	stats->hit_bytes = atomic_load(&managed->hit_bytes);
	stats->miss_bytes = atomic_load(&managed->miss_bytes);
	stats->fetched = atomic_load(&managed->fetched);
	for (unsigned int i = 0; i < MANAGED_HISTOGRAM; i++)
		stats->wait[i] = atomic_load(&managed->wait[i]);
	stats->bypassed = managed_bypassed(managed);
	stats->has_store = managed->store != NULL;
	stats->owes = managed->adopting.on || managed->adopting.undrained;
	stats->remote = remote_state(managed->remote);
	stats->away_ns = away ? loop_now_ns() - away : 0;
	if (managed->store)
		store_stats(managed->store, &stats->store);
	if (managed->puller)
		stats->puller = *puller_stats(managed->puller);
	if (managed->pusher)
		stats->pusher = *pusher_stats(managed->pusher);
}

/* ---- the map ---- */

struct map {
	struct managed_bucket *buckets;
	uint64_t bytes;			/* of a bucket */
	unsigned int n;
	size_t member;			/* of struct managed_bucket */
};

static void map_add(void *arg, uint64_t offset, uint64_t length)
{
	struct map *map = arg;
	uint64_t end = offset + length;

	for (uint64_t i = offset / map->bytes; i < map->n && offset < end; i++) {
		uint64_t stop = (i + 1) * map->bytes < end ? (i + 1) * map->bytes : end;

		*(uint64_t *)((char *)&map->buckets[i] + map->member) += stop - offset;
		offset = stop;
	}
}

static void map_store(struct managed *managed, struct map *map)
{
	uint64_t *present = calloc(map->n, sizeof(*present)), *unpushed = calloc(map->n, sizeof(*unpushed));

	if (present && unpushed) {
		store_map(managed->store, map->n, present, unpushed);
		for (unsigned int i = 0; i < map->n; i++) {
			map->buckets[i].present = present[i];
			map->buckets[i].unpushed = unpushed[i];
		}
	}
	free(present);
	free(unpushed);
}

static void map_cache(struct managed *managed, struct map *map)
{
	uint64_t size = managed_size(managed);

	map->member = offsetof(struct managed_bucket, present);
	for (uint64_t at = 0; managed->pulled && at < size; at += PROFILE_CHUNK)
		if (pages_test(managed->pulled, at, PAGES_SIZE) == PAGES_ALL)
			map_add(map, at, size - at < PROFILE_CHUNK ? size - at : PROFILE_CHUNK);
}

uint64_t managed_map(struct managed *managed, unsigned int n, struct managed_bucket *buckets)
{
	uint64_t size = managed_size(managed);
	struct map map = { .buckets = buckets, .n = n, .bytes = size / n + (size % n != 0) };
	struct list *at;

	memset(buckets, 0, n * sizeof(*buckets));
	if (!size)
		return 0;
	if (managed->store)
		map_store(managed, &map);
	else
		map_cache(managed, &map);
	map.member = offsetof(struct managed_bucket, coming);
	list_for_each(at, &managed->fetches) {
		const struct fetch *fetch = list_entry(at, struct fetch, list);

		map_add(&map, fetch->offset, fetch->length);
	}
	map.member = offsetof(struct managed_bucket, going);
	if (managed->pusher)
		pusher_each(managed->pusher, map_add, &map);
	return map.bytes;
}

/* ---- changes while it runs ---- */

static void replace_hooks(struct policy *to, struct policy *from)
{
	for (unsigned int i = 0; i < POLICY_HOOKS; i++) {
		char *old = to->hook[i];

		to->hook[i] = from->hook[i];
		from->hook[i] = old;
	}
}

/* The domain in which policy would have its changes pushed; NULL: none. */
static struct barriers *domain(struct managed *managed, const struct policy *policy)
{
	bool in = !managed->adopting.on && !managed->adopting.undrained && !managed->handed && policy->durability == DURABILITY_LOCAL && policy->push_order == PUSH_BARRIER;

	return in ? managed->region->regiond->barriers : NULL;
}

void managed_join_barriers(struct managed *managed)
{
	if (managed->pusher)
		(void)pusher_set_barriers(managed->pusher, domain(managed, &managed->policy));
}

int managed_set_policy(struct managed *managed, const struct policy *policy)
{
	struct policy copy;
	int err = policy_copy(&copy, policy);

	if (err)
		return err;
	if (managed->pusher)
		err = pusher_set_barriers(managed->pusher, domain(managed, policy));
	if (err) {
		policy_free(&copy);
		return err;
	}
	managed->policy.push_order = policy->push_order;
	replace_hooks(&managed->policy, &copy);
	policy_free(&copy);
	managed->policy.pull_rate = policy->pull_rate;
	managed->policy.push_interval = policy->push_interval;
	managed->policy.max_unpushed = policy->max_unpushed;
	managed->policy.local_size = policy->local_size;
	if (managed->puller) {
		puller_set_rate(managed->puller, policy->pull_rate);
		puller_kick(managed->puller);
	}
	if (managed->store)
		managed_follow_budget(managed);
	if (managed->pusher)
		pusher_kick(managed->pusher);
	return 0;
}

void managed_writable(struct managed *managed, bool writable)
{
	if (managed->pusher)
		pusher_rest(managed->pusher, !writable);
}

/* ---- the kernel ---- */

/* The region's, since the kernel keeps it longer than a backend is open. */
void managed_limit_writers(struct managed *managed, uint64_t bytes_per_second)
{
	region_limit_writers(managed->region, REGION_RATE_PUSHER, bytes_per_second);
}

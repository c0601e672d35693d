// SPDX-License-Identifier: GPL-2.0
/* region-policy: which regions are managed, and how (policy.h). Main loop only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech.h"
#include "barrier.h"
#include "config.h"
#include "log.h"
#include "managed.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder.h"

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

int region_set_policy(struct region *region, const char *policy, bool again)
{
	char *copy = policy ? strdup(policy) : NULL;

	if (policy && !copy)
		return -ENOMEM;
	if (is_same(region->info.policy, policy)) {
		free(copy);
		return 0;
	}
	free(region->info.policy);
	region->info.policy = copy;
	region_mirror(region);
	if (again)
		region_open_another(region);
	return 0;
}

void region_source_changed(struct region *region, uint64_t offset, uint64_t length)
{
	struct managed *managed = region->backend ? managed_of(region->backend) : NULL;

	if (managed)
		managed_source_changed(managed, offset, length);
}

char *region_usual_policy(const struct regiond *regiond)
{
	const struct config *config = regiond->config;

	return config->managed ? policy_text(&config->policy) : NULL;
}

/* region-open.c has logged why not, and stat says it. */
static void is_open(struct region *region, int error, void *arg)
{
	(void)arg;
	if (error)
		log_debug("region #%llu is managed, and can't be opened yet", (unsigned long long)region->info.id);
}

void region_open_managed(struct region *region)
{
	if (region->info.policy && !region->unlinked)
		region_open(region, is_open, NULL);
}

/* Opening may take the table's lock, so first they are gathered. */
struct gather {
	struct region **region;
	size_t nr, max;
};

static int gather_one(struct region *region, void *arg)
{
	struct gather *gather = arg;
	struct region **grown;

	if (!region->info.policy)
		return 0;
	if (gather->nr == gather->max) {
		gather->max = gather->max ? gather->max * 2 : 64;
		grown = realloc(gather->region, gather->max * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		gather->region = grown;
	}
	gather->region[gather->nr++] = region_get(region);
	return 0;
}

/* Until all stores are open, or have failed to, nobody knows which of them has the oldest changes. The sources may take their time. */
void region_store_known(struct region *region)
{
	if (!region->held)
		return;
	region->held = false;
	barriers_release(region->regiond->barriers);
}

static void one_is_open(struct region *region, int error, void *arg)
{
	is_open(region, error, arg);
	region_store_known(region);
}

void regions_open_managed(struct regions *regions)
{
	struct barriers *barriers = regions->regiond->barriers;
	struct gather gather = { 0 };

	barriers_hold(barriers);
	if (region_each(regions, gather_one, &gather))
		log_error("out of memory: not all managed regions are pulled before they are used");
	for (size_t i = 0; i < gather.nr; i++) {
		struct region *region = gather.region[i];

		if (!region->held && atomic_load(&region->state) != REGION_READY) {
			region->held = true;
			barriers_hold(barriers);
		}
		region_open(region, one_is_open, NULL);
		region_put(region);
	}
	barriers_release(barriers);
	free(gather.region);
}

/* ---- it moves away ---- */

bool region_is_handed(const struct region *region)
{
	return seeder_gave_source(&region->info);
}

struct managed *region_managed(const struct region *region)
{
	bool ready = region->backend && atomic_load(&region->state) != REGION_GONE;
	struct managed *managed = ready ? managed_of(region->backend) : NULL;
	struct leech *leech = ready ? leech_of(region->backend) : NULL;

	return leech && leech_local(leech) ? managed_of(leech_local(leech)) : managed;
}

/* A direct one's source is opened anew, since only one host may have it open for writing. */
static void tell_direct(struct region *region, bool handed)
{
	bool far = region->info.source && strncmp(region->info.source, "leech:", 6) && !backend_local(region->info.source);

	if (handed && far && region->backend && !atomic_load(&region->opened_read_only))
		region_open_another(region);
}

void region_tell_handed(struct region *region)
{
	struct leech *leech = region->backend ? leech_of(region->backend) : NULL;
	struct managed *managed = region_managed(region);
	bool handed = region_is_handed(region);

	if (managed)
		managed_hand_over(managed, handed);
	else
		tell_direct(region, handed);
	if (managed)
		managed_diverge(managed, leech && leech_is_diverged(leech));
	if (managed && (!seeder_is_left(&region->info) || seeder_is_diverged(&region->info)))
		managed_found(managed);
	/* it has all of it, or nobody needs the rest; also where the helper that heard so died of it */
	if (managed && handed && region->info.flags & REGIONFS_REGION_MOVED && !seeder_is_left(&region->info))
		managed_forgo(managed);
}

void region_tell_writable(struct region *region)
{
	struct managed *managed = region->backend ? managed_of(region->backend) : NULL;
	bool may = !(region->info.flags & REGIONFS_REGION_READ_ONLY) && (region->info.mode & 0222 || region->writers);

	if (managed)
		managed_writable(managed, may);
	region_tell_handed(region);
}

/* ---- what the sources have not got ---- */

/* What is another host's is that one's to push, but as long as it may have to ask for it, that is here alone. */
static bool is_anothers(const struct region *region, const struct managed *managed)
{
	return managed_is_coming(managed) || (region_is_handed(region) && !seeder_is_left(&region->info));
}

uint64_t region_unpushed(struct region *region)
{
	struct managed *managed = region_managed(region);
	struct pusher *pusher = managed ? managed_pusher(managed) : NULL;

	return pusher && !is_anothers(region, managed) ? pusher_stats(pusher)->unpushed : 0;
}

bool region_is_behind_in_memory(struct region *region)
{
	struct managed *managed = region_managed(region);

	return managed && managed_policy(managed)->local == LOCAL_MEMORY && region_unpushed(region);
}

void region_drained(struct region *region)
{
	if (!(region->info.given & REGION_GIVEN_MEMORY))
		return;
	region->info.given &= ~REGION_GIVEN_MEMORY;
	region_mirror(region);
}

void region_lost(struct region *region)
{
	if (region->info.given & REGION_GIVEN_LOST)
		return;
	region->info.given |= REGION_GIVEN_LOST;
	region_mirror(region);
}

/*
 * On its way into memory: until the record says that it is complete, who comes after a boot has to take what was here for lost. One that will not be, since what is missing
 * is lost, is as any other once the source has had what was here.
 */
static bool is_volatile(const struct region *region)
{
	struct leech *leech = leech_of(region->backend);

	return leech && leech_is_volatile(leech) && chunkmap_state(leech_map(leech)) == CHUNKMAP_OWNED;
}

int region_may_push(struct region *region, char *why, size_t len)
{
	struct managed *managed = region_managed(region);
	const char *name = region->info.path ? region->info.path : "a region";
	unsigned long long bytes;

	if (!managed)
		return region->info.policy != NULL;
	bytes = region_unpushed(region);
	if (is_volatile(region)) {
		snprintf(why, len, "%s is on its way here, and in this host's memory alone, with %llu bytes that its source has not got, until it is complete: wait "
			 "for that", name, bytes);
		return -EBUSY;
	}
	if (!managed_is_held(managed))
		return true;
	if (!region_is_behind_in_memory(region))
		return false;
	snprintf(why, len, "%s was handed to another host, which may still need %llu bytes that are in this host's memory alone, and is to push them: wait "
		 "until it is complete there", name, bytes);
	return -EBUSY;
}

struct unpushed {
	uint64_t bytes;
	unsigned int nr;
};

static int add_unpushed(struct region *region, void *arg)
{
	struct unpushed *unpushed = arg;
	uint64_t bytes = region_unpushed(region);

	unpushed->bytes += bytes;
	unpushed->nr += bytes != 0;
	return 0;
}

uint64_t regions_unpushed(struct regions *regions, unsigned int *nr)
{
	struct unpushed unpushed = { 0 };

	region_each(regions, add_unpushed, &unpushed);
	if (nr)
		*nr = unpushed.nr;
	return unpushed.bytes;
}

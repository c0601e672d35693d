// SPDX-License-Identifier: GPL-2.0
/* control-managed: map, record, and what others ask of managed regions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "barrier.h"
#include "control-managed.h"
#include "managed-json.h"
#include "region.h"
#include "regiond.h"
#include "units.h"

#define BUCKETS		64u
#define BUCKETS_MAX	4096u

struct managed *control_managed(const struct region *region)
{
	return region->backend ? managed_of(region->backend) : NULL;
}

static void add_waits_for(json_t *json, const struct region *region, uint64_t id)
{
	struct region *other = region_find(region->regiond->regions, id);
	struct managed *managed = other ? control_managed(other) : NULL;
	struct managed_stats stats;
	char name[32];

	if (managed)
		managed_stats(managed, &stats);
	snprintf(name, sizeof(name), "#%llu", (unsigned long long)id);
	json_waits_for(json, other && *other->info.path ? other->info.path : name, managed ? &stats : NULL);
	if (other)
		region_put(other);
}

json_t *control_managed_json(const struct region *region)
{
	struct managed *managed = control_managed(region);
	struct managed_stats stats;
	struct policy policy;
	char why[256];
	json_t *json;

	if (managed) {
		managed_stats(managed, &stats);
		json = json_managed(&stats, managed_policy(managed));
		if (stats.has_store && stats.pusher.waits_for)
			add_waits_for(json, region, stats.pusher.waits_for);
		return json;
	}
	if (!region->info.policy || policy_parse(&policy, region->info.policy, why, sizeof(why)))
		return NULL;
	json = json_managed(NULL, &policy);
	policy_free(&policy);
	return json;
}

int control_managed_set(struct region *region)
{
	struct managed *managed = control_managed(region);
	struct policy policy;
	char why[256];
	int err;

	if (!region->info.policy)
		return 0;
	err = policy_parse(&policy, region->info.policy, why, sizeof(why));
	if (err)
		return err;
	if (managed)
		err = managed_set_policy(managed, &policy);
	else if (policy.push_order == PUSH_ANY)
		/* It may have left the others something to wait for. */
		barriers_forget(region->regiond->barriers, region->info.id);
	policy_free(&policy);
	return err;
}

/* ---- rm ---- */

struct check {
	struct control_call *call;
	void (*then)(struct control_call *call);
};

static void check_open(struct region *region, int error, void *arg)
{
	struct check *check = arg;
	struct control_call *call = check->call;
	uint64_t unpushed = region_unpushed(region);
	char size[REGIONFS_UNITS_TEXT];

	if (error)
		control_fail(call, -EBUSY, "%s may have bytes that its source has not got, which can't be known now (%s): --discard drops them",
			     region->info.path, region->why);
	else if (unpushed)
		control_fail(call, -EBUSY, "%s has %s (%llu bytes) that its source has not got: 'regionctl sync %s' pushes them, "
			     "--discard drops them", region->info.path, regionfs_size_format(unpushed, size),
			     (unsigned long long)unpushed, region->info.path);
	else
		check->then(call);
	region_put(region);
	free(check);
}

/* Without a store of its own it has nothing that the kernel doesn't know of. */
static bool has_store(const struct region *region)
{
	struct policy policy;
	char why[256];
	bool has = true;

	if (!region->info.policy)
		return region_managed(region) != NULL;
	if (!policy_parse(&policy, region->info.policy, why, sizeof(why))) {
		has = policy.local != LOCAL_CACHE;
		policy_free(&policy);
	}
	return has;
}

void control_managed_check(struct control_call *call, void (*then)(struct control_call *call))
{
	struct check *check;

	if (!has_store(call->region)) {
		then(call);
		return;
	}
	check = calloc(1, sizeof(*check));
	if (!check) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	*check = (struct check){ .call = call, .then = then };
	region_open(region_get(call->region), check_open, check);
}

/* ---- map, record ---- */

static struct managed *find_managed(struct control_call *call)
{
	struct region *region = control_region(call);
	struct managed *managed = region ? control_managed(region) : NULL;

	if (!region)
		return NULL;
	if (!region->info.policy)
		control_fail(call, -EINVAL, "%s is a direct region, of which the kernel's page cache alone knows what is near", region->info.path);
	else if (!managed)
		control_fail(call, -EAGAIN, "%s is not open yet%s%s", region->info.path, region->error ? ": " : "", region->why);
	region_put(region);
	return managed;
}

static void run_map(struct control_call *call)
{
	struct managed *managed = find_managed(call);
	struct managed_bucket *buckets;
	uint32_t n = BUCKETS;
	uint64_t bucket;

	if (!managed || control_u32(call, "n", &n))
		return;
	if (!n || n > BUCKETS_MAX) {
		control_fail(call, -EINVAL, "a map has 1 to %u buckets", BUCKETS_MAX);
		return;
	}
	buckets = calloc(n, sizeof(*buckets));
	if (!buckets) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	bucket = managed_map(managed, n, buckets);
	control_ok(call, json_map(bucket, n, buckets));
	free(buckets);
}

static void run_record(struct control_call *call)
{
	struct managed *managed = find_managed(call);
	bool reset = false;
	uint64_t chunks;
	char *text;

	if (!managed || control_bool(call, "reset", &reset))
		return;
	/* what the kernel has read itself, nobody has told in which order */
	managed_note_touched(managed);
	text = profile_text(managed_profile(managed), &chunks);
	if (!text) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	if (reset)
		managed_profile_reset(managed);
	control_ok(call, json_pack("{s:o,s:s}", "chunks", control_id(chunks), "profile", text));
	free(text);
}

extern const struct control_cmd control_managed_cmds[];

const struct control_cmd control_managed_cmds[] = {
	{ "map", CONTROL_READ_ONLY, "region n", run_map },
	{ "record", 0, "region reset", run_record },
	{ NULL, 0, NULL, NULL },
};

// SPDX-License-Identifier: GPL-2.0
/* control-json: see control-json.h. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "backend.h"
#include "config.h"
#include "control-json.h"
#include "control.h"
#include "device.h"
#include "netlink.h"
#include "region.h"
#include "regiond.h"
#include "version.h"

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static json_t *json_flags(uint32_t flags)
{
	static const struct { uint32_t bit; const char *name; } names[] = {
		{ REGIONFS_REGION_READ_ONLY, "read-only" },
		{ REGIONFS_REGION_FIXED_SIZE, "fixed-size" },
		{ REGIONFS_REGION_FROZEN, "frozen" },
		{ REGIONFS_REGION_LOCKED, "locked" },
		{ REGIONFS_REGION_MOVED, "moved" },
	};
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & names[i].bit)
			json_array_append_new(array, json_string(names[i].name));
	return array;
}

static const char *state_name(enum region_state state)
{
	static const char *const names[] = {
		[REGION_NEW] = "new",
		[REGION_OPENING] = "opening",
		[REGION_READY] = "ready",
		[REGION_FAILED] = "failed",
		[REGION_CLOSING] = "closing",
		[REGION_GONE] = "gone",
	};

	return names[state];
}

json_t *json_region(struct regiond *regiond, const struct netlink_attrs *attrs)
{
	struct region *region = region_find(regiond->regions, attrs->region);
	json_t *json = json_object();

	set(json, "id", control_id(attrs->region));
	set(json, "path", control_text(attrs->path ? attrs->path : ""));
	set(json, "source", control_text(attrs->source ? attrs->source : ""));
	set(json, "size", control_id(attrs->size));
	set(json, "mode", json_integer(attrs->mode));
	set(json, "uid", json_integer(attrs->uid));
	set(json, "gid", json_integer(attrs->gid));
	set(json, "epoch", control_id(attrs->epoch));
	set(json, "lineage", control_id(attrs->lineage));
	set(json, "flags", json_flags(attrs->flags));
	set(json, "timeout", json_integer(attrs->timeout));
	set(json, "opens", json_integer(attrs->opens));
	set(json, "writers", json_integer(attrs->writers));
	set(json, "nlink", json_integer(attrs->nlink));
	set(json, "mtime", json_integer(attrs->mtime));
	set(json, "state", json_string(state_name(region ? atomic_load(&region->state) : REGION_NEW)));
	if (region && region->error)
		set(json, "error", control_text(region->why));
	if (region)
		region_put(region);
	return json;
}

json_t *json_backend(struct backend *backend)
{
	static const char *const fences[] = { "none", "process", "lock", "generation" };
	static const char *const durabilities[] = { "never", "sync", "write" };
	const struct backend_caps *caps = &backend->caps;
	json_t *json = json_object();
	char why[256];

	set(json, "scheme", json_string(backend->uri.scheme));
	set(json, "size", control_id(caps->size));
	set(json, "chunk", json_integer(caps->chunk));
	set(json, "align", json_integer(caps->align));
	set(json, "max_request", json_integer(caps->max_request));
	set(json, "parallel", json_integer(caps->parallel));
	set(json, "fence", json_string(fences[caps->fence]));
	set(json, "durability", json_string(durabilities[caps->durability]));
	set(json, "read_only", json_boolean(caps->read_only));
	backend_why(backend, why, sizeof(why));
	if (*why)
		set(json, "last_error", control_text(why));
	return json;
}

json_t *json_stats(const uint64_t *stats)
{
	static const char *const names[] = {
		[REGIONFS_STAT_READS] = "reads",
		[REGIONFS_STAT_READ_BYTES] = "read_bytes",
		[REGIONFS_STAT_DEMAND_READS] = "demand_reads",
		[REGIONFS_STAT_WRITES] = "writes",
		[REGIONFS_STAT_WRITE_BYTES] = "write_bytes",
		[REGIONFS_STAT_SYNCS] = "syncs",
		[REGIONFS_STAT_DISCARDS] = "discards",
		[REGIONFS_STAT_STORED_BYTES] = "stored_bytes",
		[REGIONFS_STAT_ERRORS] = "errors",
		[REGIONFS_STAT_TAKEN_BACK] = "taken_back",
		[REGIONFS_STAT_LATE_COMMITS] = "late_commits",
		[REGIONFS_STAT_OUTSTANDING] = "outstanding",
		[REGIONFS_STAT_CACHED_PAGES] = "cached_pages",
		[REGIONFS_STAT_DIRTY_BYTES] = "dirty_bytes",
		[REGIONFS_STAT_LOCAL_BYTES] = "local_bytes",
	};
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i])
			set(json, names[i], control_id(stats[i]));
	return json;
}

json_t *json_instance(const struct regiond *regiond, const struct netlink_attrs *attrs, uint64_t dirty)
{
	const struct config *config = regiond->config;
	json_t *json = json_object();
	char id[32];

	snprintf(id, sizeof(id), "0x%016" PRIx64, regiond->instance_id);
	set(json, "name", json_string(config->name));
	set(json, "id", json_string(id));
	set(json, "attach_gen", json_integer(regiond->attach_gen));
	set(json, "pid", json_integer(getpid()));
	set(json, "mounts", json_integer(attrs->mounts));
	set(json, "regions", control_id(attrs->regions));
	set(json, "takeback", json_integer(attrs->takeback));
	set(json, "dirty_ratio", json_integer(attrs->dirty_ratio));
	set(json, "default_source", control_text(config->source));
	set(json, "default_source_from", json_string(config_from_name(config->source_from)));
	set(json, "state_dir", control_text(config->state_dir));
	set(json, "run_dir", control_text(config->run_dir));
	set(json, "config", control_text(config->file));
	set(json, "queues", json_integer(config->queues));
	set(json, "depth", json_integer(config->depth));
	set(json, "max_request", json_integer(regiond->device ? device_max_request(regiond->device) : 0));
	set(json, "dirty_bytes", control_id(dirty));
	set(json, "stats", json_stats(attrs->stats));
	set(json, "version", json_string(regionfs_version));
	return json;
}

json_t *json_event(const struct netlink_attrs *attrs)
{
	const char *name = netlink_event_name(attrs->event);
	json_t *json = json_object();

	set(json, "event", json_string(name ? name : "unknown"));
	if (netlink_has(attrs, INSTANCE))
		set(json, "instance", control_text(attrs->instance));
	if (netlink_has(attrs, REGION))
		set(json, "region", control_id(attrs->region));
	if (netlink_has(attrs, PATH))
		set(json, "path", control_text(attrs->path));
	if (netlink_has(attrs, SIZE))
		set(json, "size", control_id(attrs->size));
	if (netlink_has(attrs, MODE))
		set(json, "mode", json_integer(attrs->mode));
	if (netlink_has(attrs, FLAGS))
		set(json, "flags", json_flags(attrs->flags));
	if (netlink_has(attrs, SOURCE))
		set(json, "source", control_text(attrs->source));
	if (netlink_has(attrs, PID))
		set(json, "pid", json_integer(attrs->pid));
	if (netlink_has(attrs, ATTACHED))
		set(json, "attach_gen", json_integer(attrs->attached));
	if (netlink_has(attrs, OFFSET))
		set(json, "offset", control_id(attrs->offset));
	return json;
}

// SPDX-License-Identifier: GPL-2.0
/* control-json: see control-json.h. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "config.h"
#include "control-json.h"
#include "follower.h"
#include "control.h"
#include "device.h"
#include "events.h"
#include "netlink.h"
#include "region.h"
#include "regiond.h"
#include "text.h"
#include "version.h"

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static const struct { uint32_t bit; const char *name; } flag_names[] = {
	{ REGIONFS_REGION_READ_ONLY, "read-only" },
	{ REGIONFS_REGION_FIXED_SIZE, "fixed-size" },
	{ REGIONFS_REGION_FROZEN, "frozen" },
	{ REGIONFS_REGION_LOCKED, "locked" },
	{ REGIONFS_REGION_MOVED, "moved" },
};

static json_t *json_flags(uint32_t flags)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (flags & flag_names[i].bit)
			json_array_append_new(array, json_string(flag_names[i].name));
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

/* ---- a region, as text: far faster than by objects, which counts where there are ten thousand ---- */

enum kind { ID, U32, I64, STRING, FLAGS, STATE, ERROR, POLICY };

static const struct region_field {
	const char *name;
	uint8_t kind;
	uint16_t offset;	/* in struct netlink_attrs */
} region_fields[] = {
#define FIELD(name, kind) { #name, kind, offsetof(struct netlink_attrs, name) }
	{ "id", ID, offsetof(struct netlink_attrs, region) },
	FIELD(path, STRING),
	FIELD(source, STRING),
	FIELD(size, ID),
	FIELD(mode, U32),
	FIELD(uid, U32),
	FIELD(gid, U32),
	FIELD(epoch, ID),
	FIELD(lineage, ID),
	FIELD(flags, FLAGS),
	FIELD(timeout, U32),
	FIELD(opens, U32),
	FIELD(writers, U32),
	FIELD(nlink, U32),
	FIELD(mtime, I64),
	{ "state", STATE, 0 },
	{ "error", ERROR, 0 },
	{ "policy", POLICY, 0 },
#undef FIELD
};

#define NR_FIELDS (sizeof(region_fields) / sizeof(region_fields[0]))

int json_fields_parse(struct json_fields *fields, const char *names, char bad[32])
{
	size_t len, i;

	for (fields->n = 0; *names; names += len) {
		names += strspn(names, " ");
		len = strcspn(names, " ");
		for (i = 0; len && i < NR_FIELDS; i++)
			if (!strncmp(region_fields[i].name, names, len) && !region_fields[i].name[len])
				break;
		if (i == NR_FIELDS || fields->n == JSON_FIELDS_MAX) {
			snprintf(bad, 32, "%.*s", (int)len, names);
			return -EINVAL;
		}
		if (len)
			fields->field[fields->n++] = (uint8_t)i;
	}
	return 0;
}

/* As control_id() has it. */
static void add_id(struct text *text, uint64_t id)
{
	char hex[32];

	if (id <= INT64_MAX) {
		text_number(text, id);
		return;
	}
	snprintf(hex, sizeof(hex), "\"0x%" PRIx64 "\"", id);
	text_string(text, hex);
}

static void add_signed(struct text *text, int64_t number)
{
	if (number < 0)
		text_add(text, "-", 1);
	text_number(text, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

static void add_flags(struct text *text, uint32_t flags)
{
	bool first = true;

	text_add(text, "[", 1);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
		if (!(flags & flag_names[i].bit))
			continue;
		text_string(text, first ? "\"" : ",\"");
		text_string(text, flag_names[i].name);
		text_add(text, "\"", 1);
		first = false;
	}
	text_add(text, "]", 1);
}

/* With the one key that says most in front, whether it is as usual or not. */
static void add_policy(struct text *text, const char *policy)
{
	struct text whole = { 0 };

	if (strncmp(policy, "local=", 6))
		text_string(&whole, *policy ? "local=cache " : "local=cache");
	text_string(&whole, policy);
	text_json(text, whole.failed ? policy : whole.data);
	text_free(&whole);
}

static bool is_there(const struct region_field *field, const struct region *region)
{
	if (field->kind == ERROR)
		return region && region->error;
	return field->kind != POLICY || (region && region->info.policy);
}

static void add_field(struct text *text, const struct region_field *field, const struct netlink_attrs *attrs,
		      const struct region *region)
{
	const char *at = (const char *)attrs + field->offset, *string;

	switch (field->kind) {
	case ID:
		add_id(text, *(const uint64_t *)at);
		break;
	case U32:
		text_number(text, *(const uint32_t *)at);
		break;
	case I64:
		add_signed(text, *(const int64_t *)at);
		break;
	case STRING:
		string = *(const char *const *)at;
		text_json(text, string ? string : "");
		break;
	case FLAGS:
		add_flags(text, attrs->flags);
		break;
	case STATE:
		text_json(text, region && follower_shows(region) ? "following" :
			  state_name(region ? atomic_load(&region->state) : REGION_NEW));
		break;
	case ERROR:
		text_json(text, region->why);
		break;
	case POLICY:
		add_policy(text, region->info.policy);
		break;
	}
}

static void add_array(struct text *text, const struct netlink_attrs *attrs, const struct region *region,
		      const struct json_fields *fields)
{
	for (unsigned int i = 0; i < fields->n; i++) {
		text_add(text, i ? "," : "[", 1);
		if (is_there(&region_fields[fields->field[i]], region))
			add_field(text, &region_fields[fields->field[i]], attrs, region);
		else
			text_string(text, "null");
	}
	text_string(text, fields->n ? "]" : "[]");
}

static void add_object(struct text *text, const struct netlink_attrs *attrs, const struct region *region)
{
	for (size_t i = 0; i < NR_FIELDS; i++) {
		const struct region_field *field = &region_fields[i];

		if (!is_there(field, region))
			continue;
		text_string(text, i ? ",\"" : "{\"");
		text_string(text, field->name);
		text_add(text, "\":", 2);
		add_field(text, field, attrs, region);
	}
	text_add(text, "}", 1);
}

void json_region_text(struct text *text, struct regiond *regiond, const struct netlink_attrs *attrs,
		      const struct json_fields *fields)
{
	struct region *region = region_find(regiond->regions, attrs->region);

	if (fields)
		add_array(text, attrs, region, fields);
	else
		add_object(text, attrs, region);
	if (region)
		region_put(region);
}

json_t *json_region(struct regiond *regiond, const struct netlink_attrs *attrs)
{
	struct text text = { .len = 0 };
	json_t *json;

	json_region_text(&text, regiond, attrs, NULL);
	json = text.failed ? NULL : json_loadb(text.data, text.len, 0, NULL);
	text_free(&text);
	return json ? json : json_object();
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

static json_t *json_waits(const struct netlink_attrs *attrs)
{
	json_t *json = json_array();

	for (size_t i = 0; i < REGIONFS_WAITS_BUCKETS; i++)
		json_array_append_new(json, control_id(attrs->waits[i]));
	return json;
}

json_t *json_stats(const struct netlink_attrs *attrs)
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
		[REGIONFS_STAT_WAITS] = "wait_count",
		[REGIONFS_STAT_WAIT_NS] = "wait_ns",
		[REGIONFS_STAT_STORE_SHORT] = "store_short",
	};
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i])
			set(json, names[i], control_id(attrs->stats[i]));
	set(json, "waits", json_waits(attrs));
	return json;
}

json_t *json_instance(const struct regiond *regiond, const struct netlink_attrs *attrs, uint64_t dirty)
{
	const struct config *config = regiond->config;
	char *usual = region_usual_policy(regiond);
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
	set(json, "unpushed_bytes", control_id(regions_unpushed(regiond->regions, NULL)));
	if (usual)
		set(json, "policy", json_string(*usual ? usual : "local=cache"));
	free(usual);
	set(json, "stats", json_stats(attrs));
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
	if (netlink_has(attrs, OPENS))
		set(json, "opens", json_integer(attrs->opens));
	if (netlink_has(attrs, WRITERS))
		set(json, "writers", json_integer(attrs->writers));
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

json_t *json_event_own(const struct events_own *own)
{
	const struct region *region = own->region;
	json_t *json = json_object();

	set(json, "event", json_string(own->what));
	set(json, "instance", control_text(region->regiond->config->name));
	set(json, "region", control_id(region->info.id));
	if (region->info.path)
		set(json, "path", control_text(region->info.path));
	if (own->detail)
		set(json, "detail", control_text(own->detail));
	return json;
}

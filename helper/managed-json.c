// SPDX-License-Identifier: GPL-2.0
/* managed-json: see managed-json.h. Ages are in ms, rates in bytes a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "managed-json.h"

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static uint64_t age_ms(uint64_t since_ns)
{
	uint64_t now = loop_now_ns();

	return since_ns && now > since_ns ? (now - since_ns) / 1000000 : 0;
}

static json_t *json_policy(const struct policy *policy)
{
	json_t *json = json_object();
	char name[32];

	for (size_t i = 0; policy_keys[i]; i++) {
		char *value = policy_show(policy, policy_keys[i]);

		snprintf(name, sizeof(name), "%s", policy_keys[i]);
		for (char *at = name; *at; at++)
			if (*at == '-')
				*at = '_';
		if (value)
			set(json, name, control_text(value));
		free(value);
	}
	return json;
}

static json_t *json_source(const struct managed_stats *stats)
{
	static const char *const states[] = { [REMOTE_OPENING] = "opening", [REMOTE_UP] = "up", [REMOTE_AWAY] = "away" };
	json_t *json = json_object();

	set(json, "state", json_string(states[stats->remote]));
	set(json, "away_ms", control_id(stats->away_ns / 1000000));
	return json;
}

const char *json_puller_state(const struct puller_stats *puller)
{
	if (puller->complete)
		return "complete";
	if (puller->paused)
		return "paused";
	if (puller->yielding)
		return "yielding";
	return puller->running ? "pulling" : "idle";
}

static json_t *json_puller(const struct puller_stats *puller)
{
	json_t *json = json_object();

	set(json, "state", json_string(json_puller_state(puller)));
	set(json, "pulled", control_id(puller->pulled));
	set(json, "in_flight", control_id(puller->in_flight));
	set(json, "window", control_id(puller->window));
	set(json, "rate", control_id(puller->rate));
	set(json, "trip_us", control_id(puller->trip / 1000));
	return json;
}

static json_t *json_store(const struct store_stats *store)
{
	json_t *json = json_object();

	set(json, "present", control_id(store->present));
	set(json, "room", control_id(store->room));
	set(json, "evicted", control_id(store->evicted));
	set(json, "corrupt", control_id(store->corrupt));
	set(json, "unpushed", control_id(store->unpushed));
	set(json, "log", control_id(store->log));
	set(json, "oldest_ms", control_id(age_ms(store->oldest)));
	set(json, "full", json_boolean(store->full));
	if (store->error)
		set(json, "error", control_text(strerror(-store->error)));
	return json;
}

static const char *pusher_state(const struct pusher_stats *pusher)
{
	if (pusher->held)
		return "moved";
	if (pusher->away)
		return "away";
	if (pusher->pushing)
		return "pushing";
	if (pusher->stopped)
		return "stopped";
	return pusher->unpushed ? "waiting" : "idle";
}

static json_t *json_pusher(const struct pusher_stats *pusher)
{
	json_t *json = json_object();

	set(json, "state", json_string(pusher_state(pusher)));
	set(json, "unpushed", control_id(pusher->unpushed));
	set(json, "oldest_ms", control_id(pusher->oldest_ns / 1000000));
	set(json, "pushed", control_id(pusher->pushed));
	set(json, "generations", control_id(pusher->generations));
	set(json, "saved", control_id(pusher->saved));
	set(json, "rate", control_id(pusher->rate));
	set(json, "in_flight", control_id(pusher->in_flight));
	set(json, "limit", control_id(pusher->limit));
	if (pusher->error)
		set(json, "error", control_text(pusher->why));
	return json;
}

void json_waits_for(json_t *managed, const char *path, const struct managed_stats *other)
{
	json_t *push = json_object_get(managed, "push");
	const char *why = "behind";

	if (!other)
		why = "closed";
	else if (other->remote != REMOTE_UP)
		why = "away";
	else if (other->pusher.error)
		why = "failing";
	set(push, "waits_for", control_text(path));
	set(push, "waits_for_why", json_string(why));
}

json_t *json_managed(const struct managed_stats *stats, const struct policy *policy)
{
	json_t *json = json_object(), *wait = json_array();

	set(json, "policy", json_policy(policy));
	if (!stats) {
		json_decref(wait);
		return json;
	}
	for (size_t i = 0; i < MANAGED_HISTOGRAM; i++)
		json_array_append_new(wait, control_id(stats->wait[i]));
	set(json, "hits", control_id(stats->hits));
	set(json, "misses", control_id(stats->misses));
	set(json, "hit_bytes", control_id(stats->hit_bytes));
	set(json, "miss_bytes", control_id(stats->miss_bytes));
	set(json, "fetched", control_id(stats->fetched));
	set(json, "bypassed", json_boolean(stats->bypassed));
	set(json, "wait", wait);
	set(json, "source", json_source(stats));
	set(json, "pull", json_puller(&stats->puller));
	if (!stats->has_store)
		return json;
	set(json, "store", json_store(&stats->store));
	set(json, "push", json_pusher(&stats->pusher));
	if (stats->owes)
		set(json_object_get(json, "push"), "owes", json_true());
	return json;
}

json_t *json_map(uint64_t bucket, unsigned int n, const struct managed_bucket *buckets)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < n; i++) {
		json_t *cell = json_array();

		json_array_append_new(cell, control_id(buckets[i].present));
		json_array_append_new(cell, control_id(buckets[i].coming));
		json_array_append_new(cell, control_id(buckets[i].unpushed));
		json_array_append_new(cell, control_id(buckets[i].going));
		json_array_append_new(array, cell);
	}
	return json_pack("{s:o,s:o}", "bucket", control_id(bucket), "buckets", array);
}

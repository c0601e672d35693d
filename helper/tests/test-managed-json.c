// SPDX-License-Identifier: GPL-2.0
/* What stat and map say of a managed region: states as words, ages in ms, and no store where there is none. */
#include "tap.h"
#include "../managed-json.h"
#include "../regiond.h"

/* What else control.h brings along is not called here. */
void regiond_stop(struct regiond *regiond)
{
	abort();
}

void regiond_gone(struct regiond *regiond)
{
	abort();
}

void regiond_broken(struct regiond *regiond, int error)
{
	abort();
}

static long long number(const json_t *json, const char *part, const char *key)
{
	return json_integer_value(json_object_get(part ? json_object_get(json, part) : json, key));
}

static void check_word(const json_t *json, const char *part, const char *key, const char *wanted)
{
	const char *got = json_string_value(json_object_get(json_object_get(json, part), key));

	tap_is(got ? got : "nothing", wanted, part);
}

static void check_store(void)
{
	struct managed_stats stats = {
		.hits = 7, .misses = 2, .miss_bytes = 8192, .wait = { 1, [MANAGED_HISTOGRAM - 1] = 5 }, .has_store = true,
		.remote = REMOTE_AWAY, .away_ns = 1500000000,
		.store = { .present = 4096, .unpushed = 100, .oldest = loop_now_ns() - 3000000000ULL, .full = true, .error = -28 },
		.puller = { .running = true, .yielding = true, .rate = 1000, .trip = 2000000 },
		.pusher = { .away = true, .unpushed = 100, .oldest_ns = 3000000000, .error = -5, .why = "it \"broke\"" },
	};
	struct policy policy;
	json_t *json;

	policy_init(&policy);
	json = json_managed(&stats, &policy);
	tap_number(number(json, NULL, "hits"), 7, "hits");
	tap_number(number(json, NULL, "miss_bytes"), 8192, "miss_bytes");
	tap_number((long long)json_array_size(json_object_get(json, "wait")), MANAGED_HISTOGRAM, "the waits");
	tap_number(json_integer_value(json_array_get(json_object_get(json, "wait"), MANAGED_HISTOGRAM - 1)), 5, "the longest ones");
	check_word(json, "source", "state", "away");
	tap_number(number(json, "source", "away_ms"), 1500, "how long it has been away");
	check_word(json, "pull", "state", "yielding");
	tap_number(number(json, "pull", "trip_us"), 2000, "the round trip");
	tap_ok(json_is_true(json_object_get(json_object_get(json, "store"), "full")), "a full store");
	check_word(json, "store", "error", "No space left on device");
	tap_ok(number(json, "store", "oldest_ms") >= 3000 && number(json, "store", "oldest_ms") < 60000, "an age, not a time");
	check_word(json, "push", "state", "away");
	check_word(json, "push", "error", "it \"broke\"");
	tap_number(number(json, "push", "oldest_ms"), 3000, "the age of the oldest");
	check_word(json, "policy", "local", "cache");
	check_word(json, "policy", "push_interval", "5000ms");
	json_decref(json);
}

static void check_waits_for(void)
{
	struct managed_stats stats = { .has_store = true, .pusher = { .unpushed = 1 } }, other = { .remote = REMOTE_AWAY };
	struct policy policy;
	json_t *json;

	policy_init(&policy);
	json = json_managed(&stats, &policy);
	json_waits_for(json, "logs/wal", &other);
	check_word(json, "push", "waits_for", "logs/wal");
	check_word(json, "push", "waits_for_why", "away");
	other = (struct managed_stats){ .remote = REMOTE_UP, .pusher = { .error = -30 } };
	json_waits_for(json, "logs/wal", &other);
	check_word(json, "push", "waits_for_why", "failing");
	json_waits_for(json, "logs/wal", NULL);
	check_word(json, "push", "waits_for_why", "closed");
	json_decref(json);
}

static void check_states(void)
{
	const struct { struct puller_stats stats; const char *wanted; } pullers[] = {
		{ { .running = true }, "pulling" }, { { .running = true, .paused = true }, "paused" },
		{ { .complete = true, .paused = true }, "complete" }, { { 0 }, "idle" },
	};
	const struct { struct pusher_stats stats; const char *wanted; } pushers[] = {
		{ { .pushing = true, .unpushed = 1 }, "pushing" }, { { .unpushed = 1 }, "waiting" }, { { 0 }, "idle" },
		{ { .stopped = true }, "stopped" },
	};
	struct managed_stats stats = { .has_store = true };
	struct policy policy;
	json_t *json;

	policy_init(&policy);
	for (size_t i = 0; i < sizeof(pullers) / sizeof(pullers[0]); i++)
		tap_is(json_puller_state(&pullers[i].stats), pullers[i].wanted, "pull");
	for (size_t i = 0; i < sizeof(pushers) / sizeof(pushers[0]); i++) {
		stats.pusher = pushers[i].stats;
		json = json_managed(&stats, &policy);
		check_word(json, "push", "state", pushers[i].wanted);
		json_decref(json);
	}
}

static void check_less(void)
{
	struct managed_stats stats = { .remote = REMOTE_UP };
	struct managed_bucket buckets[2] = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } };
	struct policy policy;
	json_t *json;
	char *text;

	policy_init(&policy);
	json = json_managed(&stats, &policy);
	tap_ok(!json_object_get(json, "store") && !json_object_get(json, "push"), "no store: nothing is said of one");
	json_decref(json);
	json = json_managed(NULL, &policy);
	tap_ok(json_object_size(json) == 1 && json_object_get(json, "policy"), "not open: the policy alone");
	json_decref(json);
	json = json_map(4096, 2, buckets);
	text = json_dumps(json, JSON_COMPACT);
	tap_is(text, "{\"bucket\":4096,\"buckets\":[[1,2,3,4],[5,6,7,8]]}", "a map");
	free(text);
	json_decref(json);
}

int main(void)
{
	check_store();
	check_states();
	check_waits_for();
	check_less();
	return tap_end();
}

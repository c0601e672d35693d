// SPDX-License-Identifier: GPL-2.0
/* Hosts that follow a region of A: what they show is at each moment one state of it, whatever happens. */
#include "follower.h"
#include "followed.h"
#include "tracker.h"
#include "two-hosts.h"

static struct host *c;

/* ---- a host that follows ---- */

static void follow_on(struct host *host, struct user *user, json_t *more)
{
	char source[256], local[160];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", host->run);
	args = json_pack("{s:s,s:s,s:s,s:b,s:i}", "region", "db", "source", source, "local_source", local, "follow", 1, "max_age", 60);
	json_object_update(args, more);
	json_decref(more);
	host_begin(host, user, "leech", args);
}

static struct kernel_region *follows(struct host *host)
{
	struct user user;

	follow_on(host, &user, NULL);
	if (!until(user.done) || user.error)
		printf("# %s does not follow: %s %s %s\n", host->name, user.said, host_says(host, "db", "state"), host_says(host, "db", "error"));
	return host_region(host, "db");
}

static json_int_t number(struct host *host, const char *key)
{
	json_t *show = region_of(host) ? handover_show(region_of(host)) : NULL, *value = json_object_get(show, key);
	json_int_t n = json_is_true(value) ? 1 : json_integer_value(value);

	json_decref(show);
	return n;
}

/* The first byte of a chunk, as a program there reads it. */
static int byte_at(struct host *host, const struct kernel_region *region, uint64_t offset)
{
	uint8_t byte = 0;

	if (host_request(host, region->id, BACKEND_READ, offset, 1, &byte))
		return -1;
	return byte;
}

static int write_at(struct host *host, const struct kernel_region *region, uint64_t offset, int value)
{
	uint8_t bytes[4096];

	memset(bytes, value, sizeof(bytes));
	return host_request(host, region->id, BACKEND_WRITE, offset, sizeof(bytes), bytes);
}

static bool shows(struct host *host, uint64_t offset, int value)
{
	struct kernel_region *region = host_region(host, "db");

	return region && !is_on(region, REGIONFS_REGION_LOCKED) && until(byte_at(host, region, offset) == value);
}

static struct host *third(const char *name)
{
	struct host *host = host_new(name);

	host_start(host);
	return host;
}

/* ---- tests ---- */

static void test_follow(void)
{
	struct kernel_region *at_b, *at_c;

	begin("follow");
	c = third("c-follow");
	at_b = follows(b);
	at_c = follows(c);
	tap_ok(at_b && at_c && !is_on(at_b, REGIONFS_REGION_LOCKED) && is_on(at_b, REGIONFS_REGION_READ_ONLY), "two hosts follow a region, to be read");
	tap_ok(host_is(b, "db", "following") && host_is(c, "db", "following"), "they say so");
	tap_number(byte_at(b, at_b, 0), 7, "they have its bytes");
	tap_number((long long)at_b->size, SIZE, "and its size");
	tap_number(at_b->mode, 0640, "and its mode");
	tap_number(write_at(a, from, CHUNK, 9), 0, "the program on A changes it");
	tap_ok(shows(b, CHUNK, 9) && shows(c, CHUNK, 9), "both show it");
	tap_number(byte_at(b, at_b, CHUNK + 4096), 7, "and what is beside it");
	tap_ok(until(number(b, "age_ms") < 60), "what they show is not old");
	tap_number(write_at(a, from, SIZE + CHUNK, 5), 0, "the program makes it longer");
	from->size = SIZE + CHUNK + 4096;
	tap_ok(shows(c, SIZE + CHUNK, 5) && at_c->size == SIZE + CHUNK + 4096, "so it is there");
	tap_number(byte_at(c, at_c, SIZE), 0, "with nothing between");
	tap_number(host_request(a, from->id, BACKEND_RESIZE, 0, CHUNK, NULL), 0, "the program makes it short");
	tap_ok(until(at_b->size == CHUNK && at_c->size == CHUNK), "so it is there");
	tap_number(number(a, "nr_followers"), 2, "A knows of both");
	tap_number(host_do(b, "abort", db()), 0, "one ends it");
	tap_ok(!host_region(b, "db") && until(!region_of(b)) && until(number(a, "nr_followers") == 1), "nothing is left of it, there nor here");
	tap_ok(!is_left_over("follow-") && !is_left_over("leech-"), "nor in its files");
	tap_number(write_at(a, from, 0, 3), 0, "the other one goes on");
	tap_ok(shows(c, 0, 3), "as before");
}

/* What is changed between the moment of a round and its fetching is not seen, and what was changed before is. */
static __attribute__((unused)) void test_snapshot(void)
{
	struct kernel_region *at_b;
	json_int_t states;

	begin("snap");
	at_b = follows(b);
	write_at(a, from, 0, 1);
	write_at(a, from, CHUNK, 1);
	tap_ok(shows(b, 0, 1) && shows(b, CHUNK, 1), "a host follows a region");
	slow.hold = true;
	tap_number(write_at(a, from, 0, 2), 0, "two chunks are changed");
	tap_number(write_at(a, from, CHUNK, 2), 0, "one after the other");
	tap_ok(until(!list_empty(&slow.held)), "it fetches them");
	states = number(b, "states");
	slow_release();
	slow.hold = false;
	tap_number(write_at(a, from, CHUNK, 3), 0, "one of them is changed meanwhile");
	tap_number(write_at(a, from, 0, 3), 0, "and the other");
	tap_ok(until(number(b, "states") > states), "a state is shown");
	tap_ok(shows(b, 0, 3) && shows(b, CHUNK, 3), "and in the end the last one");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_follow();
	return hosts_end();
}

// SPDX-License-Identifier: GPL-2.0
/* A region that is seeded to be followed, and not to be taken over: neither by a leecher, nor by who follows it; nor from the next helper. */
#include "follow-hosts.h"

static int seed_for(const char *who)
{
	char listen[160];

	snprintf(listen, sizeof(listen), "unix:%s", socket_path);
	return host_do(a, "seed", json_pack("{s:s,s:s,s:[s],s:b}", "region", "db", "listen", listen, "allow", who, "detach", 1));
}

static bool allows(const char *wanted)
{
	json_t *show = handover_show(region_of(a)), *allow = json_object_get(show, "allow");
	bool is = json_array_size(allow) == 1 && !strcmp(json_string_value(json_array_get(allow, 0)), wanted);

	json_decref(show);
	return is;
}

static void leech_refused(const char *name, const char *what)
{
	char source[256], local[160];
	struct user user;

	c = third(name);
	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", c->run);
	host_begin(c, &user, "leech", json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local));
	tap_ok(until(user.done) && user.error == -EACCES && strstr(user.said, "may not leech db"), "%s: %s", what, user.said);
}

static json_t *source_lost(void)
{
	return json_pack("{s:s,s:b}", "region", "db", "source_lost", 1);
}

/* By its operator's word, while the owner is away: what it says then is not believed. */
static void test_lost(struct kernel_region *at_b)
{
	hide();
	tap_ok(until(!follower_hears(follower_on(b))), "the owner is away");
	tap_number(host_do(b, "promote", source_lost()), 0, "who follows is told that it is lost");
	unhide();
	tap_ok(until(host_is(b, "db", "diverged") && is_on(at_b, REGIONFS_REGION_FROZEN)), "it hears that it is not, and serves no more");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED) && !host_is(a, "db", "diverged"),
	       "but who may not leech it does not stop it where it is seeded");
	tap_number(write_at(a, from, 0, 9), 0, "it is written there as before");
}

static void test_allowed(void)
{
	struct kernel_region *at_b;

	begin("allowed");
	tap_number(host_do(a, "abort", db()), 0, "a region is seeded anew");
	tap_number(seed_for("*=write"), -EINVAL, "not for what cannot be had of it");
	tap_number(seed_for("bob=follow"), -EINVAL, "nor for a name where nobody has one");
	tap_number(seed_for("*=follow"), 0, "for all to follow");
	tap_ok(allows("*=read,follow"), "which it tells");
	at_b = follows(b);
	tap_ok(at_b, "it is followed");
	leech_refused("c-one", "it is not leeched");
	tap_number(host_do(b, "promote", db()), -EACCES, "nor is who follows it promoted");
	tap_ok(until(host_is(b, "db", "following")) && is_on(at_b, REGIONFS_REGION_READ_ONLY) && !is_on(at_b, REGIONFS_REGION_LOCKED),
	       "who follows again: %s", host_says(b, "db", "error"));
	write_at(a, from, 0, 3);
	tap_ok(shows(b, 0, 3), "and is not disturbed");
	restart_a();
	tap_ok(until(region_of(a)->handover) && allows("*=read,follow"), "the next helper knows it");
	leech_refused("c-two", "it is not leeched from that, either");
	write_at(a, from, 0, 4);
	tap_ok(shows(b, 0, 4), "but followed");
	test_lost(at_b);
}

int main(int argc, char **argv)
{
	static const struct follow_test tests[] = { { "allowed", test_allowed } };

	return follow_tests(tests, 1, argv[1]);
}

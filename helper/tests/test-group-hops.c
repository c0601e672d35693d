// SPDX-License-Identifier: GPL-2.0
/* A group goes back and forth between two hosts: what is left of it where it has been makes room by itself. */
#include "group-hosts.h"

static const char *source_fails, *replace_fails;

int __real_leecher_make_source(struct leecher *leecher);
int __wrap_leecher_make_source(struct leecher *leecher);
void __real_leecher_replace(struct leecher *leecher, struct region *region, void (*then)(struct leecher *leecher, int error, const char *why));
void __wrap_leecher_replace(struct leecher *leecher, struct region *region, void (*then)(struct leecher *leecher, int error, const char *why));

int __wrap_leecher_make_source(struct leecher *leecher)
{
	return source_fails && !strcmp(leecher->path, source_fails) ? -ENAMETOOLONG : __real_leecher_make_source(leecher);
}

void __wrap_leecher_replace(struct leecher *leecher, struct region *region, void (*then)(struct leecher *leecher, int error, const char *why))
{
	if (replace_fails && !strcmp(leecher->path, replace_fails))
		then(leecher, -ENOMEM, "out of memory");
	else
		__real_leecher_replace(leecher, region, then);
}

/* As a kernel does of itself. */
static void tell(struct host *host)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct netlink_attrs got = { 0 };

		kernel_describe(host_region(host, names[i]), &got);
		region_update(host->regiond->regions, &got);
	}
}

static void default_store(struct host *host)
{
	char source[160];

	snprintf(source, sizeof(source), "file:%s/", host->run);
	host->config.source = strdup(source);
}

/* The group, wherever it is. */
static int seed_from(struct host *host)
{
	json_t *more = json_array(), *args;

	for (unsigned int i = 1; i < nr; i++)
		json_array_append_new(more, json_string(names[i]));
	args = json_pack("{s:s,s:o,s:s,s:b}", "region", names[0], "more", more, "group", "app", "detach", 1);
	json_object_set_new(args, "listen", json_sprintf("unix:%s/s%u", host->run, host->kernel.nr));
	json_object_set_new(args, "on_suspend", hook(host, "suspended"));
	tell(host);
	return host_do(host, "seed", args);
}

static void begin_hop(struct host *one, struct host *other, struct user *user, bool reuse)
{
	json_t *args = json_pack("{s:s,s:b}", "group", "app", "reuse", reuse);

	json_object_set_new(args, "source", json_sprintf("peer+unix:%s/s%u", one->run, one->kernel.nr));
	json_object_set_new(args, "on_resume", hook(other, "resumed"));
	host_begin(other, user, "leech", args);
}

static bool are_complete(struct host *host)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!host_is(host, names[i], "complete") || handover_of(region_find_path(host->regiond->regions, names[i])))
			return false;
	return true;
}

static void end_hop(struct host *from, struct host *other, struct user *user)
{
	tap_ok(until(user->done || all_are(other, "pulling")) && !user->done, "it is pulled: %s", user->said);
	tap_number(host_do(other, "finalize", one(names[nr - 1])), 0, "and handed over");
	tap_ok(until(user->done && !user->error), "all of it comes: %s", user->said);
	tap_ok(until(all_are(from, "complete")), "and the other host has done");
}

static int byte_of(struct host *host, unsigned int i, uint64_t chunk)
{
	static uint8_t bytes[CHUNK];

	if (host_request(host, host_region(host, names[i])->id, BACKEND_READ, chunk * CHUNK, CHUNK, bytes) || bytes[0] != bytes[CHUNK - 1])
		return -1;
	return bytes[0];
}

static int write_byte(struct host *host, unsigned int i, uint64_t chunk, int byte)
{
	static uint8_t bytes[CHUNK];

	memset(bytes, byte, sizeof(bytes));
	return host_request(host, host_region(host, names[i])->id, BACKEND_WRITE, chunk * CHUNK, CHUNK, bytes);
}

static void begin_at_a(const char *name, unsigned int n)
{
	struct user user;

	begin(name, n);
	default_store(a);
	default_store(b);
	host_begin(b, &user, "leech", json_pack("{s:s,s:o}", "group", "app", "source", json_sprintf("peer+unix:%s", socket_path)));
	end_hop(a, b, &user);
}

/* Each of them says so, and the group says how much it was in all. */
static bool is_reused(const struct user *user)
{
	const char *at = user->answer;
	unsigned int n = 0;

	while ((at = strstr(at, "\"reused_bytes\":"))) {
		at++;
		n++;
	}
	return n == nr + 1;
}

/* Each hop changes a chunk of each. */
static void test_back(bool reuse, unsigned int n)
{
	struct user user;

	begin_at_a(reuse ? "reuse" : "back", n);
	for (int hop = 0; hop < 4; hop++) {
		struct host *one = hop % 2 ? a : b, *other = hop % 2 ? b : a;
		uint64_t epoch = host_region(one, names[n - 1])->epoch;
		int resumed = runs(other, "resumed");
		bool same = true;

		tap_ok(!seed_from(one), "hop %d of %u", hop, n);
		for (unsigned int i = 0; i < n; i++)
			write_byte(one, i, (uint64_t)hop, 20 + hop + 10 * (int)i);
		begin_hop(one, other, &user, reuse);
		end_hop(one, other, &user);
		for (unsigned int i = 0; i < n; i++)
			same &= byte_of(other, i, (uint64_t)hop) == 20 + hop + 10 * (int)i;
		tap_ok(same, "with what has changed");
		tap_number((long long)host_region(other, names[n - 1])->epoch, (long long)epoch + 1, "in the next epoch");
		tap_number(runs(other, "resumed"), resumed + 1, "its application goes on, once");
		/* the first ones' bytes were made by somebody else, and stay */
		tap_ok(until(files(other) <= 2 * n), "nothing of its last stay is left: %u", files(other));
		tap_ok(!reuse || is_reused(&user), "what was there is not sent");
	}
	for (unsigned int i = 0; i < n; i++)
		tap_ok(byte_of(b, i, 0) == 20 + 10 * (int)i && byte_of(b, i, 1) == 21 + 10 * (int)i && byte_of(b, i, 3) == 23 + 10 * (int)i, "all is there");
}

/* One that is in service, or not fetched whole, is not replaced, nor are the others. */
static void test_exists(void)
{
	struct user user;
	struct kernel_region *log;

	begin_at_a("exists", 2);
	tap_ok(until(are_complete(a)), "a group has moved");
	log = host_region(a, "log");
	log->flags &= ~REGIONFS_REGION_MOVED;
	tell(a);
	tap_number(seed_from(b), 0, "it is seeded back");
	begin_hop(b, a, &user, false);
	tap_ok(until(user.done) && user.error == -EEXIST && host_region(a, "db"), "of which one is in the way: %s", user.said);
	log->flags |= REGIONFS_REGION_MOVED;
	tell(a);
	begin_hop(b, a, &user, false);
	end_hop(b, a, &user);
}

static bool is_known(struct host *host, const char *name)
{
	struct region *region = region_find_path(host->regiond->regions, name);

	if (region)
		region_put(region);
	return region;
}

/* One that cannot be removed is the end of all. */
static void test_stays(void)
{
	struct user user;

	begin_at_a("stays", 3);
	tap_ok(until(are_complete(a)), "a group has moved");
	tap_number(seed_from(b), 0, "it is seeded back");
	a->kernel.refuse_delete = host_region(a, "log")->id;
	begin_hop(b, a, &user, false);
	tap_ok(until(user.done) && user.error, "what is there cannot be removed: %s", user.said);
	a->kernel.refuse_delete = 0;
	tap_ok(until(all_are(b, "serving") || all_are(b, "tracking")), "it stays where it is");
	/* the harness's kernel does not say that it is unlinked until its bytes are gone */
	tap_ok(until(!is_known(a, "db")), "what was made instead of the first is gone");
	begin_hop(b, a, &user, false);
	end_hop(b, a, &user);
}

/* It goes back to A, where nothing is lost by what is wrong with one of them. */
static void goes_back(void)
{
	struct user user;

	begin_hop(b, a, &user, false);
	end_hop(b, a, &user);
}

static bool has_all(struct host *host)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!host_region(host, names[i]) || !(host_region(host, names[i])->flags & REGIONFS_REGION_MOVED))
			return false;
	return true;
}

static void begin_back(const char *name)
{
	begin_at_a(name, 3);
	tap_ok(until(are_complete(a)), "a group has moved");
	tap_number(seed_from(b), 0, "it is seeded back");
}

/* What is wrong with the last of them is known before the first one makes room. */
static void test_made_first(void)
{
	struct user user;

	begin_back("first");
	source_fails = "idx";
	begin_hop(b, a, &user, false);
	tap_ok(until(user.done) && user.error == -ENAMETOOLONG, "there can be no source for one: %s", user.said);
	source_fails = NULL;
	pass(100);
	tap_ok(has_all(a), "nothing was removed");
	goes_back();
}

/* Without memory for the first one the others need not begin. */
static void test_replace_fails(void)
{
	struct user user;

	begin_back("memory");
	replace_fails = "db";
	begin_hop(b, a, &user, false);
	tap_ok(until(user.done) && user.error == -ENOMEM, "one cannot be replaced: %s", user.said);
	replace_fails = NULL;
	pass(100);
	tap_ok(has_all(a), "nothing was removed");
	goes_back();
}

/* A peer that says what makes no sense. */
static void test_named_twice(void)
{
	struct user user;
	json_t *list;

	begin_back("twice");
	list = handover_of(region_find_path(b->regiond->regions, "db"))->group->names;
	json_array_append_new(list, json_string("db"));
	begin_hop(b, a, &user, false);
	tap_ok(until(user.done) && user.error == -EPROTO, "the other side names one twice: %s", user.said);
	json_array_remove(list, nr);
	tap_ok(has_all(a), "nothing was removed");
	goes_back();
}

/* The last of what was there is not removed by another host's word. */
static void refused(const char *what)
{
	struct user user;

	begin_hop(b, a, &user, false);
	tap_ok(until(user.done) && user.error == -EEXIST, "%s: %s", what, user.said);
	tap_ok(has_all(a), "nothing was removed");
}

/* In the list is what is not seeded there; or what is seeded is something else. */
static void test_another(void)
{
	struct kernel_region *log;
	struct user user;
	json_t *list;

	begin_back("another");
	log = host_region(b, "log");
	log->lineage = 5;
	tell(b);
	refused("what the other side has is of another lineage");
	log->lineage = 0;
	log->epoch--;
	tell(b);
	host_region(a, "log")->epoch = log->epoch + 1;
	tell(a);
	refused("or older");
	log->epoch++;
	tell(b);
	goes_back();

	begin_at_a("absent", 3);
	tap_ok(until(are_complete(a)), "a group has moved");
	nr = 2;
	tap_number(seed_from(b), 0, "but for one it is seeded back");
	list = handover_of(region_find_path(b->regiond->regions, "db"))->group->names;
	json_array_append_new(list, json_string("idx"));
	begin_hop(b, a, &user, false);
	nr = 3;
	tap_ok(until(user.done) && user.error, "the other side names one that is not seeded there: %s", user.said);
	tap_ok(has_all(a), "nothing was removed");
}

/* What was given up may be all that there is. */
static void test_given_up(void)
{
	struct region *log;

	begin_back("givenup");
	log = region_find_path(a->regiond->regions, "log");
	seeder_note_given_up(log);
	region_put(log);
	refused("what A has of one was given up");
	tap_number(host_do(a, "rm", one("log")), 0, "who removes it by its name has said so");
	tap_ok(until(!is_known(a, "log")), "it is gone");
	goes_back();
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_back(false, 2);
	test_back(true, 3);
	test_exists();
	test_stays();
	test_made_first();
	test_replace_fails();
	test_named_twice();
	test_another();
	test_given_up();
	return hosts_end();
}

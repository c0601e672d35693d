// SPDX-License-Identifier: GPL-2.0
/* A group is seeded on from B to C while B still fetches it from A. */
#include "group-hosts.h"

static struct host *c;
static char middle_path[128];
static struct user on_b, on_c;

/* ---- A's READs, which can be held ---- */

static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	bool hold;
	struct list held;
} slow;

static void slow_submit(struct backend *backend, struct backend_req *req)
{
	if (slow.hold && req->op == BACKEND_READ)
		list_add(&slow.held, &req->list);
	else
		slow.real->submit(backend, req);
}

static struct region *region_on(struct host *host, unsigned int i)
{
	struct region *region = region_find_path(host->regiond->regions, names[i]);

	if (region)
		region_put(region);
	return region;
}

static void hold(void)
{
	slow.real = region_on(a, 0)->backend->ops;
	slow.ops = *slow.real;
	slow.ops.submit = slow_submit;
	slow.hold = true;
	list_init(&slow.held);
	for (unsigned int i = 0; i < nr; i++)
		region_on(a, i)->backend->ops = &slow.ops;
}

static void release(void)
{
	struct list *entry;

	slow.hold = false;
	while ((entry = list_pop(&slow.held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		slow.real->submit(req->backend, req);
	}
}

/* ---- the three hosts ---- */

/* As a kernel does of itself. */
static void tell(struct host *host)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct netlink_attrs got = { 0 };

		kernel_describe(host_region(host, names[i]), &got);
		region_update(host->regiond->regions, &got);
	}
}

static int seed_on(void)
{
	json_t *more = json_array(), *args;

	for (unsigned int i = 1; i < nr; i++)
		json_array_append_new(more, json_string(names[i]));
	args = json_pack("{s:s,s:o,s:s,s:b}", "region", names[0], "more", more, "group", "app", "detach", 1);
	json_object_set_new(args, "listen", json_sprintf("unix:%s", middle_path));
	json_object_set_new(args, "on_suspend", hook(b, "suspended"));
	json_object_set_new(args, "on_resume", hook(b, "went_on"));
	tell(b);
	return host_do(b, "seed", args);
}

static void leech_c(void)
{
	json_t *args = json_pack("{s:s}", "group", "app");
	char store[128];

	snprintf(store, sizeof(store), "%s/store", c->run);
	mkdir(store, 0700);
	json_object_set_new(args, "source", json_sprintf("peer+unix:%s", middle_path));
	json_object_set_new(args, "local_source", json_sprintf("dir:%s", store));
	json_object_set_new(args, "on_resume", hook(c, "resumed"));
	host_begin(c, &on_c, "leech", args);
	tap_ok(until(all_are(c, "pulling") || on_c.done) && !on_c.done, "C leeches it: %s", on_c.said);
}

/* B owns a group of which nothing has come; moved: as A knows. */
static void begin_owned(const char *name, unsigned int n)
{
	char path[32];

	begin(name, n);
	snprintf(path, sizeof(path), "c-%.10s", name);
	c = host_new(path);
	host_start(c);
	snprintf(middle_path, sizeof(middle_path), "%s/m", b->run);
	hold();
	leech(&on_b);
}

static void begin_chain(const char *name, unsigned int n)
{
	begin_owned(name, n);
	tap_number(host_do(b, "finalize", one("db")), 0, "B owns a group before any of it has come");
	tap_ok(until(all_are(a, "moved")), "as A knows");
	tap_number(seed_on(), 0, "it is seeded on");
	leech_c();
}

static bool has_bytes_at_c(unsigned int i)
{
	static uint8_t bytes[SIZE];

	return !host_request(c, host_region(c, names[i])->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 + i && bytes[SIZE - 1] == 7 + i;
}

static void all_complete(void)
{
	bool all = true;

	tap_ok(until(on_c.done) && !on_c.error, "C has all of it: %s", on_c.said);
	tap_ok(until(all_are(b, "complete")) && until(all_are(a, "complete")), "A and B need it no more: %s %s", host_says(b, "db", "state"), host_says(a, "db", "state"));
	for (unsigned int i = 0; i < nr; i++)
		all &= has_bytes_at_c(i);
	tap_ok(all, "it has its bytes");
	tap_ok(all_have(a, REGIONFS_REGION_MOVED) && all_have(b, REGIONFS_REGION_MOVED) && none_has(c, REGIONFS_REGION_LOCKED), "it is C's alone");
	tap_number(runs(c, "resumed"), 1, "whose application was started once");
}

static void kill_middle(void)
{
	hide();
	unlink(middle_path);
	break_connections(b);
	host_kill(b);
	pass(100);
	unhide();
}

static void start_middle(void)
{
	start_b();
	seeder_restart(b->regiond);
}

/* ---- tests ---- */

static void test_through(unsigned int n)
{
	begin_chain(n == 2 ? "two" : "three", n);
	tap_number(host_do(c, "finalize", one(names[n - 1])), 0, "C takes it");
	tap_ok(until(all_are(b, "moved")) && all_have(b, REGIONFS_REGION_MOVED), "as B knows");
	tap_number(runs(b, "suspended"), 1, "whose application was stopped, once");
	release();
	all_complete();
}

/* A has not heard that B owns one of it. */
static void test_unheard(void)
{
	static struct user finalizing;		/* its answer may come later */
	uint64_t began;

	begin_owned("unheard", 2);
	a->kernel.hold = REGIONFS_CMD_MOVED;
	tap_number(host_do(b, "finalize", one("db")), 0, "B owns a group");
	tap_ok(until(!list_empty(&a->kernel.held)), "which A has not heard");
	tap_number(seed_on(), 0, "it is seeded on");
	leech_c();
	host_begin(c, &finalizing, "finalize", one("db"));
	tap_ok(until(all_are(b, "frozen")) && !runs(b, "suspended"), "it waits until A has heard");
	began = loop_now_ns();
	tap_number(host_do(b, "abort", one("log")), 0, "seeding on is aborted");
	tap_ok(loop_now_ns() - began < 20000000000ULL && none_has(b, REGIONFS_REGION_FROZEN), "at once");
	tap_ok(until(on_c.done && on_c.error) && !runs(b, "suspended"), "as C hears, and B's application does not");
	host_release(a);
	release();
	tap_ok(until(all_are(a, "complete")), "it is B's");
}

static void test_killed_tracking(void)
{
	begin_chain("ktrack", 2);
	kill_middle();
	start_middle();
	tap_ok(until(all_are(b, "tracking") || all_are(b, "serving")), "B's helper is killed, and the next one does both: %s", host_says(b, "db", "state"));
	tap_number(host_do(c, "finalize", one("db")), 0, "C takes it");
	tap_ok(until(all_are(b, "moved")), "as B knows");
	release();
	all_complete();
}

static void test_killed_moved(void)
{
	begin_chain("kmoved", 3);
	tap_number(host_do(c, "finalize", one("db")), 0, "C takes it");
	tap_ok(until(all_are(b, "moved")), "as B knows");
	kill_middle();
	start_middle();
	tap_ok(until(all_are(b, "moved")), "B's helper is killed, and the next one is where that was: %s", host_says(b, "db", "state"));
	tap_number(runs(b, "went_on"), 0, "its application does not go on");
	release();
	all_complete();
}

static bool leech_is_open(unsigned int i)
{
	const struct handover *leecher = handover_in(region_on(b, i), HANDOVER_LEECHER);
	const struct leech *leech = leecher ? container_of(leecher, struct leecher, handover)->leech : NULL;

	return leech && !leech_is_noting(leech) && !container_of(leecher, struct leecher, handover)->stepping;
}

/* B cannot seed it any more, and C is lost. */
static void test_given_up(void)
{
	begin_chain("givenup", 2);
	tap_number(host_do(c, "finalize", one("db")), 0, "C takes it");
	tap_ok(until(all_are(b, "moved")), "as B knows");
	kill_middle();
	mkdir(middle_path, 0700);
	start_middle();
	/* what is still on its way to B is known of again */
	tap_ok(until(leech_is_open(0) && leech_is_open(1)), "B's next helper has opened what it fetches");
	tap_number(host_do(b, "abort", one("log")), -EBUSY, "B's helper is killed, and the next one cannot seed it: it is not given up");
	tap_number(host_do(b, "abort", json_pack("{s:s,s:b}", "region", "log", "force", 1)), 0, "unless with --force");
	tap_ok(until(all_are(a, "complete")), "then A hears that nothing more is needed");
	tap_ok(all_have(b, REGIONFS_REGION_MOVED) && until(none_has(b, REGIONFS_REGION_FROZEN)) && !runs(b, "went_on"), "and nobody is let in at B");
	tap_ok(region_on(b, 0)->info.given & region_on(b, 1)->info.given & REGION_GIVEN_UP, "where it is known that it may be the last of it");
	release();
}

/* One of it is still on its way to B. */
static void test_early(void)
{
	begin_owned("early", 2);
	tap_number(seed_on(), -EBUSY, "what is not B's yet is not seeded on");
	tap_ok(!handover_in(region_on(b, 1), HANDOVER_SEEDER), "nor are others of its group");
	release();
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_through(2);
	test_through(3);
	test_early();
	test_unheard();
	test_killed_tracking();
	test_killed_moved();
	test_given_up();
	return hosts_end();
}

// SPDX-License-Identifier: GPL-2.0
/* Several regions move from host A to host B as one, and helpers die in the middle of that, or a record cannot be written: what the next ones make of it. */
#include "group-hosts.h"

static void test_seeder_killed(const char *what, const char **held, const char *at, int stopped)
{
	struct user user, finalizing;

	begin(what, 2);
	leech(&user);
	*held = at;
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && !finalizing.done, "A's helper is killed as %s is %s", at, what);
	pass(100);
	restart_a();
	tap_ok(until(none_has(a, REGIONFS_REGION_FROZEN)), "the next one lets them all go on");
	tap_ok(until(runs(a, "resumed") == 1) && runs(a, "suspended") == stopped, "and the program");
	tap_ok(until(finalizing.done) && !finalizing.error, "B comes back, and what it has asked for is done: %s", finalizing.said);
	is_bs(&user);
}

static void test_seeder_killed_handed(void)
{
	struct user user, finalizing;

	begin("answered", 2);
	leech(&user);
	fault.own_held = "db";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && all_are(a, "handed off"), "B has the answers, and has not decided");
	kill_b();
	restart_a();
	tap_ok(until(all_are(a, "in doubt")) && all_have(a, REGIONFS_REGION_FROZEN), "A's next helper does not undo it");
	restart_b();
	is_bs(NULL);
	tap_number(runs(a, "resumed"), 0, "it never went on on A");
}

static void test_leecher_killed(bool booted)
{
	struct user user, finalizing;

	begin(booted ? "booted" : "between", 3);
	leech(&user);
	fault.own_held = "log";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && until(host_is(b, "db", "owned")), "B dies when the first one is its, and the second is not");
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && !runs(b, "resumed"), "none was let in");
	kill_b();
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && all_have(a, REGIONFS_REGION_FROZEN), "nobody has them");
	if (booted)
		reboot_b();
	else
		restart_b();
	is_bs(NULL);
	tap_ok(until(all_are(a, "complete")) && !runs(a, "resumed"), "A lets go of them");
}

static void test_record_again(void)
{
	struct user user, finalizing;

	begin("again", 2);
	leech(&user);
	tap_ok(until(json_integer_value(json_object_get(handover_show(region_find_path(b->regiond->regions, "db")), "rounds")) > 0), "all has come once");
	fault.own_fails = "log";
	fault.own_failures = 2;
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.own_failures == 1), "that the second is owned cannot be written down");
	pass(300);
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && region_find_path(b->regiond->regions, "db")->handover, "all stay locked, and the first one waits");
	tap_number(host_do(b, "abort", one("log")), -EBUSY, "nothing can be undone");
	tap_ok(until(finalizing.done) && !finalizing.error, "it is tried again");
	is_bs(&user);
}

static void test_decision_fails(void)
{
	struct user user, finalizing;

	begin("decision", 2);
	leech(&user);
	fault.own_fails = "db";
	fault.own_failures = 1;
	host_begin(b, &finalizing, "finalize", one("log"));
	tap_ok(until(finalizing.done) && finalizing.error, "the decision cannot be written down: it is given up");
	tap_ok(until(user.done) && user.error, "as who has begun it hears: %s", user.said);
	has_nothing();
	is_as(1);
}

static void test_refusal_waits(void)
{
	struct user user, finalizing;

	begin("waits", 2);
	leech_with(&user, json_pack("{s:s}", "on_abort", "sleep 1"));
	fault.own_fails = "db";
	fault.own_failures = 1;
	fault.late = true;
	host_begin(b, &finalizing, "finalize", one("log"));
	tap_ok(until(!fault.own_failures) && until(!strcmp(host_says(b, "db", "state"), "aborted")), "the decision may be written down, or not: it is given up");
	pass(300);
	tap_ok(all_have(a, REGIONFS_REGION_FROZEN) && !user.done, "A does not hear of it yet");
	kill_b();
	restart_b();
	is_bs(NULL);
	tap_number(runs(a, "resumed"), 0, "as it was written down, it was decided");
	if (!all_have(a, REGIONFS_REGION_MOVED))
		exit(90);
}

static void test_member_missing(const char *name, unsigned int missing)
{
	struct user user;

	begin(name, 2);
	leech(&user);
	kill_b();
	/* of what it was nothing is left */
	snprintf(host_region(b, names[missing])->source, 8, "memory:");
	host_region(b, names[missing])->linked = false;
	restart_b();
	has_nothing();
	tap_ok(until(all_are(a, "serving")), "%s is missing when B's next helper comes: none is leeched any more", names[missing]);
	is_as(0);
	nr = 2;
}

static void test_abort_handed(void)
{
	struct user user, finalizing;

	begin("refused", 2);
	leech(&user);
	fault.own_held = "db";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && all_are(a, "handed off"), "B has the answers, and has not decided");
	tap_number(host_do(a, "abort", one("db")), -EBUSY, "A alone cannot take it back");
	kill_b();
	restart_b();
	fault.own_held = "db";
	tap_ok(until(fault.held), "B's next helper neither");
	kill_b();
	host_start(b);
	fault.no_room = "log";
	fault.own_held = NULL;
	leecher_restart(b->regiond);
	has_nothing();
	is_as(1);
}

/* B owns them, which A has not heard; its operator says that they are his. */
static void test_diverged(void)
{
	struct user user, finalizing;

	begin("diverged", 2);
	leech(&user);
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(finalizing.done) && !finalizing.error && until(!list_empty(&a->kernel.held)), "B owns them, and A's helper dies as it hears of that");
	kill_b();
	restart_a();
	tap_ok(until(all_are(a, "in doubt")), "the next one does not know of it");
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "log", "i_own_it", 1)), 0, "A's operator says that one is his");
	tap_ok(until(all_are(a, "resolved")), "so all are");
	restart_b();
	tap_ok(until(all_are(a, "diverged") && all_are(b, "diverged")), "when they meet both know");
	tap_ok(until(all_have(a, REGIONFS_REGION_FROZEN) && all_have(b, REGIONFS_REGION_FROZEN)), "and none goes on");
	tap_number(host_resolve(b, json_pack("{s:s,s:b}", "region", "log", "discard", 1)), 0, "B gives up one");
	has_nothing();
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "db", "keep", 1)), 0, "A keeps one");
	tap_ok(until(none_has(a, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED)) && until(all_are(a, "aborted")), "so all go on there");
}

/* The operator's word is written down for one, and not for the other. */
static void test_resolve_killed(void)
{
	struct user user, finalizing;

	begin("half", 2);
	leech(&user);
	fault.own_held = "db";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && all_are(a, "handed off"), "B has the answers, and has not decided");
	kill_b();
	a->kernel.hold = REGIONFS_CMD_REGION_SET;
	fault.promise_held = "db";
	host_begin(a, &user, "resolve", json_pack("{s:s,s:b}", "region", "log", "i_own_it", 1));
	pass(300);
	restart_a();
	tap_ok(until(all_are(a, "resolved")) && none_has(a, REGIONFS_REGION_FROZEN), "A's helper dies as its operator says that one is his: the next one knows that all are");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_seeder_killed("handed", &fault.handed_held, "log", 1);
	test_seeder_killed("freezing", &fault.freezing_held, "log", 0);
	test_seeder_killed_handed();
	test_leecher_killed(false);
	test_leecher_killed(true);
	test_record_again();
	test_decision_fails();
	test_refusal_waits();
	test_member_missing("missing", 1);
	test_member_missing("missing2", 0);
	test_abort_handed();
	test_diverged();
	test_resolve_killed();
	return hosts_end();
}

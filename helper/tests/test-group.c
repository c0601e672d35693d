// SPDX-License-Identifier: GPL-2.0
/* Several regions move from host A to host B as one; what users do to them, and what fails in the middle of it. All of them are on one side in the end. */
#include "asking-peer.h"
#include "group-hosts.h"

/* ---- tests ---- */

static void test_move(unsigned int n)
{
	struct user user;
	json_t *result;

	begin(n == 2 ? "two" : "three", n);
	tap_ok(!strcmp(host_says(a, "log", "state"), "serving"), "each is one of them");
	leech(&user);
	tap_number(host_do(b, "finalize", one("log")), 0, "one is finalized, and so are all");
	is_bs(&user);
	tap_number(runs(a, "suspended"), 1, "its program on A was stopped once");
	tap_number(runs(a, "resumed") + runs(a, "aborted") + runs(b, "aborted"), 0, "and told of nothing else");
	result = json_loads(user.answer, 0, NULL);
	tap_number((long long)json_array_size(json_object_get(result, "members")), n, "the result has all of them");
	tap_ok(!strcmp(json_string_value(json_object_get(json_object_get(result, "group"), "state")), "complete"), "and the group, which is complete");
	tap_number(json_integer_value(json_object_get(json_object_get(result, "group"), "total")), n * SIZE, "with what it has in all");
	json_decref(result);
	tap_ok(until(all_are(a, "complete")), "A knows it, too");
}

/* What the suspend hook stops is all of them; who is frozen when does not matter. */
static void test_freeze_fails(void)
{
	struct user user;

	begin("freeze", 3);
	leech(&user);
	a->kernel.refuse_freeze = host_region(a, "log")->id;
	tap_number(host_do(b, "finalize", one("db")), -ECANCELED, "one cannot be frozen: it is not handed over");
	is_as(1);
	a->kernel.refuse_freeze = 0;
	tap_ok(until(all_are(b, "pulling")), "B goes on pulling");
	finish(&user);
}

static void test_note_fails(void)
{
	struct user user;

	begin("note", 2);
	leech(&user);
	fault.handed_fails = "log";
	tap_number(host_do(b, "finalize", one("db")), -ECANCELED, "that one is handed over cannot be written down: none is");
	is_as(1);
	finish(&user);
}

static void test_removed(void)
{
	struct user user;

	begin("removed", 2);
	leech(&user);
	tap_number(kernel_unlink(&a->kernel, host_region(a, "log")), 0, "one is removed on A");
	tap_ok(until(host_is(a, "db", "aborted")), "none is seeded any more");
	tap_ok(until(user.done) && user.error, "and B hears of it: %s", user.said);
	has_nothing();
	tap_number(runs(a, "aborted"), 1, "who wants to know is told once");
}

static void test_auto(void)
{
	struct user user;

	begin("auto", 3);
	begin_leech(&user, json_pack("{s:i}", "max_downtime", 5000));
	tap_ok(until(!none_is_there(b)), "B leeches them, and is to hand them over when it costs little");
	is_bs(&user);
	tap_number(runs(a, "suspended"), 1, "it was handed over by itself, once");
}

static void test_hook_fails(void)
{
	struct user user;
	json_t *args;

	begin("hook", 2);
	tap_number(host_do(a, "abort", one("log")), 0, "it is aborted");
	tap_ok(until(all_are(a, "aborted")), "all of it");
	pass(2000);
	args = seed_args(2);
	json_object_set_new(args, "on_suspend", json_sprintf("printf . >> %s/suspended; exit 3", a->run));
	tap_number(host_do(a, "seed", args), 0, "and seeded again");
	leech(&user);
	tap_number(host_do(b, "finalize", one("db")), -ECANCELED, "the program does not let itself be stopped");
	tap_ok(none_has(a, REGIONFS_REGION_FROZEN) && a->kernel.asked[REGIONFS_CMD_FREEZE] == 0, "so none is frozen");
	tap_ok(runs(a, "resumed") == 1 && until(runs(a, "aborted") == 2), "and it goes on");
}

static void test_no_room(void)
{
	struct user user, finalizing;

	begin("room", 3);
	leech(&user);
	fault.no_room = "idx";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(user.done) && user.error == -ENOSPC, "there is no room for one of them: %s", user.said);
	tap_ok(until(finalizing.done) && finalizing.error, "it is not handed over");
	has_nothing();
	is_as(1);
}

static void test_abort(void)
{
	struct user user;

	begin("abort", 2);
	leech(&user);
	tap_number(host_do(b, "abort", one("log")), 0, "B gives up one");
	tap_ok(until(user.done) && user.error == -ECANCELED, "so all: %s", user.said);
	has_nothing();
	tap_number(runs(b, "aborted"), 1, "who wants to know is told once");
	is_as(0);
	leech(&user);
	tap_number(host_do(a, "abort", one("log")), 0, "A gives up one");
	tap_ok(until(all_are(a, "aborted")) && until(user.done), "so all: %s", user.said);
	tap_number(runs(a, "aborted"), 1, "who wants to know is told once");
}

/* In doubt: B, which is away, has refused it. */
static void test_resolve(void)
{
	struct user user, finalizing;

	begin("resolve", 2);
	leech(&user);
	fault.own_held = "db";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && all_are(a, "handed off"), "B has the answers, and has not decided");
	kill_b();
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "log", "i_own_it", 1)), 0, "A's operator says that one is his");
	tap_ok(until(all_are(a, "resolved")) && none_has(a, REGIONFS_REGION_FROZEN), "so all are");
	tap_number(runs(a, "resumed"), 1, "and the program goes on");
	restart_b();
	has_nothing();
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "db", "keep", 1)), 0, "they are kept");
	tap_ok(until(all_are(a, "aborted")), "all of them");
}

/* ---- who leeches one of them ---- */

static struct peer *peer_open(const char *region, uint8_t client)
{
	struct peer *peer;
	char source[256];

	snprintf(source, sizeof(source), "peer+unix:%s?region=%s", socket_path, region);
	peer = peer_dial(source, region, client);
	if (peer->error || peer_track(peer))
		exit(97);
	return peer;
}

static void test_single(void)
{
	struct wire_finalize ask = { { 1 } }, other = { { 2 } };
	struct peer *first, *second;
	char source[256];
	uint64_t began;
	struct user user;

	begin("single", 2);
	snprintf(source, sizeof(source), "peer+unix:%s?region=log", socket_path);
	host_begin(b, &user, "leech", json_pack("{s:s,s:s,s:o}", "region", "log", "source", source, "local_source",
						json_sprintf("file:%s/log", b->run)));
	tap_ok(until(user.done) && user.error == -EINVAL, "who leeches one of them is told: %s", user.said);
	pass(200);
	first = peer_open("db", 1);
	began = loop_now_ns();
	tap_ok(peer_ask(first, WIRE_FINALIZE, WIRE_S_FINALIZE, NULL) == -ECANCELED && loop_now_ns() - began < 4500000000,
	       "who does not know of groups is refused at once: %s", link_why(&first->req, -ECANCELED));
	tap_ok(peer_ask(first, WIRE_FINALIZE, WIRE_S_FINALIZE, &ask) == -ECANCELED, "and who asks for one alone, after a while: %s",
	       link_why(&first->req, -ECANCELED));
	second = peer_open("log", 2);
	peer_ask(second, WIRE_PING, WIRE_S_FINALIZE, NULL);
	host_begin(b, &user, "leech", leech_args());
	tap_ok(until(user.done), "a second leecher is refused: %s", user.said);
	first->done = false;
	peer_send(second, WIRE_FINALIZE, WIRE_S_FINALIZE, &other);
	pass(50);
	tap_number(peer_ask(first, WIRE_FINALIZE, WIRE_S_FINALIZE, &ask), -ECANCELED, "two leechers of one each are refused");
	tap_ok(until(second->done) && second->error == -ECANCELED, "both");
	is_as(0);
	tap_ok(all_are(a, "tracking"), "nothing was stopped");
}

static void test_arguments(void)
{
	struct user user;

	begin("args", 2);
	host_begin(a, &user, "seed", json_pack("{s:s,s:[s],s:s}", "region", "db", "more", "db", "listen", "unix:/x"));
	tap_ok(until(user.done) && user.error == -EINVAL, "%s", user.said);
	host_begin(a, &user, "seed", json_pack("{s:s,s:[s],s:s}", "region", "db", "more", "nope", "listen", "unix:/x"));
	tap_ok(until(user.done) && user.error == -ENOENT, "%s", user.said);
	host_begin(a, &user, "seed", json_pack("{s:s,s:s,s:s}", "region", "db", "group", "app", "listen", "unix:/x"));
	tap_ok(until(user.done) && user.error == -EEXIST, "%s", user.said);
	tap_number(host_do(a, "abort", one("db")), 0, "it is aborted");
	pass(2000);
	host_begin(a, &user, "seed", json_pack("{s:s,s:[s],s:s,s:b}", "region", "db", "more", "log", "listen", "127.0.0.1:0", "detach", 1));
	tap_ok(until(user.done) && !user.error && *host_says(a, "db", "listen") && !strcmp(host_says(a, "db", "listen"), host_says(a, "log", "listen")),
	       "a port is found for all of them: %s%s", user.said, host_says(a, "log", "listen"));
	host_begin(b, &user, "leech", json_pack("{s:s,s:s}", "group", "app", "source", "peer+unix:/x?region=y"));
	tap_ok(until(user.done) && user.error == -EINVAL, "%s", user.said);
	host_begin(b, &user, "leech", json_pack("{s:s,s:o}", "group", "none", "source", json_sprintf("peer+plain://%s", host_says(a, "db", "listen"))));
	tap_ok(until(user.done) && user.error == -ENOENT, "%s", user.said);
	tap_ok(none_is_there(b), "nothing was made");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_move(2);
	test_move(3);
	test_freeze_fails();
	test_note_fails();
	test_removed();
	test_auto();
	test_hook_fails();
	test_no_room();
	test_abort();
	test_resolve();
	test_single();
	test_arguments();
	return hosts_end();
}

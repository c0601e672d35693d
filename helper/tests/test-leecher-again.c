// SPDX-License-Identifier: GPL-2.0
/* A region moves from host A to host B, and helpers die, hosts are booted, networks go, operators decide: it ends with one owner. */
#include "two-hosts.h"

/* ---- B's helper dies ---- */

/* Between the decision and the kernel's hearing of it. */
static void test_killed_owned(void)
{
	static uint8_t bytes[CHUNK];
	struct user user, finalizing;

	begin("kowned");
	leech(&user, NULL);
	from->size = SIZE + CHUNK;
	memset(bytes, 7, sizeof(bytes));
	host_request(a, from->id, BACKEND_WRITE, SIZE, CHUNK, bytes);
	slow.hold = true;
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&b->kernel.held) && is_on(from, REGIONFS_REGION_MOVED)), "a helper is killed when it owns a region");
	tap_ok(is_on(to, REGIONFS_REGION_LOCKED) && to->epoch < 2, "of which the kernel has not heard yet");
	restart();
	tap_ok(until(!is_on(to, REGIONFS_REGION_LOCKED)), "the next one tells it");
	tap_ok(to->epoch == 2 && to->size == SIZE + CHUNK && to->mode == 0640, "all that is to be known");
	tap_ok(host_is(b, "db", "owned"), "it is owned");
	slow_release();
	tap_ok(until(!strncmp(to->source, "file:", 5)), "the rest comes, and it is B's alone");
	tap_ok(until(host_is(a, "db", "complete")), "of which A has heard");
	tap_ok(all_is_there(), "all is there");
}

/* B has nothing of it. */
static void begin_owned(const char *name, struct user *user)
{
	begin(name);
	slow.hold = true;
	leech(user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
}

/* While the rest comes; programs on B have used it since. */
static void test_killed_behind(void)
{
	struct user user;

	begin_owned("kbehind", &user);
	to->size = SIZE + 4096;
	restart();
	tap_ok(until(host_is(b, "db", "owned")), "the helper is killed, and the next one goes on");
	tap_number((long long)to->size, SIZE + 4096, "the size is what programs have made it");
	slow_release();
	tap_ok(until(!strncmp(to->source, "file:", 5)), "the rest comes");
	tap_ok(all_is_there() && until(host_is(a, "db", "complete")), "that is all");
}

/* All is there, but the kernel has not heard of the local source. */
static void test_killed_complete(void)
{
	struct user user;

	begin_owned("kcomplete", &user);
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	slow_release();
	tap_ok(until(!list_empty(&b->kernel.held)), "the helper is killed when all has come");
	restart();
	tap_ok(until(!strncmp(to->source, "file:", 5)), "the next one tells the kernel where it is");
	tap_ok(all_is_there(), "there it is");
}

/* ---- either helper dies before the decision ---- */

static void begin_pulled(const char *name, struct user *user)
{
	begin(name);
	leech(user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
}

/* It is being handed over, until host_release(a). */
static void freeze_held(struct user *finalizing)
{
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
}

static void test_killed_pulling(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	begin_pulled("kpulling", &user);
	restart();
	tap_ok(until(host_is(b, "db", "pulling")), "B's helper is killed, and the next one goes on");
	memset(bytes, 9, CHUNK);
	tap_number(host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes), 0, "the program on A changes a chunk");
	finish_move(&user);
	tap_number((long long)fetched(), -1, "its source is the local store's");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[CHUNK] == 9 && bytes[SIZE - 1] == 7,
	       "with what was changed");
}

static void test_killed_pulling_fetched(void)
{
	struct user user;

	begin_pulled("kfetched", &user);
	restart();
	tap_ok(until(rounds() > 1), "the next helper goes on with the rounds");
	tap_number((long long)fetched(), 0, "and fetches nothing again");
	host_do(b, "abort", db());
	tap_ok(until(host_is(a, "db", "serving")), "it is aborted, and A is in service");
}

/* What A has tracked outlives its helper. */
static void test_seeder_killed_tracking(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	begin_pulled("stracking", &user);
	memset(bytes, 9, CHUNK);
	host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes);
	restart_a();
	host_request(a, from->id, BACKEND_WRITE, 2 * CHUNK, CHUNK, bytes);
	tap_ok(until(host_is(a, "db", "tracking")), "A's helper is killed, and the next one goes on tracking");
	finish_move(&user);
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[CHUNK] == 9 && bytes[2 * CHUNK] == 9 &&
	       bytes[SIZE - 1] == 7, "with what was changed before and after");
}

/* A's helper dies while it freezes. */
static void test_seeder_killed_freezing(void)
{
	struct user user, finalizing;

	begin_pulled("sfreezing", &user);
	freeze_held(&finalizing);
	restart_a();
	tap_ok(until(host_is(a, "db", "tracking")), "A's helper is killed, and the next one tracks on: %s", host_says(a, "db", "state"));
	tap_ok(until(host_is(b, "db", "pulling") || host_is(b, "db", "finalizing") || host_is(b, "db", "owned")), "B goes on: %s, %s",
	       host_says(b, "db", "state"), host_says(b, "db", "error"));
	host_do(b, "finalize", db());
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "it comes in the end");
	tap_ok(all_is_there(), "whole");
}

/* A has handed it over, and B's helper is killed before it has decided. */
static void test_killed_finalizing(void)
{
	struct user user, finalizing;

	begin_pulled("kfinal", &user);
	freeze_held(&finalizing);
	kill_b();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "and handed over to a helper that is dead");
	start_b();
	tap_ok(until(is_on(from, REGIONFS_REGION_MOVED)), "the next one takes it");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "with all of it");
	tap_ok(all_is_there(), "all is there");
}

/* Then A's, too, which has to know the list. */
static void test_both_killed_finalizing(void)
{
	static uint8_t bytes[SIZE];
	struct user user, finalizing;

	begin_pulled("kboth", &user);
	freeze_held(&finalizing);
	kill_b();
	memset(bytes, 9, CHUNK);
	host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes);
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "and handed over to a helper that is dead");
	restart_a();
	tap_ok(until(host_is(a, "db", "in doubt")), "A's next one is where that was");
	start_b();
	tap_ok(until(is_on(from, REGIONFS_REGION_MOVED)), "B's next one takes it");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "with all of it");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[CHUNK] == 9 && bytes[0] == 7, "also what was flushed last");
}

/* ---- a refusal is told until it is heard ---- */

static void hand_over_unheard(struct user *finalizing)
{
	freeze_held(finalizing);
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
}

static void test_refused(void)
{
	struct user user, finalizing;

	begin("refused");
	leech(&user, NULL);
	hand_over_unheard(&finalizing);
	tap_number(host_do(b, "abort", db()), 0, "there it is aborted");
	tap_ok(until(user.done) && !host_region(b, "db"), "and gone");
	tap_ok(is_on(from, REGIONFS_REGION_FROZEN), "A, which cannot know, stays frozen");
	tap_ok(is_left_over("leech-"), "B has written down that it has refused");
	unhide();
	tap_ok(until(!is_on(from, REGIONFS_REGION_FROZEN)), "the network is back: A hears of it, and goes on");
	tap_ok(until(host_is(a, "db", "serving")), "it serves");
	tap_ok(until(!is_left_over("leech-")), "and B forgets it");
}

/* By the next helper, too. */
static void test_refused_killed(void)
{
	struct user user, finalizing;

	begin("refused2");
	leech(&user, NULL);
	hand_over_unheard(&finalizing);
	tap_number(host_do(b, "abort", db()), 0, "there it is aborted");
	host_kill(b);
	unhide();
	start_b();
	tap_ok(until(!is_on(from, REGIONFS_REGION_FROZEN)), "its helper is killed; the next one tells A, which goes on");
	tap_ok(until(!is_left_over("leech-")), "and forgets it");
}

/* ---- an operator's word ---- */

static json_t *db_with(const char *flag)
{
	return json_pack("{s:s,s:b}", "region", "db", flag, 1);
}

/* B has not taken it, and does not when it comes back. */
static void test_resolved(void)
{
	struct user user, finalizing;

	begin("resolved");
	leech(&user, NULL);
	tap_number(host_resolve(a, db_with("i_own_it")), -EINVAL, "what is not in doubt cannot be resolved");
	hand_over_unheard(&finalizing);
	tap_number(host_resolve(a, db_with("keep")), -EINVAL, "in doubt, it is nobody's to keep");
	tap_number(host_resolve(a, db_with("i_own_it")), 0, "the operator of A says that it is his");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN) && from->epoch == 3 && from->lineage, "it goes on, in an epoch and lineage of its own");
	tap_ok(host_is(a, "db", "resolved"), "and says so");
	unhide();
	tap_ok(until(user.done) && user.error == -ESTALE && finalizing.done && finalizing.error, "B, when it comes back, gives up: %s", user.said);
	tap_ok(!host_region(b, "db") && until(!is_left_over("leech-")), "and has nothing of it");
	tap_number(host_resolve(a, db_with("keep")), 0, "A keeps it");
	tap_ok(until(host_is(a, "db", "aborted")) && !is_on(from, REGIONFS_REGION_FROZEN), "and seeds it no longer");
}

/* B owns it, which A has not heard. Both helpers die, so that the operator comes first. */
static void diverge(const char *name)
{
	struct user user, finalizing;

	begin(name);
	slow.hold = true;
	leech(&user, NULL);
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(finalizing.done && !list_empty(&a->kernel.held)) && !finalizing.error, "B owns a region, and A's helper dies as it hears of that");
	kill_b();
	restart_a();
	tap_ok(until(host_is(a, "db", "in doubt")), "the next one does not know of it");
	tap_number(host_resolve(a, db_with("i_own_it")), 0, "the operator of A says that it is his");
	start_b();
	tap_ok(until(host_is(b, "db", "diverged") && host_is(a, "db", "diverged")), "when they meet both know");
	tap_ok(until(is_on(from, REGIONFS_REGION_FROZEN) && is_on(to, REGIONFS_REGION_FROZEN)), "and neither goes on");
	/* what was held went with A's first helper */
	slow.hold = false;
	list_init(&slow.held);
}

static void test_diverged_a(void)
{
	diverge("diverged");
	kill_b();
	start_b();
	tap_ok(until(host_is(b, "db", "diverged")), "B's next helper knows it, too");
	tap_ok(until(region_of(b)->state == REGION_READY), "and has opened what there is of it");
	tap_number(host_resolve(b, db_with("keep")), -ENODATA, "what B has is not all");
	tap_number(host_resolve(b, db_with("discard")), 0, "it is given up");
	tap_ok(until(!host_region(b, "db")) && until(!is_left_over("leech-")), "and gone");
	tap_number(host_resolve(a, db_with("keep")), 0, "A keeps its own");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED), "which goes on");
}

static void test_diverged_b(void)
{
	diverge("diverged2");
	tap_number(host_resolve(b, json_pack("{s:s,s:b,s:b}", "region", "db", "keep", 1, "force", 1)), 0, "B keeps its own by force");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && !is_on(to, REGIONFS_REGION_FROZEN), "which goes on");
	tap_number(host_resolve(a, db_with("discard")), 0, "A gives up its own");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && !is_on(from, REGIONFS_REGION_FROZEN), "which is of no use there any more");
}

/* A is lost when it has moved, with most of it. */
static void test_lost(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	begin("lost");
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_resolve(b, db_with("source_lost")), -EINVAL, "before it is owned nothing can be lost");
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
	tap_ok(until(host_is(a, "db", "moved")), "as A knows");
	hide();
	host_kill(a);
	slow.hold = false;
	list_init(&slow.held);
	tap_number(host_request_within(3000, b, to->id, BACKEND_READ, 0, CHUNK, bytes), -ETIMEDOUT, "when A is away, who reads it waits");
	tap_number(host_resolve(b, db_with("source_lost")), 0, "its operator says that it is lost");
	tap_number(host_request(b, to->id, BACKEND_READ, CHUNK, CHUNK, bytes), -EIO, "who reads it fails");
	memset(bytes, 9, sizeof(bytes));
	tap_number(host_request(b, to->id, BACKEND_WRITE, 0, 2 * CHUNK, bytes), 0, "it can be overwritten");
	tap_number(host_request(b, to->id, BACKEND_READ, CHUNK, CHUNK, bytes), 0, "and read");
	restart();
	tap_ok(until(region_of(b)->state == REGION_READY), "the next helper has it");
	tap_number(host_request(b, to->id, BACKEND_READ, 3 * CHUNK, CHUNK, bytes), -EIO, "and knows what is lost");
	tap_number(host_request(b, to->id, BACKEND_WRITE, 2 * CHUNK, 2 * CHUNK, bytes), 0, "when all is overwritten");
	tap_ok(until(!strncmp(to->source, "file:", 5)), "it is B's alone");
}

/* ---- B's host is booted: what is on a disk is all there is ---- */

static void reboot(void)
{
	char command[256];

	kill_b();
	snprintf(command, sizeof(command), "rm -f %s/leech-*.map", b->run);
	tap_ok(!system(command), "B's host is booted");
	start_b();
}

static void test_booted_behind(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	size = 200 * CHUNK;
	begin_owned("booted", &user);
	memset(bytes, 9, CHUNK);
	tap_number(host_request(b, to->id, BACKEND_WRITE, 150 * CHUNK, CHUNK, bytes), 0, "a program writes a chunk");
	tap_number(host_request(b, to->id, BACKEND_SYNC, 0, 0, NULL), 0, "and syncs it");
	memset(bytes, 5, CHUNK);
	tap_number(host_request(b, to->id, BACKEND_WRITE, 151 * CHUNK, CHUNK, bytes), 0, "and writes another");
	reboot();
	tap_ok(until(host_is(b, "db", "owned")), "it is owned still");
	slow_release();
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "the rest comes");
	tap_ok(all_is_there(), "all that A had");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 150 * CHUNK, CHUNK, bytes) && bytes[0] == 9, "with what was synced");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 151 * CHUNK, CHUNK, bytes) && !bytes[0], "and what A had of what was not");
	size = SIZE;
}

static void test_booted_pulling(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	begin_pulled("booted2", &user);
	reboot();
	memset(bytes, 9, CHUNK);
	host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes);
	tap_ok(until(host_is(b, "db", "pulling")), "it is pulled again");
	finish_move(&user);
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[CHUNK] == 9, "all is there");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_killed_owned();
	test_killed_behind();
	test_killed_complete();
	test_killed_pulling();
	test_killed_pulling_fetched();
	test_seeder_killed_tracking();
	test_seeder_killed_freezing();
	test_killed_finalizing();
	test_both_killed_finalizing();
	test_refused();
	test_refused_killed();
	test_resolved();
	test_diverged_a();
	test_diverged_b();
	test_lost();
	test_booted_behind();
	test_booted_pulling();
	return hosts_end();
}

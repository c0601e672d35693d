// SPDX-License-Identifier: GPL-2.0
/*
 * A region moves from A to B with its source, which is C's, or without it: nobody is left with half of it, whoever is stopped, booted or taken back when, and
 * wherever the only copy of a byte is.
 */
#include "adopt-hosts.h"

static int refused(struct host *host, const char *command, const char *says)
{
	struct user user;

	host_begin(host, &user, command, json_object());
	if (!until(user.done) || !strstr(user.said, says))
		printf("# %s says: %s\n", command, user.said);
	return user.done && strstr(user.said, says) ? user.error : 0;
}

static char c_away[160];

static void hide_c(void)
{
	snprintf(c_away, sizeof(c_away), "%s.away", c_socket);
	if (rename(c_socket, c_away))
		exit(89);
	break_connections(c);
}

static void unhide_c(void)
{
	if (rename(c_away, c_socket))
		exit(88);
}

/* ---- what A has in memory alone ---- */

static void test_a_in_memory(void)
{
	struct user finalizing;
	char go[128];

	is_in_memory = true;
	begin_adopt("amem");
	is_in_memory = false;
	hand_over_slowly(&finalizing, go, sizeof(go));
	tap_ok(until(reads_only(a)), "a region has moved with its source, of which A has in memory what C has not got");
	tap_ok(region_unpushed(region_of(a)) > 0, "that counts");
	tap_number(refused(a, "sync", "in this host's memory alone"), -EBUSY, "and keeps A's instance from being stopped");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "when it is complete");
	tap_number((long long)region_unpushed(region_of(a)), 0, "it does not any more");
	tap_number(host_do(a, "sync", json_object()), 0, "and it can be");
}

static void test_a_booted(void)
{
	struct user finalizing;
	struct kernel_region *again;
	char go[128];

	is_in_memory = true;
	begin_adopt("aboot");
	is_in_memory = false;
	hand_over_slowly(&finalizing, go, sizeof(go));
	cut();
	boot(a);
	again = host_region(a, "db");
	tap_ok(again && is_on(again, REGIONFS_REGION_LOCKED), "A is booted after that: the region is there, and locked");
	tap_number(host_request(a, again ? again->id : 1, BACKEND_READ, 0, SIZE, bytes), -EIO, "but who needs bytes of it gets none that are too old");
}

/* A store on a disk keeps it. */
static void test_a_on_disk(void)
{
	struct user finalizing;
	char go[128];

	begin_adopt("adisk");
	hand_over_slowly(&finalizing, go, sizeof(go));
	tap_ok(until(reads_only(a)) && region_unpushed(region_of(a)) > 0, "where A has that on a disk");
	tap_number(host_do(a, "sync", json_object()), 0, "its instance can be stopped");
}

/* ---- A goes on alone ---- */

static void test_plain(void)
{
	struct user user;

	begin_adopt("plain");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "a managed region moves, but its source does not");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")), "and complete");
	barriers_release(a->regiond->barriers);
	tap_ok(!flush(a) && !strcmp(c_says(), "1777"), "C gets what A had for it");
}

static void hand_over_unheard(const char *name)
{
	static struct user user, finalizing;

	begin_adopt(name);
	leech_adopting_once(&user, "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
}

/* Nobody seeds it any more when A's operator takes it back. */
static void test_taken_back(void)
{
	struct user aborting;

	hand_over_unheard("back");
	host_kill(a);
	pass(100);
	start_with_barriers(a);
	tap_ok(region_is_handed(region_of(a)), "A's next helper knows, before it seeds again");
	a->kernel.hold = REGIONFS_CMD_THAW;
	host_begin(a, &aborting, "abort", db_with("force"));
	tap_ok(until(!list_empty(&a->kernel.held)), "it is taken back, and about to be let in");
	tap_ok(!region_is_handed(region_of(a)) && !strcmp(region_of(a)->info.seed, "freezing"), "by then it is A's to push");
	host_kill(a);
	pass(100);
	start_with_barriers(a);
	tap_ok(!region_is_handed(region_of(a)), "which the next helper knows as well");
	seeder_restart(a->regiond);
	tap_ok(until(!is_on(from, REGIONFS_REGION_FROZEN)), "and lets it in");
	tap_ok(until(!flush(a)) && !strcmp(c_says(), "1777"), "it is pushed");
}

/* ---- a directory that all have ---- */

static const char *shared_says(void)
{
	struct netlink_attrs attrs = { 0 };
	struct kernel_region *reader;

	netlink_set(&attrs, PATH, path, "reader");
	netlink_set(&attrs, SOURCE, source, b_source);
	netlink_set(&attrs, SIZE, size, SIZE);
	netlink_set(&attrs, EPOCH, epoch, 1);
	netlink_set(&attrs, FLAGS, flags, REGIONFS_REGION_READ_ONLY);
	netlink_set(&attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_READ_ONLY);
	reader = kernel_add(&c->kernel, &attrs);
	attrs.region = reader->id;
	kernel_describe(reader, &attrs);
	region_update(c->regiond->regions, &attrs);
	return reads(c, reader->id);
}

static void test_shared(void)
{
	struct user finalizing;
	char go[128];

	is_shared = true;
	begin_adopt("shared");
	is_shared = false;
	tap_is(shared_says(), "0000", "the source is a directory that all hosts have");
	hand_over_slowly(&finalizing, go, sizeof(go));
	tap_ok(until(!strcmp(host_says(b, "db", "adoption"), "ours")), "B gets it as soon as A has let go of it, before it is complete");
	tap_number(flush(a), -ESHUTDOWN, "A does not push any more");
	cut();
	restart_a_with_barriers();
	tap_ok(until(host_is(a, "db", "moved")) && until(managed_at(a)) && flush(a) == -ESHUTDOWN, "nor does its next helper");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!write_chunk(b, to->id, 2, 5) && !flush(b), "and pushed");
	tap_is(shared_says(), "1050", "with all that was written on either");
}

/* ---- two owners ---- */

static void test_diverged(void)
{
	struct user user;

	begin_adopt("diverged");
	leech_adopting_once(&user, "all of a region has come once");
	own_twice();
	tap_ok(until(managed_at(a)) && !write_chunk(a, from->id, 2, 4), "its program goes on");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	start_with_barriers(b);
	leecher_restart(b->regiond);
	tap_ok(until(!list_empty(&a->kernel.held)), "when they meet it is about to be frozen");
	tap_number(write_chunk(a, from->id, 3, 4) || host_request(a, from->id, BACKEND_SYNC, 0, 0, NULL), 0, "what is dirty can be written");
	tap_ok(!region_is_handed(region_of(a)), "it is not held yet");
	host_release(a);
	tap_ok(until(is_on(from, REGIONFS_REGION_FROZEN) && is_on(to, REGIONFS_REGION_FROZEN)), "both are frozen");
	tap_ok(until(host_is(b, "db", "diverged") && host_is(a, "db", "diverged")) && region_is_handed(region_of(a)), "and neither pushes");
	tap_number(flush(a), -ESHUTDOWN, "not A");
	tap_number(host_resolve(b, db_with("discard")), 0, "B gives up its own");
	tap_number(host_resolve(a, db_with("keep")), 0, "A keeps its own");
	tap_ok(until(!flush(a)) && !strcmp(c_says(), "1744"), "and pushes it");
}

/* ---- what B has in memory alone ---- */

static void adopt_in_memory(const char *name)
{
	static struct user user, finalizing;
	char store[128];

	begin_adopt(name);
	is_in_memory = true;
	store_of(b, store, sizeof(store));
	leech_adopting(&user, NULL, NULL);
	is_in_memory = false;
	tap_ok(until(rounds() > 0), "all of a region has come once, into B's memory");
	tap_number(refused(b, "sync", "nothing") || region_unpushed(region_of(b)), 0, "before it is B's it is nothing that B has to push");
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(host_is(b, "db", "owned") && reads_only(a)), "it is handed over");
	hide_c();
	host_release(a);
	tap_ok(until(host_is(a, "db", "moved")), "as A hears while C is away");
	pass(1500);
	tap_ok(host_is(a, "db", "moved") && host_is(b, "db", "owned"), "A keeps what it has as long as C has not got all of it");
	tap_ok(region_unpushed(region_of(b)) >= SIZE, "which B knows");
	tap_number(refused(b, "sync", "until it is complete"), -EBUSY, "and keeps B's instance from being stopped");
}

static void test_b_in_memory(void)
{
	adopt_in_memory("bmem");
	tap_number(write_chunk(b, to->id, 2, 5), 0, "B's program goes on");
	restart_b();
	tap_ok(until(host_is(b, "db", "owned")), "B's helper is killed");
	unhide_c();
	tap_ok(until(host_is(a, "db", "complete")), "when C is there it is complete");
	tap_is(c_says(), "1757", "with all of it at C");
	tap_ok(until(is_managed_at_b()), "and it is a managed region there");
	tap_is(reads(b, to->id), "1757", "as it was");
	tap_ok(!write_chunk(b, to->id, 3, 6) && !flush(b) && !strcmp(c_says(), "1756"), "which is pushed");
}

/* The record says COMPLETE: C has all of it, and that is what the next helper finds. */
static void test_b_booted_after(void)
{
	adopt_in_memory("bboot3");
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	unhide_c();
	tap_ok(until(!list_empty(&b->kernel.held)) && !strcmp(c_says(), "1777"), "it is complete, and about to get its new source");
	boot(b);
	to = host_region(b, "db");
	leecher_restart(b->regiond);
	tap_ok(to && until(is_managed_at_b()), "B is booted: it gets it then");
	tap_is(to ? reads(b, to->id) : "", "1777", "and has all of it");
	tap_ok(until(host_is(a, "db", "complete")), "which A hears");
}

/* From the first push on C is ahead of A: what both have is no state of it. */
static void test_b_booted(void)
{
	struct kernel_region *again;

	adopt_in_memory("bboot");
	boot(b);
	leecher_restart(b->regiond);
	unhide_c();
	again = host_region(b, "db");
	tap_ok(again != NULL, "B is booted: the region is there");
	tap_number(again ? host_request(b, again->id, BACKEND_READ, 0, SIZE, bytes) : 0, -EIO, "but nothing is read that is neither old nor new");
	tap_ok(host_is(a, "db", "moved"), "A keeps what it has");
}

/* Before it, nothing of B's is at C. */
static void test_b_booted_before(void)
{
	static struct user user, finalizing;
	struct kernel_region *again;
	char store[128], hook[256];

	begin_adopt("bboot2");
	is_in_memory = true;
	store_of(b, store, sizeof(store));
	snprintf(hook, sizeof(hook), "while ! test -e %s/go; do sleep 0.05; done", b->run);
	a->kernel.hold = REGIONFS_CMD_MOVED;
	leech_adopting(&user, "on_resume", hook);
	is_in_memory = false;
	tap_ok(until(rounds() > 0), "all of a region has come once, into B's memory");
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(host_is(b, "db", "owned")), "it is handed over, which A has not heard");
	tap_ok(!write_chunk(b, to->id, 2, 5), "B's program changes it");
	boot(b);
	host_release(a);
	leecher_restart(b->regiond);
	again = host_region(b, "db");
	to = again;
	tap_ok(again && until(!strcmp(reads(b, again->id), "1777")), "B is booted before it pushes anything: the region is what was handed over");
}

/* ---- what B has on a disk alone ---- */

static void test_b_unpushed(void)
{
	struct user user;

	begin_adopt("bdisk");
	leech_adopting_once(&user, "all of a region has come once");
	tap_number((long long)region_unpushed(region_of(b)), 0, "it is not B's to push");
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &user, "finalize", db());
	tap_ok(until(host_is(b, "db", "owned") && reads_only(a)), "B owns it");
	hide_c();
	tap_ok(region_unpushed(region_of(b)) >= SIZE, "then it is, though it is on its way still");
	tap_number(host_do(b, "sync", json_object()), 0, "sync does not wait for A");
	host_release(a);
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "which hears that it is complete, while C is away");
	host_begin(b, &user, "sync", json_pack("{s:i}", "timeout", 500));
	tap_ok(until(user.done) && user.error == -ETIMEDOUT, "sync waits for it: %s", user.said);
	unhide_c();
	tap_number(host_do(b, "sync", json_object()), 0, "until it is at C");
	tap_is(c_says(), "1777", "all of it");
}

int main(void)
{
	if (!adopt_hosts_open())
		return 1;
	test_a_in_memory();
	test_a_booted();
	test_a_on_disk();
	test_plain();
	test_taken_back();
	test_shared();
	test_diverged();
	test_b_in_memory();
	test_b_booted_after();
	test_b_booted();
	test_b_booted_before();
	test_b_unpushed();
	return adopt_hosts_end();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region moves from host A to host B together with its source, which is host C's: B is the one that pushes to it from then on, and A is not, whoever is
 * killed when.
 */
#include "adopt-hosts.h"

#include "backends/lock-reach.h"

/* ---- the way ---- */

static void test_adopted(void)
{
	struct user user;

	begin_adopt("adopted");
	leech_adopting_once(&user, "all of a region has come once, whose source is C's");
	tap_is(host_says(b, "db", "adopts"), b_source, "stat says that the source moves with it");
	tap_is(host_says(b, "db", "adoption"), "after the hand-over", "later");
	tap_number(write_chunk(a, from->id, 1, 2), 0, "the program on A goes on");
	tap_is(c_says(), "7777", "nobody has pushed anything");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")), "all of it comes");
	tap_ok(until(is_managed_at_b()), "it is a managed region there, with C's for a source");
	tap_is(reads(b, to->id), "1277", "with all that A's program had written");
	tap_number(write_chunk(b, to->id, 3, 5), 0, "the program goes on");
	tap_number(flush(b), 0, "it is pushed");
	tap_is(c_says(), "1275", "to C");
	tap_number((long long)stats_of(b).fetched, 0, "nothing was fetched from there");
	tap_ok(reads_only(a), "A has let go of C");
	tap_number((long long)pusher_stats(managed_pusher(managed_at(a)))->unpushed, 0, "what A had not pushed is B's to push");
	flush(a);
	tap_is(c_says(), "1275", "and not A's, ever");
}

/* Neither the decision nor anything else on B waits for the source. */
static void test_away(void)
{
	char away[160];
	struct user user;

	begin_adopt("away");
	leech_adopting(&user, "durability", "remote");
	tap_ok(until(rounds() > 0), "all of a region has come once");
	snprintf(away, sizeof(away), "%s.away", c_socket);
	if (rename(c_socket, away))
		exit(89);
	tap_number(host_do(b, "finalize", db()), 0, "its source is not there: it is handed over nevertheless");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "and complete");
	tap_is(reads(b, to->id), "1777", "B has it");
	if (rename(away, c_socket))
		exit(88);
	tap_number(flush(b), 0, "when C is there it is pushed");
	tap_is(c_says(), "1777", "all of it");
}

/* A's is not managed: it writes to C itself. */
static void test_direct(void)
{
	struct user user;

	is_direct = true;
	begin_adopt("direct");
	is_direct = false;
	tap_ok(writer() == 'a' && !strcmp(c_says(), "1777"), "a direct region of A's writes to C");
	leech_adopting_once(&user, "all of it has come once");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(writer() == 'b'), "A lets go of C, and B takes it");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!write_chunk(b, to->id, 2, 5) && !flush(b) && !strcmp(c_says(), "1757"), "B pushes to it");
}

/* ---- B's helper dies ---- */

static void test_killed_before(void)
{
	struct user user;

	begin_adopt("kbefore");
	leech_adopting_once(&user, "all of a region has come once");
	restart_b();
	tap_ok(until(host_is(b, "db", "pulling")) && until(rounds() > 0), "B's helper is killed, and the next one goes on");
	tap_is(host_says(b, "db", "adoption"), "after the hand-over", "the source is still A's");
	tap_number(write_chunk(a, from->id, 2, 3), 0, "the program on A goes on");
	tap_is(c_says(), "7777", "nothing was pushed");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "and complete");
	tap_ok(!flush(b) && !strcmp(c_says(), "1737"), "B pushes it");
}

/* Between the decision and the kernel. */
static void test_killed_owned(void)
{
	struct user user, finalizing;

	begin_adopt("kowned");
	leech_adopting_once(&user, "all of a region has come once");
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&b->kernel.held) && is_on(from, REGIONFS_REGION_MOVED)), "B's helper is killed when it owns it");
	restart_b();
	tap_ok(until(!is_on(to, REGIONFS_REGION_LOCKED)), "the next one tells the kernel");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!flush(b) && !strcmp(c_says(), "1777"), "and pushed");
}

/* ---- A's helper dies ---- */

static void test_stale(void)
{
	struct user finalizing;
	char go[128];

	begin_adopt("stale");
	hand_over_slowly(&finalizing, go, sizeof(go));
	tap_ok(until(!strcmp(host_says(b, "db", "adoption"), "ours")), "B has its source, before it is complete");
	tap_ok(until(reads_only(a)), "A has not");
	cut();
	restart_a_with_barriers();
	tap_ok(until(host_is(a, "db", "moved")), "A's helper is killed: the next one knows that it has moved");
	tap_ok(until(reads_only(a)), "and has the source for reading");
	tap_number(flush(a), -ESHUTDOWN, "what A has not pushed it does not push now");
	tap_number(write_chunk(b, to->id, 0, 4), 0, "the program on B changes that chunk");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!flush(b) && !strcmp(c_says(), "4777"), "what is at C is B's");
	pass(300);
	tap_is(c_says(), "4777", "and stays so");
	tap_number((long long)region_unpushed(region_of(a)), 0, "A has nothing to push");
}

/* ---- back in service ---- */

static void test_abort(void)
{
	struct user user, finalizing;
	char store[160];

	begin_adopt("abort");
	leech_adopting_once(&user, "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
	tap_ok(until(reads_only(a)), "A lets go of the source");
	tap_number(flush(a), -ESHUTDOWN, "and does not push");
	tap_number(host_do(b, "abort", db()), 0, "B gives up");
	unhide();
	tap_ok(until(host_is(a, "db", "serving")), "A is back in service");
	barriers_release(a->regiond->barriers);
	tap_ok(until(!flush(a)), "it pushes again");
	tap_is(c_says(), "1777", "what it had");
	tap_ok(until(!host_region(b, "db")), "B has nothing of it");
	snprintf(store, sizeof(store), "test -z \"$(ls -A %s/store)\"", b->run);
	tap_ok(until(!system(store)), "nor has its store");
}

/* A's operator takes it back. */
static void test_resolved(void)
{
	struct user user, finalizing;

	begin_adopt("resolved");
	leech_adopting_once(&user, "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "db", "i_own_it", 1)), 0, "A's operator says that it is A's");
	barriers_release(a->regiond->barriers);
	tap_ok(until(!flush(a)) && !strcmp(c_says(), "1777"), "it is pushed again");
}

/* ---- what is refused ---- */

/* A file system whose locks are one host's, where a test says so. */
static bool is_loose;

bool __real_lock_reach(uint64_t type, const char *options);
bool __wrap_lock_reach(uint64_t type, const char *options);

bool __wrap_lock_reach(uint64_t type, const char *options)
{
	return !is_loose && __real_lock_reach(type, options);
}

static void refused(const char *what, json_t *more, const char *says)
{
	char source[256];
	struct user user;
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	args = json_pack("{s:s,s:s,s:b}", "region", "db", "source", source, "managed", 1);
	json_object_update(args, more);
	json_decref(more);
	host_begin(b, &user, "leech", args);
	tap_ok(until(user.done) && user.error && strstr(user.said, says), "%s: %s", what, user.said);
}

static void test_refused(void)
{
	char local[128];

	begin_adopt("refused");
	snprintf(local, sizeof(local), "file:%s/store", b->run);
	refused("without a store", json_pack("{s:s}", "local_source", b_source), "needs a store");
	refused("in memory, where an fsync is to end at the source", json_pack("{s:s,s:s}", "local_source", b_source, "local", "memory"), "--durability");
	refused("with --reuse", json_pack("{s:s,s:s,s:b}", "local_source", b_source, "local", local, "reuse", 1), "--reuse");
	refused("what is not there", json_pack("{s:s,s:s}", "local_source", "peer+unix:/nowhere?region=r", "local", local), "can't be used from here");
	tap_ok(!host_region(b, "db"), "nothing is left of it");
}

static void test_unfenced(void)
{
	struct user user;
	char local[128];

	is_shared = true;
	begin_adopt("unfenced");
	is_shared = false;
	snprintf(local, sizeof(local), "file:%s/store", b->run);
	is_loose = true;
	refused("a directory whose locks other hosts do not hear of", json_pack("{s:s,s:s}", "local_source", b_source, "local", local), "--unfenced");
	tap_ok(!host_region(b, "db"), "nothing is left of it");
	leech_with(&user, json_pack("{s:s,s:s,s:b,s:b,s:s}", "local_source", b_source, "local", local, "managed", 1, "unfenced", 1, "push_interval", "1h"));
	tap_ok(host_is(b, "db", "pulling") && until(rounds() > 0), "with the word it is taken");
	tap_number(host_do(b, "finalize", db()), 0, "handed over");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "and complete");
	tap_number(flush(b), 0, "and pushed");
	is_loose = false;
}

/* C's is larger than A's region: it is another one, by a slip of the pen. */
static void test_misnamed(void)
{
	char local[128], source[256], path[160];
	struct user user;

	begin_adopt("misnamed");
	snprintf(local, sizeof(local), "file:%s/store", b->run);
	snprintf(path, sizeof(path), "%s/other", c->run);
	make_file(path, 5);
	if (truncate(path, 2 * SIZE))
		exit(80);
	snprintf(source, sizeof(source), "file:%s?direct=no", path);
	leech_with(&user, json_pack("{s:s,s:s,s:b}", "local_source", source, "local", local, "managed", 1));
	tap_ok(until(user.done) && user.error == -EINVAL && strstr(user.said, "is it its source?"), "a source that is larger than the region is not taken for its own: %s",
	       user.said);
	tap_ok(until(!host_region(b, "db") && !region_of(b)), "nothing is left of it");
	if (truncate(path, SIZE))
		exit(80);
	leech_with(&user, json_pack("{s:s,s:s,s:b}", "local_source", source, "local", local, "managed", 1));
	tap_ok(host_is(b, "db", "pulling"), "one of the same size is");
}

/* It was another one when it was looked at. */
static void test_unfenced_late(void)
{
	struct user finalizing;
	char go[128];

	is_shared = true;
	begin_adopt("late");
	is_shared = false;
	hand_over_slowly_when(&finalizing, go, sizeof(go), &is_loose);
	tap_ok(until(strstr(host_says(b, "db", "adoption_error"), "no lock")), "a source that is mounted otherwise by then is not written to: %s",
	       host_says(b, "db", "adoption_error"));
	is_loose = false;
	tap_ok(until(!strcmp(host_says(b, "db", "adoption"), "ours")), "until it is as it was");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()) && !flush(b), "it is complete, and pushed");
}

int main(void)
{
	if (!hosts_open())
		return 1;
	test_adopted();
	test_away();
	test_direct();
	test_killed_before();
	test_killed_owned();
	test_stale();
	test_abort();
	test_resolved();
	test_refused();
	test_unfenced();
	test_unfenced_late();
	test_misnamed();
	return hosts_end();
}

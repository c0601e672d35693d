// SPDX-License-Identifier: GPL-2.0
/* Several regions move from host A to host B as one, and operators say whose they are, or that one of the hosts is gone: what is said of one is done to all, or to none. */
#include "group-hosts.h"
#include "notice.h"

/* ---- more of what can fail ---- */

void __real_leech_note_diverged(struct leech *leech, void (*done)(void *arg, int error), void *arg);
void __wrap_leech_note_diverged(struct leech *leech, void (*done)(void *arg, int error), void *arg);
void __real_leecher_group_stuck(struct leecher *leecher);
void __wrap_leecher_group_stuck(struct leecher *leecher);
void __real_seeder_moved(struct seeder *seeder, struct serve_req *req);
void __wrap_seeder_moved(struct seeder *seeder, struct serve_req *req);

static struct {
	const char *diverged_held, *moved_fails;
	bool slow;			/* the answer to STATUS that says that it was taken back */
} more;

void __wrap_leech_note_diverged(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	if (!more.diverged_held || strcmp(((struct leecher *)arg)->path, more.diverged_held))
		__real_leech_note_diverged(leech, done, arg);
}

static void slow_stuck(struct loop_timer *timer)
{
	__real_leecher_group_stuck(container_of(timer, struct leecher, limit));
}

void __wrap_leecher_group_stuck(struct leecher *leecher)
{
	if (!more.slow) {
		__real_leecher_group_stuck(leecher);
		return;
	}
	leecher->limit.fire = slow_stuck;
	loop_timer_set(leecher->regiond->loop, &leecher->limit, 1000);
}

void __wrap_seeder_moved(struct seeder *seeder, struct serve_req *req)
{
	if (more.moved_fails && !strcmp(seeder_name(seeder), more.moved_fails))
		serve_fail(req, -EAGAIN, "the state directory could not be written");
	else
		__real_seeder_moved(seeder, req);
}

/* That the first one was refused takes its time to be written down. */
static struct {
	bool hold;
	struct regiond *regiond;
	struct notice_words words;
	void (*heard)(void *arg);
	void *arg;
} refusal;

void __real_notice_start(struct regiond *regiond, const struct notice_words *words, void (*heard)(void *arg), void *arg);
void __wrap_notice_start(struct regiond *regiond, const struct notice_words *words, void (*heard)(void *arg), void *arg);

void __wrap_notice_start(struct regiond *regiond, const struct notice_words *words, void (*heard)(void *arg), void *arg)
{
	if (!refusal.hold || !words->noted) {
		__real_notice_start(regiond, words, heard, arg);
		return;
	}
	refusal.hold = false;
	refusal.regiond = regiond;
	refusal.words = *words;
	refusal.words.token = strdup(words->token);
	refusal.words.from = strdup(words->from);
	refusal.heard = heard;
	refusal.arg = arg;
}

/* ---- what is done to them ---- */

static int resolve(struct host *host, const char *name, const char *what)
{
	return host_resolve(host, json_pack("{s:s,s:b}", "region", name, what, 1));
}

static void start(const char *name, unsigned int n, struct user *user)
{
	memset(&more, 0, sizeof(more));
	begin(name, n);
	leech(user);
}

/* B dies when the first one is its, and the second is not; A's helper did not hear of it either, and its operator says that they are his. */
static void half_owned_and_resolved(const char *name, unsigned int n)
{
	struct user user, finalizing;

	start(name, n, &user);
	fault.own_held = "log";
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && until(host_is(b, "db", "owned")) && until(!list_empty(&a->kernel.held)), "%s: the first of %u is B's, the second not", name, n);
	kill_b();
	restart_a();
	tap_ok(until(all_are(a, "in doubt")), "A's helper does not know of it");
	tap_number(resolve(a, "log", "i_own_it"), 0, "its operator says that they are his");
	tap_ok(until(all_are(a, "resolved")) && runs(a, "resumed") == 1, "and their program goes on");
}

/* ---- tests ---- */

/* slow: the one that is owned hears of it first. */
static void test_taken_back(const char *name, unsigned int n, bool slow)
{
	half_owned_and_resolved(name, n);
	more.slow = slow;
	restart_b();
	tap_ok(until(all_are(b, "diverged")), "all are diverged on B: %s, %s", host_says(b, "db", "state"), host_says(b, "log", "state"));
	pass(slow ? 1500 : 300);
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && !runs(b, "resumed"), "none is let in there, nor its program started");
	tap_number(resolve(b, "db", "keep"), -EINVAL, "B cannot keep half of them");
	pass(100);
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && all_are(b, "diverged"), "and nothing is done to any");
	kill_b();
	restart_b();
	tap_ok(until(all_are(b, "diverged")), "B's next helper knows it");
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && !runs(b, "resumed"), "none is let in there");
	tap_number(resolve(b, "log", "discard"), 0, "B gives them up");
	has_nothing();
	tap_number(resolve(a, "db", "keep"), 0, "A keeps them");
	tap_ok(until(none_has(a, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED)) && until(all_are(a, "aborted")), "all of them");
}

/* The first one is B's, and A is gone for good before it has said what it hands over of the second. */
static void test_source_lost(const char *name, unsigned int n, const char *named)
{
	struct user user, finalizing;

	start(name, n, &user);
	fault.own_held = "log";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && until(host_is(b, "db", "owned")), "%s: the first of %u is B's, the second not", name, n);
	pass(100);
	kill_b();
	hide();
	restart_b();
	pass(300);
	tap_ok(all_have(b, REGIONFS_REGION_LOCKED) && !runs(b, "resumed"), "A is gone for good: B waits");
	tap_number(host_do(b, "abort", one("log")), -EBUSY, "it cannot be given up");
	tap_number(resolve(b, "log", "discard"), -EINVAL, "nor can one alone");
	tap_number(resolve(b, named, "source_lost"), 0, "B's operator says that A is lost");
	tap_ok(until(!host_region(b, "log")) && until(!(host_region(b, "db")->flags & REGIONFS_REGION_LOCKED)), "what was not handed over is gone, and the rest let in");
	tap_ok(until(runs(b, "resumed") == 1), "and the program is started");
	pass(300);
	host_kill(b);
	pass(100);
	restart_b();
	tap_ok(until(host_is(b, "db", "owned") || !strncmp(host_region(b, "db")->source, "dir:", 4)), "the next helper knows it: %s", host_says(b, "db", "state"));
	unhide();
	pass(300);
	tap_ok(none_has(b, REGIONFS_REGION_LOCKED) && runs(b, "resumed") == 1 && runs(a, "resumed") == 0 && all_have(a, REGIONFS_REGION_FROZEN), "A, should it come back, has not heard that it may go on");
}

/* That they are diverged is written down for the second one, but not for the first: B's next helper knows it of both. */
static void test_noted_half(void)
{
	struct user user, finalizing;

	start("noted", 2, &user);
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(finalizing.done) && !finalizing.error && until(!list_empty(&a->kernel.held)), "B owns them, and A's helper dies as it hears of that");
	kill_b();
	restart_a();
	tap_ok(until(all_are(a, "in doubt")), "the next one does not know of it");
	tap_number(resolve(a, "log", "i_own_it"), 0, "A's operator says that they are his");
	more.diverged_held = "db";
	restart_b();
	tap_ok(until(all_are(b, "diverged")) && until(host_region(b, "log")->flags & REGIONFS_REGION_FROZEN), "B hears of it, and dies as that is noted of one");
	kill_b();
	more.diverged_held = NULL;
	restart_b();
	tap_ok(until(all_are(b, "diverged")) && until(all_have(b, REGIONFS_REGION_FROZEN)), "its next helper freezes both");
	tap_number(resolve(b, "db", "discard"), 0, "B gives them up");
	has_nothing();
	tap_number(resolve(a, "log", "keep"), 0, "A keeps them");
	tap_ok(until(none_has(a, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED)) && until(all_are(a, "aborted")), "all of them");
}

/* The first one is over on A, which has not heard yet that the second has moved, too. */
static void test_one_is_over(bool restarts)
{
	struct user user;

	start(restarts ? "over2" : "over", 2, &user);
	more.moved_fails = "log";
	tap_number(host_do(b, "finalize", one("db")), 0, "B owns them");
	tap_ok(until(host_is(a, "db", "complete")) && until(!host_region(a, "db")->flags || host_region(a, "db")->flags == REGIONFS_REGION_MOVED), "the first one is over on A");
	pass(1000);
	if (restarts) {
		restart_a();
		tap_ok(until(host_is(a, "log", "in doubt") || host_is(a, "log", "handed off")), "A's next helper knows of the second one alone");
	}
	tap_number(resolve(a, "log", "i_own_it"), -EINVAL, "it is not A's any more, whatever its operator says");
	tap_number(host_do(a, "abort", one("log")), -EBUSY, "it is not given up");
	tap_number(host_do(a, "abort", json_pack("{s:s,s:b}", "region", "log", "force", 1)), 0, "but with --force,");
	tap_ok(until(all_have(a, REGIONFS_REGION_MOVED)) && !runs(a, "resumed"), "and is not let in either");
}

/* Nobody seeds what A's last helper has left: two that have moved, and one of which it has not heard so. */
static void test_abort_left(void)
{
	struct user user, finalizing;

	start("left", 3, &user);
	more.moved_fails = "log";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(host_region(a, "db")->flags & REGIONFS_REGION_MOVED && host_region(a, "idx")->flags & REGIONFS_REGION_MOVED), "two have moved");
	kill_b();
	pass(100);
	cut();
	host_kill(a);
	host_start(a);
	tap_number(host_do(a, "abort", json_pack("{s:s,s:b}", "region", "log", "force", 1)), 0, "the third is given up");
	tap_ok(until(all_have(a, REGIONFS_REGION_MOVED)) && until(none_has(a, REGIONFS_REGION_FROZEN)), "all have moved, and none is kept");
	pass(200);
	tap_number(runs(a, "resumed"), 0, "their program does not go on");
	tap_number(runs(a, "aborted"), 0, "nor is anything said to have been aborted");
}

/* What was unlinked before is not used any more while B decides, which it does not: without one there is no group any more. */
static void test_destroyed(void)
{
	struct user user, finalizing;
	struct kernel_region *log;

	start("destroyed", 2, &user);
	fault.own_held = "db";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && all_are(a, "handed off"), "B has the answers, and has not decided");
	kill_b();
	log = host_region(a, "log");
	log->linked = false;
	kernel_event(&a->kernel, log, REGIONFS_EVENT_UNLINKED);
	log->destroy = (struct backend_req){ .op = BACKEND_DESTROY, .loop = loop, .done = destroyed };
	region_submit(a->regiond->regions, log->id, &log->destroy);
	fault.own_held = NULL;
	fault.no_room = "log";
	start_b();
	has_nothing();
	tap_ok(until(host_is(a, "db", "aborted")), "one was removed on A meanwhile: none is seeded any more: %s", host_says(a, "db", "state"));
	tap_number(runs(a, "resumed"), 1, "their program goes on");
}

/* An answer of one that is worth nothing any more, since that of another was not, is not waited with. */
static void test_outdated(void)
{
	struct leecher *db, *log;
	struct user user, finalizing;

	start("outdated", 2, &user);
	db = leecher_of(handover_of(region_find_path(b->regiond->regions, "db")));
	log = leecher_of(handover_of(region_find_path(b->regiond->regions, "log")));
	fault.size_held = "db";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.sized) && until(log->handover.met), "one has its answer, the other makes room");
	leecher_group_unasked(log);
	log->state = LEECHER_PULLING;
	leecher_meet(log);
	fault.size_held = NULL;
	fault.sized(db, 0);
	tap_ok(db->state == LEECHER_PULLING, "the first one's holds no more: the other asks again, too");
	tap_ok(until(finalizing.done), "so it is handed over");
	is_bs(&user);
}

static void test_refusal_is_slow(void)
{
	struct user user, finalizing;

	start("slow", 2, &user);
	fault.own_fails = "db";
	fault.own_failures = 1;
	refusal.hold = true;
	host_begin(b, &finalizing, "finalize", one("log"));
	tap_ok(until(refusal.regiond), "the decision may be written down, or not: it is given up");
	pass(500);
	tap_ok(all_have(a, REGIONFS_REGION_FROZEN) && !runs(a, "resumed"), "A does not hear of it before that is written down for the first one");
	__real_notice_start(refusal.regiond, &refusal.words, refusal.heard, refusal.arg);
	tap_ok(until(user.done) && user.error, "then it does: %s", user.said);
	has_nothing();
	is_as(1);
}

static void test_too_many(void)
{
	struct user user;
	json_t *args, *names = json_array();

	start("many", 2, &user);
	for (unsigned int i = 0; i < GROUP_MOST; i++)
		json_array_append_new(names, json_sprintf("r%u", i));
	args = json_pack("{s:s,s:o,s:s,s:s}", "region", "db", "more", names, "group", "many", "listen", "unix:/x");
	tap_number(host_do(a, "seed", args), -EINVAL, "no more are seeded than can be leeched");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_taken_back("stuck2", 2, false);
	test_taken_back("stuck3", 3, false);
	test_taken_back("told2", 2, true);
	test_taken_back("told3", 3, true);
	test_source_lost("lost2", 2, "log");
	test_source_lost("lost3", 3, "db");
	test_noted_half();
	test_one_is_over(false);
	test_one_is_over(true);
	test_abort_left();
	test_destroyed();
	test_outdated();
	test_refusal_is_slow();
	test_too_many();
	return hosts_end();
}

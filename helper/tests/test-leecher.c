// SPDX-License-Identifier: GPL-2.0
/* A region moves from host A to host B, and in the middle of that things happen: what both sides make of it. */
#include "leecher-private.h"
#include "seeder-private.h"
#include "two-hosts.h"

/* ---- tests ---- */

static void test_move(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	begin("move");
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over");
	tap_ok(until(user.done) && !user.error, "all of it comes");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && !is_on(to, REGIONFS_REGION_LOCKED) && to->epoch == 2 && to->mode == 0640,
	       "it is B's now");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[SIZE - 1] == 7,
	       "with its bytes");
	tap_ok(!strncmp(to->source, "file:", 5), "in its own store");
}

static void test_removed(void)
{
	struct user user;

	begin("removed");
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
	tap_number(host_do(b, "rm", db()), -EBUSY, "it cannot be removed by command while the rest comes");
	tap_number(host_do(b, "set", json_pack("{s:s,s:s}", "region", "db", "source", "file:/x")), -EBUSY,
		   "nor get another source");
	tap_number(kernel_unlink(&b->kernel, to), 0, "but by a program");
	tap_ok(until(user.done) && user.error == -ECANCELED, "then leeching ends: %s", user.said);
	pass(600);
	tap_ok(!region_of(b), "nothing is left of it");
	slow_release();
}

static void test_hook(void)
{
	char hook[256], path[128];
	struct user user;

	begin("hook");
	snprintf(path, sizeof(path), "%s/resumed", b->run);
	snprintf(hook, sizeof(hook), "sleep 0.5; touch %s", path);
	leech(&user, hook);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over");
	tap_ok(!access(path, F_OK), "that ends with the resume hook");
	tap_ok(until(user.done) && !user.error, "all of it comes");
	tap_ok(!access(path, F_OK) && !strncmp(to->source, "file:", 5), "and ends no sooner");
}

/* It was here before; one chunk was changed since, and it was longer. */
static void test_reuse(void)
{
	static uint8_t bytes[SIZE];
	char path[160], source[256], local[200];
	struct user user;
	int fd;

	begin("reuse");
	snprintf(path, sizeof(path), "%s/bytes", b->run);
	make_file(path, fill);
	fd = open(path, O_RDWR);
	memset(bytes, 5, sizeof(bytes));
	if (pwrite(fd, bytes, 10, CHUNK + 100) != 10 || pwrite(fd, bytes, CHUNK, SIZE) != CHUNK)
		exit(91);
	close(fd);
	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s", path);
	host_begin(b, &user, "leech", json_pack("{s:s,s:s,s:s,s:b}", "region", "db", "source", source, "local_source", local, "reuse", 1));
	tap_ok(until(host_is(b, "db", "pulling")) && until(rounds() > 0), "a region comes to where it once was");
	to = host_region(b, "db");
	tap_number((long long)fetched(), CHUNK, "of which only what was changed is sent");
	finish_move(&user);
	tap_ok(all_is_there(), "all is there");
	tap_ok(!host_request(b, to->id, BACKEND_READ, CHUNK, CHUNK, bytes) && bytes[100] == 7, "as it is by now");
	tap_ok(!host_request(b, to->id, BACKEND_READ, SIZE, CHUNK, bytes) && !bytes[0], "and nothing behind its end");
}

/* Removed while its resume hook runs. */
static void test_hook_removed(void)
{
	struct user user, finalizing;

	begin("hook2");
	slow.hold = true;
	leech(&user, "sleep 0.5");
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!is_on(to, REGIONFS_REGION_LOCKED)), "a region is handed over");
	pass(50);
	tap_number(kernel_unlink(&b->kernel, to), 0, "a program removes it while the resume hook runs");
	tap_ok(until(user.done) && user.error == -ECANCELED, "then leeching ends: %s", user.said);
	slow_release();
}

/* Between the answer to FINALIZE and the decision: the store waits for a fetch before it takes the new size. */
static void test_abort_deciding(void)
{
	static uint8_t bytes[CHUNK];
	struct user user, aborting, finalizing;

	begin("deciding");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	tap_number(host_request(a, from->id, BACKEND_WRITE, SIZE, CHUNK, bytes), 0, "the program on A makes it grow");
	from->size = SIZE + CHUNK;
	slow.hold = true;
	tap_number(host_request(a, from->id, BACKEND_WRITE, 0, CHUNK, bytes), 0, "and changes it");
	tap_ok(until(!list_empty(&slow.held)), "B fetches that");
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(host_is(a, "db", "handed off")), "it is handed over");
	pass(50);
	host_begin(b, &aborting, "abort", db());
	pass(50);
	slow_release();
	tap_ok(until(aborting.done) && !aborting.error && until(user.done), "B aborts before it has decided");
	tap_ok(until(host_is(a, "db", "serving") || host_is(a, "db", "tracking")), "A has it back");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED), "its program goes on");
	pass(300);
	tap_ok(!host_region(b, "db") && to->epoch < 2 + 1 && !is_on(from, REGIONFS_REGION_MOVED), "and B has nothing");
}

/* The other side is away, and does not come back. */
static void test_abort_away(void)
{
	struct user user;

	begin("away");
	slow.hold = true;
	leech(&user, NULL);
	cut();
	tap_number(host_do(b, "abort", db()), 0, "a leech whose seeder is away is aborted");
	tap_ok(until(user.done) && user.error == -ECANCELED, "the command hears of it");
	tap_ok(!host_region(b, "db") && until(!region_of(b)), "nothing is left of the region");
	slow_release();
}

static void test_abort_away_asking(void)
{
	struct user user, finalizing;

	begin("asking");
	leech(&user, NULL);
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "a region is being frozen");
	cut();
	tap_number(host_do(b, "abort", db()), 0, "the leech, that waits for it, is aborted");
	tap_ok(until(user.done) && finalizing.done, "the commands hear of it");
	tap_ok(!host_region(b, "db") && until(!region_of(b)), "nothing is left of the region");
	host_release(a);
	pass(50);
}

/* ---- B's helper dies ---- */

/* So many single ranges that a netlink attribute does not hold them. */
static void test_ranges(void)
{
	struct user user;
	uint8_t byte = 1;
	unsigned int n;

	size = 8192 * (uint64_t)CHUNK;
	begin("ranges");
	slow.hold = true;
	leech(&user, NULL);
	for (n = 0; n < 4096; n++)
		if (host_request(a, from->id, BACKEND_WRITE, 2 * n * (uint64_t)CHUNK, 1, &byte))
			break;
	tap_number(n, 4096, "every other chunk of a large region is changed");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(!is_on(to, REGIONFS_REGION_LOCKED), "and unlocked");
	size = SIZE;
}

/* ---- when it is handed over ---- */

/* Of zeroes, which are not sent: so nothing is known of how fast they come, and 4 MiB/s assumed. */
#define MANY	64u

static void test_auto(void)
{
	struct user user;

	begin("auto");
	leech_with(&user, json_pack("{s:s}", "finalize", "auto"));
	tap_ok(until(user.done) && !user.error, "nobody writes: it is handed over by itself");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && to->epoch == 2, "it is B's now");
}

static void refused(const char *what, json_t *more)
{
	struct user user;
	char source[256];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	args = json_pack("{s:s,s:s}", "region", "db", "source", source);
	json_object_update(args, more);
	json_decref(more);
	host_begin(b, &user, "leech", args);
	tap_ok(user.done && user.error == -EINVAL, "%s: %s", what, user.said);
}

static void test_arguments(void)
{
	begin("args");
	refused("a word that nobody knows", json_pack("{s:s}", "finalize", "soon"));
	refused("nor that", json_pack("{s:s}", "on_stall", "panic"));
	refused("what decides where nobody shall", json_pack("{s:s,s:i}", "finalize", "manual", "max_downtime", 50));
	refused("and where it could hand over", json_pack("{s:s,s:s}", "finalize", "manual", "on_stall", "postcopy"));
}

static void write_chunks(unsigned int n)
{
	static uint8_t zeroes[MANY * CHUNK];

	if (host_request(a, from->id, BACKEND_WRITE, 0, n * (uint64_t)CHUNK, zeroes))
		printf("# a program on A could not write\n");
}

/* Requests that A is about to answer, on bulk connections. */
static unsigned int nr_asked(void)
{
	struct handover *handover = handover_in(region_of(a), HANDOVER_SEEDER);
	const struct export_session *session = handover ? seeder_of(handover)->session : NULL;
	unsigned int n = 0;

	for (unsigned int i = 1; session && i < WIRE_SLOTS_MAX; i++)
		n += session->busy[i];
	return n;
}

/* B asks for all of a round at once, as it does where the path holds that much. Has it? */
static bool all_is_asked_for(void)
{
	struct leech *leech = leech_of(region_of(b)->backend);
	unsigned int held = 0;
	struct list *at;

	if (!leech || !leech_session(leech))
		return false;
	leech_session(leech)->window = SESSION_WINDOW_MAX;
	leech_pull_more(leech);
	list_for_each(at, &slow.held)
		held++;
	return leech->nr_fetches && nr_asked() >= leech->nr_fetches && held >= leech->nr_fetches;
}

/* While B fetches what was changed last, a program on A changes n chunks. */
static void busy_round(unsigned int n)
{
	if (!until(all_is_asked_for()))
		printf("# B does not fetch anything\n");
	write_chunks(n);
	slow_release();
	slow.hold = true;
}

/* Rounds get nowhere. */
static void stall(const char *name, struct user *user, const char *on_stall)
{
	size = MANY * (uint64_t)CHUNK;
	fill = 0;
	begin(name);
	size = SIZE;
	fill = 7;
	slow.hold = true;
	leech_with(user, json_pack("{s:i,s:s}", "max_downtime", 1, "on_stall", on_stall));
	for (unsigned int i = 0; i < 3; i++) {
		tap_ok(!says("stalled") && is_on(to, REGIONFS_REGION_LOCKED), "round %u is waited for", i);
		busy_round(32);
	}
}

static void test_postcopy(void)
{
	struct user user;

	stall("postcopy", &user, "postcopy");
	tap_ok(until(!is_on(to, REGIONFS_REGION_LOCKED)), "then it is handed over");
	tap_ok(!user.done && host_is(b, "db", "owned"), "and the rest comes behind");
	slow_release();
	tap_ok(until(user.done) && !user.error, "all of it");
}

static struct leecher *leecher_at_b(void)
{
	struct handover *handover = handover_in(region_of(b), HANDOVER_LEECHER);

	return handover ? leecher_of(handover) : NULL;
}

/* The tick may come while the kernel, or the disk, is asked; what follows sends a message itself. */
static void look_while_stepping(void)
{
	struct leecher *leecher = leecher_at_b();

	tap_ok(until(!leecher->asking), "no message is under way");
	leecher->stepping = true;
	leecher->when.looked_at = leecher->when.pull_at + 1;
	leecher_look(leecher);
	tap_ok(!leecher->asking, "while it steps its tick sends none");
	leecher->stepping = false;
}

static void test_wait(void)
{
	struct user user;

	stall("wait", &user, "wait");
	tap_ok(until(says("stalled")), "then it is said");
	look_while_stepping();
	busy_round(32);
	busy_round(32);
	tap_ok(is_on(to, REGIONFS_REGION_LOCKED) && !from->write_rate, "and nothing is done");
	slow_release();
	tap_ok(until(user.done) && !user.error, "until the program pauses");
}

static void test_throttle(void)
{
	struct user user;
	uint64_t first;

	stall("throttle", &user, "throttle");
	tap_ok(until(from->write_rate), "then the program is slowed");
	first = from->write_rate;
	busy_round(32);
	busy_round(32);
	tap_ok(until(from->write_rate && from->write_rate < first), "more, if that is not enough");
	tap_ok(is_on(to, REGIONFS_REGION_LOCKED), "so long it is not handed over");
	busy_round(2);
	slow_release();
	tap_ok(until(user.done) && !user.error, "but when little is left");
	tap_number((long long)from->write_rate, 0, "and the program is as fast as it likes");
}

static void test_throttle_aborted(void)
{
	struct user user;

	stall("slowed", &user, "throttle");
	tap_ok(until(from->write_rate), "a program is slowed");
	slow_release();
	tap_number(host_do(b, "abort", db()), 0, "B gives up");
	tap_ok(until(!from->write_rate), "it is not any more");
}

/* A's next helper lets the writers go: B has no reason to slow them before it sees them again. */
static void test_throttle_restarted(void)
{
	struct user user;

	stall("rslowed", &user, "throttle");
	tap_ok(until(from->write_rate) && leecher_at_b()->when.throttle, "a program is slowed");
	slow.hold = false;
	list_init(&slow.held);
	restart_a();
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	tap_ok(until(!list_empty(&a->kernel.held)), "A's helper is another one, which B asks for the hand-over");
	tap_ok(leecher_at_b() && !leecher_at_b()->when.throttle && !leecher_at_b()->when.trend.stalls, "it does not go on with what it has told the last one");
	tap_number((long long)from->write_rate, 0, "the program runs free");
	host_release(a);
	tap_ok(until(user.done) && !user.error, "until all is there");
}

/* ---- what it was ---- */

static void test_faults(void)
{
	static uint8_t bytes[CHUNK];
	struct program program = { .done = false };
	struct user user;

	begin("faults");
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
	program.req = (struct backend_req){
		.op = BACKEND_READ, .length = CHUNK, .data = bytes, .flags = BACKEND_DEMAND, .attach_gen = 1, .epoch = 1,
		.loop = loop, .done = program_done,
	};
	region_submit(b->regiond->regions, to->id, &program.req);
	pass(50);
	tap_ok(!program.done, "a program waits for it");
	slow_release();
	tap_ok(until(program.done) && !program.error && bytes[0] == 7, "it gets it");
	tap_ok(until(user.done) && !user.error, "and so does B the rest");
	tap_ok(strstr(user.answer, "\"faults\":1") && strstr(user.answer, "\"fault_waits\":[0,"), "the summary tells of one fault");
	tap_ok(strstr(user.answer, "\"downtime\":") && strstr(user.answer, "\"handover_ms\":") && strstr(user.answer, "\"pull_bytes\":0,"),
	       "of the downtime, and of what had come when");
}

/* Who waits is let in before what starts the program is run; what that took is told apart. */
static void test_resumed(void)
{
	struct user user, finalizing;
	json_t *show;

	begin("resumed");
	leech(&user, "sleep 0.3");
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(finalizing.done) && !finalizing.error, "finalize is answered when the resume hook has ended");
	show = json_loads(finalizing.answer, 0, NULL);
	tap_ok(json_integer_value(json_object_get(show, "resume_ms")) >= 300, "which says how long that took");
	tap_number(json_integer_value(json_object_get(show, "downtime")),
		   json_integer_value(json_object_get(show, "suspend_ms")) + json_integer_value(json_object_get(show, "freeze_ms")) +
		   json_integer_value(json_object_get(show, "handover_ms")), "the downtime is the sum of the other parts");
	json_decref(show);
	tap_ok(until(user.done) && !user.error, "all of it comes");
	show = json_loads(user.answer, 0, NULL);
	tap_ok(json_integer_value(json_object_get(show, "resume_ms")) >= 300, "so does the summary");
	json_decref(show);
}

/* What was changed last is asked for before programs may ask. */
static void test_hurry(void)
{
	static uint8_t bytes[CHUNK] = { 1 };
	struct user user, finalizing;
	bool hurried = false;
	struct list *at;

	begin("hurry");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	b->kernel.hold = REGIONFS_CMD_UNLOCK;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen, for which the kernel writes what is dirty");
	host_request(a, from->id, BACKEND_WRITE, 0, CHUNK, bytes);
	slow.hold = true;
	host_release(a);
	tap_ok(until(!list_empty(&b->kernel.held)), "then it is handed over, but not unlocked yet");
	tap_ok(until(!list_empty(&slow.held)), "what was changed is on its way");
	list_for_each(at, &slow.held)
		hurried |= list_entry(at, struct backend_req, list)->flags & BACKEND_DEMAND;
	tap_ok(hurried, "before all else");
	host_release(b);
	slow_release();
	tap_ok(until(user.done) && !user.error && finalizing.done, "that was it");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_move();
	test_removed();
	test_hook();
	test_hook_removed();
	test_reuse();
	test_abort_deciding();
	test_abort_away();
	test_abort_away_asking();
	test_ranges();
	test_auto();
	test_arguments();
	test_postcopy();
	test_wait();
	test_throttle();
	test_throttle_aborted();
	test_throttle_restarted();
	test_faults();
	test_resumed();
	test_hurry();
	return hosts_end();
}

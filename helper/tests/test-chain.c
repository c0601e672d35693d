// SPDX-License-Identifier: GPL-2.0
/* A region moves from A to B, and from there to C before all of it has come to B: C reads through B, whatever dies meanwhile. */
#include "target.h"
#include "three-hosts.h"

/* ---- all goes well ---- */

static void test_through(void)
{
	begin_chain("through");
	tap_ok(host_is(b, "db", "tracking") && behind_is("owned"), "B gives it to C while it comes from A, and says both");
	tap_number(host_do(b, "rm", db()), -EBUSY, "it cannot be removed there");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	slow_release();
	tap_ok(until(host_is(a, "db", "complete")), "when all has come, A hears of it");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(behind_is("complete")), "and B's local store is its source");
	tap_ok(host_is(b, "db", "tracking"), "while B seeds on");
	tap_number(write_at(b, to, 152, 8), 0, "the program goes on");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(151) == 9 && at_c(152) == 8 && at_c(3) == 7, "with what all three have had");
}

/* C owns it when B has nothing of it. */
static void test_behind(void)
{
	begin_chain("behind");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")) && behind_is("owned"), "B has given it away, and needs A still");
	break_connections(b);
	tap_number(at_c(151), 9, "C has from B what is there, also over another connection");
	tap_ok(host_is(a, "db", "moved"), "A has to keep it");
	slow_release();
	tap_number(at_c(0), 7, "and from A what is there");
	all_complete();
	tap_ok(at_c(151) == 9 && at_c(2) == 7, "all of it");
}

static uint64_t missing(struct host *host)
{
	const struct leech *leech = leech_of(region_of(host)->backend);

	return leech ? chunkmap_missing(leech->map) : 0;
}

/* C overwrites what is not on its way; of the rest, B gets what is. */
static void overwrite_rest(void)
{
	uint64_t left = 0;

	for (uint64_t i = 128; i < size / CHUNK; i++)
		write_at(c, third, i, 5);
	slow_release_below(128 * CHUNK);
	/* B has nothing more to do with it as soon as it hears of that */
	tap_ok(until((left = missing(b) ?: left, !missing(c))) && left > (size / CHUNK - 128) / 2, "C has all of it, B has not");
}

/* What B has not got is overwritten on C. */
static void test_overwritten(void)
{
	begin_chain("over");
	tap_number(host_do(c, "finalize", db()), 0, "C takes what neither B nor C has");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	overwrite_rest();
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(199) == 5, "no byte of A is needed any more");
	slow_release();
}

static void test_aborted(void)
{
	begin_chain("aborted");
	tap_number(host_do(b, "abort", db()), 0, "seeding on is aborted");
	tap_ok(until(on_c.done && on_c.error) && until(host_is(b, "db", "owned")), "B has its region, and still fetches it");
	tap_number(host_do(b, "abort", db()), -EBUSY, "which cannot be aborted");
	/* where it was listened is free some time later */
	tap_ok(until(!seed_on()) && until(host_is(b, "db", "serving")), "it is seeded on again");
	leech_c();
	slow_release();
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(3) == 7, "all of it");
}

/* ---- when it can be seeded on ---- */

/* The resume hook of B's leech waits until a line is written there. */
static int hook_gate(char path[160])
{
	int fd;

	snprintf(path, 160, "%s/gate", b->run);
	fd = mkfifo(path, 0600) ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		exit(90);
	return fd;
}

static void test_when(void)
{
	struct user user, seeding;
	char gate[160], resumed[160];
	struct stat st;
	json_t *more;
	int fd;

	begin("when");
	fd = hook_gate(gate);
	snprintf(resumed, sizeof(resumed), "%s/resumed", b->run);
	c = NULL;
	snprintf(middle_path, sizeof(middle_path), "%s/s", b->run);
	slow.hold = true;
	more = json_object();
	json_object_set_new(more, "on_resume", json_sprintf("read line < %s; printf $REGIONFS_REGION >> %s", gate, resumed));
	leech_with(&user, more);
	tap_number(seed_on(), -EBUSY, "what is not owned here yet cannot be seeded on");
	host_begin(b, &user, "finalize", db());
	tap_ok(until(!is_on(to, REGIONFS_REGION_LOCKED)), "it is owned");
	host_begin(b, &seeding, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", "unix:/nowhere/s", "detach", 1));
	tap_ok(!seeding.done && !user.done, "while its program is started it waits");
	if (write(fd, "\n", 1) != 1)
		exit(90);
	tap_ok(until(seeding.done) && user.done, "until that is done");
	close(fd);
	tap_ok(seeding.error == -ENOENT, "and then fails as it would have: %s", seeding.said);
	tap_number(seed_on(), 0, "it is seeded on");
	tap_ok(!stat(resumed, &st) && st.st_size == 2, "the program was started once");
	slow_release();
}

/* A has not heard that B owns it: its operator may take it back. */
static void begin_unheard(const char *name)
{
	struct user finalizing;

	begin_three(name);
	leech(&on_b, NULL);
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(finalizing.done && !list_empty(&a->kernel.held)), "B owns a region, which A has not heard");
	host_tell(b, to);
	tap_number(seed_on(), 0, "it is seeded on");
	leech_c();
}

static void test_unheard(void)
{
	static struct user finalizing;		/* its answer may come later */

	begin_unheard("unheard");
	host_begin(c, &finalizing, "finalize", db());
	pass(300);
	tap_ok(!finalizing.done && !is_on(to, REGIONFS_REGION_FROZEN), "but not handed on");
	host_release(a);
	tap_ok(until(finalizing.done) && !finalizing.error, "until A has heard");
	slow_release();
	all_complete();
}

static void test_unheard_aborted(void)
{
	static struct user finalizing;		/* likewise */
	uint64_t began;

	begin_unheard("unheard2");
	host_begin(c, &finalizing, "finalize", db());
	tap_ok(until(host_is(b, "db", "frozen")), "it waits until A has heard");
	began = loop_now_ns();
	tap_number(host_do(b, "abort", db()), 0, "seeding on is aborted");
	tap_ok(loop_now_ns() - began < 20000000000ULL && !is_on(to, REGIONFS_REGION_FROZEN), "at once");
	tap_ok(until(on_c.done && on_c.error), "as C hears");
	host_release(a);
	slow_release();
}

static void test_diverged(void)
{
	struct user finalizing;

	begin_unheard("diverged");
	restart_a();
	slow.hold = false;
	list_init(&slow.held);
	tap_ok(until(host_is(a, "db", "in doubt")), "A's next helper does not know, either");
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "db", "i_own_it", 1)), 0, "its operator takes it back");
	host_begin(c, &finalizing, "finalize", db());
	tap_ok(until(finalizing.done) && finalizing.error == -ECANCELED, "it is not handed on: %s", finalizing.said);
	tap_ok(until(behind_is("diverged")) && until(is_on(to, REGIONFS_REGION_FROZEN)), "B and A are frozen");
	tap_ok(until(host_is(c, "db", "pulling")), "C waits");
	tap_number(host_do(b, "resolve", json_pack("{s:s,s:b}", "region", "db", "discard", 1)), -EBUSY, "while it is seeded it cannot be discarded");
	tap_number(host_resolve(b, json_pack("{s:s,s:b,s:b}", "region", "db", "keep", 1, "force", 1)), 0, "B keeps what it has");
	tap_ok(until(!is_on(to, REGIONFS_REGION_FROZEN)), "and goes on");
	tap_number(host_do(c, "finalize", db()), 0, "then it is handed on");
	tap_ok(until(host_is(b, "db", "complete")), "to C");
}

/* ---- the region goes at B, when others need its bytes ---- */

static unsigned int nr_destroyed;

static void last_user_gone(struct backend_req *req, int error)
{
	(void)req;
	(void)error;
	nr_destroyed++;
}

/* It had been unlinked before it was handed on. */
static void remove_at_b(void)
{
	nr_destroyed = 0;
	to->linked = false;
	to->gone = true;
	kernel_event(&b->kernel, to, REGIONFS_EVENT_UNLINKED);
	to->destroy = (struct backend_req){ .op = BACKEND_DESTROY, .loop = loop, .done = last_user_gone };
	region_submit(b->regiond->regions, to->id, &to->destroy);
	pass(50);
}

static void hide_middle(bool hide)
{
	char away[160];

	snprintf(away, sizeof(away), "%s.away", middle_path);
	if (hide ? rename(middle_path, away) : rename(away, middle_path))
		exit(90);
	if (hide)
		break_connections(b);
}

static void test_removed(void)
{
	struct region *region;
	char path[160];

	begin_chain("removed");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	region = region_get(region_of(b));
	remove_at_b();
	tap_ok(!nr_destroyed, "B's last user goes, and the bytes stay");
	tap_number(at_c(151), 9, "for C, which gets them");
	hide_middle(true);
	slow_release();
	tap_ok(until(host_is(a, "db", "complete")), "when all has come to B, A hears of it");
	tap_ok(until(!strncmp(region->info.source, "file:", 5)) && !nr_destroyed, "and B keeps what it has");
	hide_middle(false);
	tap_ok(until(at_c(0) == 7) && at_c(3) == 7, "C gets the rest");
	tap_ok(until(!strncmp(third->source, "file:", 5)) && until(nr_destroyed == 1), "then B's goes");
	tap_ok(until(!is_left_over("leech-")), "nothing is left to be told");
	region_put(region);
	snprintf(path, sizeof(path), "%s/bytes", c->run);
	tap_ok(!access(path, F_OK) && at_c(151) == 9, "it is C's alone");
}

/* ---- C does not need the rest ---- */

static void test_given_up(bool boot)
{
	begin_chain(boot ? "bforce" : "force");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	tap_number(host_do(b, "abort", db()), -EBUSY, "B does not give up the rest");
	if (boot)
		b->kernel.hold = REGIONFS_CMD_REGION_SET;
	tap_number(host_do(b, "abort", json_pack("{s:s,s:b}", "region", "db", "force", 1)), 0, "unless with --force");
	if (boot)
		boot_middle();
	tap_ok(until(host_is(a, "db", "complete")), "A hears that nothing more is needed%s", boot ? ", also after a reboot of B" : "");
	tap_ok(until(!is_left_over("leech-")), "nothing is left to be told");
	tap_ok(boot ? !to : is_on(to, REGIONFS_REGION_MOVED), "nobody is let in at B");
	slow_release();
}

/* ---- A is away, and C asks for hashes ---- */

static void test_hashes(void)
{
	const struct leech *leech;
	uint64_t hashed;

	begin_owned("hashes");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(seed_on(), 0, "it is seeded on");
	leech_c();
	hide();
	tap_number(host_do(c, "finalize", db()), 0, "C takes it while A is away");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	leech = leech_of(region_of(c)->backend);
	tap_ok(until(leech->elsewhere->some_unknown && !leech->elsewhere->asking), "C asks for the hashes of what is missing, and is answered at once");
	hashed = leech->stats.hashed;
	break_connections(b);
	tap_ok(until(leech->stats.hashed > hashed && !leech->elsewhere->asking), "when it is connected again it asks for those that B did not have");
	tap_number(at_c(151), 9, "what B has C gets");
	unhide();
	slow_release();
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(151) == 9, "when A is back, all of it");
}

/* ---- B also exports what it seeds ---- */

static bool is_ours(const struct backend_req *req, const void *data)
{
	return req->data == data;
}

static unsigned int nr_blocked(const void *data)
{
	unsigned int n = 0;
	struct list *at;

	list_for_each(at, &leech_of(region_of(b)->backend)->blocked)
		n += is_ours(list_entry(at, struct backend_req, list), data);
	return n;
}

static void on_read(struct backend_req *req, int error)
{
	(void)req;
	(void)error;
}

/* What drops the seeder's READs looks at what it knows of those: one that has come another way is none of them. */
static void test_exported(void)
{
	static uint8_t bytes[CHUNK];
	struct backend_req read = { .op = BACKEND_READ, .flags = BACKEND_ZERO_NULL | BACKEND_PEER, .length = CHUNK, .data = bytes, .done = on_read };
	struct target *target;

	begin_owned("exported");
	read.loop = loop;
	tap_number(target_region(&target, region_of(b)), 0, "it is exported, too");
	target->ops->submit(target, &read);
	tap_ok(until(nr_blocked(bytes) == 1), "who reads that waits for A");
	leech_drop(leech_of(region_of(b)->backend), is_ours, bytes);
	tap_number((int)nr_blocked(bytes), 1, "and is not taken for one that a seeder serves");
	slow_release();
	tap_ok(until(!leech_of(region_of(b)->backend) || !chunkmap_missing(leech_of(region_of(b)->backend)->map)), "all comes");
	tap_ok(until(bytes[0] == 7), "for that as well");
}

/* ---- A is lost for good ---- */

static void test_lost(void)
{
	begin_chain("lost");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	hide();
	host_kill(a);
	slow.hold = false;
	list_init(&slow.held);
	tap_number(host_resolve(b, json_pack("{s:s,s:b}", "region", "db", "source_lost", 1)), 0, "A is lost, B's operator says");
	tap_number(at_c(151), 9, "C has what B has");
	tap_number(at_c(190), -1, "what only A had is an error");
	tap_number(write_at(c, third, 190, 4), 0, "until it is overwritten");
	tap_ok(at_c(190) == 4 && at_c(151) == 9 && at_c(152) == -1, "that is all there is");
	for (uint64_t i = 0; i < size / CHUNK; i++)
		write_at(c, third, i, 4);
	tap_ok(until(!strncmp(third->source, "file:", 5)) && until(host_is(b, "db", "complete")), "then it is C's alone");
}

/* What C asks of B. */
static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	unsigned int reads;
} asked;

static void asked_submit(struct backend *backend, struct backend_req *req)
{
	asked.reads += req->op == BACKEND_READ;
	asked.real->submit(backend, req);
}

static void count_asked(void)
{
	struct backend *peer = leech_of(region_of(c)->backend)->peer;

	asked.real = peer->ops;
	asked.ops = *asked.real;
	asked.ops.submit = asked_submit;
	asked.reads = 0;
	peer->ops = &asked.ops;
}

static uint64_t waits_ms(void)
{
	return leech_of(region_of(c)->backend)->retry_ms;
}

/* What nobody has is asked for less and less often. */
static void test_lost_retried(void)
{
	unsigned int reads;

	begin_chain("lost3");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	hide();
	host_kill(a);
	slow.hold = false;
	list_init(&slow.held);
	count_asked();
	tap_number(host_resolve(b, json_pack("{s:s,s:b}", "region", "db", "source_lost", 1)), 0, "A is lost, B's operator says");
	tap_ok(until(missing(c) == size / CHUNK - 1), "C pulls all that is to be had");
	reads = asked.reads;
	for (uint64_t ms = 2000; ms <= 8000; ms *= 2) {
		tap_ok(until(waits_ms() >= ms) && asked.reads >= reads + size / CHUNK - 1, "the rest is asked for again, then after %llu ms", (unsigned long long)ms);
		reads = asked.reads;
	}
	break_connections(b);
	tap_ok(until(asked.reads >= reads + size / CHUNK - 1) && waits_ms() < 8000, "and at once when B is back");
	write_at(b, to, 7, 4);
	tap_ok(until(at_c(7) == 4), "what is overwritten comes");
}

/* Bulk reads have more than one chunk. */
static void test_lost_pulling(void)
{
	begin_chain("lost2");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(write_at(b, to, 153, 9), 0, "and another");
	hide();
	host_kill(a);
	slow.hold = false;
	list_init(&slow.held);
	tap_number(host_resolve(b, json_pack("{s:s,s:b}", "region", "db", "source_lost", 1)), 0, "A is lost, B's operator says");
	tap_ok(until(missing(c) == size / CHUNK - 2), "C pulls all that is to be had: %d missing", (int)missing(c));
	for (uint64_t i = 0; i < size / CHUNK; i++)
		if (i != 151 && i != 153)
			write_at(b, to, i, 4);
	tap_ok(until(!missing(c)), "and the rest when it is overwritten");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(!strncmp(third->source, "file:", 5)) && until(host_is(b, "db", "complete")), "then it is C's alone");
	tap_ok(at_c(0) == 4 && at_c(151) == 9, "whole");
}

/* ---- B's helper is killed, or its host is booted ---- */

static void test_killed_tracking(bool boot)
{
	begin_chain(boot ? "btrack" : "ktrack");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(host_request(b, to->id, BACKEND_SYNC, 0, 0, NULL), 0, "and syncs it");
	if (boot) {
		reboot_middle(false);
	} else {
		kill_middle();
		start_middle();
	}
	tap_ok(until(host_is(b, "db", boot ? "serving" : "tracking")) && until(behind_is("owned")), "its helper does both again");
	tap_number(write_at(b, to, 152, 8), 0, "the program writes another");
	slow_release();
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(151) == 9 && at_c(152) == 8 && at_c(3) == 7, "all of it");
}

static void test_killed_frozen(void)
{
	struct user finalizing;

	begin_chain("kfrozen");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	b->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(c, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&b->kernel.held)), "B's helper is killed while it freezes");
	to->flags |= REGIONFS_REGION_FROZEN;
	kill_middle();
	start_middle();
	tap_ok(until(behind_is("owned")), "the next one does both again");
	tap_ok(until(host_is(b, "db", "tracking") || host_is(b, "db", "moved")), "first it goes back to service");
	host_do(c, "finalize", db());
	slow_release();
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(151) == 9 && at_c(3) == 7, "all of it");
}

/* C does not hear the answer to FINALIZE. */
static void hand_on_unheard(void)
{
	static struct user finalizing;

	b->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(c, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&b->kernel.held)), "B freezes it");
	c->kernel.hold = REGIONFS_CMD_REGION_SET;
	host_release(b);
	b->kernel.hold = REGIONFS_CMD_MOVED;
}

static void test_killed_handed(bool boot)
{
	begin_chain(boot ? "bhanded" : "khanded");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(host_request(b, to->id, BACKEND_SYNC, 0, 0, NULL), 0, "and syncs it");
	hand_on_unheard();
	tap_ok(until(!list_empty(&b->kernel.held)) && host_is(b, "db", "handed off"), "it is handed over, as C has decided, but not moved yet: %s", host_says(b, "db", "state"));
	if (boot) {
		reboot_middle(true);
	} else {
		kill_middle();
		start_middle();
	}
	tap_ok(until(host_is(b, "db", "moved")) && until(behind_is("owned")), "B's next helper hears that it is moved: %s", host_says(b, "db", "state"));
	host_release(c);
	tap_ok(is_on(to, REGIONFS_REGION_MOVED), "nobody is let in there");
	tap_number(at_c(151), 9, "C has from B what is there");
	slow_release();
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(3) == 7, "and the rest");
}

static void test_killed_moved(bool boot)
{
	begin_chain(boot ? "bmoved" : "kmoved");
	tap_number(write_at(b, to, 151, 9), 0, "a program on B writes a chunk");
	tap_number(host_request(b, to->id, BACKEND_SYNC, 0, 0, NULL), 0, "and syncs it");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	if (boot) {
		reboot_middle(true);
	} else {
		kill_middle();
		start_middle();
	}
	tap_ok(until(host_is(b, "db", "moved")) && until(behind_is("owned")), "B's next helper is where that was: %s", host_says(b, "db", "state"));
	tap_ok(until(is_on(to, REGIONFS_REGION_MOVED)), "nobody is let in there");
	tap_number(at_c(151), 9, "C has from B what is there");
	slow_release();
	all_complete();
	tap_ok(at_c(0) == 7 && at_c(3) == 7, "and the rest");
}

/* B's bytes are in memory: what A has is what they were once. */
static void begin_in_memory(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/b-%s", dir, name);
	mkdir(path, 0700);
	strcat(path, "/memory");
	mkdir(path, 0700);
	for_b = json_pack("{s:s}", "local_source", "memory:13107200?name=db");
	begin_owned(name);
	tap_number(write_at(b, to, 151, 9), 0, "a program on B, where it is in memory, writes a chunk");
	tap_number(seed_on(), 0, "it is seeded on");
	leech_c();
}

static void test_memory(bool again)
{
	begin_in_memory(again ? "memory2" : "memory");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	boot_middle();
	if (again) {
		tap_ok(until(is_on(to, REGIONFS_REGION_MOVED)), "its helper is killed, too");
		kill_middle();
		start_middle();
	}
	tap_ok(until(is_on(to, REGIONFS_REGION_MOVED)) && is_on(to, REGIONFS_REGION_LOCKED), "B's next helper lets nobody in");
	tap_ok(until(host_is(b, "db", "moved")) && until(behind_is("owned")), "and says where it is: %s", host_says(b, "db", "state"));
	slow_release();
	tap_number(at_c(151), -1, "what C had not got is lost, rather than as old as A has it");
	for (uint64_t i = 0; i < size / CHUNK; i++)
		write_at(c, third, i, 4);
	tap_ok(until(!strncmp(third->source, "file:", 5)) && until(host_is(b, "db", "complete")), "when it was overwritten it is C's alone");
	tap_ok(host_is(a, "db", "moved"), "A keeps what it has");
}

/* The same, before C has decided: nor is it handed on with the bytes that A has. */
static void test_memory_handed(void)
{
	begin_in_memory("memory3");
	hand_on_unheard();
	tap_ok(until(!list_empty(&b->kernel.held)), "it is handed over, and B's host is booted before it is moved");
	boot_middle();
	tap_ok(until(host_is(b, "db", "moved")) && is_on(to, REGIONFS_REGION_LOCKED), "B hears that it is: %s", host_says(b, "db", "state"));
	host_release(c);
	slow_release();
	tap_number(at_c(151), -1, "what C had not got is lost");
}

/* C has all of it, B has told nobody. */
static void test_killed_complete(void)
{
	begin_chain("kcomplete");
	tap_number(host_do(c, "finalize", db()), 0, "C takes it");
	tap_ok(until(host_is(b, "db", "moved")), "as B knows");
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	overwrite_rest();
	tap_ok(until(!list_empty(&b->kernel.held)), "C has all of it, and B's helper is killed before A hears of that");
	tap_ok(!host_is(a, "db", "complete"), "A keeps its own");
	kill_middle();
	start_middle();
	tap_ok(until(host_is(a, "db", "complete")), "the next one tells it");
	tap_ok(until(!strncmp(third->source, "file:", 5)) && until(!strncmp(to->source, "file:", 5)), "that is all");
	slow_release();
}

int main(void)
{
	if (!hosts_open())
		return 99;
	size = 200 * CHUNK;
	test_through();
	test_behind();
	test_overwritten();
	test_aborted();
	test_when();
	test_unheard();
	test_unheard_aborted();
	test_diverged();
	test_removed();
	test_given_up(false);
	test_given_up(true);
	test_hashes();
	test_exported();
	test_lost();
	test_lost_pulling();
	test_lost_retried();
	test_killed_tracking(false);
	test_killed_tracking(true);
	test_killed_frozen();
	test_killed_handed(false);
	test_killed_handed(true);
	test_killed_moved(false);
	test_killed_moved(true);
	test_killed_complete();
	test_memory(false);
	test_memory(true);
	test_memory_handed();
	return hosts_end();
}

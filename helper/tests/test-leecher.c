// SPDX-License-Identifier: GPL-2.0
/* A region moves from host A to host B, and in the middle of that things happen: what both sides make of it. */
#include "backends/leech-private.h"
#include "host.h"
#include "leecher.h"
#include "listener.h"
#include "seeder.h"
#include "service.h"

#define CHUNK	LEECH_CHUNK
#define SIZE	(4 * CHUNK)

static struct host *a, *b;
static struct kernel_region *from, *to;
static char socket_path[128];
static uint64_t size = SIZE;

/* ---- A's bytes: a file of 7s, whose READs by peers can be held ---- */

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

static void slow_watch(struct region *region)
{
	slow.real = region->backend->ops;
	slow.ops = *slow.real;
	slow.ops.submit = slow_submit;
	region->backend->ops = &slow.ops;
	slow.hold = false;
	list_init(&slow.held);
}

static void slow_release(void)
{
	struct list *entry;

	slow.hold = false;
	while ((entry = list_pop(&slow.held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		slow.real->submit(req->backend, req);
	}
}

static void make_file(const char *path)
{
	static uint8_t bytes[SIZE];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(bytes, 7, sizeof(bytes));
	if (fd < 0 || write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		exit(96);
	close(fd);
}

/* ---- the two hosts ---- */

static struct region *region_of(struct host *host)
{
	struct region *region = region_find_path(host->regiond->regions, "db");

	if (region)
		region_put(region);
	return region;
}

/* A seeds a region of SIZE at socket_path. */
static void begin(const char *name)
{
	char path[128], source[160], listen[160], names[2][16];
	struct netlink_attrs attrs = { 0 };

	snprintf(names[0], sizeof(names[0]), "a-%.10s", name);
	snprintf(names[1], sizeof(names[1]), "b-%.10s", name);
	a = host_new(names[0]);
	b = host_new(names[1]);
	snprintf(path, sizeof(path), "%s/bytes", a->run);
	make_file(path);
	snprintf(source, sizeof(source), "file:%s?direct=no", path);
	netlink_set(&attrs, PATH, path, "db");
	netlink_set(&attrs, SOURCE, source, source);
	if (truncate(path, (off_t)size))
		exit(94);
	netlink_set(&attrs, SIZE, size, size);
	netlink_set(&attrs, MODE, mode, 0640);
	netlink_set(&attrs, EPOCH, epoch, 1);
	from = kernel_add(&a->kernel, &attrs);
	host_start(a);
	host_start(b);
	snprintf(socket_path, sizeof(socket_path), "%s/s", a->run);
	snprintf(listen, sizeof(listen), "unix:%s", socket_path);
	if (host_do(a, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", listen, "detach", 1)))
		exit(95);
	slow_watch(region_of(a));
}

/* B leeches it; the command ends with the migration. */
static void leech(struct user *user, const char *resume)
{
	char source[256], local[160];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", b->run);
	args = json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local);
	if (resume)
		json_object_set_new(args, "on_resume", json_string(resume));
	host_begin(b, user, "leech", args);
	if (!until(host_is(b, "db", "pulling")))
		printf("# it is %s: %s\n", host_says(b, "db", "state"), user->said);
	to = host_region(b, "db");
}

static json_t *db(void)
{
	return json_pack("{s:s}", "region", "db");
}

/* What the other side says does not come, and it does not come back. */
static void cut(void)
{
	struct server *server = a->regiond->server;
	struct listener *listener = list_entry(server->listeners.next, struct listener, list);
	struct list *at, *next;

	unlink(socket_path);
	list_for_each_safe(at, next, &listener->services)
		service_close(list_entry(at, struct service, list), -ECONNRESET);
	pass(50);
}

static json_int_t rounds(void)
{
	json_t *show = handover_show(region_of(b));
	json_int_t n = json_integer_value(json_object_get(show, "rounds"));

	json_decref(show);
	return n;
}

static bool is_on(const struct kernel_region *region, uint32_t flag)
{
	return region->flags & flag;
}

static uint64_t fetched(void);
static void finish_move(struct user *user);
static bool all_is_there(void);

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
	make_file(path);
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

static void restart(void)
{
	host_kill(b);
	host_start(b);
	leecher_restart(b->regiond);
}

static bool all_is_there(void)
{
	static uint8_t bytes[SIZE];

	return !host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[SIZE - 1] == 7;
}

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

/* While the rest comes; programs on B have used it since. */
static void test_killed_behind(void)
{
	struct user user;

	begin("kbehind");
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
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

	begin("kcomplete");
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over");
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	slow_release();
	tap_ok(until(!list_empty(&b->kernel.held)), "the helper is killed when all has come");
	restart();
	tap_ok(until(!strncmp(to->source, "file:", 5)), "the next one tells the kernel where it is");
	tap_ok(all_is_there(), "there it is");
}

/* ---- either helper dies before the decision ---- */

/* Its connections go with it; the next one of A. */
static void restart_a(void)
{
	cut();
	host_kill(a);
	host_start(a);
	seeder_restart(a->regiond);
}

static uint64_t fetched(void)
{
	const struct leech *leech = leech_of(region_of(b)->backend);

	return leech ? leech_stats(leech)->fetched : UINT64_MAX;
}

static void finish_move(struct user *user)
{
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "all of it comes");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && !is_on(to, REGIONFS_REGION_LOCKED), "it is B's alone");
}

static void test_killed_pulling(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	begin("kpulling");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
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

	begin("kfetched");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
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

	begin("stracking");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	memset(bytes, 9, CHUNK);
	host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes);
	restart_a();
	host_request(a, from->id, BACKEND_WRITE, 2 * CHUNK, CHUNK, bytes);
	tap_ok(until(host_is(a, "db", "tracking")), "A's helper is killed, and the next one goes on tracking");
	finish_move(&user);
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[CHUNK] == 9 && bytes[2 * CHUNK] == 9 &&
	       bytes[SIZE - 1] == 7, "with what was changed before and after");
}

static char away_path[160];

/* The network: what was listening there goes on listening. */
static void hide(void)
{
	snprintf(away_path, sizeof(away_path), "%s.away", socket_path);
	if (rename(socket_path, away_path))
		exit(93);
	cut();
}

static void unhide(void)
{
	if (rename(away_path, socket_path))
		exit(92);
}

/* Nobody hears anything of it any more, as when its process and the host's end together. */
static void kill_b(void)
{
	hide();
	host_kill(b);
	pass(100);
	unhide();
}

/* A has handed it over, and B's helper is killed before it has decided. */
static void test_killed_finalizing(void)
{
	struct user user, finalizing;

	begin("kfinal");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	kill_b();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "and handed over to a helper that is dead");
	host_start(b);
	leecher_restart(b->regiond);
	tap_ok(until(is_on(from, REGIONFS_REGION_MOVED)), "the next one takes it");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "with all of it");
	tap_ok(all_is_there(), "all is there");
}

/* Then A's, too, which has to know the list. */
static void test_both_killed_finalizing(void)
{
	static uint8_t bytes[SIZE];
	struct user user, finalizing;

	begin("kboth");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	kill_b();
	memset(bytes, 9, CHUNK);
	host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes);
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "and handed over to a helper that is dead");
	restart_a();
	tap_ok(until(host_is(a, "db", "in doubt")), "A's next one is where that was");
	host_start(b);
	leecher_restart(b->regiond);
	tap_ok(until(is_on(from, REGIONFS_REGION_MOVED)), "B's next one takes it");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "with all of it");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[CHUNK] == 9 && bytes[0] == 7, "also what was flushed last");
}

/* ---- a refusal is told until it is heard ---- */

static bool is_left_over(const char *what)
{
	char command[256];

	snprintf(command, sizeof(command), "ls %s | grep -q '^%s'", b->state, what);
	return !system(command);
}

static void test_refused(void)
{
	struct user user, finalizing;

	begin("refused");
	leech(&user, NULL);
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "a region is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
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
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "a region is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
	tap_number(host_do(b, "abort", db()), 0, "there it is aborted");
	host_kill(b);
	unhide();
	host_start(b);
	leecher_restart(b->regiond);
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
	tap_number(host_do(a, "resolve", db_with("i_own_it")), -EINVAL, "what is not in doubt cannot be resolved");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "a region is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
	tap_number(host_do(a, "resolve", db_with("keep")), -EINVAL, "in doubt, it is nobody's to keep");
	tap_number(host_do(a, "resolve", db_with("i_own_it")), 0, "the operator of A says that it is his");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN) && from->epoch == 3 && from->lineage, "it goes on, in an epoch and lineage of its own");
	tap_ok(host_is(a, "db", "resolved"), "and says so");
	unhide();
	tap_ok(until(user.done) && user.error == -ESTALE && finalizing.done && finalizing.error, "B, when it comes back, gives up: %s", user.said);
	tap_ok(!host_region(b, "db") && until(!is_left_over("leech-")), "and has nothing of it");
	tap_number(host_do(a, "resolve", db_with("keep")), 0, "A keeps it");
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
	tap_number(host_do(a, "resolve", db_with("i_own_it")), 0, "the operator of A says that it is his");
	host_start(b);
	leecher_restart(b->regiond);
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
	host_start(b);
	leecher_restart(b->regiond);
	tap_ok(until(host_is(b, "db", "diverged")), "B's next helper knows it, too");
	tap_ok(until(region_of(b)->state == REGION_READY), "and has opened what there is of it");
	tap_number(host_do(b, "resolve", db_with("keep")), -ENODATA, "what B has is not all");
	tap_number(host_do(b, "resolve", db_with("discard")), 0, "it is given up");
	tap_ok(until(!host_region(b, "db")) && until(!is_left_over("leech-")), "and gone");
	tap_number(host_do(a, "resolve", db_with("keep")), 0, "A keeps its own");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED), "which goes on");
}

static void test_diverged_b(void)
{
	diverge("diverged2");
	tap_number(host_do(b, "resolve", json_pack("{s:s,s:b,s:b}", "region", "db", "keep", 1, "force", 1)), 0, "B keeps its own by force");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && !is_on(to, REGIONFS_REGION_FROZEN), "which goes on");
	tap_number(host_do(a, "resolve", db_with("discard")), 0, "A gives up its own");
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
	tap_number(host_do(b, "resolve", db_with("source_lost")), -EINVAL, "before it is owned nothing can be lost");
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
	tap_ok(until(host_is(a, "db", "moved")), "as A knows");
	hide();
	host_kill(a);
	slow.hold = false;
	list_init(&slow.held);
	tap_number(host_request(b, to->id, BACKEND_READ, 0, CHUNK, bytes), -ETIMEDOUT, "when A is away, who reads it waits");
	tap_number(host_do(b, "resolve", db_with("source_lost")), 0, "its operator says that it is lost");
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
	host_start(b);
	leecher_restart(b->regiond);
}

static void test_booted_behind(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	size = 200 * CHUNK;
	begin("booted");
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
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

	begin("booted2");
	leech(&user, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	reboot();
	memset(bytes, 9, CHUNK);
	host_request(a, from->id, BACKEND_WRITE, CHUNK, CHUNK, bytes);
	tap_ok(until(host_is(b, "db", "pulling")), "it is pulled again");
	finish_move(&user);
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[CHUNK] == 9, "all is there");
}

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
	test_killed_owned();
	test_killed_behind();
	test_killed_complete();
	test_killed_pulling();
	test_killed_pulling_fetched();
	test_seeder_killed_tracking();
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
	test_ranges();
	return hosts_end();
}

// SPDX-License-Identifier: GPL-2.0
/* A region moves from host A to host B, and in the middle of that things happen: what both sides make of it. */
#include "backends/leech-private.h"
#include "host.h"
#include "leecher.h"
#include "listener.h"
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
		json_object_set_new(args, "resume", json_string(resume));
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
	test_abort_deciding();
	test_abort_away();
	test_abort_away_asking();
	test_killed_owned();
	test_killed_behind();
	test_killed_complete();
	test_ranges();
	return hosts_end();
}

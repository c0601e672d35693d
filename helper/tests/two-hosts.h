/* SPDX-License-Identifier: GPL-2.0 */
/* Two hosts in one process, of which A seeds a region and B leeches it; what can happen to them. A test includes it once. */
#ifndef REGIONFS_TESTS_TWO_HOSTS_H
#define REGIONFS_TESTS_TWO_HOSTS_H

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
static int fill = 7;

/* ---- A's bytes: a file of 7s, if not of zeroes, whose READs by peers can be held ---- */

static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	bool hold;
	bool reads_alone;	/* what the seeder reads by itself, for LAST, is not held */
	struct list held;
} slow;

static void slow_submit(struct backend *backend, struct backend_req *req)
{
	bool held = slow.hold && req->op == BACKEND_READ && (!slow.reads_alone || req->flags & BACKEND_ZERO_NULL);

	if (held)
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
	slow.hold = slow.reads_alone = false;
	list_init(&slow.held);
}

static __attribute__((unused)) void slow_release(void)
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

	memset(bytes, fill, sizeof(bytes));
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

/* B leeches it; the command ends with the migration. more: arguments, or NULL; taken. */
static void leech_with(struct user *user, json_t *more)
{
	char source[256], local[160];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", b->run);
	args = json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local);
	json_object_update(args, more);
	json_decref(more);
	host_begin(b, user, "leech", args);
	if (!until(host_is(b, "db", "pulling")))
		printf("# it is %s: %s\n", host_says(b, "db", "state"), user->said);
	to = host_region(b, "db");
}

static __attribute__((unused)) void leech(struct user *user, const char *resume)
{
	leech_with(user, resume ? json_pack("{s:s}", "on_resume", resume) : NULL);
}

static json_t *db(void)
{
	return json_pack("{s:s}", "region", "db");
}

/* What the other side says does not come, and it does not come back. */
static __attribute__((unused)) void cut(void)
{
	struct server *server = a->regiond->server;
	struct listener *listener = list_entry(server->listeners.next, struct listener, list);
	struct list *at, *next;

	unlink(socket_path);
	list_for_each_safe(at, next, &listener->services)
		service_close(list_entry(at, struct service, list), -ECONNRESET);
	pass(50);
}

/* A number, or 1 for what is true, of what stat says of B. */
static __attribute__((unused)) json_int_t says(const char *key)
{
	json_t *show = handover_show(region_of(b)), *value = json_object_get(show, key);
	json_int_t n = json_is_true(value) ? 1 : json_integer_value(value);

	json_decref(show);
	return n;
}

static __attribute__((unused)) json_int_t rounds(void)
{
	return says("rounds");
}

static __attribute__((unused)) bool is_on(const struct kernel_region *region, uint32_t flag)
{
	return region->flags & flag;
}

static __attribute__((unused)) void restart(void)
{
	host_kill(b);
	host_start(b);
	leecher_restart(b->regiond);
}

static __attribute__((unused)) bool all_is_there(void)
{
	static uint8_t bytes[SIZE];

	return !host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 && bytes[SIZE - 1] == 7;
}

/* Its connections go with it; the next one of A. */
static __attribute__((unused)) void restart_a(void)
{
	cut();
	host_kill(a);
	host_start(a);
	seeder_restart(a->regiond);
}

static __attribute__((unused)) uint64_t fetched(void)
{
	const struct leech *leech = leech_of(region_of(b)->backend);

	return leech ? leech_stats(leech)->fetched : UINT64_MAX;
}

static __attribute__((unused)) void finish_move(struct user *user)
{
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "all of it comes");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && !is_on(to, REGIONFS_REGION_LOCKED), "it is B's alone");
}

static char away_path[160];

/* The network: what was listening there goes on listening. */
static __attribute__((unused)) void hide(void)
{
	snprintf(away_path, sizeof(away_path), "%s.away", socket_path);
	if (rename(socket_path, away_path))
		exit(93);
	cut();
}

static __attribute__((unused)) void unhide(void)
{
	if (rename(away_path, socket_path))
		exit(92);
}

/* Nobody hears anything of it any more, as when its process and the host's end together. */
static __attribute__((unused)) void kill_b(void)
{
	hide();
	host_kill(b);
	pass(100);
	unhide();
}

static __attribute__((unused)) bool is_left_over(const char *what)
{
	char command[256];

	snprintf(command, sizeof(command), "ls %s | grep -q '^%s'", b->state, what);
	return !system(command);
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* Two hosts in one process, of which A seeds a region and B leeches it; what can happen to them. A test includes it once. */
#ifndef REGIONFS_TESTS_TWO_HOSTS_H
#define REGIONFS_TESTS_TWO_HOSTS_H

#include "host-pair.h"
#include "seeder.h"

static struct kernel_region *from, *to;
static uint64_t size = SIZE;
static int fill = 7;

/* ---- A's bytes: a file of 7s, if not of zeroes, whose READs by peers can be held ---- */

static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	bool hold;
	bool reads_alone;	/* what the seeder reads by itself, for LAST, is not held */
	uint64_t below;		/* READs that begin before that are not held */
	struct list held;
	unsigned int reads;
} slow;

static void slow_submit(struct backend *backend, struct backend_req *req)
{
	bool held = slow.hold && req->op == BACKEND_READ && req->offset >= slow.below &&
		    (!slow.reads_alone || req->flags & BACKEND_ZERO_NULL);

	slow.reads += req->op == BACKEND_READ;
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
	slow.reads = 0;
	slow.below = 0;
	list_init(&slow.held);
}

static __attribute__((unused)) void slow_release_below(uint64_t offset)
{
	struct list held, *entry;

	slow.below = offset;
	list_init(&held);
	list_splice(&held, &slow.held);
	while ((entry = list_pop(&held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		req->backend->ops->submit(req->backend, req);
	}
}

static __attribute__((unused)) void slow_release(void)
{
	slow.hold = false;
	slow_release_below(0);
}

/* ---- the two hosts ---- */

static struct region *region_of(struct host *host)
{
	struct region *region = region_find_path(host->regiond->regions, "db");

	if (region)
		region_put(region);
	return region;
}

/* A seeds a region of that size at socket_path. */
static void begin(const char *name)
{
	char path[128], listen[160];

	pair_new(name);
	snprintf(path, sizeof(path), "%s/bytes", a->run);
	make_file(path, fill);
	if (truncate(path, (off_t)size))
		exit(94);
	from = add_file("db", path, size);
	host_start(a);
	host_start(b);
	snprintf(listen, sizeof(listen), "unix:%s", socket_path);
	if (host_do(a, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", listen, "detach", 1)))
		exit(95);
	slow_watch(region_of(a));
}

/* B leeches it; the command ends with the migration. more: arguments, or NULL; taken. */
static void leech_with(struct user *user, json_t *more)
{
	to = leech_from(socket_path, b, user, more);
}

static __attribute__((unused)) void leech(struct user *user, const char *resume)
{
	leech_with(user, resume ? json_pack("{s:s}", "on_resume", resume) : NULL);
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

static __attribute__((unused)) void restart(void)
{
	host_kill(b);
	start_b();
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

static __attribute__((unused)) bool is_left_over(const char *what)
{
	char command[256];

	snprintf(command, sizeof(command), "ls %s | grep -q '^%s'", b->state, what);
	return !system(command);
}

#endif

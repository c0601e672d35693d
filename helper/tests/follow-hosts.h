/* SPDX-License-Identifier: GPL-2.0 */
/* Two hosts and more in one process, of which A seeds a region and others follow it. A test includes it once. */
#ifndef REGIONFS_TESTS_FOLLOW_HOSTS_H
#define REGIONFS_TESTS_FOLLOW_HOSTS_H

#include "follower.h"
#include "follower-private.h"
#include "seeder-private.h"
#include "two-hosts.h"

static struct host *c;

/* ---- a host that follows ---- */

static __attribute__((unused)) void follow_on(struct host *host, struct user *user, json_t *more)
{
	json_t *args = json_pack("{s:b,s:i}", "follow", 1, "max_age", 60);

	json_object_update(args, more);
	json_decref(more);
	host_begin(host, user, "leech", db_from(socket_path, host, args));
}

static __attribute__((unused)) struct kernel_region *follows(struct host *host)
{
	struct user user;

	follow_on(host, &user, NULL);
	if (!until(user.done) || user.error)
		printf("# %s does not follow: %s %s %s\n", host->name, user.said, host_says(host, "db", "state"), host_says(host, "db", "error"));
	return host_region(host, "db");
}

static __attribute__((unused)) json_int_t number(struct host *host, const char *key)
{
	json_t *show = region_of(host) ? handover_show(region_of(host)) : NULL, *value = json_object_get(show, key);
	json_int_t n = json_is_true(value) ? 1 : json_integer_value(value);

	json_decref(show);
	return n;
}

/* The first byte of a chunk, as a program there reads it. */
static __attribute__((unused)) int byte_at(struct host *host, const struct kernel_region *region, uint64_t offset)
{
	/* one that is given up may come yet */
	uint8_t *byte = calloc(1, 1);
	int value;

	if (host_request(host, region->id, BACKEND_READ, offset, 1, byte))
		return -1;
	value = *byte;
	free(byte);
	return value;
}

static __attribute__((unused)) int write_at(struct host *host, const struct kernel_region *region, uint64_t offset, int value)
{
	uint8_t bytes[4096];

	memset(bytes, value, sizeof(bytes));
	return host_request(host, region->id, BACKEND_WRITE, offset, sizeof(bytes), bytes);
}

static __attribute__((unused)) bool shows(struct host *host, uint64_t offset, int value)
{
	struct kernel_region *region = host_region(host, "db");

	/* it is locked while another state is brought in */
	return region && until(!is_on(region, REGIONFS_REGION_LOCKED) && byte_at(host, region, offset) == value);
}

static __attribute__((unused)) struct host *third(const char *name)
{
	struct host *host = host_new(name);

	host_start(host);
	return host;
}

/* ---- a program that does not wait, and READs of A that come late ---- */

static __attribute__((unused)) struct program *writes(struct host *host, const struct kernel_region *region, uint64_t offset, int value)
{
	struct program *program = calloc(1, sizeof(*program));
	uint8_t *bytes = malloc(4096);

	memset(bytes, value, 4096);
	program->req = (struct backend_req){
		.op = BACKEND_WRITE, .offset = offset, .length = 4096, .data = bytes, .attach_gen = 1, .epoch = 1, .loop = loop, .done = program_done,
	};
	region_submit(host->regiond->regions, region->id, &program->req);
	return program;
}

static __attribute__((unused)) unsigned int nr_held(void)
{
	unsigned int n = 0;
	struct list *at;

	list_for_each(at, &slow.held)
		n++;
	return n;
}

/* Those that came last. */
static __attribute__((unused)) void release_last(unsigned int n)
{
	struct list *entry;

	while (n-- && (entry = slow.held.prev) != &slow.held) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		list_del(entry);
		slow.real->submit(req->backend, req);
	}
}

static __attribute__((unused)) struct seeder *seeder(void)
{
	return container_of(handover_of(region_of(a)), struct seeder, handover);
}

static __attribute__((unused)) struct follower *follower_on(struct host *host)
{
	return container_of(handover_of(region_of(host)), struct follower, handover);
}

/* B follows; the two chunks have 1s. */
static __attribute__((unused)) struct kernel_region *two_chunks(const char *name)
{
	struct kernel_region *at_b;
	struct user user;

	begin(name);
	write_at(a, from, 0, 1);
	write_at(a, from, CHUNK, 1);
	follow_on(b, &user, json_pack("{s:i}", "max_age", 600));
	until(user.done);
	at_b = host_region(b, "db");
	tap_ok(at_b && byte_at(b, at_b, 0) == 1 && byte_at(b, at_b, CHUNK) == 1, "a host follows a region");
	return at_b;
}

/* Two chunks are changed, and B fetches them, which takes long. */
static __attribute__((unused)) void changes(void)
{
	tap_ok(!write_at(a, from, CHUNK, 2) && !write_at(a, from, 0, 2), "two of its chunks are changed");
	slow.hold = true;
	tap_ok(until(nr_held()), "that is fetched");
}

/* ---- helpers that are killed ---- */

static __attribute__((unused)) void kill_follower(struct host *host)
{
	struct follower *follower = follower_on(host);

	host_kill(host);
	loop_timer_cancel(loop, &follower->timer);
	follower_hang_up(follower, 0, "");
	pass(50);
}

static __attribute__((unused)) void next_helper(struct host *host)
{
	host_start(host);
	follower_restart(host->regiond);
}

struct follow_test {
	const char *name;
	void (*test)(void);
};

/* Those of the name, or all. */
static int follow_tests(const struct follow_test *tests, size_t nr, const char *name)
{
	if (!hosts_open())
		return 99;
	for (size_t i = 0; i < nr; i++)
		if (!name || !strcmp(name, tests[i].name))
			tests[i].test();
	return hosts_end();
}

#endif

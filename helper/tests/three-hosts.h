/* SPDX-License-Identifier: GPL-2.0 */
/* A third host, C, that leeches from B what B has leeched from A. After two-hosts.h. */
#ifndef REGIONFS_TESTS_THREE_HOSTS_H
#define REGIONFS_TESTS_THREE_HOSTS_H

#include <sys/mount.h>

#include "two-hosts.h"

static struct host *c;
static struct kernel_region *third;
static char middle_path[128];
static struct user on_b, on_c;
static json_t *for_b;			/* more arguments of B's leech; taken */

/* B is to have nothing of A's region: READs are held. */
static void begin_three(const char *name)
{
	char path[32];

	begin(name);
	snprintf(path, sizeof(path), "c-%.10s", name);
	c = host_new(path);
	host_start(c);
	snprintf(middle_path, sizeof(middle_path), "%s/s", b->run);
	slow.hold = true;
}

/* B owns a region of which nothing has come. */
static void begin_owned(const char *name)
{
	begin_three(name);
	leech_with(&on_b, for_b);
	for_b = NULL;
	tap_number(host_do(b, "finalize", db()), 0, "B owns a region before any of it has come");
	tap_ok(until(host_is(a, "db", "moved")), "as A knows");
	host_tell(b, to);
}

static int seed_on(void)
{
	char listen[160];

	snprintf(listen, sizeof(listen), "unix:%s", middle_path);
	return host_do(b, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", listen, "detach", 1));
}

static void leech_c(void)
{
	third = leech_from(middle_path, c, &on_c, NULL);
}

/* A -> B -> C, where B has nothing yet. */
static void begin_chain(const char *name)
{
	begin_owned(name);
	tap_number(seed_on(), 0, "it is seeded on");
	leech_c();
}

/* What stat says of the leecher behind B's seeder; "" when there is none. */
static __attribute__((unused)) const char *behind(const char *key)
{
	json_t *show = handover_show(region_of(b)), *text = json_object_get(json_object_get(show, "behind"), key);
	static char said[256];

	snprintf(said, sizeof(said), "%s", json_is_string(text) ? json_string_value(text) : "");
	json_decref(show);
	return said;
}

static __attribute__((unused)) bool behind_is(const char *state)
{
	return !strcmp(behind("state"), state);
}

static void cut_middle(void)
{
	unlink(middle_path);
	break_connections(b);
}

/* B's helper is killed: nobody hears anything of it any more. */
static __attribute__((unused)) void kill_middle(void)
{
	hide();
	cut_middle();
	host_kill(b);
	pass(100);
	unhide();
}

static __attribute__((unused)) void start_middle(void)
{
	start_b();
	seeder_restart(b->regiond);
}

/* What is in memory goes; the region comes back locked if it was handed on. */
static __attribute__((unused)) void reboot_middle(bool handed)
{
	char command[256];

	kill_middle();
	snprintf(command, sizeof(command), "rm -f %s/leech-*.map %s/track-*", b->run, b->run);
	tap_ok(!system(command), "B's host is booted");
	to->flags = handed ? REGIONFS_REGION_LOCKED : 0;
	if (handed && to->epoch == 3)
		to->epoch = 2;
	start_middle();
}

/* As reboot_middle(), but its state directory is all that is left, and its kernel has nothing else. */
static __attribute__((unused)) void boot_middle(void)
{
	char command[256], memory[128];

	kill_middle();
	/* of the process's instances the first has a tmpfs there */
	snprintf(memory, sizeof(memory), "%s/memory", b->run);
	umount2(memory, MNT_DETACH);
	snprintf(command, sizeof(command), "rm -rf %s/leech-*.map %s/track-* %s/memory/*", b->run, b->run, b->run);
	tap_ok(!system(command), "B's host is booted");
	host_boot(b);
	to = host_region(b, "db");
	leecher_restart(b->regiond);
	seeder_restart(b->regiond);
}

/* What a program on C finds at a chunk. */
static __attribute__((unused)) int at_c(uint64_t chunk)
{
	static uint8_t bytes[CHUNK];

	if (host_request(c, third->id, BACKEND_READ, chunk * CHUNK, CHUNK, bytes) || bytes[0] != bytes[CHUNK - 1])
		return -1;
	return bytes[0];
}

static __attribute__((unused)) int write_at(struct host *host, const struct kernel_region *region, uint64_t chunk, int byte)
{
	static uint8_t bytes[CHUNK];

	memset(bytes, byte, sizeof(bytes));
	return host_request(host, region->id, BACKEND_WRITE, chunk * CHUNK, CHUNK, bytes);
}

/* It is C's alone, as all know. */
static __attribute__((unused)) void all_complete(void)
{
	tap_ok(until(!strncmp(third->source, "file:", 5)), "all of it comes to C");
	tap_ok(until(host_is(b, "db", "complete")), "of which B has heard: %s", host_says(b, "db", "state"));
	tap_ok(until(host_is(a, "db", "complete")), "and A: %s", host_says(a, "db", "state"));
	tap_ok(until(!region_of(b)->handover && !region_of(b)->behind && !strncmp(to->source, "file:", 5)), "B has no more to do with it");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && is_on(to, REGIONFS_REGION_MOVED) && !is_on(third, REGIONFS_REGION_LOCKED) &&
	       third->epoch == 3, "it is C's alone");
	tap_ok(until(!is_left_over("leech-")), "nothing is left to be told");
}

#endif

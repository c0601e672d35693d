// SPDX-License-Identifier: GPL-2.0
/* A region goes back and forth between two hosts: what is left of it where it has been makes room by itself. */
#include "two-hosts.h"

static int seed(struct host *host)
{
	char listen[160];

	host_tell(host, host_region(host, "db"));
	snprintf(listen, sizeof(listen), "unix:%s/s%u", host->run, host->kernel.nr);
	return host_do(host, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", listen, "detach", 1));
}

/* more: arguments of leech, taken. */
static void begin_hop(struct host *one, struct host *other, struct user *user, json_t *more)
{
	char source[256];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s/s%u?region=db", one->run, one->kernel.nr);
	args = json_pack("{s:s,s:s}", "region", "db", "source", source);
	json_object_update(args, more);
	json_decref(more);
	host_begin(other, user, "leech", args);
}

static void end_hop(struct host *one, struct host *other, struct user *user)
{
	tap_ok(until(host_is(other, "db", "pulling")), "it is pulled: %s", user->said);
	tap_number(host_do(other, "finalize", db()), 0, "and handed over");
	tap_ok(until(user->done && !user->error), "all of it comes: %s", user->said);
	tap_ok(until(host_is(one, "db", "complete")), "and the other host has done");
}

static int byte_of(struct host *host, uint64_t chunk)
{
	static uint8_t bytes[CHUNK];

	if (host_request(host, host_region(host, "db")->id, BACKEND_READ, chunk * CHUNK, CHUNK, bytes) || bytes[0] != bytes[CHUNK - 1])
		return -1;
	return bytes[0];
}

static int write_byte(struct host *host, uint64_t chunk, int byte)
{
	static uint8_t bytes[CHUNK];

	memset(bytes, byte, sizeof(bytes));
	return host_request(host, host_region(host, "db")->id, BACKEND_WRITE, chunk * CHUNK, CHUNK, bytes);
}

static void default_store(struct host *host)
{
	char source[160];

	snprintf(source, sizeof(source), "file:%s/", host->run);
	host->config.source = strdup(source);
}

static void test_back(bool reuse)
{
	struct user user;

	begin(reuse ? "reuse" : "back");
	default_store(a);
	default_store(b);
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region goes to B");
	tap_ok(until(user.done && !user.error) && until(host_is(a, "db", "complete")), "whole, as A has heard");
	for (int hop = 0; hop < 4; hop++) {
		struct host *one = hop % 2 ? a : b, *other = hop % 2 ? b : a;
		uint64_t epoch = host_region(one, "db")->epoch;

		tap_ok(!seed(one), "hop %d", hop);
		tap_number(write_byte(one, (uint64_t)hop % 4, 20 + hop), 0, "a chunk changes");
		begin_hop(one, other, &user, json_pack("{s:b}", "reuse", reuse));
		end_hop(one, other, &user);
		tap_ok(byte_of(other, (uint64_t)hop % 4) == 20 + hop, "with what has changed");
		tap_number((long long)host_region(other, "db")->epoch, (long long)epoch + 1, "in the next epoch");
		/* the first one's bytes were made by somebody else, and stay */
		tap_ok(until(files(other) <= 2), "nothing of its last stay is left: %u", files(other));
		if (reuse)
			tap_ok(strstr(user.answer, "\"reused_bytes\":"), "what was there is not sent: %s", user.answer);
	}
	tap_ok(byte_of(b, 0) == 20 && byte_of(b, 1) == 21 && byte_of(b, 2) == 22 && byte_of(b, 3) == 23, "all is there");
}

/* Not all of it is on B. */
static void test_early(void)
{
	struct user user, back;

	begin("early");
	default_store(a);
	slow.hold = true;
	leech(&user, NULL);
	tap_number(host_do(b, "finalize", db()), 0, "a region goes to B, before any of it has come");
	tap_number(seed(b), 0, "and is seeded back");
	begin_hop(b, a, &back, NULL);
	tap_ok(until(back.done) && back.error == -EBUSY, "A has it still: %s", back.said);
	slow_release();
	tap_ok(until(host_is(a, "db", "complete")), "when all has come");
	begin_hop(b, a, &back, NULL);
	end_hop(b, a, &back);
	tap_number(byte_of(a, 3), 7, "it comes back");
}

/* One that is in service here is not replaced. */
static void test_exists(void)
{
	struct user user, back;

	begin("exists");
	leech(&user, NULL);
	begin_hop(b, a, &back, NULL);
	tap_ok(until(back.done) && back.error == -EEXIST && host_is(a, "db", "tracking"), "%s", back.said);
	finish_move(&user);
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_back(false);
	test_back(true);
	test_early();
	test_exists();
	return hosts_end();
}

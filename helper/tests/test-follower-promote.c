// SPDX-License-Identifier: GPL-2.0
/* One that follows is promoted: with its owner, without, and when that comes to nothing. */
#include "follow-hosts.h"

static char second_path[128];

static void test_promote(void)
{
	struct kernel_region *at_b, *at_c;
	char source[256], listen[160];
	struct user user;
	json_int_t bytes;

	begin("promote");
	c = third("c-promote");
	at_b = follows(b);
	at_c = follows(c);
	tap_ok(at_b && at_c, "two hosts follow a region");
	tap_number(host_do(c, "finalize", db()), -EINVAL, "who follows can't finalize");
	write_at(a, from, 0, 8);
	bytes = number(a, "bytes");
	tap_number(host_do(c, "promote", db()), 0, "one is promoted");
	tap_ok(number(a, "bytes") - bytes <= 2 * CHUNK, "for which hardly anything was sent");
	tap_ok(is_on(from, REGIONFS_REGION_MOVED) && !is_on(at_c, REGIONFS_REGION_LOCKED | REGIONFS_REGION_READ_ONLY), "it is its own now, to be written");
	tap_number((long long)at_c->epoch, 2, "in the next epoch");
	tap_number(byte_at(c, at_c, 0), 8, "with what was written last");
	tap_number(byte_at(c, at_c, CHUNK), 7, "and all else");
	tap_ok(until(number(b, "moved")), "the other one says that its source has moved: %s", host_says(b, "db", "error"));
	tap_ok(shows(b, 0, 8) && !is_on(at_b, REGIONFS_REGION_LOCKED), "and shows the last state");
	tap_ok(until(host_is(a, "db", "complete")) && until(!strncmp(at_c->source, "file:", 5)), "the hand-over ends");
	tap_number(host_do(b, "promote", db()), -ESTALE, "the other one is not promoted");

	snprintf(second_path, sizeof(second_path), "%s/s", c->run);
	snprintf(listen, sizeof(listen), "unix:%s", second_path);
	tap_number(host_do(c, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", listen, "detach", 1)), 0, "the new owner seeds it");
	write_at(c, at_c, CHUNK, 4);
	snprintf(source, sizeof(source), "peer+unix:%s?region=db", second_path);
	bytes = number(b, "bytes");
	host_begin(b, &user, "leech", json_pack("{s:s,s:s,s:b}", "region", "db", "source", source, "follow", 1));
	tap_ok(until(user.done) && !user.error, "the other one is told to follow it: %s", user.said);
	tap_ok(until(byte_at(b, at_b, CHUNK) == 4) && until(!is_on(at_b, REGIONFS_REGION_LOCKED)), "and does");
	tap_ok(number(b, "bytes") - bytes <= CHUNK && !number(b, "moved"), "for which only what differs was sent");
}

/* The program on A can't be stopped. */
static void test_refused(void)
{
	struct kernel_region *at_b;
	char listen[160];

	begin("refused");
	tap_number(host_do(a, "abort", db()), 0, "a region is seeded anew");
	snprintf(listen, sizeof(listen), "unix:%s", socket_path);
	tap_number(host_do(a, "seed", json_pack("{s:s,s:s,s:s,s:b}", "region", "db", "listen", listen, "on_suspend", "exit 3", "detach", 1)), 0,
		   "with a program that does not stop");
	at_b = follows(b);
	write_at(a, from, CHUNK, 2);
	tap_number(host_do(b, "promote", db()), -ECANCELED, "who follows it can't be promoted");
	tap_ok(until(host_is(b, "db", "following")) && is_on(at_b, REGIONFS_REGION_READ_ONLY) && !is_on(at_b, REGIONFS_REGION_LOCKED), "it follows again");
	tap_ok(byte_at(b, at_b, CHUNK) == 2 && byte_at(b, at_b, 0) == 7, "with all that is there");
	write_at(a, from, 0, 3);
	tap_ok(shows(b, 0, 3) && !is_on(from, REGIONFS_REGION_FROZEN), "and what comes later");
	tap_number(host_do(a, "abort", db()), 0, "the seeder ends");
	pass(100);
	tap_ok(byte_at(b, at_b, 0) == 3 && !is_on(at_b, REGIONFS_REGION_LOCKED), "the last state stays");
	tap_number(host_do(b, "promote", db()), -ENOTCONN, "nobody can be asked for it then");
	tap_ok(until(host_is(b, "db", "following")), "it is still there");
}

/* What was cut off there comes back as zeroes, by a WRITE far beyond the end, of which no list tells where what was cut off was not kept. */
static void test_cut_off(void)
{
	struct kernel_region *at_b = two_chunks("cut");

	changes();
	slow_release();
	tap_ok(shows(b, 0, 2), "a state is shown");
	slow.hold = true;
	tap_ok(!write_at(a, from, 0, 3) && !host_request(a, from->id, BACKEND_RESIZE, 0, CHUNK, NULL), "the region is made short");
	from->size = CHUNK;
	tap_ok(until(nr_held()) && at_b->size == SIZE, "which is fetched, and not shown");
	tap_number(write_at(a, from, 3 * CHUNK, 4), 0, "then it is written to, far beyond its end");
	from->size = 3 * CHUNK + 4096;
	{
		struct user user;

		host_begin(b, &user, "promote", db());
		until(host_is(b, "db", "pulling") || user.done);
		slow_release();
		tap_ok(until(user.done) && !user.error, "who follows is promoted: %s", user.said);
	}
	tap_ok(byte_at(b, at_b, 0) == 3 && byte_at(b, at_b, 3 * CHUNK) == 4, "it has what was written");
	tap_ok(byte_at(b, at_b, CHUNK) == 0 && byte_at(b, at_b, 2 * CHUNK) == 0, "and zeroes for what was cut off");
}

static void test_leech_beside(void)
{
	struct kernel_region *at_b;
	struct user user;

	begin("beside");
	c = third("c-beside");
	at_b = follows(b);
	follow_on(c, &user, json_pack("{s:b}", "follow", 0));
	until(user.done);
	{
		char source[256], local[160];

		snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
		snprintf(local, sizeof(local), "file:%s/bytes", c->run);
		host_begin(c, &user, "leech", json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local));
	}
	tap_ok(until(host_is(c, "db", "pulling")) && until(number(c, "rounds") > 0), "one host leeches what another one follows");
	write_at(a, from, 0, 3);
	tap_ok(shows(b, 0, 3), "which goes on");
	tap_number(host_do(b, "promote", db()), -EBUSY, "who follows is not promoted then");
	tap_ok(!is_on(at_b, REGIONFS_REGION_LOCKED) && host_is(b, "db", "following"), "and goes on following");
	write_at(a, from, 0, 4);
	tap_ok(shows(b, 0, 4), "as before");
	tap_number(host_do(c, "finalize", db()), 0, "it is handed over to who leeches");
	tap_ok(until(number(b, "moved")), "who follows is told");
	tap_ok(shows(b, 0, 4) && !is_on(at_b, REGIONFS_REGION_LOCKED), "and shows the last state");
}

static json_t *source_lost(void)
{
	return json_pack("{s:s,s:b}", "region", "db", "source_lost", 1);
}

static struct program *frozen_by;

static void write_frozen(struct kernel_region *region)
{
	frozen_by = writes(a, region, 0, 9);
}

/* Its program is stopped for that: what is dirty is written, and waits for no copy. */
static void test_handed_over_fetching(void)
{
	char source[256], local[160];
	struct user user;
	json_int_t round;

	two_chunks("frozen");
	c = third("c-frozen");
	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", c->run);
	host_begin(c, &user, "leech", json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local));
	tap_ok(until(host_is(c, "db", "pulling")) && until(number(c, "rounds") > 0), "and another one leeches it");
	round = number(b, "rounds");
	changes();
	tap_ok(until(number(b, "rounds") > round), "by who follows, too");
	a->kernel.freezing = write_frozen;
	host_begin(c, &user, "finalize", db());
	tap_ok(until(frozen_by), "it is handed over while the first one fetches");
	pass(300);
	tap_ok(frozen_by->done && !frozen_by->error, "what is written then waits for no copy");
	a->kernel.freezing = NULL;
	slow_release();
	tap_ok(until(user.done) && !user.error && until(number(b, "moved")), "it moves: %s", user.said);
	tap_ok(shows(b, 0, 9), "and what was written last is shown");
}

/* B's promotion is as far as that its owner has agreed, and no further. */
static struct kernel_region *agreed(const char *name, struct user *user)
{
	struct kernel_region *at_b = two_chunks(name);

	b->kernel.hold = REGIONFS_CMD_LOCK;
	host_begin(b, user, "promote", db());
	tap_ok(until(!list_empty(&b->kernel.held)), "an owner agrees to a promotion");
	return at_b;
}

static bool is_shown(struct kernel_region *at_b)
{
	return until(host_is(b, "db", "following")) && until(!is_on(at_b, REGIONFS_REGION_LOCKED)) && is_on(at_b, REGIONFS_REGION_READ_ONLY) &&
	       byte_at(b, at_b, 0) == 1 && byte_at(b, at_b, CHUNK) == 1;
}

static void test_owner_goes(void)
{
	struct kernel_region *at_b;
	struct user user;

	at_b = agreed("goes", &user);
	hide();
	host_release(b);
	for (int i = 0; i < 20 && !user.done; i++)
		until(user.done);
	tap_ok(user.done && user.error == -ENOTCONN, "and has gone then: %s", user.said);
	tap_ok(is_shown(at_b), "what was shown is shown again");
	tap_number(host_do(b, "promote", source_lost()), 0, "and can be this host's without it");
	tap_ok(!is_on(at_b, REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_LOCKED), "it is");
	unhide();
}

static void test_owner_comes(void)
{
	struct kernel_region *at_b;
	struct user user;

	at_b = agreed("comes", &user);
	hide();
	host_release(b);
	tap_ok(until(is_on(at_b, REGIONFS_REGION_LOCKED)) && until(host_is(b, "db", "connecting")), "and has gone then");
	/* what is being opened cannot be killed here */
	until(atomic_load(&region_of(b)->state) == REGION_FAILED);
	host_kill(b);
	pass(50);
	start_b();
	follower_restart(b->regiond);
	tap_ok(until(host_is(b, "db", "connecting")), "the next helper goes on");
	tap_number(host_do(b, "abort", db()), 0, "that is aborted");
	tap_ok(is_shown(at_b), "what was shown is shown again");
	unhide();
	write_at(a, from, 0, 5);
	tap_ok(shows(b, 0, 5) && byte_at(b, at_b, CHUNK) == 1, "it is followed when its owner is back");
	tap_number(host_do(b, "promote", db()), 0, "and promoted then");
	tap_ok(byte_at(b, at_b, 0) == 5 && !is_on(at_b, REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_LOCKED), "with what was written last");
}

static void leech_on_c(const char *name, struct user *user)
{
	char source[256], local[160];

	c = third(name);
	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", c->run);
	host_begin(c, user, "leech", json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local));
}

static void test_taken(void)
{
	struct user user, other;
	struct kernel_region *at_b;

	at_b = agreed("taken", &user);
	leech_on_c("c-taken", &other);
	tap_ok(until(other.done) && other.error == -EBUSY, "who leeches it then is refused: %s", other.said);
	host_release(b);
	tap_ok(until(user.done) && !user.error && !is_on(at_b, REGIONFS_REGION_LOCKED), "it is promoted: %s", user.said);

	at_b = agreed("taken2", &user);
	seeder()->promoting_at = 1;
	leech_on_c("c-taken2", &other);
	tap_ok(until(host_is(c, "db", "pulling")), "if it takes too long, another one leeches it");
	host_release(b);
	tap_ok(until(user.done) && user.error == -EBUSY, "and it is not promoted: %s", user.said);
	tap_ok(is_shown(at_b), "what was shown is shown again");
	write_at(a, from, 0, 5);
	tap_ok(shows(b, 0, 5), "and what comes later");
}

/* The owner is gone; then it comes back. */
static void test_lost(void)
{
	struct kernel_region *at_b = two_chunks("lost");
	struct user user;

	tap_number(host_do(b, "promote", source_lost()), -EBUSY, "while its owner is there it is not lost");
	slow.hold = true;
	write_at(a, from, 0, 2);
	hide();
	slow_release();
	host_begin(b, &user, "promote", db());
	tap_ok(until(user.done) && user.error == -ENOTCONN, "nor promoted without a word: %s", user.said);
	tap_number(host_do(b, "promote", source_lost()), 0, "by its operator's word it is");
	tap_ok(!is_on(at_b, REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_LOCKED) && at_b->epoch == 3 && at_b->lineage, "it can be written, in an epoch and lineage of its own");
	tap_ok(byte_at(b, at_b, 0) == 1 && byte_at(b, at_b, CHUNK) == 1, "with what was shown");
	tap_number(write_at(b, at_b, 0, 9), 0, "it is written");
	kill_follower(b);
	next_helper(b);
	tap_ok(until(host_is(b, "db", "promoted")), "the next helper knows");
	unhide();
	tap_ok(until(host_is(a, "db", "diverged")) && until(host_is(b, "db", "diverged")), "when its owner of before is back, both know: %s", host_says(b, "db", "error"));
	tap_ok(until(is_on(from, REGIONFS_REGION_FROZEN) && is_on(at_b, REGIONFS_REGION_FROZEN)), "and are frozen");
	tap_number(host_resolve(b, json_pack("{s:s,s:b}", "region", "db", "keep", 1)), 0, "one is kept");
	tap_number(host_resolve(a, json_pack("{s:s,s:b}", "region", "db", "discard", 1)), 0, "the other given up");
	tap_ok(!is_on(at_b, REGIONFS_REGION_FROZEN) && is_on(from, REGIONFS_REGION_MOVED), "it has one owner");
	tap_number(byte_at(b, at_b, 0), 9, "with what was written there");
}

/* The word of a program's operator here is about an owner that can't be heard, and of which no other one is known. */
static void test_moved(void)
{
	struct kernel_region *at_b;

	begin("moved");
	c = third("c-moved");
	at_b = follows(b);
	tap_ok(at_b && follows(c) && !host_do(c, "promote", db()), "of two that follow, one is promoted");
	tap_ok(until(number(b, "moved")) && shows(b, 0, 7), "the other one hears that");
	tap_number(host_do(b, "promote", source_lost()), -ESTALE, "it is not lost then");
	pass(100);
	kill_follower(b);
	hide();
	next_helper(b);
	tap_ok(until(host_is(b, "db", "following")) && !number(b, "connected"), "its next helper hears nothing");
	tap_number(host_do(b, "promote", source_lost()), -ESTALE, "but knows that there is an owner");
	tap_ok(is_on(at_b, REGIONFS_REGION_READ_ONLY), "it is not this host's");
	tap_number(host_do(b, "promote", json_pack("{s:s,s:b}", "region", "db", "force", 1)), -EINVAL, "the second word alone means nothing");
	tap_number(host_do(b, "promote", json_pack("{s:s,s:b,s:b}", "region", "db", "source_lost", 1, "force", 1)), 0, "if that one is lost, too, both say so");
	tap_ok(!is_on(at_b, REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_LOCKED), "then it is");
	unhide();
}

/* It takes its time to answer, which is not to be taken for its end. */
static void test_slow_owner(void)
{
	struct kernel_region *at_b = two_chunks("slowo");

	a->kernel.hold = REGIONFS_CMD_WRITEBACK;
	tap_ok(until(!list_empty(&a->kernel.held)), "an owner takes long to write what is dirty");
	tap_number(host_do(b, "promote", source_lost()), -EBUSY, "it is not lost");
	tap_ok(is_on(at_b, REGIONFS_REGION_READ_ONLY) && until(host_is(b, "db", "following")), "it is followed");
	host_release(a);
	write_at(a, from, 0, 4);
	tap_ok(shows(b, 0, 4), "as before");
}

int main(int argc, char **argv)
{
	static const struct follow_test tests[] = {
		{ "promote", test_promote },
		{ "refused", test_refused },
		{ "beside", test_leech_beside },
		{ "lost", test_lost },
		{ "goes", test_owner_goes },
		{ "comes", test_owner_comes },
		{ "taken", test_taken },
		{ "cut", test_cut_off },
		{ "frozen", test_handed_over_fetching },
		{ "moved", test_moved },
		{ "slowo", test_slow_owner },
	};

	return follow_tests(tests, sizeof(tests) / sizeof(tests[0]), argv[1]);
}

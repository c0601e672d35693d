// SPDX-License-Identifier: GPL-2.0
/* Hosts that follow a region of A: what they show is at each moment one state of it, whatever happens. */
#include <sys/statvfs.h>

#include "follow-hosts.h"
#include "snapshot.h"

#define MIB (1ULL << 20)
/* For who waits for a copy, as a rule; and on a machine that has much else to do, where that is not what ends it. */
#define WAIT_MS 2000u
#define LONG_MS 600000u

/* ---- this test is the disk ---- */

static uint64_t room = 512 * MIB;

int fstatvfs(int fd, struct statvfs *st)
{
	(void)fd;
	*st = (struct statvfs){ .f_blocks = 1024 * MIB / 4096, .f_bavail = room / 4096, .f_frsize = 4096 };
	return 0;
}

/* ---- following ---- */

static json_t *seed_of(const struct host *host)
{
	return json_pack("{s:s,s:b,s:o}", "region", "db", "detach", 1, "listen", json_sprintf("unix:%s/seed", host->run));
}

static void test_follow(void)
{
	struct kernel_region *at_b, *at_c;

	begin("follow");
	c = third("c-follow");
	at_b = follows(b);
	at_c = follows(c);
	tap_ok(at_b && at_c && !is_on(at_b, REGIONFS_REGION_LOCKED) && is_on(at_b, REGIONFS_REGION_READ_ONLY), "two hosts follow a region, to be read");
	tap_ok(host_is(b, "db", "following") && host_is(c, "db", "following"), "they say so");
	tap_number(byte_at(b, at_b, 0), 7, "they have its bytes");
	tap_number((long long)at_b->size, SIZE, "and its size");
	tap_number(at_b->mode, 0640, "and its mode");
	tap_number(write_at(a, from, CHUNK, 9), 0, "the program on A changes it");
	tap_ok(shows(b, CHUNK, 9) && shows(c, CHUNK, 9), "both show it");
	tap_number(byte_at(b, at_b, CHUNK + 4096), 7, "and what is beside it");
	tap_ok(until(number(b, "age_ms") < 60), "what they show is not old");
	tap_number(write_at(a, from, SIZE + CHUNK, 5), 0, "the program makes it longer");
	from->size = SIZE + CHUNK + 4096;
	tap_ok(shows(c, SIZE + CHUNK, 5) && at_c->size == SIZE + CHUNK + 4096, "so it is there");
	tap_number(byte_at(c, at_c, SIZE), 0, "with nothing between");
	tap_number(host_request(a, from->id, BACKEND_RESIZE, 0, CHUNK, NULL), 0, "the program makes it short");
	tap_ok(until(at_b->size == CHUNK && at_c->size == CHUNK), "so it is there");
	tap_number(number(a, "nr_followers"), 2, "A knows of both");
	tap_number(host_do(b, "set", json_pack("{s:s,s:b}", "region", "db", "read_only", 0)), -EBUSY, "it cannot be made writable");
	tap_number(host_do(b, "rm", db()), -EBUSY, "nor removed by command");
	tap_number(host_do(b, "export", json_pack("{s:s,s:s}", "region", "db", "listen", "unix:/tmp/x")), -EBUSY, "nor exported");
	tap_number(host_do(b, "seed", seed_of(b)), -EBUSY, "nor seeded");
	tap_ok(host_is(b, "db", "following"), "it goes on following");
	tap_number(kernel_unlink(&c->kernel, at_c), 0, "but a program may remove it");
	tap_ok(until(!region_of(c)) && until(number(a, "nr_followers") == 1), "then it is followed no longer there");
	c = third("c-follow2");
	tap_ok(follows(c) != NULL, "another host follows it");
	tap_number(host_do(b, "abort", db()), 0, "one ends it");
	tap_ok(!host_region(b, "db") && until(!region_of(b)) && until(number(a, "nr_followers") == 1), "nothing is left of it, there nor here");
	tap_ok(!is_left_over("follow-") && !is_left_over("leech-"), "nor in its files");
	tap_number(write_at(a, from, 0, 3), 0, "the other one goes on");
	tap_ok(shows(c, 0, 3), "as before");
}

/* What is changed between the moment of a round and its fetching is not seen, and what was changed before is. */
static void test_snapshot(void)
{
	struct kernel_region *at_b = two_chunks("snap");
	struct program *first, *second;
	unsigned int fetches;
	json_int_t states;

	snapshot_wait_ms = LONG_MS;
	changes();
	fetches = nr_held();
	states = number(b, "states");
	first = writes(a, from, CHUNK + 8192, 3);
	second = writes(a, from, 0, 3);
	tap_ok(until(nr_held() == fetches + 2) && !first->done && !second->done, "who changes them again waits for a copy");
	release_last(2);
	tap_ok(until(first->done && second->done) && !first->error && !second->error && nr_held() == fetches, "and not for who fetches");
	slow_release();
	tap_ok(until(number(b, "states") == states + 1), "a state is shown");
	tap_ok(byte_at(b, at_b, 0) == 2 && byte_at(b, at_b, CHUNK) == 2 && byte_at(b, at_b, CHUNK + 8192) == 7, "as it was at the moment of the round");
	tap_ok(shows(b, 0, 3) && shows(b, CHUNK + 8192, 3) && number(b, "lost_rounds") == 0, "and then the next one");
	tap_ok(number(b, "states") == states + 2, "with none between");
	snapshot_wait_ms = WAIT_MS;
}

static void test_copies_full(void)
{
	struct kernel_region *at_b = two_chunks("full");
	struct program *first, *second;
	json_int_t states;

	seeder()->follow_limit = 1;
	snapshot_wait_ms = LONG_MS;
	changes();
	states = number(b, "states");
	first = writes(a, from, 0, 3);
	second = writes(a, from, CHUNK, 3);
	tap_ok(until(second->done) && !second->error, "nobody waits when as much was copied as may be");
	slow_release();
	tap_ok(until(first->done) && !first->error, "nor when he does already");
	tap_ok(until(number(b, "states") > states), "then a state is shown");
	tap_ok(byte_at(b, at_b, 0) == 3 && byte_at(b, at_b, CHUNK) == 3, "which is the next one, whole");
	tap_ok(number(b, "lost_rounds") > 0, "since that round was lost");
	snapshot_wait_ms = WAIT_MS;
}

/* The owner's disk, of which the reserve is left. */
static void test_copies_no_room(void)
{
	struct kernel_region *at_b = two_chunks("noroom");
	struct program *program;
	unsigned int fetches;

	snapshot_wait_ms = LONG_MS;
	changes();
	fetches = nr_held();
	room = 64 * MIB;
	program = writes(a, from, 0, 3);
	until(nr_held() == fetches + 1);
	release_last(1);
	tap_ok(until(program->done) && !program->error, "where the disk has no more room for a copy nobody waits for one");
	room = 512 * MIB;
	slow_release();
	tap_ok(shows(b, 0, 3) && byte_at(b, at_b, CHUNK) == 2 && number(b, "lost_rounds") > 0, "that round is lost, and the next one shown");
	snapshot_wait_ms = WAIT_MS;
}

/* The follower's. */
static void test_no_room(void)
{
	struct kernel_region *at_b = two_chunks("noroom2");
	json_int_t states = number(b, "states");
	unsigned int reads;

	room = 64 * MIB;
	tap_ok(!write_at(a, from, CHUNK, 2) && !write_at(a, from, 0, 2), "two chunks are changed, and the follower's disk has no more room");
	tap_ok(until(strstr(host_says(b, "db", "error"), "no room")), "it says so");
	reads = slow.reads;
	pass(2500);
	tap_ok(byte_at(b, at_b, 0) == 1 && byte_at(b, at_b, CHUNK) == 1 && number(b, "states") == states, "it shows what it has");
	tap_ok(slow.reads - reads == 0 && !number(b, "lost_rounds"), "nothing is fetched again and again");
	room = 512 * MIB;
	tap_ok(shows(b, 0, 2) && byte_at(b, at_b, CHUNK) == 2 && !*host_says(b, "db", "error"), "when there is room again it goes on");
	/* in the middle of a round */
	slow.hold = true;
	tap_ok(!write_at(a, from, CHUNK, 3) && !write_at(a, from, 0, 3) && until(nr_held()), "a round is fetched");
	room = 64 * MIB;
	slow_release();
	tap_ok(until(strstr(host_says(b, "db", "error"), "no room")) && byte_at(b, at_b, 0) == 2, "and finds no room: it shows what it has");
	room = 512 * MIB;
	tap_ok(shows(b, 0, 3) && byte_at(b, at_b, CHUNK) == 3, "until there is");
}

/* Its source may be far, and away. */
static void test_copies_slow(void)
{
	struct kernel_region *at_b = two_chunks("slow");
	struct program *program;

	changes();
	program = writes(a, from, 0, 3);
	tap_ok(until(program->done) && !program->error && nr_held(), "nobody waits long for a copy");
	slow_release();
	tap_ok(shows(b, 0, 3) && byte_at(b, at_b, CHUNK) == 2 && number(b, "lost_rounds") > 0, "that round is lost, and the next one shown");
}

/* Of two copies that it waits for, one comes late, and the other not at all. */
static void test_copies_both(void)
{
	struct kernel_region *at_b = two_chunks("both");
	struct program *program;
	unsigned int fetches;
	uint64_t began;

	snapshot_wait_ms = 6000;
	changes();
	fetches = nr_held();
	began = loop_now_ns();
	program = writes(a, from, CHUNK - 2048, 3);
	tap_ok(until(nr_held() == fetches + 2), "who changes two chunks waits for two copies");
	pass(3000);
	release_last(1);
	pass(200);
	tap_ok(!program->done, "one comes");
	/* and not for six seconds from then on: that would be nine */
	until(program->done);
	snapshot_wait_ms = WAIT_MS;
	tap_ok(!program->error && loop_now_ns() - began < 8500000000ULL, "he does not wait for longer because of that");
	slow_release();
	tap_ok(shows(b, CHUNK, 3) && byte_at(b, at_b, CHUNK - 1) == 3 && byte_at(b, at_b, 0) == 2, "what he has written is shown");
}

/* ---- helpers that are killed ---- */

static void overwrite(struct host *host, uint64_t offset, int value)
{
	char path[160];
	uint8_t byte = (uint8_t)value;
	int fd;

	snprintf(path, sizeof(path), "%s/bytes", host->run);
	fd = open(path, O_WRONLY);
	if (fd < 0 || pwrite(fd, &byte, 1, (off_t)offset) != 1)
		exit(90);
	close(fd);
}

/* What has come of a round that is lost is in no later list: the next helper must not be without it. */
static void test_stale(void)
{
	struct kernel_region *at_b = two_chunks("stale");
	struct program *program;
	json_int_t bytes;

	write_at(a, from, 2 * CHUNK, 1);
	tap_ok(shows(b, 2 * CHUNK, 1), "and a third chunk");
	slow.hold = true;
	tap_ok(!write_at(a, from, 2 * CHUNK, 2) && !write_at(a, from, 0, 2), "two are changed");
	tap_ok(until(nr_held() == 2), "and fetched");
	bytes = number(b, "bytes");
	release_last(1);
	tap_ok(until(number(b, "bytes") > bytes), "of which one comes");
	pass(50);
	program = writes(a, from, 0, 3);
	tap_ok(until(program->done) && !program->error, "the other one is changed again, and cannot be copied");
	release_last(10);
	tap_ok(until(number(b, "lost_rounds") > 0) && until(nr_held()), "the round is lost, and the next one fetched");
	kill_follower(b);
	next_helper(b);
	slow_release();
	tap_ok(shows(b, 0, 3), "its helper is killed, and the next one shows that");
	tap_number(byte_at(b, at_b, 2 * CHUNK), 2, "with what had come of the one before");
}

static void test_killed(void)
{
	struct kernel_region *at_b = two_chunks("killed");

	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	write_at(a, from, CHUNK, 2);
	write_at(a, from, 0, 2);
	tap_ok(until(!list_empty(&b->kernel.held)), "a new state is brought to the local store");
	tap_ok(is_on(at_b, REGIONFS_REGION_LOCKED), "while programs wait");
	kill_follower(b);
	overwrite(b, CHUNK, 1);
	hide();
	next_helper(b);
	tap_ok(until(!is_on(at_b, REGIONFS_REGION_LOCKED)), "its helper is killed, and the next one goes on, without the owner");
	tap_ok(byte_at(b, at_b, 0) == 2 && byte_at(b, at_b, CHUNK) == 2, "with the new state, whole");
	tap_ok(host_is(b, "db", "following") && number(b, "connected") == 0, "it says that it hears nothing");
	unhide();
	write_at(a, from, 0, 3);
	tap_ok(shows(b, 0, 3), "it goes on following");
	tap_number((long long)number(b, "bytes") <= 2 * CHUNK, 1, "and has not had all of it again");

	kill_follower(b);
	write_at(a, from, 0, 4);
	next_helper(b);
	tap_ok(until(byte_at(b, at_b, 0) == 4), "killed while it waits, the next one goes on as well");
}

static void test_owner_killed(void)
{
	struct kernel_region *at_b = two_chunks("owner");
	json_int_t bytes = number(b, "bytes");

	restart_a();
	tap_ok(until(host_is(a, "db", "serving") || host_is(a, "db", "tracking")), "the owner's helper is killed, and the next one seeds");
	write_at(a, from, 0, 5);
	tap_ok(shows(b, 0, 5), "it is followed as before");
	tap_ok(number(b, "bytes") <= bytes + 2 * CHUNK && !number(b, "reused_bytes"), "without being sent again, or compared");
	tap_ok(!is_on(at_b, REGIONFS_REGION_LOCKED), "it could be read meanwhile");
}

/* What was kept for the round went with it. */
static void test_owner_killed_fetching(void)
{
	struct kernel_region *at_b = two_chunks("owner2");
	json_int_t states = number(b, "states");

	changes();
	slow.hold = false;
	list_init(&slow.held);
	restart_a();
	tap_ok(until(host_is(a, "db", "serving") || host_is(a, "db", "tracking")), "the owner's helper is killed in the middle of a round");
	write_at(a, from, CHUNK, 3);
	tap_ok(until(number(b, "states") > states), "a state is shown");
	tap_ok(byte_at(b, at_b, 0) == 2, "with what was changed before");
	tap_ok(shows(b, CHUNK, 3) && !number(b, "reused_bytes"), "and since, for which nothing was compared");
}

static bool notes_changes(const char *whose)
{
	char command[256];

	snprintf(command, sizeof(command), "ls %s | grep -q '^track-.*%s'", a->run, whose);
	return !system(command);
}

/* Its address is somebody else's by now, so that its next helper cannot seed. */
static void test_owner_left(void)
{
	two_chunks("left");
	write_at(a, from, 0, 2);
	cut();
	host_kill(a);
	if (mkdir(socket_path, 0700))
		exit(88);
	host_start(a);
	seeder_restart(a->regiond);
	pass(1500);
	tap_ok(!region_of(a)->handover && notes_changes("-f-"), "the owner's next helper cannot seed, and notes for its followers what is changed");
	tap_number(host_do(a, "abort", db()), 0, "it is told not to");
	tap_ok(!notes_changes("") && !followed_count(region_of(a)), "then nothing is noted any more");
	rmdir(socket_path);
	pass(1500);
	tap_ok(!region_of(a)->handover && !region_of(a)->info.handover, "and it is not seeded when it could be");
	tap_number(host_do(a, "abort", db()), -EINVAL, "so that is over");
}

/* The link breaks, and comes back, over and over. */
static void test_flapping(void)
{
	struct kernel_region *at_b = two_chunks("flap");

	for (int i = 10; i < 20; i++) {
		write_at(a, from, CHUNK, i);
		write_at(a, from, 0, i);
		pass(i * 4);
		hide();
		unhide();
	}
	tap_ok(shows(b, 0, 19) && shows(b, CHUNK, 19) && !is_on(at_b, REGIONFS_REGION_LOCKED), "it is followed over a link that breaks all the time");
}

/* ---- a program that changes one chunk and then another, and all that can happen at once ---- */

struct pairs {
	struct program *program;
	bool second;
	int n;
};

/* The first is as the second, or one ahead, whenever neither is under way. */
static void pairs_step(struct pairs *pairs)
{
	if (pairs->program && !pairs->program->done)
		return;
	if (pairs->program && pairs->second)
		pairs->second = false;
	else if (pairs->program)
		pairs->second = true;
	pairs->n += !pairs->second;
	pairs->program = writes(a, from, pairs->second ? 2 * CHUNK : 0, pairs->n % 200);
}

static bool pairs_are_wrong(int *seen)
{
	struct kernel_region *at_b = host_region(b, "db");
	json_int_t states = number(b, "states");
	int first, second;

	if (is_on(at_b, REGIONFS_REGION_LOCKED))
		return false;
	first = byte_at(b, at_b, 0);
	second = byte_at(b, at_b, 2 * CHUNK);
	if (is_on(at_b, REGIONFS_REGION_LOCKED) || number(b, "states") != states)
		return false;
	*seen += 1;
	return first != second && (second + 1) % 200 != first;
}

static void disturb(unsigned int *seed, const struct pairs *pairs)
{
	unsigned int what = rand_r(seed) % 120;

	/* READs of A take their time, and end in any order */
	if (what >= 10 && what < 40)
		slow.hold = true;
	else if (what >= 40 && what < 90)
		release_last(1);
	else if (what >= 90)
		slow_release();
	switch (what) {
	case 0:
		/* what is being opened cannot be killed here, nor what the backend has: it is closed at once */
		until(atomic_load(&region_of(b)->state) == REGION_READY && !atomic_load(&region_of(b)->in_flight));
		kill_follower(b);
		next_helper(b);
		break;
	case 1:
		hide();
		unhide();
		break;
	case 2:
		/* the kernel would give it to the next one */
		slow_release();
		until(pairs->program->done);
		restart_a();
		until(handover_of(region_of(a)) && region_of(a)->backend);
		slow_watch(region_of(a));
		break;
	case 3:
		seeder()->follow_limit = rand_r(seed) % 2;
		break;
	case 4:
		write_at(a, from, 3 * CHUNK, rand_r(seed) % 256);
		break;
	}
}

static void test_random(void)
{
	unsigned int seed = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) : 1, steps = getenv("REGIONFS_SOAK") ? 20000 : 600;
	struct pairs pairs = { .n = 1 };
	struct kernel_region *at_b;
	int wrong = 0, seen = 0;
	struct user user;

	begin("random");
	write_at(a, from, 0, 1);
	write_at(a, from, 2 * CHUNK, 1);
	follow_on(b, &user, NULL);
	until(user.done);
	at_b = host_region(b, "db");
	for (unsigned int i = 0; i < steps && !wrong; i++) {
		pairs_step(&pairs);
		disturb(&seed, &pairs);
		pass(rand_r(&seed) % 3);
		wrong += pairs_are_wrong(&seen);
	}
	tap_ok(!wrong && seen > (int)steps / 4, "what is seen is always one state: %d of %u", seen, steps);
	slow_release();
	until(pairs.program->done);
	tap_ok(until(!is_on(at_b, REGIONFS_REGION_LOCKED) && byte_at(b, at_b, 0) == pairs.n % 200), "and in the end the last");
}

/* Nothing on the tmpfs is left. */
static void test_reboot(void)
{
	struct kernel_region *at_b = two_chunks("reboot");
	json_int_t bytes;
	char command[256];

	kill_follower(b);
	snprintf(command, sizeof(command), "rm -f %s/follow-* %s/leech-*", b->run, b->run);
	if (system(command))
		exit(89);
	at_b->flags |= REGIONFS_REGION_LOCKED;
	overwrite(b, CHUNK, 9);
	write_at(a, from, 0, 6);
	next_helper(b);
	pass(100);
	bytes = number(b, "bytes");
	tap_ok(until(!is_on(at_b, REGIONFS_REGION_LOCKED)), "after a reboot it is unlocked again");
	tap_ok(byte_at(b, at_b, 0) == 6 && byte_at(b, at_b, CHUNK) == 1, "once it is one state");
	tap_ok(number(b, "bytes") <= 2 * CHUNK + bytes, "of which only what differs was sent");
}

static void test_refusals(void)
{
	struct user user;

	begin("refuse");
	follow_on(b, &user, json_pack("{s:s}", "on_stall", "wait"));
	tap_ok(user.done && user.error == -EINVAL, "what decides on a hand-over is refused: %s", user.said);
	follow_on(b, &user, json_pack("{s:s}", "source", "file:/x"));
	tap_ok(user.done && user.error == -EINVAL, "what is no peer can't be followed: %s", user.said);
	follow_on(b, &user, json_pack("{s:s}", "source", "peer+unix:/nowhere?region=db"));
	tap_ok(until(user.done) && user.error, "who is not there can't: %s", user.said);
	tap_ok(until(!host_region(b, "db")), "nothing is left of that");
	tap_number(host_do(a, "promote", db()), -EINVAL, "who follows nobody is not promoted");
}

int main(int argc, char **argv)
{
	static const struct follow_test tests[] = {
		{ "follow", test_follow },
		{ "snapshot", test_snapshot },
		{ "full", test_copies_full },
		{ "room", test_copies_no_room },
		{ "room2", test_no_room },
		{ "slow", test_copies_slow },
		{ "both", test_copies_both },
		{ "killed", test_killed },
		{ "stale", test_stale },
		{ "owner", test_owner_killed },
		{ "owner2", test_owner_killed_fetching },
		{ "left", test_owner_left },
		{ "flap", test_flapping },
		{ "random", test_random },
		{ "reboot", test_reboot },
		{ "refusals", test_refusals },
	};

	return follow_tests(tests, sizeof(tests) / sizeof(tests[0]), argv[1]);
}

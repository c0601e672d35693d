// SPDX-License-Identifier: GPL-2.0
/* Hosts that follow a region of A: what they show is at each moment one state of it, whatever happens. */
#include "follower.h"
#include "follower-private.h"
#include "seeder-private.h"
#include "two-hosts.h"

static struct host *c;

/* ---- a host that follows ---- */

static void follow_on(struct host *host, struct user *user, json_t *more)
{
	char source[256], local[160];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	snprintf(local, sizeof(local), "file:%s/bytes", host->run);
	args = json_pack("{s:s,s:s,s:s,s:b,s:i}", "region", "db", "source", source, "local_source", local, "follow", 1, "max_age", 60);
	json_object_update(args, more);
	json_decref(more);
	host_begin(host, user, "leech", args);
}

static struct kernel_region *follows(struct host *host)
{
	struct user user;

	follow_on(host, &user, NULL);
	if (!until(user.done) || user.error)
		printf("# %s does not follow: %s %s %s\n", host->name, user.said, host_says(host, "db", "state"), host_says(host, "db", "error"));
	return host_region(host, "db");
}

static json_int_t number(struct host *host, const char *key)
{
	json_t *show = region_of(host) ? handover_show(region_of(host)) : NULL, *value = json_object_get(show, key);
	json_int_t n = json_is_true(value) ? 1 : json_integer_value(value);

	json_decref(show);
	return n;
}

/* The first byte of a chunk, as a program there reads it. */
static int byte_at(struct host *host, const struct kernel_region *region, uint64_t offset)
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

static int write_at(struct host *host, const struct kernel_region *region, uint64_t offset, int value)
{
	uint8_t bytes[4096];

	memset(bytes, value, sizeof(bytes));
	return host_request(host, region->id, BACKEND_WRITE, offset, sizeof(bytes), bytes);
}

static bool shows(struct host *host, uint64_t offset, int value)
{
	struct kernel_region *region = host_region(host, "db");

	return region && !is_on(region, REGIONFS_REGION_LOCKED) && until(byte_at(host, region, offset) == value);
}

static struct host *third(const char *name)
{
	struct host *host = host_new(name);

	host_start(host);
	return host;
}

/* ---- tests ---- */

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


/* ---- a program that does not wait, and READs of A that come late ---- */

static struct program *writes(struct host *host, const struct kernel_region *region, uint64_t offset, int value)
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

static unsigned int nr_held(void)
{
	unsigned int n = 0;
	struct list *at;

	list_for_each(at, &slow.held)
		n++;
	return n;
}

/* Those that came last. */
static void release_last(unsigned int n)
{
	struct list *entry;

	while (n-- && (entry = slow.held.prev) != &slow.held) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		list_del(entry);
		slow.real->submit(req->backend, req);
	}
}

static struct seeder *seeder(void)
{
	return container_of(handover_of(region_of(a)), struct seeder, handover);
}

static struct follower *follower_on(struct host *host)
{
	return container_of(handover_of(region_of(host)), struct follower, handover);
}

/* B follows; the two chunks have 1s. */
static struct kernel_region *two_chunks(const char *name)
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
static void changes(void)
{
	tap_ok(!write_at(a, from, CHUNK, 2) && !write_at(a, from, 0, 2), "two of its chunks are changed");
	slow.hold = true;
	tap_ok(until(nr_held()), "that is fetched");
}

/* What is changed between the moment of a round and its fetching is not seen, and what was changed before is. */
static void test_snapshot(void)
{
	struct kernel_region *at_b = two_chunks("snap");
	struct program *first, *second;
	unsigned int fetches;
	json_int_t states;

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
}

static void test_copies_full(void)
{
	struct kernel_region *at_b = two_chunks("full");
	struct program *first, *second;
	json_int_t states;

	seeder()->follow_limit = 1;
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

/* ---- helpers that are killed ---- */

static void kill_follower(struct host *host)
{
	struct follower *follower = follower_on(host);

	host_kill(host);
	loop_timer_cancel(loop, &follower->timer);
	follower_hang_up(follower, 0, "");
	pass(50);
}

static void next_helper(struct host *host)
{
	host_start(host);
	follower_restart(host->regiond);
}

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
		/* what is being opened cannot be killed here */
		until(atomic_load(&region_of(b)->state) == REGION_READY);
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

/* ---- promotion ---- */

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
	tap_ok(!is_on(at_b, REGIONFS_REGION_LOCKED) && shows(b, CHUNK, 4), "and does");
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
	host_kill(b);
	pass(50);
	host_start(b);
	leecher_restart(b->regiond);
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
	tap_number(host_do(b, "resolve", json_pack("{s:s,s:b}", "region", "db", "keep", 1)), 0, "one is kept");
	tap_number(host_do(a, "resolve", json_pack("{s:s,s:b}", "region", "db", "discard", 1)), 0, "the other given up");
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
	static const struct {
		const char *name;
		void (*test)(void);
	} tests[] = {
		{ "follow", test_follow }, { "snapshot", test_snapshot }, { "full", test_copies_full }, { "slow", test_copies_slow }, { "killed", test_killed }, { "stale", test_stale },
		{ "owner", test_owner_killed }, { "owner2", test_owner_killed_fetching }, { "flap", test_flapping }, { "random", test_random }, { "reboot", test_reboot }, { "promote", test_promote }, { "refused", test_refused }, { "beside", test_leech_beside },
		{ "lost", test_lost }, { "goes", test_owner_goes }, { "comes", test_owner_comes }, { "taken", test_taken }, { "cut", test_cut_off }, { "frozen", test_handed_over_fetching }, { "moved", test_moved }, { "slowo", test_slow_owner }, { "refusals", test_refusals },
	};

	if (!hosts_open())
		return 99;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			tests[i].test();
	return hosts_end();
}

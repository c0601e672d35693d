// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region whose source moves with it: filled while the source is another host's, then pushed to it; and on the host that it leaves, not pushed any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adopter.h"
#include "managed-mark.h"
#include "managed-private.h"
#include "pusher-private.h"
#include "tests/managed-file.h"

#define CHUNK	(64u << 10)
#define SIZE	(4 * CHUNK)

static char store[96], policy[256];
static char data[SIZE];

static void policy_is(const char *more)
{
	snprintf(policy, sizeof(policy), "local=file:%s %s", store, more);
}

/* A source of 7s, and a place for the store of which nobody has heard. */
static void begin(const char *name, uint64_t size)
{
	static char sevens[2 * SIZE];
	int fd;

	snprintf(file, sizeof(file), "%s/%s", source_dir(), name);
	snprintf(uri, sizeof(uri), "file:%s?direct=no", file);
	snprintf(store, sizeof(store), "%s/store-%s", source_dir(), name);
	policy_is("durability=local");
	memset(sevens, 7, sizeof(sevens));
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, sevens, size) != (ssize_t)size)
		exit(99);
	close(fd);
}

static struct managed_file_wait wait;

/* NULL: it could not be opened; wait.open.why. */
static struct backend *open_adopting(bool fresh, bool owned, uint64_t size)
{
	struct managed_adoption adoption = { .fresh = fresh, .owned = owned };
	struct policy parsed;
	char why[256];

	memset(&wait, 0, sizeof(wait));
	if (policy_parse(&parsed, policy, why, sizeof(why)))
		exit(99);
	uri_parse(&wait.open.uri, uri, NULL, 0);
	wait.open.loop = regiond.loop;
	wait.open.instance = "test";
	wait.open.run_dir = source_dir();
	wait.open.instance_id = regiond.instance_id;
	wait.open.region = region.info.id;
	wait.open.attach_gen = 1;
	wait.open.size = size;
	wait.open.done = managed_file_waited;
	managed_adopt_open(&wait.open, &parsed, &region, &adoption);
	policy_free(&parsed);
	source_turn(&wait.done);
	return wait.backend;
}

static int put(struct backend *backend, uint64_t chunk, char value)
{
	static char bytes[CHUNK];

	memset(bytes, value, CHUNK);
	return ask(backend, BACKEND_WRITE, chunk * CHUNK, CHUNK, bytes);
}

/* The chunks' first and last bytes, as in "7797"; '.' where they differ, '-' beyond the end. */
static const char *source_says(void)
{
	static char says[16];
	struct stat st;
	int fd = open(file, O_RDONLY);
	unsigned int n = 0;

	fstat(fd, &st);
	for (; n * CHUNK < (uint64_t)st.st_size && n < 8; n++) {
		char first = 0, last = 0;
		off_t end = (off_t)(n + 1) * CHUNK < st.st_size ? (off_t)(n + 1) * CHUNK : st.st_size;

		if (pread(fd, &first, 1, (off_t)n * CHUNK) != 1 || pread(fd, &last, 1, end - 1) != 1)
			exit(99);
		says[n] = (char)(first == last ? '0' + first : '.');
	}
	says[n] = 0;
	close(fd);
	return says;
}

/* By another host. */
static void change_source(uint64_t chunk, char value)
{
	static char other[CHUNK];
	int fd = open(file, O_WRONLY);

	memset(other, value, sizeof(other));
	if (pwrite(fd, other, sizeof(other), (off_t)(chunk * CHUNK)) != (ssize_t)sizeof(other))
		exit(99);
	close(fd);
}

/* ---- where it comes to ---- */

static void test_filled(void)
{
	struct backend *backend;

	begin("filled", SIZE);
	policy_is("durability=remote");
	backend = open_adopting(true, false, 0);
	tap_ok(backend, "a region is opened whose source is another host's as yet");
	tap_number(ask(backend, BACKEND_RESIZE, 0, SIZE, NULL), 0, "it gets its size");
	tap_number(put(backend, 1, 9), 0, "and a chunk");
	tap_number(ask(backend, BACKEND_SYNC, 0, 0, NULL), 0, "a SYNC ends with the store");
	tap_number(managed_file_flush(backend), -ESHUTDOWN, "nobody waits for the source");
	tap_is(source_says(), "7777", "which has got nothing");
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	tap_number(managed_file_flush(backend), 0, "once it is this host's, it is pushed");
	tap_is(source_says(), "7977", "what has come, and nothing else is touched");
	tap_number(put(backend, 3, 5) || ask(backend, BACKEND_SYNC, 0, 0, NULL), 0, "a SYNC ends with the store still");
	tap_is(source_says(), "7977", "as long as it is on its way");
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "7975"), "it is pushed");
	source_close(backend);
}

/* The log says the same after a restart. */
static void test_again(void)
{
	struct backend *backend;

	begin("again", SIZE);
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE / 2, NULL);
	put(backend, 1, 9);
	ask(backend, BACKEND_RESIZE, SIZE / 2, SIZE, NULL);
	ask(backend, BACKEND_SYNC, 0, 0, NULL);
	source_close(backend);
	backend = open_adopting(false, false, SIZE);
	tap_ok(backend && !ask(backend, BACKEND_READ, CHUNK, CHUNK, data) && data[0] == 9, "the next helper has what has come");
	source_close(backend);
	backend = open_adopting(false, true, SIZE);
	tap_number(backend ? managed_file_flush(backend) : -1, -ESHUTDOWN, "for the one after it it is this host's, but not all is here");
	if (backend)
		managed_adopt_push(managed_of(backend));
	tap_number(backend ? managed_file_flush(backend) : -1, 0, "when it is, it is pushed");
	tap_is(source_says(), "7977", "what a size that has grown had not, the source keeps");
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	tap_ok(!ask(backend, BACKEND_READ, 0, SIZE, data) && data[0] == 7 && data[CHUNK] == 9, "later it is a region as any other");
	source_close(backend);
}

static void test_shrunk(void)
{
	struct backend *backend;

	begin("shrunk", 2 * SIZE);
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	put(backend, 3, 9);
	ask(backend, BACKEND_RESIZE, SIZE - CHUNK, SIZE - CHUNK, NULL);
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	tap_number(managed_file_flush(backend), 0, "a region is shorter than its source");
	tap_is(source_says(), "777", "which is cut");
	tap_number(ask(backend, BACKEND_RESIZE, CHUNK, 2 * CHUNK, NULL) || managed_file_flush(backend), 0, "a program cuts it and makes it longer");
	tap_is(source_says(), "70", "the source has zeroes there");
	source_close(backend);
}

/* The helper that had the size from before is another one, and what it had is pushed alone. */
static void test_longer(void)
{
	struct backend *backend;

	begin("longer", SIZE);
	policy_is("durability=local max-unpushed=128K");
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, 2 * CHUNK, NULL);
	put(backend, 0, 9);
	put(backend, 1, 9);
	ask(backend, BACKEND_SYNC, 0, 0, NULL);
	source_close(backend);
	backend = open_adopting(false, false, 2 * CHUNK);
	ask(backend, BACKEND_RESIZE, 2 * CHUNK, SIZE, NULL);
	put(backend, 2, 9);
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	tap_number(managed_file_flush(backend), 0, "a region has grown on its way, and its helper is another one");
	tap_is(source_says(), "9997", "the source is not cut where it ended before");
	source_close(backend);
}

/* What never came from the other host. */
static struct {
	bool done;
	int error;
} dropping;

static void dropped(void *arg, int error)
{
	dropping.done = true;
	dropping.error = error;
	loop_stop(regiond.loop);
}

static int drop(struct backend *backend, uint64_t chunk)
{
	memset(&dropping, 0, sizeof(dropping));
	managed_adopter.drop(backend, chunk * CHUNK, CHUNK, dropped, NULL);
	while (!dropping.done) {
		loop_run(regiond.loop);
		loop_again(regiond.loop);
	}
	return dropping.error;
}

static void test_dropped(void)
{
	struct backend *backend;

	begin("dropped", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	for (unsigned int i = 0; i < 4; i++)
		put(backend, i, 9);
	managed_adopt(managed_of(backend));
	tap_number(drop(backend, 1) || drop(backend, 2), 0, "what is in the store of two chunks is not the region's");
	tap_ok(!put(backend, 2, 5) && !ask(backend, BACKEND_SYNC, 0, 0, NULL), "one of them is written");
	source_close(backend);
	backend = open_adopting(false, true, SIZE);
	tap_ok(backend && !ask(backend, BACKEND_READ, 2 * CHUNK, CHUNK, data) && data[0] == 5, "the next helper has that");
	managed_adopt_push(managed_of(backend));
	tap_ok(drop(backend, 3) == -ESHUTDOWN, "what is pushed is not dropped");
	tap_number(managed_file_flush(backend), 0, "it is pushed");
	tap_is(source_says(), "9759", "and of the other one the source keeps what it has");
	tap_ok(!ask(backend, BACKEND_READ, CHUNK, CHUNK, data) && data[0] == 7, "as is read");
	source_close(backend);
}

/* Nobody opens the source before all is here: nothing that is made here may wait for it. */
static void test_alone(void)
{
	struct backend *backend;

	begin("alone", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	put(backend, 0, 9);
	managed_adopt(managed_of(backend));
	tap_number(ask(backend, BACKEND_RESIZE, SIZE, 3 * SIZE, NULL), 0, "a program makes a region longer that is not all here");
	tap_ok(!ask(backend, BACKEND_READ, 2 * SIZE, CHUNK, data) && data[0] == 0 && data[CHUNK - 1] == 0, "what it has made reads zero");
	memset(data, 5, CHUNK);
	tap_number(ask(backend, BACKEND_WRITE, 2 * SIZE + CHUNK + 10, 100, data), 0, "a part of a page of that is written");
	tap_ok(!ask(backend, BACKEND_READ, 2 * SIZE + CHUNK, CHUNK, data) && data[9] == 0 && data[10] == 5 && data[109] == 5 && data[110] == 0, "and read");
	memset(data, 4, CHUNK);
	tap_number(ask(backend, BACKEND_WRITE, CHUNK, CHUNK - 100, data), 0, "what comes from the other host ends in the middle of a page");
	tap_ok(!ask(backend, BACKEND_READ, CHUNK, CHUNK, data) && data[CHUNK - 101] == 4 && data[CHUNK - 100] == 0, "and is here");
	source_close(backend);
}

static unsigned int nr_hooks;

void __wrap_policy_hook_run(struct policy_command *command, struct region *of, const struct policy *what, enum policy_hook which, const char *state,
			    uint64_t unpushed, void (*done)(struct policy_command *command, int error, const char *why));

/* A policy has a command for each of its SYNCs alone. */
void __wrap_policy_hook_run(struct policy_command *command, struct region *of, const struct policy *what, enum policy_hook which, const char *state,
			    uint64_t unpushed, void (*done)(struct policy_command *command, int error, const char *why))
{
	nr_hooks += which == HOOK_BEFORE_SYNC;
	done(command, 0, "");
}

/* It is run for what a program asks. */
static void test_hooks(void)
{
	struct backend *backend;
	struct ask own;

	begin("hooks", SIZE);
	policy_is("durability=local on-before-sync=true");
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	ask_start_with(&own, backend, BACKEND_BULK, BACKEND_SYNC, 0, 0, NULL);
	tap_ok(!ask_wait(&own) && !nr_hooks, "a leech's own SYNC is no fsync: before-sync is not run");
	tap_ok(!ask(backend, BACKEND_SYNC, 0, 0, NULL) && nr_hooks == 1, "for a program's it is");
	source_close(backend);
}

/* A file that is longer than the region: what a program makes of it reads zero. */
static void test_grown(void)
{
	struct backend *backend;

	begin("grown", SIZE);
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, CHUNK, NULL);
	put(backend, 0, 9);
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	tap_number(ask(backend, BACKEND_RESIZE, CHUNK, 3 * CHUNK, NULL), 0, "a program makes it longer");
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "900"), "nothing that the source has had there comes back");
	source_close(backend);
}

/* ---- what is in the store's place ---- */

static void test_unpushed(void)
{
	struct backend *backend;

	begin("unpushed", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = managed_file_start(policy, SIZE);
	put(backend, 2, 9);
	source_close(backend);
	tap_ok(!open_adopting(true, false, 0), "what an earlier region has not pushed is in the way");
	tap_ok(strstr(wait.open.why, "has not got"), "which is said");
	backend = managed_file_start(policy, SIZE);
	tap_ok(!ask(backend, BACKEND_READ, 2 * CHUNK, CHUNK, data) && data[0] == 9, "and stays");
	tap_number(managed_file_flush(backend), 0, "once it is pushed");
	source_close(backend);
	backend = open_adopting(true, false, 0);
	tap_ok(backend, "it goes");
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	tap_number((long long)managed_of(backend)->store ? (long long)({ struct store_stats s; store_stats(managed_of(backend)->store, &s);
		   s.present; }) : -1, 0, "all of it");
	source_close(backend);
}

/* A leech that was killed, and whose region was removed. */
static void test_left(void)
{
	struct backend *backend;

	begin("left", SIZE);
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	put(backend, 2, 9);
	ask(backend, BACKEND_SYNC, 0, 0, NULL);
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	tap_ok(!ask(backend, BACKEND_READ, 2 * CHUNK, CHUNK, data) && data[0] == 7, "what came for a region that never was this host's is no other's");
	tap_number(managed_file_flush(backend), 0, "nor pushed");
	tap_is(source_says(), "7777", "to anybody");
	source_close(backend);
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	put(backend, 2, 9);
	source_close(backend);
	backend = open_adopting(true, false, 0);
	tap_ok(backend, "the next leech begins anew with it");
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "7777"), "and nothing of it is pushed");
	source_close(backend);
}

/* In memory nothing is pushed until it is a region as any other. */
static void test_memory(void)
{
	struct backend *backend;

	begin("inmem", SIZE);
	snprintf(policy, sizeof(policy), "local=memory durability=local");
	backend = open_adopting(true, false, 0);
	if (!backend) {
		tap_skip("in memory", wait.open.why);
		return;
	}
	tap_number(backend->caps.durability, DURABLE_NEVER, "a reboot loses it");
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	put(backend, 0, 9);
	managed_adopt(managed_of(backend));
	pass(300);
	tap_number(managed_file_flush(backend), -ESHUTDOWN, "what is in memory is not pushed as long as something is missing");
	tap_is(source_says(), "7777", "to the source");
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	tap_number(managed_file_flush(backend), 0, "later it is");
	tap_is(source_says(), "9777", "where it was written");
	source_close(backend);
}

/* ---- where it leaves ---- */

static void test_handed(void)
{
	struct backend *backend;

	begin("handed", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = managed_file_start(policy, SIZE);
	put(backend, 1, 9);
	managed_hand_over(managed_of(backend), true);
	tap_number(managed_file_flush(backend), -ESHUTDOWN, "what is handed over is not pushed");
	tap_is(source_says(), "7777", "by the one who had it");
	tap_ok(!ask(backend, BACKEND_READ, 0, SIZE, data) && data[0] == 7 && data[CHUNK] == 9, "it is read");
	managed_hand_over(managed_of(backend), false);
	tap_number(managed_file_flush(backend), 0, "back in service, it is pushed");
	tap_is(source_says(), "7977", "as ever");
	put(backend, 2, 9);
	managed_hand_over(managed_of(backend), true);
	managed_forgo(managed_of(backend));
	managed_hand_over(managed_of(backend), false);
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "7977"), "what is the other one's to push is not, ever");
	source_close(backend);
	change_source(3, 5);
	backend = managed_file_start(policy, SIZE);
	tap_ok(!ask(backend, BACKEND_READ, 0, SIZE, data) && data[2 * CHUNK] == 7 && data[3 * CHUNK] == 5, "whoever finds the store later begins anew");
	source_close(backend);
}

/* Nobody had it open when that was known. */
static void test_forgone_closed(void)
{
	struct backend *backend;

	begin("fclosed", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = managed_file_start(policy, SIZE);
	put(backend, 1, 9);
	source_close(backend);
	tap_number(managed_mark_forgone(uri, policy), 0, "a store that is another host's is marked while it is closed");
	change_source(1, 5);
	backend = managed_file_start(policy, SIZE);
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "7577"), "whoever opens it has nothing to push");
	source_close(backend);
	snprintf(store, sizeof(store), "%s/store-of-nobody", source_dir());
	policy_is("durability=local");
	tap_ok(!managed_mark_forgone(uri, policy) && access(store, F_OK), "where there is no store nothing is made");
}

/* What the log says when it is removed with so many bytes of it missing. */
static bool leaving_says(uint64_t missing, const char *what)
{
	struct adopter_left left = { .kept = true, .missing = missing };
	struct backend *backend = open_adopting(true, true, SIZE);
	char path[128], said[1024] = "";
	int err = dup(2), fd;

	snprintf(path, sizeof(path), "%s/said", source_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(fd, 2);
	region.removing = true;
	managed_adopter.leave(backend, &left);
	region.removing = false;
	dup2(err, 2);
	close(err);
	if (pread(fd, said, sizeof(said) - 1, 0) < 0)
		exit(99);
	close(fd);
	source_close(backend);
	return strstr(said, what);
}

static void test_removed(void)
{
	begin("removed", SIZE);
	tap_ok(leaving_says(3 * CHUNK, "of 196608 bytes"), "one that is removed before all of it has come: the log says how much that is");
	tap_ok(!leaving_says(0, "before all"), "of one that is all here it says nothing");
}

/* The next helper, by the record. */
static void test_handed_again(void)
{
	struct backend *backend;

	begin("hagain", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = managed_file_start(policy, SIZE);
	put(backend, 1, 9);
	source_close(backend);
	region.info.seed = (char *)"moved:1";
	region.info.given = REGION_GIVEN_SOURCE;
	backend = managed_file_start(policy, SIZE);
	tap_number(managed_file_flush(backend), -ESHUTDOWN, "the next helper of one that has moved does not push it");
	tap_ok(!ask(backend, BACKEND_READ, 0, SIZE, data) && data[0] == 7 && data[CHUNK] == 9, "but has it");
	source_close(backend);
	region.info.seed = (char *)"resolved:1";
	backend = managed_file_start(policy, SIZE);
	tap_number(managed_file_flush(backend), 0, "one that was resolved is this host's");
	tap_is(source_says(), "7977", "and pushed");
	source_close(backend);
	region.info.seed = NULL;
	region.info.given = 0;
}

/* A source that the other host does not take over stays this one's to push to. */
static void test_handed_alone(void)
{
	struct backend *backend;

	begin("halone", SIZE);
	policy_is("push-interval=1h durability=local");
	backend = managed_file_start(policy, SIZE);
	put(backend, 1, 9);
	source_close(backend);
	region.info.seed = (char *)"moved:1";
	backend = managed_file_start(policy, SIZE);
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "7977"), "what moves without its source is pushed to that, as ever");
	source_close(backend);
	region.info.seed = NULL;
}

/* Two hosts have it: what is dirty has to be written before it is frozen, and then it lets go. */
static void test_diverged(void)
{
	struct backend *backend;

	begin("diverged", SIZE);
	policy_is("push-interval=1h durability=remote");
	backend = managed_file_start(policy, SIZE);
	region.info.seed = (char *)"diverged:1";
	region.info.given = REGION_GIVEN_SOURCE;
	tap_ok(!region_is_handed(&region), "one with two owners, not frozen yet, has its source");
	tap_ok(!put(backend, 1, 9) && !ask(backend, BACKEND_SYNC, 0, 0, NULL), "what is dirty can be written");
	tap_is(source_says(), "7777", "which does not wait for a source that the other one may have");
	region.info.flags |= REGIONFS_REGION_FROZEN;
	tap_ok(region_is_handed(&region), "once it is frozen it lets go of it");
	region.info.flags = region.info.given = 0;
	tap_ok(!put(backend, 1, 5) && !ask(backend, BACKEND_SYNC, 0, 0, NULL) && !strcmp(source_says(), "7577"), "one whose source is its own syncs to that");
	region.info.seed = NULL;
	source_close(backend);
}

/* What a store in memory had is lost with a reboot; who may need it is not given what the source has of it. */
static void test_lost(void)
{
	struct backend *backend;

	begin("lost", SIZE);
	snprintf(policy, sizeof(policy), "local=memory durability=local");
	region.info.path = NULL;	/* no state directory has it */
	region.info.seed = (char *)"moved:1";
	region.info.given = REGION_GIVEN_SOURCE | REGION_GIVEN_MEMORY;
	backend = managed_file_start(policy, SIZE);
	tap_number(ask(backend, BACKEND_READ, 0, SIZE, data), -EIO, "nothing old is read in place of bytes that were in memory");
	region.info.seed = NULL;
	managed_found(managed_of(backend));
	tap_number(ask(backend, BACKEND_READ, 0, SIZE, data), 0, "but when it is back in service, as after any reboot");
	region.info.seed = (char *)"moved:1";
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	tap_number(ask(backend, BACKEND_READ, 0, SIZE, data), -EIO, "nor is it by the next helper, which finds what has come from the source since");
	region.info.path = (char *)"db";
	region.info.seed = NULL;
	region.info.given = 0;
	source_close(backend);
}

/* What the source becomes is another host's: the store has what was handed over, and should the region come back, no mixture of both. */
static void test_handed_pulls(void)
{
	struct backend *backend;
	struct managed_stats stats;

	begin("hpulls", SIZE);
	region.info.seed = (char *)"moved:1";
	region.info.given = REGION_GIVEN_SOURCE;
	backend = managed_file_start(policy, SIZE);
	pass(300);
	managed_stats(managed_of(backend), &stats);
	tap_number((long long)stats.puller.pulled, 0, "what was handed over is not pulled from its source any more");
	region.info.seed = NULL;
	region.info.given = 0;
	managed_hand_over(managed_of(backend), false);
	until((managed_stats(managed_of(backend), &stats), stats.puller.pulled >= SIZE));
	tap_number((long long)stats.puller.pulled, SIZE, "back in service, it is");
	source_close(backend);
}

static bool is_apart(struct backend *backend)
{
	struct pusher *pusher = managed_pusher(managed_of(backend));

	return pusher->member.barriers == &pusher->own;
}

/* A pusher of one that has been handed over stands still: what it tells writers, of what its store has to push. */
static unsigned long long limit_of(void)
{
	unsigned long long limit;
	struct backend *backend;

	region.info.seed = (char *)"moved:1";
	region.info.given = REGION_GIVEN_SOURCE;
	backend = managed_file_start(policy, SIZE);
	pass(150);
	limit = pusher_stats(managed_pusher(managed_of(backend)))->limit;
	region.info.seed = NULL;
	region.info.given = 0;
	source_close(backend);
	return limit;
}

/* It has moved in, with all of it to push, once. */
static void test_owes(void)
{
	struct managed_stats stats;
	struct backend *backend;

	begin("owes", SIZE);
	policy_is("push-interval=1h durability=local max-unpushed=128K");
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	for (unsigned int i = 0; i < 4; i++)
		put(backend, i, 9);
	managed_hand_over(managed_of(backend), true);
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	tap_number(ask(backend, BACKEND_SYNC, 0, 0, NULL), 0, "a region has moved");
	source_close(backend);
	tap_ok(!limit_of(), "its writers are not slowed for what it owes its source");
	barriers_hold(&barriers);
	backend = managed_file_start(policy, SIZE);
	tap_ok(is_apart(backend), "nor do other regions' changes wait for that");
	managed_stats(managed_of(backend), &stats);
	tap_ok(stats.owes, "which stat says");
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "9999"), "it is pushed");
	tap_ok(!is_apart(backend), "then it is one of its instance's");
	managed_stats(managed_of(backend), &stats);
	tap_ok(!stats.owes, "and stat says no more of it");
	for (unsigned int i = 0; i < 4; i++)
		put(backend, i, 5);
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	tap_ok(!is_apart(backend), "and so it is in the next helper");
	source_close(backend);
	tap_ok(limit_of() > 0, "what has been written since is bounded, whoever opens it");
	barriers_release(&barriers);
}

/* The same, where an fsync is to end at the source. */
static void test_owes_remote(void)
{
	struct backend *backend;

	begin("owesr", SIZE);
	policy_is("push-interval=1h durability=remote");
	backend = open_adopting(true, false, 0);
	ask(backend, BACKEND_RESIZE, 0, SIZE, NULL);
	for (unsigned int i = 0; i < 4; i++)
		put(backend, i, 9);
	barriers_hold(&barriers);
	managed_adopt(managed_of(backend));
	managed_adopt_push(managed_of(backend));
	managed_hand_over(managed_of(backend), true);
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	managed_hand_over(managed_of(backend), true);
	tap_ok(!put(backend, 1, 5) && !ask(backend, BACKEND_SYNC, 0, 0, NULL), "an fsync does not wait for all of it to be pushed");
	managed_hand_over(managed_of(backend), false);
	tap_ok(!managed_file_flush(backend) && !strcmp(source_says(), "9599"), "which it is");
	tap_ok(!put(backend, 2, 3) && !ask(backend, BACKEND_SYNC, 0, 0, NULL) && !strcmp(source_says(), "9539"), "from then on it ends at the source");
	source_close(backend);
	backend = managed_file_start(policy, SIZE);
	tap_ok(!put(backend, 3, 3) && !ask(backend, BACKEND_SYNC, 0, 0, NULL) && !strcmp(source_says(), "9533"), "in the next helper, too");
	barriers_release(&barriers);
	source_close(backend);
}

int main(void)
{
	regiond.loop = source_begin();
	barriers_init(&barriers);
	region_get(&region);	/* it stays */
	test_filled();
	test_again();
	test_shrunk();
	test_longer();
	test_dropped();
	test_alone();
	test_hooks();
	test_grown();
	test_unpushed();
	test_left();
	test_memory();
	test_handed();
	test_forgone_closed();
	test_removed();
	test_handed_again();
	test_handed_alone();
	test_diverged();
	test_lost();
	test_handed_pulls();
	test_owes();
	test_owes_remote();
	source_end();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Managed regions as control commands meet them: what add and set take, and that nothing which a source has not got is forgotten, or
 * waited for without an end. Behind them is a made-up managed region over a real file.
 */
#include "host.h"
#include "../managed-event.h"
#include "../managed.h"
#include "../policy-hook.h"

static struct host *host;
static char file[128], source[160];

/* ---- the managed region (the linker puts these in the place of managed.c's) ---- */

static struct {
	bool there;			/* what is open is managed */
	struct managed_stats stats;
	struct policy policy;
	unsigned int policies;		/* how often it was told another one */
	bool writable;
	bool paused;
	bool idle, unpulled;		/* it has no puller yet; it never will */
	unsigned int resets;
	struct pusher_wait *wait;
} near;

struct managed *__wrap_managed_of(struct backend *backend);
void __wrap_managed_open(struct backend_open *open, const struct policy *policy, struct region *region);
const struct policy *__wrap_managed_policy(const struct managed *managed);
void __wrap_managed_stats(struct managed *managed, struct managed_stats *stats);
uint64_t __wrap_managed_map(struct managed *managed, unsigned int n, struct managed_bucket *buckets);
bool __wrap_managed_is_pulled(const struct managed *managed);
struct puller *__wrap_managed_puller(struct managed *managed);
struct pusher *__wrap_managed_pusher(struct managed *managed);
struct profile *__wrap_managed_profile(struct managed *managed);
int __wrap_managed_set_policy(struct managed *managed, const struct policy *policy);
void __wrap_managed_writable(struct managed *managed, bool writable);
void __wrap_puller_pause(struct puller *puller, bool pause);
const struct pusher_stats *__wrap_pusher_stats(struct pusher *pusher);
void __wrap_pusher_flush(struct pusher *pusher, struct pusher_wait *wait);
void __wrap_pusher_unwait(struct pusher_wait *wait);
char *__wrap_profile_text(struct profile *profile, uint64_t *chunks);
void __wrap_profile_reset(struct profile *profile);

struct managed *__wrap_managed_of(struct backend *backend)
{
	return near.there ? (struct managed *)&near : NULL;
}

void __wrap_managed_open(struct backend_open *open, const struct policy *policy, struct region *region)
{
	backend_open(open);
}

const struct policy *__wrap_managed_policy(const struct managed *managed)
{
	return &near.policy;
}

void __wrap_managed_stats(struct managed *managed, struct managed_stats *stats)
{
	*stats = near.stats;
	stats->puller.paused = near.paused;
}

uint64_t __wrap_managed_map(struct managed *managed, unsigned int n, struct managed_bucket *buckets)
{
	buckets[n - 1].present = n;
	return 4096;
}

bool __wrap_managed_is_pulled(const struct managed *managed)
{
	return !near.unpulled;
}

struct puller *__wrap_managed_puller(struct managed *managed)
{
	return near.idle || near.unpulled ? NULL : (struct puller *)&near;
}

struct pusher *__wrap_managed_pusher(struct managed *managed)
{
	return near.stats.has_store ? (struct pusher *)&near : NULL;
}

struct profile *__wrap_managed_profile(struct managed *managed)
{
	return (struct profile *)&near;
}

int __wrap_managed_set_policy(struct managed *managed, const struct policy *policy)
{
	near.policies++;
	policy_free(&near.policy);
	return policy_copy(&near.policy, policy);
}

void __wrap_managed_writable(struct managed *managed, bool writable)
{
	near.writable = writable;
}

void __wrap_puller_pause(struct puller *puller, bool pause)
{
	near.paused = pause;
}

const struct pusher_stats *__wrap_pusher_stats(struct pusher *pusher)
{
	return &near.stats.pusher;
}

void __wrap_pusher_flush(struct pusher *pusher, struct pusher_wait *wait)
{
	near.wait = wait;
}

void __wrap_pusher_unwait(struct pusher_wait *wait)
{
	if (near.wait == wait)
		near.wait = NULL;
}

char *__wrap_profile_text(struct profile *profile, uint64_t *chunks)
{
	*chunks = 2;
	return strdup("regionfs-profile 1\n");
}

void __wrap_profile_reset(struct profile *profile)
{
	near.resets++;
}

/* The source has got it, or won't. */
static void pushed(int error)
{
	struct pusher_wait *wait = near.wait;

	near.wait = NULL;
	if (!error)
		near.stats.pusher.unpushed = 0;
	wait->done(wait, error);
}

/* ---- commands ---- */

static struct user user;

static int command(const char *name, json_t *args)
{
	host_begin(host, &user, name, args);
	if (!until(user.done))
		return -ETIMEDOUT;
	if (user.error)
		printf("# %s: %s\n", name, user.said);
	return user.error;
}

static json_t *db(void)
{
	return json_pack("{s:s}", "region", "db");
}

static json_t *db_and(const char *key, json_t *value)
{
	return json_pack("{s:s,s:o}", "region", "db", key, value);
}

/* add db, with what FORMAT and so on say besides. */
#define add(...) add_with(json_pack(__VA_ARGS__))

static int add_with(json_t *args)
{
	json_object_set_new(args, "region", json_string("db"));
	json_object_set_new(args, "source", json_string(source));
	return command("add", args);
}

static const char *policy_of(const char *path)
{
	struct region *region = region_find_path(host->regiond->regions, path);
	static char policy[1024];

	snprintf(policy, sizeof(policy), "%s", region && region->info.policy ? region->info.policy : "direct");
	if (region)
		region_put(region);
	return policy;
}

/* A host with an empty file and no region. */
static void begin(const char *name)
{
	int fd;

	host = host_new(name);
	policy_init(&host->config.policy);
	host->config.source = host->run;
	snprintf(file, sizeof(file), "%s/bytes", host->run);
	snprintf(source, sizeof(source), "file:%s", file);
	fd = open(file, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 65536))
		exit(96);
	close(fd);
	memset(&near, 0, sizeof(near));
	policy_init(&near.policy);
	host_start(host);
}

/* One that is open, with a store. */
static bool is_open(void)
{
	struct region *region = region_find_path(host->regiond->regions, "db");
	bool open = region && region->backend;

	if (region)
		region_put(region);
	return open;
}

/* It is opened behind the answer; who is not open is told nothing. */
static void begin_near(const char *name)
{
	begin(name);
	near.there = true;
	near.stats = (struct managed_stats){ .has_store = true, .remote = REMOTE_UP, .store.present = 4096 };
	tap_number(add("{s:s,s:s}", "local", "memory", "durability", "local"), 0, "a managed region is added");
	tap_ok(until(is_open()), "it is opened");
}

/* ---- tests ---- */

static void test_add(void)
{
	begin("add");
	tap_ok(add("{s:s}", "durability", "local") == -EINVAL && strstr(user.said, "local=memory"), "options that don't go together");
	tap_ok(add("{s:s}", "local", "disk") == -EINVAL && strstr(user.said, "cache, memory or file"), "one that is none");
	tap_number(add("{s:b,s:s}", "direct", 1, "local", "memory"), -EINVAL, "a direct one has no policy");
	tap_ok(add("{s:s}", "pull_order", "list:/nowhere") == -ENOENT && strstr(user.said, "/nowhere"), "a list that is not there");
	tap_number(add("{s:s,s:i,s:i}", "local", "memory", "push_interval", 250, "max_unpushed", 1048576), 0, "texts and numbers");
	tap_is(policy_of("db"), "local=memory push-interval=250ms max-unpushed=1M", "are the same");
	tap_ok(strstr(user.answer, "\"policy\":\"local=memory push-interval=250ms max-unpushed=1M\"") != NULL, "and answered");
	tap_number(add("{s:s,s:s,s:s}", "local", "memory", "push_interval", "250ms", "max_unpushed", "1M"), 0, "the same again is no error");
	tap_number(add("{s:s}", "local", "memory"), -EEXIST, "another policy is");
	tap_number(add("{s:b}", "direct", 1), -EEXIST, "and a direct one");
	tap_ok(until(is_open()), "it is opened though nobody uses it");
}

static void test_usual(void)
{
	begin("usual");
	host->config.managed = true;
	host->config.policy.pull = PULL_EDGES;
	tap_number(add("{}"), 0, "in a managed instance a region is added");
	tap_is(policy_of("db"), "pull-order=edges", "as the instance has it");
	tap_number(command("rm", db_and("discard", json_true())), 0, "it is removed");
	tap_number(add("{s:b}", "direct", 1), 0, "with --direct");
	tap_is(policy_of("db"), "direct", "it is none");
	host_kill(host);
	host_start(host);
	tap_is(policy_of("db"), "direct", "for the next helper neither");
}

static void test_kept(void)
{
	begin("kept");
	tap_number(add("{s:s,s:s}", "local", "memory", "on_after_pull", "echo a b"), 0, "a managed region is added");
	host_kill(host);
	host_start(host);
	tap_is(policy_of("db"), "local=memory on-after-pull=echo%20a%20b", "the next helper knows its policy");
}

static void test_set(void)
{
	begin_near("set");
	tap_number(command("set", db_and("pull_rate", json_string("5M"))), 0, "the rate is changed");
	tap_is(policy_of("db"), "local=memory pull-rate=5M durability=local", "it is kept");
	tap_ok(near.policies == 1 && near.policy.pull_rate == 5 << 20, "and told");
	tap_ok(command("set", db_and("durability", json_string("remote"))) == -EINVAL && strstr(user.said, "durability"), "durability stays");
	tap_number(command("set", db_and("local", json_string("file:/x"))), -EINVAL, "the store, too");
	tap_number(command("set", db_and("on_after_sync", json_string("true"))), 0, "a hook");
	tap_number(command("set", db_and("on_after_sync", json_string(""))), 0, "is taken away again");
	tap_is(policy_of("db"), "local=memory pull-rate=5M durability=local", "that is all");
	near.stats.has_store = true;
	near.stats.pusher = (struct pusher_stats){ .unpushed = 5, .waits_for = 99 };
	tap_number(command("stat", db()), 0, "what it waits for may be gone already");
	tap_number(command("set", db_and("push_order", json_string("any"))), 0, "its order is given up");
	tap_is(policy_of("db"), "local=memory pull-rate=5M durability=local push-order=any", "that is kept");
	tap_number(near.policy.push_order, PUSH_ANY, "and told");
	tap_ok(command("set", db_and("push_order", json_string("barrier"))) == -EBUSY && strstr(user.said, "regionctl sync db"),
	       "it can't be in order again with something unpushed");
	tap_number(command("set", json_pack("{s:s,s:s,s:s}", "region", "db", "push_order", "barrier", "pull_order", "none")), -EINVAL,
		   "nor together with what has it opened again");
	near.stats.pusher.unpushed = 0;
	tap_number(command("set", db_and("push_order", json_string("barrier"))), 0, "but with nothing");
	near.stats.has_store = false;
	tap_number(command("set", db_and("mode", json_integer(0444))), 0, "no write bit");
	tap_ok(!near.writable, "it is told that nobody writes it");
	tap_number(command("set", db_and("mode", json_integer(0644))), 0, "a write bit");
	tap_ok(near.writable, "it is told that somebody may");
}

static void test_sync(void)
{
	begin_near("sync");
	near.stats.pusher.unpushed = 5000;
	host_begin(host, &user, "sync", db());
	tap_ok(until(near.wait) && !user.done, "a sync waits for the pusher");
	pushed(0);
	tap_ok(until(user.done) && !user.error, "until the source has all");
	near.stats.pusher.unpushed = 5000;
	snprintf(near.stats.pusher.why, sizeof(near.stats.pusher.why), "it broke");
	host_begin(host, &user, "sync", json_object());
	tap_ok(until(near.wait), "so does one of all regions");
	pushed(-EIO);
	tap_ok(until(user.done) && user.error == -EIO && !strcmp(user.said, "it broke"), "and says why it failed");
	tap_number(command("sync", db_and("timeout", json_integer(50))), -ETIMEDOUT, "it waits no longer than it was told");
	tap_ok(strstr(user.said, "5000 bytes") != NULL, "and says exactly what is left");
	tap_ok(!near.wait, "nobody waits any more");
	host_begin(host, &user, "set", db_and("read_only", json_true()));
	tap_ok(until(user.done) && !user.error && !near.wait, "set --read-only doesn't wait for the source");
}

static void test_rm(void)
{
	begin_near("rm");
	near.stats.pusher.unpushed = 4097;
	tap_ok(command("rm", db()) == -EBUSY && strstr(user.said, "4097 bytes") && strstr(user.said, "--discard"),
	       "what its source has not got keeps a region from being removed");
	tap_ok(command("set", db_and("source", json_string(source))) == -EBUSY && strstr(user.said, "4097 bytes"), "and from getting another source");
	near.stats.pusher.unpushed = 0;
	tap_number(command("rm", db()), 0, "when it has, not");
	begin_near("discard");
	near.stats.pusher.unpushed = 4097;
	tap_number(command("rm", db_and("discard", json_true())), 0, "nor when it shall be dropped");
}

static void test_pull(void)
{
	begin_near("pull");
	near.stats.puller = (struct puller_stats){ .running = true, .pulled = 100 };
	host_begin(host, &user, "pull", db());
	pass(300);
	tap_ok(!user.done, "a pull waits");
	near.stats.puller.pulled = 1100;
	near.stats.puller.complete = true;
	tap_ok(until(user.done) && !user.error, "until the puller is complete");
	tap_is(user.answer, "{\"bytes\":1000}", "and says what came");
	near.stats.puller.complete = false;
	tap_number(command("pull", db_and("pause", json_true())), 0, "it is paused");
	tap_is(user.answer, "{\"rate\":0,\"state\":\"paused\"}", "at once");
	tap_ok(command("pull", db()) == -EBUSY && strstr(user.said, "--resume"), "nobody waits for what is paused");
	tap_number(command("pull", db_and("resume", json_true())), 0, "it goes on");
	tap_number(command("pull", db_and("rate", json_integer(1 << 20))), 0, "and not too fast");
	tap_is(policy_of("db"), "local=memory pull-rate=1M durability=local", "which is kept");
	tap_number(command("pull", db_and("rate", json_integer(1))), -EINVAL, "nor too slowly");
	tap_number(command("pull", json_pack("{s:s,s:b,s:i}", "region", "db", "pause", 1, "offset", 0)), -EINVAL, "a range can't be paused");
	near.idle = true;
	tap_number(command("pull", db_and("pause", json_true())), -EAGAIN, "nor what is not pulled yet");
	near.unpulled = true;
	tap_number(command("pull", db_and("resume", json_true())), -EINVAL, "nor what never will be");
	tap_ok(strstr(user.said, "in the background"), "which is said");
	near.idle = near.unpulled = false;
	host_begin(host, &user, "pull", db());
	pass(50);
	near.there = false;
	tap_ok(until(user.done) && user.error == -ECANCELED, "who waits hears that it was closed");
}

static void test_looks(void)
{
	begin_near("looks");
	tap_number(command("map", db_and("n", json_integer(2))), 0, "a map");
	tap_is(user.answer, "{\"bucket\":4096,\"buckets\":[[0,0,0,0],[2,0,0,0]]}", "of so many parts");
	tap_number(command("map", db_and("n", json_integer(0))), -EINVAL, "not of none");
	tap_number(command("record", db()), 0, "a profile");
	tap_is(user.answer, "{\"chunks\":2,\"profile\":\"regionfs-profile 1\\n\"}", "as text");
	tap_ok(!near.resets && !command("record", db_and("reset", json_true())) && near.resets == 1, "begins anew when it shall");
	tap_number(command("stat", db()), 0, "stat");
	tap_ok(strstr(user.answer, "\"managed\":{") && strstr(user.answer, "\"present\":4096"), "tells of it");
	near.there = false;
	tap_number(command("map", db()), -EAGAIN, "no map of one that is not open");
	begin("direct");
	tap_number(add("{}"), 0, "a direct region");
	tap_number(command("map", db()), -EINVAL, "has no map");
	tap_number(command("record", db()), -EINVAL, "no profile");
	tap_number(command("pull", db_and("pause", json_true())), -EINVAL, "nothing to pause");
	tap_number(command("set", db_and("pull_rate", json_string("5M"))), -EINVAL, "and no policy");
}

/* ---- events and hooks ---- */

static char heard[256];

static void on_kernel(struct events_watch *watch, const struct netlink_attrs *attrs)
{
}

static void on_own(struct events_watch *watch, const struct events_own *own)
{
	snprintf(heard, sizeof(heard), "%s %s %s", own->region->info.path, own->what, own->detail ? own->detail : "-");
}

static struct { bool done; int error; char why[256]; } ran;

static void on_ran(struct policy_command *command, int error, const char *why)
{
	ran.done = true;
	ran.error = error;
	snprintf(ran.why, sizeof(ran.why), "%s", why);
}

static void test_events_and_hooks(void)
{
	struct events_watch watch = { .event = on_kernel, .own = on_own };
	struct policy_command command;
	struct region *region;

	begin_near("hooks");
	region = region_find_path(host->regiond->regions, "db");
	events_watch(&watch);
	managed_event(region, "source-away", "no route");
	tap_is(heard, "db source-away no route", "an event is heard");
	managed_event(region, "pull-complete", "");
	tap_is(heard, "db pull-complete -", "one without a sentence, too");
	events_unwatch(&watch);
	policy_hook_run(&command, region, &near.policy, HOOK_AFTER_PULL, "complete", 0, on_ran);
	tap_ok(!ran.done && until(ran.done) && !ran.error, "no hook is done, later");
	near.policy.hook[HOOK_BEFORE_SYNC] =
		strdup("[ \"$REGIONFS_REGION $REGIONFS_MOMENT $REGIONFS_STATE $REGIONFS_UNPUSHED\" = 'db before-sync syncing 77' ] || { "
		       "echo no >&2; exit 3; }");
	ran.done = false;
	policy_hook_run(&command, region, &near.policy, HOOK_BEFORE_SYNC, "syncing", 77, on_ran);
	tap_ok(until(ran.done) && !ran.error, "a hook knows what it is about %s", ran.why);
	ran.done = false;
	policy_hook_run(&command, region, &near.policy, HOOK_BEFORE_SYNC, "syncing", 78, on_ran);
	tap_ok(until(ran.done) && ran.error == -ECANCELED && strstr(ran.why, "status 3: no"), "and may refuse: %s", ran.why);
	region_put(region);
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_add();
	test_usual();
	test_kept();
	test_set();
	test_sync();
	test_rm();
	test_pull();
	test_looks();
	test_events_and_hooks();
	return hosts_end();
}

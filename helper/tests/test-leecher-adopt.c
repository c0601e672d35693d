// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region moves from host A to host B together with its source, which is host C's: B is the one that pushes to it from then on, and A is not, whoever is
 * killed when.
 */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "two-hosts.h"

#include "barrier.h"
#include "control-peer.h"
#include "export.h"
#include "managed.h"
#include "probe.h"

static struct host *c;
static char c_socket[128], c_file[128], b_source[256];
static char bytes[SIZE];
static bool is_direct;			/* A's region */

/* ---- the three hosts ---- */

static void prepare(struct host *host, const char *store)
{
	struct policy *policy = &host->config.policy;
	char why[256];

	policy_init(policy);
	host->config.managed = store;
	if (store && (policy_set(policy, "local", store, why, sizeof(why)) || policy_set(policy, "durability", "local", why, sizeof(why)) ||
		      policy_set(policy, "push-interval", "1h", why, sizeof(why))))
		exit(91);
}

static void start_with_barriers(struct host *host)
{
	host_start(host);
	host->regiond->barriers = calloc(1, sizeof(struct barriers));
	barriers_init(host->regiond->barriers);
}

static struct kernel_region *add_region(struct host *host, const char *path, const char *source)
{
	struct netlink_attrs attrs = { 0 };

	netlink_set(&attrs, PATH, path, path);
	netlink_set(&attrs, SOURCE, source, source);
	netlink_set(&attrs, SIZE, size, SIZE);
	netlink_set(&attrs, MODE, mode, 0640);
	netlink_set(&attrs, EPOCH, epoch, 1);
	return kernel_add(&host->kernel, &attrs);
}

static void export_c(void)
{
	char listen[160];

	snprintf(listen, sizeof(listen), "unix:%s", c_socket);
	if (host_do(c, "export", json_pack("{s:s,s:s}", "region", "r", "listen", listen)))
		exit(95);
}

static int write_chunk(struct host *host, uint64_t id, uint64_t chunk, char value)
{
	memset(bytes, value, CHUNK);
	return host_request(host, id, BACKEND_WRITE, chunk * CHUNK, CHUNK, bytes);
}

/* C's region is of 7s; A's program has made its first chunk 1, of which C has not heard. */
static void begin_adopt(const char *name)
{
	char names[3][16], source[160], store[128], listen[160];

	for (int i = 0; i < 3; i++)
		snprintf(names[i], sizeof(names[i]), "%c-%.10s", "abc"[i], name);
	a = host_new(names[0]);
	b = host_new(names[1]);
	c = host_new(names[2]);
	snprintf(c_file, sizeof(c_file), "%s/bytes", c->run);
	snprintf(c_socket, sizeof(c_socket), "%s/s", c->run);
	snprintf(b_source, sizeof(b_source), "peer+unix:%s?region=r", c_socket);
	snprintf(socket_path, sizeof(socket_path), "%s/s", a->run);
	snprintf(store, sizeof(store), "file:%s/store", a->run);
	make_file(c_file);
	snprintf(source, sizeof(source), "file:%s?direct=no", c_file);
	prepare(c, NULL);
	add_region(c, "r", source);
	start_with_barriers(c);
	export_c();
	prepare(b, NULL);
	start_with_barriers(b);
	prepare(a, is_direct ? NULL : store);
	from = add_region(a, "db", b_source);
	start_with_barriers(a);
	/* it would push when its program pauses */
	barriers_hold(a->regiond->barriers);
	snprintf(listen, sizeof(listen), "unix:%s", socket_path);
	if (write_chunk(a, from->id, 0, 1) ||
	    host_do(a, "seed", json_pack("{s:s,s:s,s:b}", "region", "db", "listen", listen, "detach", 1)))
		exit(94);
}

static void leech_adopting(struct user *user, const char *more, const char *value)
{
	char local[160];
	json_t *args;

	snprintf(local, sizeof(local), "file:%s/store", b->run);
	args = json_pack("{s:s,s:s,s:b,s:s}", "local_source", b_source, "local", local, "managed", 1, "push_interval", "1h");
	if (more)
		json_object_set_new(args, more, json_string(value));
	leech_with(user, args);
}

/* ---- what there is ---- */

/* The chunks of C's file, each as its first and last byte. */
static const char *c_says(void)
{
	static char says[SIZE / CHUNK + 1];
	int fd = open(c_file, O_RDONLY);

	for (unsigned int i = 0; i < SIZE / CHUNK; i++) {
		char first = 0, last = 0;

		if (pread(fd, &first, 1, (off_t)i * CHUNK) != 1 || pread(fd, &last, 1, (off_t)(i + 1) * CHUNK - 1) != 1)
			exit(90);
		says[i] = (char)(first == last ? '0' + first : '.');
	}
	close(fd);
	return says;
}

static const char *reads(struct host *host, uint64_t id)
{
	static char says[SIZE / CHUNK + 1];
	int error = host_request(host, id, BACKEND_READ, 0, SIZE, bytes);

	for (unsigned int i = 0; i < SIZE / CHUNK; i++)
		says[i] = (char)(error ? '!' : bytes[i * CHUNK] == bytes[(i + 1) * CHUNK - 1] ? '0' + bytes[i * CHUNK] : '.');
	return says;
}

static struct managed *managed_at(struct host *host)
{
	struct region *region = region_of(host);

	return region && atomic_load(&region->state) == REGION_READY ? managed_of(region->backend) : NULL;
}

static bool is_managed_at_b(void)
{
	return managed_at(b) && !strcmp(to->source, b_source);
}

struct flushing {
	struct pusher_wait wait;
	bool done;
	int error;
};

static void flushed(struct pusher_wait *wait, int error)
{
	struct flushing *flushing = container_of(wait, struct flushing, wait);

	flushing->error = error;
	flushing->done = true;
}

/* What "sync" does with a managed one. */
static int flush(struct host *host)
{
	static struct flushing flushing;

	flushing = (struct flushing){ .wait.done = flushed };
	if (!managed_at(host))
		return -ENXIO;
	pusher_flush(managed_pusher(managed_at(host)), &flushing.wait);
	return until(flushing.done) ? flushing.error : -ETIMEDOUT;
}

/* The host that has C's region open for writing, by its letter. */
static char writer(void)
{
	const struct export *export = control_export(c->regiond->server, "r");
	uint64_t instance = 0;

	if (!export || !export->writer)
		return '-';
	memcpy(&instance, export->writer->client, sizeof(instance));
	return (char)(instance - 1000);
}

static struct managed_stats stats_of(struct host *host)
{
	struct managed_stats stats = { 0 };

	if (managed_at(host))
		managed_stats(managed_at(host), &stats);
	return stats;
}

static bool reads_only(struct host *host)
{
	return writer() != *host->name && managed_at(host) && stats_of(host).remote == REMOTE_UP;
}

static void restart_b(void)
{
	host_kill(b);
	pass(100);
	start_with_barriers(b);
	leecher_restart(b->regiond);
}

/* ---- the way ---- */

static void test_adopted(void)
{
	struct user user;

	begin_adopt("adopted");
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once, whose source is C's");
	tap_is(host_says(b, "db", "adopts"), b_source, "stat says that the source moves with it");
	tap_is(host_says(b, "db", "adoption"), "after the hand-over", "later");
	tap_number(write_chunk(a, from->id, 1, 2), 0, "the program on A goes on");
	tap_is(c_says(), "7777", "nobody has pushed anything");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")), "all of it comes");
	tap_ok(until(is_managed_at_b()), "it is a managed region there, with C's for a source");
	tap_is(reads(b, to->id), "1277", "with all that A's program had written");
	tap_number(write_chunk(b, to->id, 3, 5), 0, "the program goes on");
	tap_number(flush(b), 0, "it is pushed");
	tap_is(c_says(), "1275", "to C");
	tap_number((long long)stats_of(b).fetched, 0, "nothing was fetched from there");
	tap_ok(reads_only(a), "A has let go of C");
	tap_number((long long)pusher_stats(managed_pusher(managed_at(a)))->unpushed, 0, "what A had not pushed is B's to push");
	flush(a);
	tap_is(c_says(), "1275", "and not A's, ever");
}

/* Neither the decision nor anything else on B waits for the source. */
static void test_away(void)
{
	char away[160];
	struct user user;

	begin_adopt("away");
	leech_adopting(&user, "durability", "remote");
	tap_ok(until(rounds() > 0), "all of a region has come once");
	snprintf(away, sizeof(away), "%s.away", c_socket);
	if (rename(c_socket, away))
		exit(89);
	tap_number(host_do(b, "finalize", db()), 0, "its source is not there: it is handed over nevertheless");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "and complete");
	tap_is(reads(b, to->id), "1777", "B has it");
	if (rename(away, c_socket))
		exit(88);
	tap_number(flush(b), 0, "when C is there it is pushed");
	tap_is(c_says(), "1777", "all of it");
}

/* A's is not managed: it writes to C itself. */
static void test_direct(void)
{
	struct user user;

	is_direct = true;
	begin_adopt("direct");
	is_direct = false;
	tap_ok(writer() == 'a' && !strcmp(c_says(), "1777"), "a direct region of A's writes to C");
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of it has come once");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(writer() == 'b'), "A lets go of C, and B takes it");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!write_chunk(b, to->id, 2, 5) && !flush(b) && !strcmp(c_says(), "1757"), "B pushes to it");
}

/* ---- B's helper dies ---- */

static void test_killed_before(void)
{
	struct user user;

	begin_adopt("kbefore");
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	restart_b();
	tap_ok(until(host_is(b, "db", "pulling")) && until(rounds() > 0), "B's helper is killed, and the next one goes on");
	tap_is(host_says(b, "db", "adoption"), "after the hand-over", "the source is still A's");
	tap_number(write_chunk(a, from->id, 2, 3), 0, "the program on A goes on");
	tap_is(c_says(), "7777", "nothing was pushed");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "and complete");
	tap_ok(!flush(b) && !strcmp(c_says(), "1737"), "B pushes it");
}

/* Between the decision and the kernel. */
static void test_killed_owned(void)
{
	struct user user, finalizing;

	begin_adopt("kowned");
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&b->kernel.held) && is_on(from, REGIONFS_REGION_MOVED)), "B's helper is killed when it owns it");
	restart_b();
	tap_ok(until(!is_on(to, REGIONFS_REGION_LOCKED)), "the next one tells the kernel");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!flush(b) && !strcmp(c_says(), "1777"), "and pushed");
}

/* ---- A's helper dies ---- */

/* B's is kept from being complete by its resume hook. */
static void hand_over_slowly(struct user *finalizing, char *go, size_t len)
{
	static char hook[256];
	static struct user user;

	snprintf(go, len, "%s/go", b->run);
	snprintf(hook, sizeof(hook), "while ! test -e %s; do sleep 0.05; done", go);
	leech_adopting(&user, "on_resume", hook);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	host_begin(b, finalizing, "finalize", db());
	tap_ok(until(host_is(a, "db", "moved")), "it is handed over");
}

static void test_stale(void)
{
	struct user finalizing;
	char go[128];

	begin_adopt("stale");
	hand_over_slowly(&finalizing, go, sizeof(go));
	tap_ok(until(!strcmp(host_says(b, "db", "adoption"), "ours")), "B has its source, before it is complete");
	tap_ok(until(reads_only(a)), "A has not");
	cut();
	host_kill(a);
	pass(100);
	start_with_barriers(a);
	seeder_restart(a->regiond);
	tap_ok(until(host_is(a, "db", "moved")), "A's helper is killed: the next one knows that it has moved");
	tap_ok(until(reads_only(a)), "and has the source for reading");
	tap_number(flush(a), -ESHUTDOWN, "what A has not pushed it does not push now");
	tap_number(write_chunk(b, to->id, 0, 4), 0, "the program on B changes that chunk");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "it is complete");
	tap_ok(!flush(b) && !strcmp(c_says(), "4777"), "what is at C is B's");
	pass(300);
	tap_is(c_says(), "4777", "and stays so");
	tap_number((long long)region_unpushed(region_of(a)), 0, "A has nothing to push");
}

/* ---- back in service ---- */

static void test_abort(void)
{
	struct user user, finalizing;
	char store[160];

	begin_adopt("abort");
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
	tap_ok(until(reads_only(a)), "A lets go of the source");
	tap_number(flush(a), -ESHUTDOWN, "and does not push");
	tap_number(host_do(b, "abort", db()), 0, "B gives up");
	unhide();
	tap_ok(until(host_is(a, "db", "serving")), "A is back in service");
	barriers_release(a->regiond->barriers);
	tap_ok(until(!flush(a)), "it pushes again");
	tap_is(c_says(), "1777", "what it had");
	tap_ok(until(!host_region(b, "db")), "B has nothing of it");
	snprintf(store, sizeof(store), "test -z \"$(ls -A %s/store)\"", b->run);
	tap_ok(until(!system(store)), "nor has its store");
}

/* A's operator takes it back. */
static void test_resolved(void)
{
	struct user user, finalizing;

	begin_adopt("resolved");
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "it is being frozen");
	hide();
	host_release(a);
	tap_ok(until(host_is(a, "db", "in doubt")), "it is handed over, which B does not hear");
	tap_number(host_do(a, "resolve", json_pack("{s:s,s:b}", "region", "db", "i_own_it", 1)), 0, "A's operator says that it is A's");
	barriers_release(a->regiond->barriers);
	tap_ok(until(!flush(a)) && !strcmp(c_says(), "1777"), "it is pushed again");
}

/* ---- what is refused ---- */

/* A source that can't keep late writes away, where a test says so. */
static bool is_loose;

static struct {
	void (*done)(struct probe *probe, void *arg, int error, const char *why);
	void *arg;
} look;

static void looked(struct probe *probe, void *arg, int error, const char *why)
{
	if (is_loose && !error)
		probe->fence = FENCE_NONE;
	look.done(probe, look.arg, error, why);
}

void __real_probe_look(struct regiond *regiond, const char *from, void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg);
void __wrap_probe_look(struct regiond *regiond, const char *from, void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg);

void __wrap_probe_look(struct regiond *regiond, const char *from, void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg)
{
	look.done = done;
	look.arg = arg;
	__real_probe_look(regiond, from, looked, NULL);
}

static void refused(const char *what, json_t *more, const char *says)
{
	char source[256];
	struct user user;
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	args = json_pack("{s:s,s:s,s:b}", "region", "db", "source", source, "managed", 1);
	json_object_update(args, more);
	json_decref(more);
	host_begin(b, &user, "leech", args);
	tap_ok(until(user.done) && user.error && strstr(user.said, says), "%s: %s", what, user.said);
}

static void test_refused(void)
{
	struct user user;
	char local[128];

	begin_adopt("refused");
	snprintf(local, sizeof(local), "file:%s/store", b->run);
	refused("without a store", json_pack("{s:s}", "local_source", b_source), "needs a store");
	refused("in memory, where an fsync is to end at the source", json_pack("{s:s,s:s}", "local_source", b_source, "local", "memory"), "--durability");
	refused("with --reuse", json_pack("{s:s,s:s,s:b}", "local_source", b_source, "local", local, "reuse", 1), "--reuse");
	refused("what is not there", json_pack("{s:s,s:s}", "local_source", "peer+unix:/nowhere?region=r", "local", local), "can't be used from here");
	is_loose = true;
	refused("one without a fence", json_pack("{s:s,s:s}", "local_source", b_source, "local", local), "--unfenced");
	tap_ok(!host_region(b, "db"), "nothing is left of it");
	leech_with(&user, json_pack("{s:s,s:s,s:b,s:b}", "local_source", b_source, "local", local, "managed", 1, "unfenced", 1));
	tap_ok(host_is(b, "db", "pulling"), "with the word it is taken");
	is_loose = false;
}

int main(void)
{
	if (!hosts_open())
		return 1;
	test_adopted();
	test_away();
	test_direct();
	test_killed_before();
	test_killed_owned();
	test_stale();
	test_abort();
	test_resolved();
	test_refused();
	return hosts_end();
}

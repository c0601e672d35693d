/* SPDX-License-Identifier: GPL-2.0 */
/* Two hosts (two-hosts.h) and a third one, C, which has the source of A's region: that moves to B with it. A test includes it once. */
#ifndef REGIONFS_TESTS_ADOPT_HOSTS_H
#define REGIONFS_TESTS_ADOPT_HOSTS_H

#pragma GCC diagnostic ignored "-Wunused-function"
#include <sched.h>
#include <sys/mount.h>

#include "two-hosts.h"

#include "barrier.h"
#include "control-peer.h"
#include "export.h"
#include "managed.h"

static struct host *c;
static char c_socket[128], c_file[128], b_source[256];
static char bytes[SIZE];
static bool is_direct;			/* A's region */
static bool is_in_memory;		/* its store, and B's */
static bool is_hasty;			/* B pushes as soon as it may */
static bool is_shared;			/* the source is a directory, of zeroes at first, that all hosts have */

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

/* B's, or A's. */
static void store_of(struct host *host, char *text, size_t len)
{
	char memory[128];

	snprintf(text, len, "file:%s/store", host->run);
	if (!is_in_memory)
		return;
	snprintf(text, len, "memory");
	/* the tmpfs is mounted once in a process */
	snprintf(memory, sizeof(memory), "%s/memory", host->run);
	mkdir(memory, 0700);
}

static struct {
	struct backend_open open;
	bool done;
} making;

static void was_made(void *arg)
{
	making.done = true;
}

static void is_made(struct backend_open *open, struct backend *backend, int error)
{
	if (error)
		printf("# %s\n", open->why), exit(87);
	backend_close(backend, was_made, NULL);
}

static void make_shared(void)
{
	snprintf(b_source, sizeof(b_source), "dir:%s/shared", c->run);
	memset(&making, 0, sizeof(making));
	making.open = (struct backend_open){ .loop = loop, .instance = "test", .run_dir = c->run, .size = SIZE, .create = true, .done = is_made };
	if (uri_parse(&making.open.uri, b_source, NULL, 0))
		exit(86);
	backend_open(&making.open);
	if (!until(making.done))
		exit(85);
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
	if (is_shared)
		make_shared();
	snprintf(socket_path, sizeof(socket_path), "%s/s", a->run);
	store_of(a, store, sizeof(store));
	make_file(c_file, 7);
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

	store_of(b, local, sizeof(local));
	args = json_pack("{s:s,s:s,s:b,s:s}", "local_source", b_source, "local", local, "managed", 1, "push_interval", is_hasty ? "1ms" : "1h");
	if (is_in_memory)
		json_object_set_new(args, "durability", json_string("local"));
	if (more)
		json_object_set_new(args, more, json_string(value));
	leech_with(user, args);
}

/* what: of which all has come then. */
static void leech_adopting_once(struct user *user, const char *what)
{
	leech_adopting(user, NULL, NULL);
	tap_ok(until(rounds() > 0), "%s", what);
}

static json_t *db_with(const char *flag)
{
	return json_pack("{s:s,s:b}", "region", "db", flag, 1);
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

static void restart_a_with_barriers(void)
{
	host_kill(a);
	pass(100);
	start_with_barriers(a);
	seeder_restart(a->regiond);
}

static void restart_b(void)
{
	host_kill(b);
	pass(100);
	start_with_barriers(b);
	leecher_restart(b->regiond);
}

/* What it had in memory is gone. */
static void boot(struct host *host)
{
	char command[256];

	host_kill(host);
	pass(100);
	snprintf(command, sizeof(command), "rm -rf %s/memory/* %s/leech-* %s/track-*", host->run, host->run, host->run);
	if (system(command))
		exit(87);
	host->regiond = NULL;
	host_boot(host);
	host->regiond->barriers = calloc(1, sizeof(struct barriers));
	barriers_init(host->regiond->barriers);
}

/* B owns the region, and has no helper; A's next one does not know, and its operator says that it is A's. */
static void own_twice(void)
{
	struct user finalizing;

	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(finalizing.done && !list_empty(&a->kernel.held)) && !finalizing.error, "B owns it, and both helpers die before A's has heard of that");
	kill_b();
	cut();
	restart_a_with_barriers();
	tap_ok(until(host_is(a, "db", "in doubt")), "A's next one does not know of it");
	tap_number(host_resolve(a, db_with("i_own_it")), 0, "the operator of A says that it is his");
}

/* B's is kept from being complete by its resume hook. set: set when all has come once; or NULL. */
static void hand_over_slowly_when(struct user *finalizing, char *go, size_t len, bool *set)
{
	static char hook[256];
	static struct user user;

	snprintf(go, len, "%s/go", b->run);
	snprintf(hook, sizeof(hook), "while ! test -e %s; do sleep 0.05; done", go);
	leech_adopting(&user, "on_resume", hook);
	tap_ok(until(rounds() > 0), "all of a region has come once");
	if (set)
		*set = true;
	host_begin(b, finalizing, "finalize", db());
	tap_ok(until(host_is(a, "db", "moved")), "it is handed over");
}

static void hand_over_slowly(struct user *finalizing, char *go, size_t len)
{
	hand_over_slowly_when(finalizing, go, len, NULL);
}

/* ---- tests that have stores in memory ---- */

static bool adopt_hosts_open(void)
{
	/* a tmpfs that is mounted goes with this process */
	if (!unshare(CLONE_NEWNS))
		(void)!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return hosts_open();
}

static int adopt_hosts_end(void)
{
	char unmount[128];

	snprintf(unmount, sizeof(unmount), "umount -l %s/*/memory 2>/dev/null", dir);
	(void)!system(unmount);
	return hosts_end();
}

#endif

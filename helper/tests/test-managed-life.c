// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a managed region: a source that is away, and comes back, while it is opened, closed, removed. The source is a file, or
 * (fake.on) a backend that answers as it is told.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "managed.h"
#include "region-private.h"
#include "tests/managed-file.h"

#define SIZE (3u << 20)

static char dir[160], policy_file[256];
static char data[6u << 20];

/* ---- a source that answers as it is told ---- */

static struct {
	bool on, die, hold;
	bool busy;			/* for WRITEs at 0 */
	struct backend_req *held;
	int open_error;
	int error[BACKEND_OPS];		/* once */
	unsigned int opened, nr[BACKEND_OPS];
} fake;

static void fake_close(struct backend *backend)
{
	backend_closed(backend);
}

static void fake_submit(struct backend *backend, struct backend_req *req)
{
	int error = fake.error[req->op];

	fake.nr[req->op]++;
	if (fake.hold) {
		fake.held = req;
		return;
	}
	fake.error[req->op] = 0;
	if (fake.busy && req->op == BACKEND_WRITE && !req->offset)
		error = -EBUSY;
	if (fake.die) {
		fake.die = false;
		atomic_store(&backend->dead, true);
		error = -EPIPE;
	}
	if (!error && req->op == BACKEND_READ)
		memset(req->data, 7, req->length);
	backend_done(req, error);
}

static const struct backend_ops fake_ops = { .scheme = "fake", .close = fake_close, .submit = fake_submit };

void __real_backend_open(struct backend_open *open);
void __wrap_backend_open(struct backend_open *open);

void __wrap_backend_open(struct backend_open *open)
{
	struct backend *backend;

	if (!fake.on) {
		__real_backend_open(open);
		return;
	}
	if (fake.open_error) {
		uri_free(&open->uri);
		open->done(open, NULL, fake.open_error);
		return;
	}
	fake.opened++;
	backend = calloc(1, sizeof(*backend));
	backend->ops = &fake_ops;
	backend->uri = open->uri;
	memset(&open->uri, 0, sizeof(open->uri));
	backend->loop = open->loop;
	backend->caps = (struct backend_caps){ .size = SIZE, .chunk = 4096, .align = 1, .max_request = 1u << 20, .local_fd = -1 };
	open->done(open, backend, 0);
}

static void fake_begin(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.on = true;
}

/* ---- open and close ---- */

static struct {
	struct backend_open open;
	struct backend *backend;
	bool done, close_at_once, closed;
	int error;
} opening;

static void is_closed(void *arg)
{
	opening.closed = true;
	loop_stop(regiond.loop);
}

static void is_open(struct backend_open *open, struct backend *backend, int error)
{
	opening.backend = backend;
	opening.error = error;
	opening.done = true;
	if (backend && opening.close_at_once)
		backend_close(backend, is_closed, NULL);
	else
		loop_stop(regiond.loop);
}

static void start_open(const char *text, bool close_at_once, uint64_t size)
{
	memset(&opening, 0, sizeof(opening));
	opening.close_at_once = close_at_once;
	managed_file_open(&opening.open, text, size, is_open);
}

static struct backend *open_sized(const char *text, uint64_t size)
{
	start_open(text, false, size);
	source_turn(&opening.done);
	if (opening.error)
		printf("# %s\n", opening.open.why);
	return opening.backend;
}

static struct backend *open_managed(const char *text)
{
	return open_sized(text, SIZE);
}

static void new_source(void)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (ftruncate(fd, SIZE))
		exit(99);
	close(fd);
}

static char source_byte(uint64_t offset)
{
	int fd = open(file, O_RDONLY);
	char byte = 0;

	if (pread(fd, &byte, 1, (off_t)offset) != 1)
		byte = 0;
	close(fd);
	return byte;
}

static unsigned int entries(const char *of)
{
	DIR *list = opendir(of);
	unsigned int nr = 0;

	while (list && readdir(list))
		nr++;
	if (list)
		closedir(list);
	return nr > 2 ? nr - 2 : 0;
}

/* ms; the region is removed. */
static uint64_t remove_region(struct backend *backend, bool discard)
{
	uint64_t since = loop_now_ns();

	managed_forget(managed_of(backend), discard);
	source_close(backend);
	return (loop_now_ns() - since) / 1000000;
}

/* ---- opening ---- */

static void test_opening_fails(void)
{
	unlink(file);
	tap_ok(!open_managed("local=cache"), "local=cache: a source that isn't there is an error");
	tap_ok(!open_managed(policy_file), "the same with a store that is new");
}

static void test_closed_at_once(void)
{
	const char *policy[] = { "local=memory durability=local", "local=cache" };

	for (size_t i = 0; i < 2; i++) {
		new_source();
		region.info.id++;
		start_open(policy[i], true, SIZE);
		source_turn(&opening.closed);
		pass(20);
		tap_ok(opening.closed, "whoever hears that it is open may close it: %s", policy[i]);
	}
}

/* ---- removal ---- */

static struct backend *with_changes(const char *policy)
{
	struct backend *backend;

	new_source();
	backend = open_managed(policy);
	if (!backend)
		exit(99);
	ask(backend, BACKEND_WRITE, 0, 4096, data);
	source_close(backend);
	unlink(file);
	/* the store has been there: it opens without the source */
	backend = open_managed(policy);
	memset(data, 'x', 8192);
	tap_number(ask(backend, BACKEND_WRITE, 4096, 8192, data), 0, "a write, while the source is away");
	pass(300);
	return backend;
}

static void test_removed_away(const char *policy)
{
	struct backend *backend = with_changes(policy);

	tap_ok(remove_region(backend, false) < 20000, "removing doesn't wait for a source that is away: %s", policy);
	tap_ok(list_empty(&barriers.left), "and nobody waits for it");
	new_source();
	region.info.id++;
	backend = open_managed(policy);
	until(source_byte(5000) == 'x');
	tap_number(source_byte(5000), 'x', "added again with the same source and store, it is pushed");
	/* a byte that is there is not pushed before it is durable: closed in between, all that come later would wait for this region */
	managed_file_flush(backend);
	source_close(backend);
}

static void test_discarded(void)
{
	unsigned int before;
	struct backend *backend;

	region.info.id++;
	backend = with_changes(policy_file);
	before = entries(dir);
	tap_ok(remove_region(backend, true) < 20000, "--discard doesn't wait for the source");
	tap_number(entries(dir), before - 1, "and what was not pushed goes");
	tap_ok(list_empty(&barriers.left), "nobody waits for it");
}

static void test_destroyed(void)
{
	struct backend *backend;
	uint64_t since;

	region.info.id++;
	backend = with_changes(policy_file);
	since = loop_now_ns();
	tap_ok(ask(backend, BACKEND_DESTROY, 0, 0, NULL) < 0, "DESTROY fails where the source is away");
	tap_ok(loop_now_ns() - since < 20000000000ULL, "at once");
	source_close(backend);
	new_source();
	region.info.id++;
	backend = open_managed("local=memory durability=local");
	memset(data, 'y', 4096);
	ask(backend, BACKEND_WRITE, 0, 4096, data);
	tap_number(ask(backend, BACKEND_DESTROY, 0, 0, NULL), 0, "DESTROY of a source that is there");
	tap_ok(access(file, F_OK), "takes its bytes");
	source_close(backend);
}

/* ---- the order of what is pushed ---- */

static uint64_t no_oldest(struct barrier_member *member)
{
	return UINT64_MAX;
}

static void no_go(struct barrier_member *member)
{
}

static void test_hold(void)
{
	struct barrier_member other = { .oldest = no_oldest, .go = no_go, .key = 999 };
	struct backend *backend;
	char policy[256];

	region.info.id++;
	barriers_close(&barriers);
	barriers_join(&barriers, &other);
	region.held = true;
	barriers_hold(&barriers);
	backend = open_managed("local=file:/proc/nothing durability=local");
	tap_ok(!backend && !barriers.held, "a store that can't be opened ends the hold");
	tap_number((long long)barriers_limit(&other), 0, "and counts as the oldest");
	barriers_forget(&barriers, region.info.id);
	tap_ok(barriers_limit(&other) > 0, "until the region is forgotten");

	unlink(file);
	fake_begin();
	fake.open_error = -ECONNREFUSED;
	region.info.id++;
	region.held = true;
	barriers_hold(&barriers);
	snprintf(policy, sizeof(policy), "local=file:%s/hold durability=local", source_dir());
	backend = open_managed(policy);
	tap_ok(!backend && !barriers.held && barriers_limit(&other) > 0, "a new store whose source is away holds up nobody");
	fake.on = false;
	barriers_leave(&other);
}

/* ---- budgets ---- */

static void test_growth(void)
{
	struct store_stats stats;
	struct managed_stats all;
	struct backend *backend;

	new_source();
	region.info.id++;
	backend = open_managed("local=memory durability=local local-size=3M push-interval=1ms");
	tap_ok(backend->caps.local_fd >= 0 && backend->caps.local_map >= 0, "the kernel may read what is in the store");
	memset(data, 'z', sizeof(data));
	tap_number(ask(backend, BACKEND_WRITE, 0, sizeof(data), data), 0, "it grows past its budget");
	until((managed_stats(managed_of(backend), &all), stats = all.store, !stats.unpushed && stats.evicted));
	tap_ok(stats.evicted, "and bytes are given up");
	source_close(backend);
}

static void test_lowered(void)
{
	struct managed_stats all;
	struct policy policy;
	struct backend *backend;
	char byte = 0, why[256];

	new_source();
	region.info.id++;
	backend = open_managed("local=memory durability=local push-interval=1ms");
	until((managed_stats(managed_of(backend), &all), all.store.present == SIZE));
	policy_init(&policy);
	policy_parse(&policy, "local=memory durability=local local-size=1M", why, sizeof(why));
	managed_set_policy(managed_of(backend), &policy);
	policy_free(&policy);
	until((managed_stats(managed_of(backend), &all), all.store.evicted));
	tap_ok(all.store.evicted, "bytes are given up when the budget is lowered");
	tap_number(ask(backend, BACKEND_READ, SIZE - 1, 1, &byte), 0, "what was given up comes again");
	source_close(backend);
}

/* ---- the size after a power cut ---- */

static void test_size(void)
{
	struct backend *backend;

	new_source();
	region.info.id++;
	backend = open_managed(policy_file);
	ask(backend, BACKEND_WRITE, 0, 4096, data);
	source_close(backend);
	unlink(file);
	backend = open_managed(policy_file);
	memset(data, 'w', 8192);
	ask(backend, BACKEND_WRITE, SIZE, 8192, data);
	source_close(backend);
	backend = open_managed(policy_file);
	tap_number((long long)backend_size(backend), SIZE, "while the instance lives, the kernel knows the size");
	source_close(backend);
	regiond.instance_id++;
	backend = open_managed(policy_file);
	tap_number((long long)backend_size(backend), SIZE + 8192, "in the next life a store with changes may know better");
	remove_region(backend, true);
}

/* ---- a truncation that no helper has answered ---- */

/* The kernel has cut the region while there was no helper, and tells the next one first how long it is now (told), then sends the RESIZE. */
static void test_cut_unheard(const char *policy, uint64_t told)
{
	const uint64_t cut = 99738;
	struct backend *backend;

	new_source();
	region.info.id++;
	backend = open_managed(policy);
	ask(backend, BACKEND_WRITE, 0, 4096, data);
	source_close(backend);
	unlink(file);
	backend = open_managed(policy);
	memset(data, 'w', 300000);
	ask(backend, BACKEND_WRITE, 0, 299008, data);
	source_close(backend);
	backend = open_sized(policy, told);
	tap_ok(!ask(backend, BACKEND_RESIZE, cut, told, NULL), "a truncation that the helper before has not answered: %s, %llu bytes are told",
	       policy, (unsigned long long)told);
	tap_number(ask(backend, BACKEND_WRITE, 200704, 4096, data), 0, "then it grows");
	tap_ok(managed_file_is_zero(backend, cut, 200704), "and what was cut off, to the byte, is zero");
	tap_number(ask(backend, BACKEND_READ, 98304, 8, data) ? -1 : data[7], 'w', "and nothing else");
	remove_region(backend, true);
}

/* ---- the source's errors ---- */

static void test_reopened(void)
{
	struct backend *backend;

	fake_begin();
	region.info.id++;
	backend = open_managed("local=cache pull-order=none");
	tap_number(ask(backend, BACKEND_WRITE, 0, 4096, data), 0, "a write goes through");
	tap_number(ask(backend, BACKEND_SYNC, 0, 0, NULL), 0, "and is synced");
	ask(backend, BACKEND_WRITE, 0, 4096, data);
	fake.die = true;
	tap_number(ask(backend, BACKEND_SYNC, 0, 0, NULL), -EIO, "a SYNC that another source answers than the write fails");
	tap_number((long long)fake.opened, 2, "it was opened anew");
	tap_number(ask(backend, BACKEND_SYNC, 0, 0, NULL), 0, "once");
	fake.error[BACKEND_READ] = -ENOMEM;
	tap_number(ask(backend, BACKEND_READ, 0, 4096, data), 0, "a request that found no memory is tried again");
	source_close(backend);
	fake.on = false;
}

/* What comes after the deadline is not put where the READ wanted it: that memory is another's by then. */
static void test_late(const char *policy, bool dies)
{
	char late[4096] = { 0 }, next[4096];
	struct backend *backend;
	struct ask read;

	fake_begin();
	region.info.id++;
	region.info.timeout = 1000;
	backend = open_managed(policy);
	fake.die = dies;
	fake.open_error = dies ? -ECONNREFUSED : 0;
	fake.hold = !dies;
	ask_start(&read, backend, BACKEND_READ, 8192, sizeof(late), late);
	until(read.answered);
	tap_number(read.answered ? read.error : 1, -ETIMEDOUT, "a READ of a source that is away fails at the region's deadline");
	fake.hold = false;
	fake.open_error = 0;
	/* it may be a while until it is opened again */
	region.info.timeout = 60000;
	if (fake.held) {
		memset(fake.held->data, 7, fake.held->length);
		backend_done(fake.held, 0);
	}
	tap_number(ask(backend, BACKEND_READ, 8192, sizeof(next), next), 0, "when it is back, the next one succeeds");
	tap_ok(next[0] == 7 && next[4095] == 7, "it has the bytes");
	pass(1000);
	tap_ok(!late[0] && !late[4095], "and the one that has failed is left alone: %s%s", policy, dies ? "" : ", no answer");
	source_close(backend);
	region.info.timeout = 0;
	fake.on = false;
}

static struct remote *remote;
static unsigned int away;
static bool gone, told;

static void remote_gone(void *arg)
{
	gone = true;
	loop_stop(regiond.loop);
}

static void remote_changed(void *arg, enum remote_state state, int error, const char *why)
{
	told = true;
	away += state == REMOTE_AWAY;
	loop_stop(regiond.loop);
}

static bool answered[2];

static void first_answered(struct backend_req *req, int error)
{
	answered[0] = !error;
	loop_stop(regiond.loop);
}

static void second_answered(struct backend_req *req, int error)
{
	answered[1] = !error && !answered[0];
}

static void test_one_busy(void)
{
	struct backend_open open = { .loop = regiond.loop };
	struct remote_options options = { .open = &open, .changed = remote_changed };
	struct backend_req first = { .op = BACKEND_WRITE, .length = 4096, .data = data, .loop = regiond.loop, .done = first_answered };
	struct backend_req second = { .op = BACKEND_WRITE, .offset = 4096, .length = 4096, .data = data, .loop = regiond.loop, .done = second_answered };

	fake_begin();
	uri_parse(&open.uri, uri, NULL, 0);
	remote_open(&remote, &options);
	source_turn(&told);
	fake.busy = true;
	remote_submit(remote, &first);
	until(fake.nr[BACKEND_WRITE]);
	remote_submit(remote, &second);
	tap_ok(until(answered[1]), "a request that is tried again holds up no other");
	fake.busy = false;
	source_turn(&answered[0]);
	remote_close(remote, remote_gone, NULL);
	tap_ok(!gone, "a remote is not closed on its caller's stack");
	source_turn(&gone);
	tap_number(away, 0, "for one request it was not away");
	fake.on = false;
}

int main(void)
{
	source_begin();
	managed_file_begin();
	snprintf(dir, sizeof(dir), "%s/store", source_dir());
	snprintf(policy_file, sizeof(policy_file), "local=file:%s durability=local push-interval=1ms", dir);
	test_opening_fails();
	test_closed_at_once();
	region.info.id++;
	test_removed_away(policy_file);
	region.info.id++;
	test_removed_away("local=memory durability=local push-interval=1ms");
	test_discarded();
	test_destroyed();
	test_hold();
	test_growth();
	test_lowered();
	test_size();
	test_cut_unheard(policy_file, 99738);
	test_cut_unheard(policy_file, 100000);
	test_cut_unheard("local=memory durability=local pull-order=none push-interval=1ms", 99738);
	test_cut_unheard("local=memory durability=local pull-order=none push-interval=1ms", 100000);
	test_reopened();
	test_one_busy();
	test_late("local=cache pull-order=none", true);
	test_late("local=cache pull-order=none", false);
	test_late("local=memory pull-order=none", false);
	source_end();
	return tap_end();
}

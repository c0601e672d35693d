// SPDX-License-Identifier: GPL-2.0
/* The puller with a host whose source answers when the test says so: what it fetches, in which order, and when it does not. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pressure.h"
#include "puller.h"
#include "tap.h"
#include "turns.h"

#define PAGE	4096u
#define MIB	(1u << 20)
#define SIZE	(8u * MIB)
#define PAGES	(SIZE / PAGE)
#define LOG_MAX	4096

/* ---- the host ---- */

enum page { ABSENT, COMING, PRESENT };

static struct host {
	uint8_t page[PAGES];
	struct list held;		/* what the source has not answered, in order */
	uint64_t log[LOG_MAX];		/* the offsets that were asked for */
	unsigned int nr, twice, completed, budget;
	uint64_t bytes, in_flight, max_flight;
	bool full, at_once;
	int error;			/* for answers */
	uint64_t bad;			/* this offset can't be read; 0: all can */
} host;

static struct puller *puller;
static struct policy policy;
static char why[256], dir[] = "/tmp/test-puller.XXXXXX", path[64], meminfo[64], psi[64];
static const char *use_psi = "/nonexistent";
static bool closed;

static bool host_absent(void *arg, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length)
{
	uint64_t at = from / PAGE, end = (limit + PAGE - 1) / PAGE;

	while (at < end && host.page[at] != ABSENT)
		at++;
	*offset = at * PAGE;
	while (at < end && host.page[at] == ABSENT)
		at++;
	*length = at * PAGE - *offset;
	return *length != 0;
}

static void mark(uint64_t offset, uint64_t length, enum page state)
{
	memset(host.page + offset / PAGE, state, length / PAGE);
}

static void answer(struct pull_io *io)
{
	int error = host.bad && host.bad >= io->offset && host.bad < io->offset + io->length ? -EIO : host.error;

	host.in_flight -= io->length;
	mark(io->offset, io->length, error ? ABSENT : PRESENT);
	io->done(io, error);
}

/* The host's own part of the request is where it queues. */
static struct list *entry_of(struct pull_io *io)
{
	return (struct list *)(void *)io->private;
}

static bool answer_one(void)
{
	struct list *entry = list_pop(&host.held);

	if (entry)
		answer((struct pull_io *)((char *)entry - offsetof(struct pull_io, private)));
	return entry != NULL;
}

static void host_fetch(void *arg, struct pull_io *io)
{
	if (host.nr < LOG_MAX)
		host.log[host.nr++] = io->offset;
	host.bytes += io->length;
	host.in_flight += io->length;
	host.max_flight = host.in_flight > host.max_flight ? host.in_flight : host.max_flight;
	host.twice += host.page[io->offset / PAGE] != ABSENT || host.page[(io->offset + io->length - 1) / PAGE] != ABSENT;
	mark(io->offset, io->length, COMING);
	list_init(entry_of(io));
	if (host.at_once)
		answer(io);
	else
		list_add(&host.held, entry_of(io));
}

static bool host_room(void *arg)
{
	return !host.full && (!host.budget || host.bytes < host.budget);
}

static void host_complete(void *arg)
{
	host.completed++;
}

/* ---- a puller and its turns ---- */

static void begin(void)
{
	const struct puller_host calls = {
		.loop = loop, .absent = host_absent, .fetch = host_fetch, .room = host_room, .complete = host_complete,
		.psi = use_psi, .meminfo = meminfo,
	};

	memset(&host, 0, sizeof(host));
	list_init(&host.held);
	*why = '\0';
	if (puller_open(&puller, &calls, &policy, SIZE, MIB, why, sizeof(why)))
		exit(99);
}

static void begin_policy(const struct policy *wanted)
{
	policy = *wanted;
	begin();
	puller_start(puller);
	pass(0);
}

#define BEGIN(...) begin_policy(&(struct policy){ __VA_ARGS__ })

static void on_closed(void *arg)
{
	closed = true;
}

static void end(void)
{
	closed = false;
	puller_close(puller, on_closed, NULL);
	while (!closed) {
		answer_one();
		pass(0);
	}
}

/* Answers until nothing is asked for any more. */
static void drain(void)
{
	while (answer_one())
		if (list_empty(&host.held))
			pass(1);
}

static unsigned int present(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		n += host.page[i] == PRESENT;
	return n;
}

/* ---- order ---- */

static bool ascending(unsigned int from)
{
	for (unsigned int i = from + 1; i < host.nr; i++)
		if (host.log[i] <= host.log[i - 1])
			return false;
	return true;
}

static void test_sequential(void)
{
	BEGIN(.pull = PULL_SEQUENTIAL);
	tap_ok(host.nr > 1 && !host.log[0], "it begins with several requests, at the start");
	tap_number(host.completed, 0, "it isn't complete yet");
	drain();
	tap_ok(ascending(0), "it goes on in order");
	tap_number(present(), PAGES, "to the end");
	tap_number((long long)host.bytes, SIZE, "each byte once");
	tap_number(host.completed, 1, "then it is complete, once");
	tap_ok(puller_stats(puller)->complete && !puller_stats(puller)->running && puller_stats(puller)->pulled == SIZE, "and says so");
	puller_kick(puller);
	pass(5);
	tap_number(host.completed, 1, "a kick without need changes nothing");
	mark(MIB, MIB, ABSENT);
	puller_kick(puller);
	pass(5);
	drain();
	tap_ok(present() == PAGES && host.completed == 2, "what became absent is pulled, and complete told once more");
	end();
}

static void test_demand(void)
{
	BEGIN(.pull = PULL_SEQUENTIAL);
	puller_demand_begin(puller, 5 * MIB + 100, PAGE);
	host.nr = 0;
	answer_one();
	pass(1);
	tap_ok(host.nr && host.log[0] == 5 * MIB + PAGE, "the pull goes on where a program looks");
	puller_demand_end(puller, PAGE, 1000000);
	drain();
	tap_ok(present() == PAGES && !host.twice, "and comes back to what it left out");
	tap_number(host.completed, 1, "before it is complete");
	end();
}

static void test_demand_everywhere(void)
{
	uint64_t seed = 1;

	BEGIN(.pull = PULL_SEQUENTIAL);
	while (answer_one()) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		puller_demand_begin(puller, (seed >> 33) % SIZE, PAGE);
		puller_demand_end(puller, PAGE, 1000000);
		if (list_empty(&host.held))
			pass(6);
	}
	tap_ok(present() == PAGES && !host.twice && host.completed == 1, "misses all over the region keep it from nothing");
	end();
}

static void test_edges(void)
{
	BEGIN(.pull = PULL_EDGES);
	while (host.nr < 40 && answer_one())
		pass(0);
	tap_ok(!host.log[0], "edges: the start first");
	for (unsigned int i = 0; i < host.nr; i++) {
		if (host.log[i] < MIB)
			continue;
		tap_number((long long)host.log[i], SIZE - MIB, "then the end");
		break;
	}
	drain();
	tap_ok(present() == PAGES && !host.twice && host.completed == 1, "then the rest");
	end();
}

static void write_to(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		exit(99);
}

static void write_file(const char *text)
{
	write_to(path, text);
}

static void test_list(void)
{
	write_file("4M 64K\n0 4K\n7M 64K\n1G 4K\n7M 1G\n");
	BEGIN(.pull = PULL_LIST, .pull_file = path);
	drain();
	tap_ok(host.log[0] == 4 * MIB && host.log[1] == 0 && host.log[2] == 7 * MIB, "a list's order is kept");
	tap_ok(present() == PAGES && !host.twice && host.completed == 1, "then comes the rest; what is past the end is left out");
	end();
	write_file("4M 64K\n0 4K\n7M 64K\n");
	BEGIN(.pull = PULL_LIST, .pull_file = path, .pull_only = true);
	puller_demand_begin(puller, 2 * MIB, PAGE);
	puller_demand_end(puller, PAGE, 1000);
	drain();
	tap_ok(present() == 33 && host.completed == 1, "or the list alone");
	end();
}

static void test_profile(void)
{
	const struct puller_host calls = { .loop = loop };
	struct puller *none = NULL;

	write_file("regionfs-profile 1\nchunk 65536\nsize 8388608\n100 1\n3 2\n");
	BEGIN(.pull = PULL_PROFILE, .pull_file = path);
	drain();
	tap_ok(host.log[0] == 100 * 65536 && host.log[1] == 3 * 65536, "a profile's order is kept");
	tap_ok(present() == PAGES && host.completed == 1, "then comes the rest");
	end();
	write_file("regionfs-profile 1\nchunk 65536\nx 1\n");
	tap_number(puller_open(&none, &calls, &policy, SIZE, MIB, why, sizeof(why)), -EINVAL, "a wrong profile is refused");
	tap_ok(!none && strstr(why, "line 3") != NULL, "with its line (%s)", why);
}

static void test_none(void)
{
	BEGIN(.pull = PULL_NONE);
	puller_kick(puller);
	pass(5);
	tap_ok(!host.nr && !host.completed && !puller_stats(puller)->running, "none: nothing is pulled, and nothing complete");
	end();
}

/* ---- when it does not fetch ---- */

static void test_pause(void)
{
	policy = (struct policy){ .pull = PULL_SEQUENTIAL };
	begin();
	pass(2);
	tap_number(host.nr, 0, "before the start nothing is fetched");
	puller_start(puller);
	pass(0);
	puller_pause(puller, true);
	drain();
	pass(2);
	tap_ok(puller_stats(puller)->paused && list_empty(&host.held) && present() < PAGES, "paused, it asks for nothing new");
	puller_pause(puller, false);
	pass(1);
	drain();
	tap_ok(present() == PAGES && !host.twice && host.completed == 1, "resumed, it goes on from there");
	end();
}

static void test_rate(void)
{
	const uint64_t rate = 4 * MIB, from = loop_now_ns();
	uint64_t allowed;

	host.at_once = true;
	policy = (struct policy){ .pull = PULL_SEQUENTIAL, .pull_rate = rate };
	begin();
	host.at_once = true;
	puller_start(puller);
	pass(500);
	allowed = rate * (loop_now_ns() - from) / 1000000000 + rate / 20 + MIB;
	tap_ok(host.bytes <= allowed, "a rate of 4M lets %llu KiB through, of %llu", (unsigned long long)host.bytes >> 10,
	       (unsigned long long)allowed >> 10);
	tap_ok(host.bytes >= rate / 8, "and no less than it may");
	puller_set_rate(puller, 0);
	until(present() >= PAGES);
	tap_ok(present() == PAGES, "without it all comes");
	end();
}

static void test_again(void)
{
	unsigned int asked;

	BEGIN(.pull = PULL_SEQUENTIAL);
	answer_one();
	host.error = -EAGAIN;
	while (answer_one())
		;
	asked = host.nr;
	pass(20);
	tap_ok(host.nr <= asked + 1, "when the source is away it waits");
	until(!list_empty(&host.held));
	tap_number(host.nr, asked + 1, "then one request shows whether it is back");
	answer_one();
	pass(20);
	tap_ok(host.nr <= asked + 2 && !host.completed, "it is not");
	host.error = 0;
	puller_kick(puller);
	pass(1);
	tap_ok(!list_empty(&host.held), "a kick tries at once");
	drain();
	tap_ok(present() == PAGES && !host.twice && host.completed == 1, "and nothing was lost");
	end();
}

static void test_unreadable(void)
{
	BEGIN(.pull = PULL_SEQUENTIAL);
	host.bad = 3 * MIB;
	drain();
	tap_ok(present() < PAGES && present() >= PAGES - 256, "what can't be read is passed over");
	tap_ok(!host.completed && !puller_stats(puller)->complete, "it is not complete then");
	host.bad = 0;
	puller_pause(puller, true);
	puller_pause(puller, false);
	pass(1);
	drain();
	tap_ok(present() == PAGES && host.completed == 1, "and tried again");
	end();
}

static void test_room(void)
{
	policy = (struct policy){ .pull = PULL_SEQUENTIAL };
	begin();
	host.full = true;
	puller_start(puller);
	pass(5);
	tap_ok(!host.nr && puller_stats(puller)->yielding, "without room it yields");
	host.full = false;
	until(host.nr);
	tap_ok(host.nr && !puller_stats(puller)->yielding, "it looks again by itself");
	drain();
	tap_number(host.completed, 1, "to the end");
	end();
}

/* (T) A store that holds a quarter: what it evicts for misses, or for what comes, is not pulled over and over. */
static void test_small_store(void)
{
	BEGIN(.pull = PULL_SEQUENTIAL);
	for (unsigned int i = 0; i < 100; i++) {
		host.full = present() >= PAGES / 4;
		if (host.full)
			mark(i % 8 * MIB, MIB, ABSENT);	/* the host evicts, and has room again */
		host.full = i % 2;
		puller_kick(puller);
		pass(1);
		drain();
	}
	host.full = false;
	puller_kick(puller);
	pass(1);
	drain();
	tap_ok(host.bytes <= 2 * SIZE, "a store that is too small is not filled and emptied for ever (%llu KiB of %u)",
	       (unsigned long long)host.bytes >> 10, SIZE >> 10);
	tap_ok(host.completed >= 1, "one time through, and it is done");
	end();
}

static void test_close(void)
{
	BEGIN(.pull = PULL_SEQUENTIAL);
	closed = false;
	puller_close(puller, on_closed, NULL);
	pass(5);
	tap_ok(!closed && !list_empty(&host.held), "it closes when nothing is under way");
	host.error = -EAGAIN;
	while (answer_one())
		;
	pass(5);
	tap_ok(closed, "also when that fails");
	policy = (struct policy){ .pull = PULL_SEQUENTIAL };
	begin();
	closed = false;
	puller_close(puller, on_closed, NULL);
	tap_ok(closed, "and when it never began");
}

static void test_at_once(void)
{
	policy = (struct policy){ .pull = PULL_SEQUENTIAL };
	begin();
	host.at_once = true;
	puller_start(puller);
	pass(50);
	tap_ok(present() == PAGES && host.completed == 1, "answers may come from within");
	end();
}

static void test_bounds(void)
{
	BEGIN(.pull = PULL_SEQUENTIAL);
	tap_ok(host.in_flight && puller_stats(puller)->in_flight == host.in_flight, "what is on its way can be asked");
	drain();
	tap_ok(host.max_flight <= WINDOW_MAX, "it is never more than the bound");
	puller_resize(puller, 2 * MIB);
	mark(0, SIZE, ABSENT);
	puller_resize(puller, 4 * MIB);
	pass(1);
	drain();
	tap_number(present(), PAGES / 2, "another size is pulled to its end");
	end();
}

/* ---- memory pressure ---- */

static unsigned int changes;
static bool pressure_gone;

static void on_changed(struct pressure *pressure)
{
	changes++;
}

static void on_pressure_closed(struct pressure *pressure)
{
	pressure_gone = true;
}

static void wait_for(struct pressure *pressure, bool high)
{
	until(pressure->high == high);
}

static void test_pressure(void)
{
	struct pressure pressure = { .loop = loop, .changed = on_changed };

	write_file("MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:       999 kB\n");
	pressure_open(&pressure, "/nonexistent", path);
	wait_for(&pressure, true);
	tap_ok(pressure.high && changes == 1, "little memory is seen");
	write_file("MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:       1001 kB\n");
	wait_for(&pressure, false);
	tap_ok(!pressure.high && changes == 2, "and its end");
	pressure_close(&pressure, on_pressure_closed);
	pass(1);
	tap_ok(pressure_gone, "it can be closed");
	pressure_gone = false;
	pressure_open(&pressure, PRESSURE_PSI, PRESSURE_MEMINFO);
	pass(1);
	pressure_close(&pressure, on_pressure_closed);
	pass(20);
	tap_ok(pressure_gone, "also while the kernel is asked");
}

static unsigned int open_files(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void watch_changed(struct pressure_watch *watch)
{
	changes++;
}

static void test_watch(void)
{
	struct pressure_watch watches[3] = { { .changed = watch_changed }, { .changed = watch_changed }, { .changed = watch_changed } };
	unsigned int files = open_files();

	changes = 0;
	write_file("MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:       999 kB\n");
	for (int i = 0; i < 3; i++)
		pressure_watch(&watches[i], loop, psi, path);
	tap_number(open_files() - files, 1, "three who would know of pressure share a file");
	for (int i = 0; i < 3; i++)
		pressure_unwatch(&watches[i]);
	pressure_watch(&watches[0], loop, "/nonexistent", path);
	until(pressure_is_high());
	tap_ok(pressure_is_high() && changes == 1, "who comes while it is closed is told all the same");
	pressure_unwatch(&watches[0]);
	tap_ok(!pressure_is_high(), "without anybody nothing is known");
	pass(20);
	tap_number(open_files(), files, "and no file is open");
}

/* Complete, paused or not started: pressure is none of its business. */
static void test_watches_while_running(void)
{
	unsigned int files = open_files();

	write_to(meminfo, "MemTotal: 16000 kB\nMemAvailable: 15000 kB\n");
	policy = (struct policy){ .pull = PULL_SEQUENTIAL };
	use_psi = psi;
	begin();
	use_psi = "/nonexistent";
	puller_start(puller);
	pass(5);
	tap_number(open_files() - files, 1, "who pulls watches pressure");
	puller_pause(puller, true);
	pass(20);
	tap_number(open_files(), files, "who is paused doesn't");
	puller_pause(puller, false);
	drain();
	pass(20);
	tap_ok(puller_stats(puller)->complete && open_files() == files, "nor who is complete");
	end();
}

static void test_yield(void)
{
	write_to(meminfo, "MemTotal: 16000 kB\nMemAvailable: 999 kB\n");
	policy = (struct policy){ .pull = PULL_SEQUENTIAL };
	begin();
	puller_start(puller);
	pass(1300);	/* it looks once a second */
	host.nr = 0;
	answer_one();
	pass(20);
	tap_ok(!host.nr && !puller_stats(puller)->complete, "where memory is short nothing new is pulled");
	write_to(meminfo, "MemTotal: 16000 kB\nMemAvailable: 15000 kB\n");
	until(host.nr);
	drain();
	tap_ok(present() == PAGES && host.completed == 1, "it goes on when there is memory again");
	end();
}

int main(void)
{
	if (!mkdtemp(dir) || loop_open(&loop, 0))
		return 99;
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(meminfo, sizeof(meminfo), "%s/meminfo", dir);
	/* it takes a trigger, and never tells */
	snprintf(psi, sizeof(psi), "%s/psi", dir);
	if (mkfifo(psi, 0600))
		return 99;
	test_sequential();
	test_demand();
	test_demand_everywhere();
	test_edges();
	test_list();
	test_profile();
	test_none();
	test_pause();
	test_rate();
	test_again();
	test_unreadable();
	test_room();
	test_small_store();
	test_close();
	test_at_once();
	test_bounds();
	test_pressure();
	test_watch();
	test_watches_while_running();
	test_yield();
	loop_close(loop);
	unlink(path);
	unlink(meminfo);
	unlink(psi);
	rmdir(dir);
	return tap_end();
}

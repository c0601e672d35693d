// SPDX-License-Identifier: GPL-2.0
/*
 * A fault on a mapping that is touched at random (MADV_RANDOM) asks for its page alone. While it waits signals get through, also once the READ
 * was taken back; an error is a SIGBUS; who finds the page on its way waits for that.
 */
#include <signal.h>
#include <sys/mman.h>
#include "lib/app.h"
#include "lib/env.h"

#define HANDLED	9	/* exit status: of the handler */

struct toucher {
	uint64_t offset;
	bool stores;
};

static struct env e;
static uint64_t id;
static char path[128];

static void handler(int signal)
{
	_exit(HANDLED);
}

static void bus(int signal)
{
	_exit(APP_SIGBUS);
}

static int touch(void *arg)
{
	const struct toucher *toucher = arg;
	int fd = open(path, O_RDWR);
	char *map = mmap(NULL, 64 * MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), want[4096];

	if (fd < 0 || map == MAP_FAILED || madvise(map, 64 * MiB, MADV_RANDOM))
		return errno;
	signal(SIGUSR1, handler);
	signal(SIGBUS, bus);
	if (toucher->stores)
		((volatile char *)map)[toucher->offset + 4095] = 0;
	pattern_fill(want, sizeof(want), toucher->offset, 1);
	if (toucher->stores)
		want[4095] = 0;
	return memcmp(map + toucher->offset, want, sizeof(want)) ? APP_WRONG : 0;
}

static pid_t start(uint64_t offset, bool stores)
{
	static struct toucher toucher;

	toucher = (struct toucher){ offset, stores };
	return spawn(touch, &toucher);
}

static uint32_t hold(uint64_t offset)
{
	fh_rule(e.fh, REGIONFS_OP_READ, id, offset, 4096, FH_HOLD, 0, -1);
	return fh_mark(e.fh);
}

static void let_go(void)
{
	fh_clear(e.fh);
	must(fh_release_all(e.fh) >= 0);
}

static void asks_alone(void)
{
	uint64_t before = env_stat(&e, id, REGIONFS_STAT_READ_BYTES);

	is(reap(start(MiB, false), SOON), 0, "a load brings its page");
	is(reap(start(2 * MiB, true), SOON), 0, "so does a store");
	is(env_stat(&e, id, REGIONFS_STAT_READ_BYTES), before + 2 * 4096, "and nothing else");
}

static void handles_signals(void)
{
	uint32_t from = hold(3 * MiB);
	pid_t pid = start(3 * MiB, false);

	must(fh_wait(e.fh, from, REGIONFS_OP_READ, id, 3 * MiB, 4096, FH_HELD, SOON) >= 0);
	ok(wait_asleep(pid, SOON), "a load waits");
	kill(pid, SIGUSR1);
	is(reap(pid, SOON), HANDLED, "a signal is handled meanwhile");
	let_go();
	is(reap(start(3 * MiB, false), SOON), 0, "the page is there for the next one");
}

static void waits_for_others(void)
{
	uint32_t from = hold(4 * MiB);
	uint64_t before = env_stat(&e, id, REGIONFS_STAT_READS);
	pid_t first = start(4 * MiB, false), second;

	must(fh_wait(e.fh, from, REGIONFS_OP_READ, id, 4 * MiB, 4096, FH_HELD, SOON) >= 0);
	second = start(4 * MiB, true);
	ok(wait_asleep(second, SOON), "who finds the page on its way waits");
	kill(second, SIGUSR1);
	is(reap(second, SOON), HANDLED, "and handles signals");
	second = start(4 * MiB, false);
	ok(wait_asleep(second, SOON), "another one waits");
	let_go();
	is(reap(first, SOON), 0, "the first one gets it");
	is(reap(second, SOON), 0, "so does the other");
	is(env_stat(&e, id, REGIONFS_STAT_READS), before + 1, "it was read once");
}

static void goes_on_when_taken_back(void)
{
	uint64_t back = env_stat(&e, id, REGIONFS_STAT_TAKEN_BACK);
	pid_t pid;

	must(env_takeback(&e, 1000) == 0);
	hold(5 * MiB);
	pid = start(5 * MiB, false);
	for (long long end = now_ms() + SOON; env_stat(&e, id, REGIONFS_STAT_TAKEN_BACK) == back && now_ms() < end;)
		usleep(10000);
	ok(env_stat(&e, id, REGIONFS_STAT_TAKEN_BACK) > back, "a READ is taken back");
	ok(wait_asleep(pid, SOON), "its load waits again");
	kill(pid, SIGUSR1);
	is(reap(pid, SOON), HANDLED, "and handles signals as before");
	must(env_takeback(&e, 600000) == 0);
	let_go();
	is(reap(start(5 * MiB, false), SOON), 0, "the page can be had then");
}

static void tells_errors(void)
{
	fh_rule(e.fh, REGIONFS_OP_READ, id, 6 * MiB, 4096, FH_ERROR, -EIO, -1);
	is(reap(start(6 * MiB, false), SOON), APP_SIGBUS, "a page that can't be read: SIGBUS");
	is(reap(start(6 * MiB, true), SOON), APP_SIGBUS, "for a store as well");
	fh_clear(e.fh);
	is(reap(start(6 * MiB, false), SOON), 0, "once it can be, it is");
}

static void ends_at_the_end(void)
{
	pid_t pid;

	hold(7 * MiB);
	pid = start(7 * MiB, false);
	ok(wait_asleep(pid, SOON), "a load waits");
	is(truncate(path, 7 * MiB), 0, "the file is made shorter");
	is(reap(pid, SOON), APP_SIGBUS, "its page is beyond the end now");
	let_go();
	is(truncate(path, 64 * MiB), 0, "and longer again");
	is(app_run(path, APP_MAP_READ, 7 * MiB, 4096, 0), 0, "what was there is not back");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "random-faults");
	id = env_filled(&e, "r", 64 * MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	asks_alone();
	handles_signals();
	waits_for_others();
	goes_on_when_taken_back();
	tells_errors();
	ends_at_the_end();
	return tap_done();
}

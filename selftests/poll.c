// SPDX-License-Identifier: GPL-2.0
/* A program looks for its answer for a moment before it sleeps: it can be killed and stopped meanwhile, the helper is told, and it is left off where it doesn't pay. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(96 * MiB)
#define POLL_US	"/sys/module/regionfs/parameters/poll_us"
#define LONG	"600000000"	/* longer than any wait here */
#define TRIES	60		/* whatever else runs on its CPU sends it to sleep at once */

static struct env e;
static uint64_t id, page;
static char path[128], before[32];

static void restore(void)
{
	write_file(POLL_US, before);
}

/* A reader whose answer is held, of pages that nobody has read. */
static pid_t held_reader_of(enum app_what what, size_t len, long *held)
{
	uint32_t from = fh_mark(e.fh);
	pid_t pid;

	page += 128 * KiB;	/* nothing is read ahead */
	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_HOLD, 0, -1);
	pid = app_start(path, what, page, len, 1);
	*held = fh_wait(e.fh, from, REGIONFS_OP_READ, id, page, 4096, FH_HELD, SOON);
	must(*held >= 0);
	return pid;
}

static pid_t held_reader(enum app_what what, long *held)
{
	return held_reader_of(what, 4096, held);
}

/* Answers what is held; how the reader has ended. */
static int release(pid_t pid)
{
	fh_clear(e.fh);
	must(fh_release_all(e.fh) >= 0);
	return reap(pid, SOON);
}

static bool polls(pid_t pid)
{
	for (int i = 0; i < 5; i++) {
		usleep(2000);
		if (proc_state(pid) != 'R')
			return false;
	}
	return true;
}

/* One that polls, if need be the last of several. */
static pid_t polling_reader(enum app_what what, long *held)
{
	pid_t pid = held_reader(what, held);
	bool seen = polls(pid);

	for (int i = 0; i < TRIES && !seen; i++) {
		must(release(pid) == 0);
		pid = held_reader(what, held);
		seen = polls(pid);
	}
	ok(seen, "a %s looks for its answer", app_name(what));
	return pid;
}

static bool is_stopped(void *arg)
{
	return proc_state(*(pid_t *)arg) == 'T';
}

static void looks(enum app_what what)
{
	long held;
	pid_t pid = polling_reader(what, &held);

	ok(fh_at(e.fh, held)->desc.flags & REGIONFS_REQ_POLLED, "and the helper is told");
	must(kill(pid, SIGSTOP) == 0);
	if (what == APP_MAP_READ)
		ok(wait_until(is_stopped, &pid, SOON), "it can be stopped");
	must(kill(pid, SIGCONT) == 0);
	is(release(pid), 0, "answered, it has the right bytes");
	pid = polling_reader(what, &held);
	ok(kill_in_time(pid, SOON), "and killed");
	fh_clear(e.fh);
	must(fh_release_all(e.fh) >= 0);
}

/* What several READs take says nothing of one, so nothing would ever be learnt. A few may seem to poll that have not slept yet. */
static void batch(void)
{
	int seen = 0, wrong = 0;
	long held;
	pid_t pid;

	for (int i = 0; i < TRIES; i++) {
		pid = held_reader_of(APP_DIRECT_READ, 2 * MiB, &held);
		seen += polls(pid);
		wrong += release(pid) != 0;
	}
	ok(seen < TRIES / 4, "who reads by several requests at once sleeps (but %d of %d)", seen, TRIES);
	is(wrong, 0, "answered, all have the right bytes");
}

static void never(void)
{
	long held;
	pid_t pid;

	must(write_file(POLL_US, "0") == 0);
	pid = held_reader(APP_MAP_READ, &held);
	ok(wait_asleep(pid, SOON), "with 0 it sleeps");
	ok(!(fh_at(e.fh, held)->desc.flags & REGIONFS_REQ_POLLED), "and the helper is not told");
	is(release(pid), 0, "answered, it has the right bytes");
}

/* Answers that come too late, so many that it is left off. */
static void left_off(void)
{
	unsigned int flags = REGIONFS_REQ_POLLED, n = 0;
	long held;
	pid_t pid;

	must(write_file(POLL_US, "100") == 0);
	while (flags && n < 400) {
		pid = held_reader(APP_MAP_READ, &held);
		flags = fh_at(e.fh, held)->desc.flags & REGIONFS_REQ_POLLED;
		usleep(1000);
		must(release(pid) == 0);
		n++;
	}
	ok(!flags, "where answers come late it is left off (after %u)", n);
}

int main(void)
{
	FILE *f;

	tap_start(300);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		tap_skip_all("one CPU: nobody polls");
	env_start(&e, "poll");
	f = fopen(POLL_US, "r");
	must(f && fgets(before, sizeof(before), f));
	fclose(f);
	atexit(restore);
	must(write_file(POLL_US, LONG) == 0);
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	looks(APP_MAP_READ);
	looks(APP_DIRECT_READ);
	batch();
	never();
	left_off();
	return tap_done();
}

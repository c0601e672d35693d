// SPDX-License-Identifier: GPL-2.0
/*
 * WRITE_RATE: writers of all kinds wait for their turn, readers do not; whoever waits is in no one's way, can be killed, and goes on
 * as soon as the limit is lifted.
 */
#include "lib/app.h"
#include "lib/env.h"

static const enum app_what how[] = { APP_WRITE, APP_MAP_WRITE, APP_DIRECT_WRITE };

static struct env e;
static uint64_t id;
static char path[128];

static int rate(uint64_t bytes)
{
	env_ask(&e, REGIONFS_CMD_WRITE_RATE, id);
	nlq_u64(&e.q, REGIONFS_A_WRITE_RATE, bytes);
	return env_call(&e);
}

/* What REGION_GET shows; 0: nothing. */
static uint64_t shown(void)
{
	must(env_simple(&e, REGIONFS_CMD_REGION_GET, id) == 0);
	return e.r.a[REGIONFS_A_WRITE_RATE] ? nlr_u64(&e.r, REGIONFS_A_WRITE_RATE) : 0;
}

/* At one byte a second, the first page is free, and nobody gets another today. */
static void stop_all(void)
{
	must(rate(0) == 0 && rate(1) == 0);
	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "the first write goes on");
}

static void asks(void)
{
	is(rate(0), 0, "no limit, without a helper");
	is(rate(1), -ENOTCONN, "a limit, without a helper");
	ok(strstr(e.nl.message, "helper") != NULL, "the reason: %s", e.nl.message);
	must(fh_start(e.fh) == 0);
	is(env_simple(&e, REGIONFS_CMD_WRITE_RATE, id), -EINVAL, "the rate is named");
	is(shown(), 0, "no limit is shown");
	is(rate(~0ull), 0, "the highest rate");
	is(shown(), ~0ull, "is shown");
	is(app_run(path, APP_WRITE, 0, 64 * KiB, 2), 0, "and lets a write pass");
	is(app_run(path, APP_MAP_WRITE, 64 * KiB, 64 * KiB, 2), 0, "and stores");
	is(app_run(path, APP_DIRECT_WRITE, 128 * KiB, 64 * KiB, 2), 0, "and a direct one");
}

static void slows(void)
{
	pid_t pid[3];

	stop_all();
	for (int i = 0; i < 3; i++)
		pid[i] = app_start(path, how[i], (i + 1) * 64 * KiB, 4096, 3);
	for (int i = 0; i < 3; i++)
		ok(wait_asleep(pid[i], SOON), "a %s waits", app_name(how[i]));
	is(app_run(path, APP_READ, 0, 4096, 2), 0, "reads go on");
	is(app_run(path, APP_MAP_READ, 0, 4096, 2), 0, "loads go on");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "so does fsync");
	is(app_run(path, APP_PUNCH, 512 * KiB, 4096, 0), 0, "and a punch");
	is(env_long(&e, REGIONFS_CMD_FREEZE, id), 0, "FREEZE");
	is(env_simple(&e, REGIONFS_CMD_THAW, id), 0, "THAW");
	is(env_long(&e, REGIONFS_CMD_LOCK, id), 0, "LOCK");
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "UNLOCK");
	for (int i = 0; i < 3; i++)
		ok(wait_asleep(pid[i], SOON), "the %s still waits", app_name(how[i]));
	is(rate(0), 0, "the limit is lifted");
	for (int i = 0; i < 3; i++)
		is(reap(pid[i], SOON), 0, "the %s goes on", app_name(how[i]));
	for (int i = 0; i < 3; i++)
		is(app_run(path, APP_READ, (i + 1) * 64 * KiB, 4096, 3), 0, "its bytes are there");
}

static void kills(void)
{
	pid_t pid[3], behind;

	stop_all();
	for (int i = 0; i < 3; i++) {
		pid[i] = app_start(path, how[i], (i + 5) * 64 * KiB, 4096, 4);
		ok(wait_asleep(pid[i], SOON), "a %s waits", app_name(how[i]));
	}
	behind = app_start(path, APP_WRITE, 512 * KiB, 4096, 4);
	ok(wait_asleep(behind, SOON), "and one more behind it");
	for (int i = 0; i < 3; i++)
		ok(kill_in_time(pid[i], SOON), "the %s dies by kill -9", app_name(how[i]));
	is(rate(GiB), 0, "a higher rate");
	is(reap(behind, SOON), 0, "lets the other one go");
	must(rate(0) == 0);
}

/* Nothing is up to time but for how long it takes at least. */
static void keeps_to_it(void)
{
	const uint64_t len = 256 * KiB;
	long long begun;

	for (int i = 0; i < 3; i++) {
		must(rate(0) == 0 && env_long(&e, REGIONFS_CMD_WRITEBACK, id) == 0 && rate(len) == 0);
		begun = now_ms();
		is(app_run(path, how[i], 0, len, 5), 0, "a %s of a second", app_name(how[i]));
		ok(now_ms() - begun >= 700, "takes %lld ms", now_ms() - begun);
	}
	must(rate(0) == 0);
}

#define MANY 64

static void many(void)
{
	pid_t pid[MANY];
	int bad = 0;

	must(rate(2 * MiB) == 0);
	for (int i = 0; i < MANY; i++)
		pid[i] = app_start(path, how[i % 3], i * 16 * KiB, 16 * KiB, 6);
	for (int i = 0; i < MANY; i++)
		bad += reap(pid[i], 2 * SOON) != 0;
	is(bad, 0, "%d writers all come to their turns", MANY);
	must(rate(0) == 0);
	is(app_run(path, APP_READ, 0, MANY * 16 * KiB, 6), 0, "and each has written its own");
}

/* A write that no page border begins takes turns that end at one: only its own two edges are read. */
static void whole_pages(void)
{
	const uint64_t len = 64 * KiB;
	int fd = env_path_fd(&e, "r", O_RDWR);
	uint32_t from;
	uint64_t bytes;

	must(rate(0) == 0 && env_long(&e, REGIONFS_CMD_WRITEBACK, id) == 0);
	env_evict(fd);
	must(rate(64 * KiB) == 0);
	from = fh_mark(e.fh);
	is(app_run(path, APP_WRITE, 256 * KiB + 100, len, 7), 0, "a write that begins within a page");
	fh_seen(e.fh, from, REGIONFS_OP_READ, id, 256 * KiB + 4096, len - 4096, &bytes);
	is(bytes, 0, "nothing is read that it writes whole");
	must(rate(0) == 0);
	is(app_run(path, APP_READ, 256 * KiB + 100, len, 7), 0, "its bytes are there");
	close(fd);
}

/* A write that has paid nothing, since there was no limit as it began, gets nothing back. */
static void no_refund(void)
{
	int fd = env_path_fd(&e, "r", O_RDWR);
	pid_t held, next;

	must(rate(0) == 0 && env_long(&e, REGIONFS_CMD_WRITEBACK, id) == 0);
	env_evict(fd);
	fh_rule(e.fh, REGIONFS_OP_READ, id, 128 * KiB, 4096, FH_HOLD, 0, 1);
	held = app_start(path, APP_WRITE, 128 * KiB + 100, 8 * KiB, 8);
	ok(fh_wait(e.fh, 0, REGIONFS_OP_READ, id, 128 * KiB, 4096, FH_HELD, SOON) >= 0, "a write waits for its first page");
	stop_all();
	ok(kill_in_time(held, SOON), "and dies");
	next = app_start(path, APP_WRITE, 512 * KiB, 4096, 8);
	ok(wait_asleep(next, SOON), "the next one waits for its turn all the same");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	must(rate(0) == 0);
	is(reap(next, SOON), 0, "and gets it");
	close(fd);
}

static volatile sig_atomic_t hit;

static void on_signal(int sig)
{
	hit = sig;
}

static int interrupted(void *arg)
{
	struct sigaction act = { .sa_handler = on_signal };
	int fd = open(path, O_RDWR);
	char buf[4096];

	sigaction(SIGUSR1, &act, NULL);
	memset(buf, 7, sizeof(buf));
	return pwrite(fd, buf, sizeof(buf), 640 * KiB) < 0 && errno == EINTR && hit ? 0 : 1;
}

static void signals(void)
{
	pid_t pid;

	stop_all();
	pid = spawn(interrupted, NULL);
	ok(wait_asleep(pid, SOON), "a write waits");
	must(kill(pid, SIGUSR1) == 0);
	is(reap(pid, SOON), 0, "a signal interrupts it");
	must(rate(0) == 0);
}

int main(void)
{
	tap_start(600);
	env_start_bare(&e, "rate");
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	asks();
	slows();
	kills();
	signals();
	keeps_to_it();
	whole_pages();
	no_refund();
	many();
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Lock: no application reads, writes or maps until unlock; it does not wait for READs in flight; only STORE
 * with the right epoch fills; unlock drops the ranges that it names and grows the region generation.
 */
#include "lib/app.h"
#include "lib/env.h"

#define STORED	(256 * KiB)
#define STALE	(512 * KiB)

static struct env e;
static uint64_t id;
static char path[128];

static void lock_detaches(pid_t *reader)
{
	uint32_t from = fh_mark(e.fh);

	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_HOLD, 0, -1);
	*reader = app_start(path, APP_READ, 0, 4096, 1);
	must(fh_wait(e.fh, from, REGIONFS_OP_READ, id, 0, 4096, FH_HELD, SOON) >= 0);
	is(env_long(&e, REGIONFS_CMD_LOCK, id), 0, "LOCK does not wait for a READ");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	ok(env_region_u32(&e, id, REGIONFS_A_FLAGS) & REGIONFS_REGION_LOCKED, "the region says so");
	ok(wait_asleep(*reader, SOON), "the reader waits on");
}

static const enum app_what waits[] = {
	APP_READ, APP_MAP_READ, APP_MAP_WRITE, APP_WRITE, APP_DIRECT_READ, APP_DIRECT_WRITE,
	APP_SENDFILE,
};

#define NR_WAITS	(sizeof(waits) / sizeof(waits[0]))

static void all_wait(pid_t *pid)
{
	pid_t doomed;

	for (unsigned int i = 0; i < NR_WAITS; i++)
		pid[i] = app_start_any(path, waits[i], (i + 1) * 16 * KiB, 4096);
	for (unsigned int i = 0; i < NR_WAITS; i++)
		ok(wait_asleep(pid[i], SOON), "locked: a %s waits", app_name(waits[i]));
	doomed = app_start(path, APP_MAP_READ, 0, 4096, 1);
	ok(wait_asleep(doomed, SOON) && kill_in_time(doomed, SOON), "locked: a load dies by kill -9");
	is(truncate(path, 4096) ? errno : 0, EBUSY, "locked: truncate");
	is(unlink(path) ? errno : 0, EBUSY, "locked: unlink");
	is(chmod(path, 0600) ? errno : 0, EBUSY, "locked: chmod");
}

static void only_store(void)
{
	uint64_t token;

	is(fh_token(e.fh, id, &token), 0, "locked: TOKEN");
	pattern_fill(e.fh->store_buf, 64 * KiB, STORED, 7);
	is(fh_store(e.fh, id, STORED, 64 * KiB, token, 1), -ESTALE, "locked: STORE with an old epoch");
	is(fh_store(e.fh, id, STORED, 64 * KiB, token, 2), 64 * KiB, "locked: STORE");
	pattern_fill(e.fh->store_buf, 64 * KiB, STALE, 8);
	is(fh_store(e.fh, id, STALE, 64 * KiB, token, 2), 64 * KiB, "locked: STORE elsewhere");
}

static void unlock(pid_t reader, pid_t *pid)
{
	struct regionfs_range drop[] = { { STALE, 64 * KiB } };
	uint32_t gen = env_region_u32(&e, id, REGIONFS_A_GENERATION), from = fh_mark(e.fh);
	long place;

	ok(reap(reader, 0) == -ETIMEDOUT, "the first reader is still waiting");
	env_ask(&e, REGIONFS_CMD_UNLOCK, id);
	nlq_bin(&e.q, REGIONFS_A_RANGES, drop, sizeof(drop));
	is(env_call(&e), 0, "UNLOCK");
	is(reap(reader, SOON), 0, "the first reader has its bytes");
	for (unsigned int i = 0; i < NR_WAITS; i++)
		is(reap(pid[i], SOON), 0, "the %s goes on", app_name(waits[i]));
	is(app_run(path, APP_READ, STORED, 64 * KiB, 7), 0, "what was stored is read");
	is(fh_seen(e.fh, from, REGIONFS_OP_READ, id, STORED, 64 * KiB, NULL), 0, "without a READ");
	is(app_run(path, APP_READ, STALE, 64 * KiB, 1), 0, "what was dropped comes from the helper");
	place = fh_wait(e.fh, from, REGIONFS_OP_READ, id, STALE, 4096, FH_ANSWERED, SOON);
	ok(place >= 0 && fh_at(e.fh, place)->desc.region_gen > gen, "under a newer generation");
	ok(place >= 0 && fh_at(e.fh, place)->desc.epoch == 2, "and the region's epoch");
}

/* A mapping that was there before is empty while locked. */
static void mapped(void)
{
	pid_t pid;

	is(app_run(path, APP_READ, 0, 4096, 1), 0, "the first page is cached");
	is(env_long(&e, REGIONFS_CMD_LOCK, id), 0, "LOCK again");
	pid = app_start(path, APP_MAP_READ, 0, 4096, 1);
	ok(wait_asleep(pid, SOON), "a load of a cached page waits");
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "UNLOCK");
	is(reap(pid, SOON), 0, "and goes on");
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "a second UNLOCK changes nothing");
}

int main(void)
{
	pid_t reader, pid[NR_WAITS];

	tap_start(600);
	env_start(&e, "lock");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 2);
	is(env_call(&e), 0, "the epoch is 2");
	lock_detaches(&reader);
	all_wait(pid);
	only_store();
	unlock(reader, pid);
	mapped();
	return tap_done();
}

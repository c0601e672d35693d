// SPDX-License-Identifier: GPL-2.0
/*
 * A request carries the epoch under which it was made, not the one under which it is handed over: what an old
 * owner still had on its way can't pass for the new owner's.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;

static int set_epoch(uint64_t epoch)
{
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, epoch);
	return env_call(&e);
}

static uint64_t epoch_of(int op, uint32_t from)
{
	long place = fh_wait(e.fh, from, op, id, 0, 0, FH_TAKEN, SOON);

	return place < 0 ? 0 : fh_at(e.fh, place)->desc.epoch;
}

/* What a region that has moved still had queued is not done any more. */
static void moved(void)
{
	uint64_t other = env_filled(&e, "other", 64 * KiB, 1);
	uint32_t from;

	fh_kill(e.fh);
	is(truncate(env_path(&e, "r"), 16 * KiB), 0, "a truncate without a helper");
	env_ask(&e, REGIONFS_CMD_MOVED, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 9);
	is(env_call_long(&e), 0, "then the region moves");
	from = fh_mark(e.fh);
	must(fh_start(e.fh) == 0);
	is(app_run(env_path(&e, "other"), APP_READ, 0, 4096, 1), 0, "the next helper works");
	is(fh_seen(e.fh, from, FH_ANY, id, 0, 0, NULL), 0, "and hears nothing of the region that has moved");
	ok(fh_seen(e.fh, from, FH_ANY, other, 0, 0, NULL) > 0, "only of the other");
}

int main(void)
{
	uint32_t from;

	tap_start(120);
	env_start(&e, "epoch");
	id = env_filled(&e, "r", 64 * KiB, 1);
	is(set_epoch(3), 0, "an epoch");
	fh_kill(e.fh);
	from = fh_mark(e.fh);
	is(truncate(env_path(&e, "r"), 32 * KiB), 0, "a truncate without a helper");
	is(set_epoch(5), 0, "a newer epoch");
	must(fh_start(e.fh) == 0);
	is(epoch_of(REGIONFS_OP_RESIZE, from), 3, "the RESIZE carries the epoch in which it was made");
	is(app_run(env_path(&e, "r"), APP_READ, 0, 4096, 1), 0, "a read");
	is(epoch_of(REGIONFS_OP_READ, from), 5, "a new request carries the new one");
	is(set_epoch(4), -EINVAL, "an older epoch is refused");
	moved();
	return tap_done();
}

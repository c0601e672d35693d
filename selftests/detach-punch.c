// SPDX-License-Identifier: GPL-2.0
/* Punching a hole does not wait for a READ of the range; the READ's late answer touches nothing. */
#include "lib/detach.h"

static struct detach d;

int main(void)
{
	pid_t syncer;

	tap_start(300);
	detach_begin(&d, 0, 1);
	is(app_run(d.path, APP_PUNCH, DETACH_AT, DETACH_LEN, 0), 0, "punch returns while the READ is held");
	is(fh_at(d.e.fh, d.place)->state, FH_HELD, "the READ is still held");
	syncer = app_start(d.path, APP_FSYNC, 0, 0, 0);
	is(reap(syncer, SOON), 0, "fsync sends the DISCARD past the READ that is held");
	ok(fh_seen(d.e.fh, d.from, REGIONFS_OP_DISCARD, d.id, 0, 0, NULL) > 0, "which is answered");
	detach_release(&d, DETACH_AT, DETACH_AT + DETACH_LEN);
	is(reap(d.bystander, SOON), 0, "the bystander gets its bytes, without an error");
	is(reap(d.reader, SOON), 0, "the reader sees zeroes");
	ok(env_wait_stat(&d.e, d.id, REGIONFS_STAT_LATE_COMMITS, d.late + 1, SOON),
	   "the answer came late");
	ok(detach_reads(&d, DETACH_AT, DETACH_LEN, 0), "the hole reads zero");
	ok(detach_reads(&d, 0, DETACH_AT, 1), "all before it is right");
	ok(detach_reads(&d, DETACH_AT + DETACH_LEN, DETACH_SIZE - DETACH_AT - DETACH_LEN, 1),
	   "all behind it is right");
	return tap_done();
}

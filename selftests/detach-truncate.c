// SPDX-License-Identifier: GPL-2.0
/* Truncating does not wait for a READ beyond the new end; the READ's late answer touches nothing. */
#include "lib/detach.h"

static struct detach d;

int main(void)
{
	struct stat st;
	pid_t syncer;

	tap_start(300);
	detach_begin(&d, 1, 1);
	is(app_run(d.path, APP_TRUNCATE, DETACH_AT + DETACH_LEN, 0, 0), 0,
	   "truncate returns while the READ is held");
	is(stat(d.path, &st) ?: st.st_size, DETACH_AT + DETACH_LEN, "the size is the new one");
	is(reap(d.bystander, SOON), APP_SHORT, "the bystander is behind the end now");
	is(fh_at(d.e.fh, d.place)->state, FH_HELD, "the READ is still held");
	syncer = app_start(d.path, APP_FSYNC, 0, 0, 0);
	is(reap(syncer, SOON), 0, "fsync sends the RESIZE past the READ that is held");
	ok(fh_seen(d.e.fh, d.from, REGIONFS_OP_RESIZE, d.id, 0, 0, NULL) > 0, "which is answered");
	detach_release(&d, DETACH_AT + DETACH_LEN, DETACH_SIZE);
	is(reap(d.reader, SOON), 0, "the reader before the end gets its bytes");
	is(truncate(d.path, DETACH_SIZE), 0, "the file can grow again");
	ok(detach_reads(&d, 0, DETACH_AT + DETACH_LEN, 1), "the kept bytes are right");
	ok(detach_reads(&d, DETACH_AT + DETACH_LEN, DETACH_SIZE - DETACH_AT - DETACH_LEN, 0),
	   "the new ones are zero");
	return tap_done();
}

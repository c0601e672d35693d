// SPDX-License-Identifier: GPL-2.0
/* INVALIDATE does not wait for a READ of the range; the READ's late answer touches nothing. */
#include "lib/detach.h"

static struct detach d;

int main(void)
{
	static char fresh[DETACH_LEN];

	tap_start(300);
	detach_begin(&d, 2, 1);
	pattern_fill(fresh, sizeof(fresh), DETACH_AT, 2);
	fh_pwrite(d.e.fh, d.id, fresh, sizeof(fresh), DETACH_AT);
	env_ask(&d.e, REGIONFS_CMD_INVALIDATE, d.id);
	nlq_u64(&d.e.q, REGIONFS_A_OFFSET, DETACH_AT);
	nlq_u64(&d.e.q, REGIONFS_A_LENGTH, DETACH_LEN);
	is(env_call_long(&d.e), 0, "INVALIDATE returns while the READ is held");
	is(fh_at(d.e.fh, d.place)->state, FH_HELD, "the READ is still held");
	detach_release(&d, DETACH_AT, DETACH_AT + DETACH_LEN);
	is(reap(d.reader, SOON), 0, "the reader asks again and gets the new bytes");
	is(reap(d.bystander, SOON), 0, "the bystander gets its bytes, without an error");
	ok(detach_reads(&d, DETACH_AT, DETACH_LEN, 2), "the range reads as the new bytes");
	ok(detach_reads(&d, 0, DETACH_AT, 1), "all before it is right");
	ok(detach_reads(&d, DETACH_AT + DETACH_LEN, DETACH_SIZE - DETACH_AT - DETACH_LEN, 1),
	   "all behind it is right");
	return tap_done();
}

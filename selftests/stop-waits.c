// SPDX-License-Identifier: GPL-2.0
/*
 * INSTANCE_STOP waits for what runs on a region, as its deadline allows; past that nothing has changed. With A_DISCARD what runs is broken off: it may have a
 * deadline of days, and nothing else could end it.
 */
#include "lib/env.h"

static struct env e;

/* Begins an operation that waits for a helper, which is not there; its sequence number. */
static uint32_t begin(uint64_t id, uint32_t ms)
{
	uint32_t seq;

	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, ms);
	must(!env_call(&e));
	seq = e.nl.seq;
	while (!(env_region_u32(&e, id, REGIONFS_A_FLAGS) & REGIONFS_REGION_FROZEN))
		usleep(1000);
	return seq;
}

static int stop(struct nl *nl, bool discard, uint32_t ms)
{
	nlq_start(&e.q, nl, REGIONFS_CMD_INSTANCE_STOP, 0);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, e.name);
	if (discard)
		nlq_flag(&e.q, REGIONFS_A_DISCARD);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, ms);
	return nl_call_long(nl, &e.q, &e.r);
}

int main(void)
{
	struct nl other;
	uint32_t seq;
	uint64_t id;
	int fd;

	tap_start(120);
	env_start(&e, "stopw");
	must(!nl_open(&other));
	id = env_region(&e, "r", MiB);
	fd = env_path_fd(&e, "r", O_RDWR);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, -1);
	must(pwrite(fd, "x", 1, 0) == 1);
	close(fd);
	fh_kill(e.fh);
	must(!env_umount(&e));

	begin(id, 3000);
	is(stop(&other, false, 100), -EBUSY, "an instance is not stopped while an operation runs on a region");
	ok(strstr(other.message, "an operation is still running"), "and why is said");
	ok(env_id(&e, "r") == id, "the region is there");
	is(stop(&other, false, 20 * 1000), -EBUSY, "with time enough the end of the operation is waited for");
	ok(strstr(other.message, "bytes are dirty"), "and then it is the bytes that are in the way");

	seq = begin(id, 24 * 3600 * 1000);
	is(stop(&other, true, 20 * 1000), 0, "who discards them does not wait for a day");
	is(nl_done(&e.nl, seq, &e.r, SOON), -ENODEV, "and the operation is told why");
	e.up = false;
	nl_close(&other);
	return tap_done();
}

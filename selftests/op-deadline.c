// SPDX-License-Identifier: GPL-2.0
/*
 * A long operation ends at its deadline, also where all that it waits for is in the hands of a helper that does not answer: the pages are dirty or
 * under write-back then as they were, and another one gets done once there are answers.
 */
#include "lib/app.h"
#include "lib/env.h"

#define BYTES	(256 * KiB)

static struct env e;

static int within_half_a_second(uint8_t cmd, uint64_t id)
{
	env_ask(&e, cmd, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 500);
	return env_call_long(&e);
}

static bool fill(int fd, uint64_t seed)
{
	static char buf[BYTES];

	pattern_fill(buf, BYTES, 0, seed);
	return pwrite(fd, buf, BYTES, 0) == BYTES;
}

static bool source_has(uint64_t id, uint64_t seed)
{
	static char buf[BYTES];

	fh_pread(e.fh, id, buf, BYTES, 0);
	return pattern_check(buf, BYTES, 0, seed) < 0;
}

int main(void)
{
	uint64_t id;
	pid_t pid;
	int fd;

	tap_start(120);
	env_start(&e, "opdl");
	must(!env_takeback(&e, 3600 * 1000));
	id = env_region(&e, "r", MiB);
	fd = env_path_fd(&e, "r", O_RDWR);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, -1);
	must(fill(fd, 1));
	is(within_half_a_second(REGIONFS_CMD_WRITEBACK, id), -EBUSY, "a write-back ends at its deadline");
	must(fill(fd, 2));
	is(within_half_a_second(REGIONFS_CMD_WRITEBACK, id), -EBUSY, "also where pages are under write-back and dirty");
	pid = app_start(env_path(&e, "r"), APP_FSYNC, 0, 0, 0);
	ok(wait_asleep(pid, SOON), "a program waits in fsync for them");
	is(within_half_a_second(REGIONFS_CMD_WRITEBACK, id), -EBUSY, "a write-back does not wait for the program");
	is(within_half_a_second(REGIONFS_CMD_INVALIDATE, id), -EBUSY, "an invalidate ends at its deadline");
	is(within_half_a_second(REGIONFS_CMD_FREEZE, id), -EBUSY, "a freeze does");
	is(within_half_a_second(REGIONFS_CMD_LOCK, id), -EBUSY, "a lock does");
	ok(fill(fd, 3), "the region is written to as before");
	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(env_long(&e, REGIONFS_CMD_INVALIDATE, id), 0, "with answers it gets done");
	is(reap(pid, SOON), 0, "the program has its fsync");
	ok(source_has(id, 3), "all bytes are in the source");
	close(fd);
	return tap_done();
}

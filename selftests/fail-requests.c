// SPDX-License-Identifier: GPL-2.0
/*
 * No request can be allocated, by nobody: the flusher and the module's workers, which fail-nth does not reach, write back from the reserve all the same; what has
 * no reserve says so, leaves all as it was, and can be done later. Needs slub_debug=A,regionfs_request, which scripts/vm.sh gives the debugging kernel.
 * timeout: 120
 */
#include "lib/failnth-file.h"

#define MARK	"/sys/kernel/slab/regionfs_request/failslab"
#define KNOB	"/sys/kernel/debug/failslab/"

static void fail_requests(bool fail)
{
	if (!fail)
		must(write_file(KNOB "probability", "0") == 0);
	write_file(KNOB "cache-filter", fail ? "Y" : "N");
	write_file(KNOB "times", "-1");
	if (fail)
		must(write_file(KNOB "probability", "100") == 0);
}

/* Every second page: each large folio is several requests. */
static void dirty(void)
{
	must(pread(nf.fd, nf.buf, FILE_SIZE, 0) == (ssize_t)FILE_SIZE);
	for (size_t at = 0; at < FILE_SIZE; at += 8192) {
		nthfile_will_write(at, 4096);
		must(pwrite(nf.fd, nf.buf, 4096, at) == 4096);
	}
}

static bool at_source(void *arg)
{
	static char got[FILE_SIZE];

	fh_pread(nf.e.fh, nf.id, got, FILE_SIZE, 0);
	return nthfile_is(got, 0, FILE_SIZE);
}

static void by_worker(void)
{
	dirty();
	fail_requests(true);
	is(env_long(&nf.e, REGIONFS_CMD_WRITEBACK, nf.id), 0, "WRITEBACK is done");
	ok(at_source(NULL), "and the source has it");
	fail_requests(false);
}

static void by_flusher(void)
{
	long expire = read_number("/proc/sys/vm/dirty_expire_centisecs"), every = read_number("/proc/sys/vm/dirty_writeback_centisecs");

	write_file("/proc/sys/vm/dirty_expire_centisecs", "1");
	write_file("/proc/sys/vm/dirty_writeback_centisecs", "10");
	fail_requests(true);
	dirty();
	ok(wait_until(at_source, NULL, SOON), "the flusher writes it");
	fail_requests(false);
	shell("echo %ld > /proc/sys/vm/dirty_expire_centisecs; echo %ld > /proc/sys/vm/dirty_writeback_centisecs", expire, every);
}

/* What a dead helper leaves is written by a worker as soon as the next one is there. */
static void by_next_helper(void)
{
	fh_kill(nf.e.fh);
	dirty();
	fail_requests(true);
	is(fh_start(nf.e.fh), 0, "the next helper attaches");
	ok(wait_until(at_source, NULL, SOON), "it is given what is dirty");
	fail_requests(false);
}

static void with_sync(uint8_t cmd, uint8_t undo, const char *name)
{
	uint32_t flags = REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED;

	dirty();
	fail_requests(true);
	is(env_long(&nf.e, cmd, nf.id), -ENOMEM, "%s, which needs a SYNC, is not done", name);
	is(env_region_u32(&nf.e, nf.id, REGIONFS_A_FLAGS) & flags, 0, "all is as before");
	fail_requests(false);
	is(env_long(&nf.e, cmd, nf.id), 0, "%s is done later", name);
	is(env_simple(&nf.e, undo, nf.id), 0, "and undone");
	ok(nthfile_right(), "the bytes are right");
}

static void reads(void)
{
	ssize_t n;

	nthfile_cold();
	fail_requests(true);
	n = pread(nf.fd, nf.buf, FILE_SIZE, 0);
	ok(n < 0 && errno == ENOMEM, "a read says that there is no memory");
	is(fsync(nf.fd), -1, "so does fsync");
	is(errno, ENOMEM, "of a clean file, too");
	fail_requests(false);
	ok(nthfile_right(), "then both are done");
}

int main(void)
{
	tap_start(400);
	nthfile_start("fail-requests");
	if (read_number(MARK) != 1)
		tap_skip_all("the kernel was not booted with slub_debug=A,regionfs_request");
	by_worker();
	by_flusher();
	by_next_helper();
	with_sync(REGIONFS_CMD_FREEZE, REGIONFS_CMD_THAW, "FREEZE");
	with_sync(REGIONFS_CMD_LOCK, REGIONFS_CMD_UNLOCK, "LOCK");
	reads();
	return nthfile_done();
}

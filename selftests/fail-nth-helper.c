// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from or to its memory, fails once in the helper's own calls: while it takes requests and answers them, and puts pages in by
 * STORE. Programs notice nothing of it.
 * timeout: 300
 */
#include "lib/failnth-file.h"

static int reader = -1;

/* The failure is the helper's, not ours. */
static void helper_run(const char *name, void (*stage)(void), int (*act)(void))
{
	unsigned int n = 0, bad = 0;
	bool hit = true;
	int err;

	while (hit && bad < 5) {
		if (stage)
			stage();
		must(fh_fail(nf.e.fh, ++n) >= 0);
		err = act();
		hit = fh_fail(nf.e.fh, 0) == 1;
		if (err)
			tap_note("%s, failure %u: %s", name, n, strerror(-err));
		bad += err || !nthfile_right();
	}
	failnth_count(n - 1);
	ok(!bad, "%s: %u failures", name, n - 1);
}

static int read_all(void)
{
	ssize_t n = pread(reader, nf.buf, FILE_SIZE, 0);

	if (n > 0 && !nthfile_is(nf.buf, 0, n))
		return -EILSEQ;
	return nthfile_result(n, FILE_SIZE);
}

static void any_addr(void)
{
	nthfile_cold();
	fh_clear(nf.e.fh);
	fh_rule(nf.e.fh, REGIONFS_OP_READ, 0, 0, 0, FH_ANY_ADDR, 0, -1);
}

static void dirty_pages(void)
{
	fh_clear(nf.e.fh);
	nthfile_cold();
	for (size_t at = 0; at < FILE_SIZE; at += 8192) {
		nthfile_will_write(at, 4096);
		must(pwrite(nf.fd, nf.buf, 4096, at) == 4096);
	}
}

static int sync_file(void)
{
	return fsync(nf.fd) ? -errno : 0;
}

/* A request that is held is answered, and the next one taken, by two commands. */
static int answer_apart(void)
{
	uint32_t from = fh_mark(nf.e.fh);
	char *page = nf.buf;
	pid_t pid;
	long at;

	fh_rule(nf.e.fh, REGIONFS_OP_READ, 0, 0, 0, FH_HOLD, 0, 1);
	pid = fork();
	if (!pid)
		_exit(pread(reader, page, 4096, 0) != 4096 || !nthfile_is(page, 0, 4096));
	at = fh_wait(nf.e.fh, from, REGIONFS_OP_READ, 0, 0, 0, FH_HELD, SOON);
	fh_clear(nf.e.fh);
	if (at < 0)
		return at;
	at = fh_release(nf.e.fh, at, FH_COMMIT, 0);
	return reap(pid, SOON) ? -EIO : at;
}

static int store(void)
{
	uint64_t token;
	long n = fh_token(nf.e.fh, nf.id, &token);

	memcpy(nf.e.fh->store_buf, nf.want, FILE_SIZE);
	if (n >= 0)
		n = fh_store(nf.e.fh, nf.id, 0, FILE_SIZE, token, 0);
	return n < 0 && !failnth_sensible(n) ? n : 0;
}

static int local(void)
{
	long n = fh_local(nf.e.fh, nf.id, 0, NULL);

	return n < 0 && !failnth_sensible(n) ? n : read_all();
}

int main(void)
{
	tap_start(1100);
	nthfile_start("fail-nth-helper");
	reader = open(nf.path, O_RDONLY | O_CLOEXEC);
	helper_run("READ", nthfile_cold, read_all);
	helper_run("READ from any address", any_addr, read_all);
	helper_run("WRITE and SYNC", dirty_pages, sync_file);
	helper_run("COMMIT and FETCH", nthfile_cold, answer_apart);
	helper_run("TOKEN and STORE", nthfile_cold, store);
	helper_run("LOCAL", nthfile_cold, local);
	close(reader);
	return nthfile_done();
}

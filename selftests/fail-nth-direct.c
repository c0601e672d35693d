// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once in what goes past the page cache or changes a file's size: O_DIRECT, truncate, fallocate, and what is read from a LOCAL file.
 * timeout: 300
 */
#include "lib/failnth-file.h"

#define PART	5000
#define ODD	4		/* O_DIRECT: the memory need not be aligned to more */

static int fd_direct;

/* ---- O_DIRECT ---- */

static void direct_open(void)
{
	close(fd_direct);
	fd_direct = open(nf.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	must(fd_direct >= 0);
}

static void direct_read_stage(void)
{
	nthfile_cold();
	memset(nf.buf, 0, FILE_SIZE + ODD);
}

static int direct_reads(size_t odd)
{
	ssize_t n = pread(fd_direct, nf.buf + odd, FILE_SIZE, 0);

	if (n > 0 && !nthfile_is(nf.buf + odd, 0, n))
		return -EILSEQ;
	return nthfile_result(n, FILE_SIZE);
}

static int direct_read(void)
{
	return direct_reads(0);
}

static int direct_read_odd(void)
{
	return direct_reads(ODD);
}

static void direct_write_stage(void)
{
	nthfile_will_write(0, FILE_SIZE);
	memmove(nf.buf + ODD, nf.buf, FILE_SIZE);
}

static void direct_write_fresh(void)
{
	nthfile_fresh();
	direct_open();
	direct_write_stage();
}

/* Of dirty pages in the page cache. */
static void direct_write_dirty(void)
{
	nthfile_will_write(PART, PART);
	must(pwrite(nf.fd, nf.buf, PART, PART) == PART);
	direct_write_stage();
}

static int direct_write(void)
{
	/* what the first bytes are is in the other place, too */
	memmove(nf.buf, nf.buf + ODD, FILE_SIZE);
	ssize_t n = pwrite(fd_direct, nf.buf, FILE_SIZE, 0);
	int err = nthfile_result(n, FILE_SIZE);

	memmove(nf.buf + ODD, nf.buf, FILE_SIZE);
	return err;
}

static int direct_write_odd(void)
{
	return nthfile_result(pwrite(fd_direct, nf.buf + ODD, FILE_SIZE, 0), FILE_SIZE);
}

static void direct_append_stage(void)
{
	nthfile_whole();
	nthfile_will_write(FILE_SIZE, FILE_SIZE / 2);
}

static int direct_append(void)
{
	return nthfile_result(pwrite(fd_direct, nf.buf, FILE_SIZE / 2, FILE_SIZE), FILE_SIZE / 2);
}

/* Requests have room for a few pages each then, and end where these do. */
static void no_room(void)
{
	nthfile_will_write(0, FILE_ROOM);
	memmove(nf.buf + ODD, nf.buf, FILE_ROOM);
	failnth_atomic(true);
	is(pwrite(fd_direct, nf.buf + ODD, FILE_ROOM, 0), FILE_ROOM, "O_DIRECT write of requests that cannot grow");
	memset(nf.buf, 0, FILE_ROOM + ODD);
	is(pread(fd_direct, nf.buf + ODD, FILE_ROOM, 0), FILE_ROOM, "O_DIRECT read");
	failnth_atomic(false);
	ok(nthfile_is(nf.buf + ODD, 0, FILE_ROOM) && nthfile_right(), "the bytes are right");
}

/* ---- the size ---- */

static void refill(void)
{
	nthfile_whole();
	nthfile_will_write(0, FILE_SIZE);
	must(pwrite(nf.fd, nf.buf, FILE_SIZE, 0) == (ssize_t)FILE_SIZE);
}

static void will_cut(void)
{
	refill();
	nf.size = PART;
}

static int cut(void)
{
	return ftruncate(nf.fd, PART) ? -errno : 0;
}

static void will_grow(void)
{
	nthfile_whole();
	memset(nf.want + FILE_SIZE, 0, PART);
	nf.size = FILE_SIZE + PART;
}

static int grow(void)
{
	return ftruncate(nf.fd, FILE_SIZE + PART) ? -errno : 0;
}

static int grow_fallocate(void)
{
	return fallocate(nf.fd, 0, 0, FILE_SIZE + PART) ? -errno : 0;
}

static void will_punch(void)
{
	refill();
	nthfile_cold();
	memset(nf.want + PART, 0, FILE_SIZE / 2);
}

static int punch(void)
{
	return fallocate(nf.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PART, FILE_SIZE / 2) ? -errno : 0;
}

static int zero(void)
{
	return fallocate(nf.fd, FALLOC_FL_ZERO_RANGE, PART, FILE_SIZE / 2) ? -errno : 0;
}

/* The end of the file has been written, and not written back. */
static void will_punch_end(void)
{
	refill();
	memset(nf.want + PART, 0, FILE_SIZE - PART);
}

static int punch_end(void)
{
	return fallocate(nf.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PART, FILE_SIZE) ? -errno : 0;
}

/* ---- from a LOCAL file ---- */

static int read_all(void)
{
	ssize_t n = pread(nf.fd, nf.buf, FILE_SIZE, 0);

	if (n > 0 && !nthfile_is(nf.buf, 0, n))
		return -EILSEQ;
	return nthfile_result(n, FILE_SIZE);
}

static int fadvise(void)
{
	return -posix_fadvise(nf.fd, 0, FILE_SIZE, POSIX_FADV_WILLNEED);
}

static const struct failnth_op ops[] = {
	{ "O_DIRECT read", direct_read_stage, direct_read, nthfile_right },
	{ "O_DIRECT read to any memory", direct_read_stage, direct_read_odd, nthfile_right },
	{ "O_DIRECT write", direct_write_stage, direct_write, nthfile_right },
	{ "O_DIRECT write from any memory", direct_write_stage, direct_write_odd, nthfile_right },
	{ "O_DIRECT write where it is dirty", direct_write_dirty, direct_write, nthfile_right },
	{ "the first O_DIRECT write", direct_write_fresh, direct_write, nthfile_right },
	{ "O_DIRECT append", direct_append_stage, direct_append, nthfile_right },
	{ "truncate, down", will_cut, cut, nthfile_right },
	{ "truncate, up", will_grow, grow, nthfile_right },
	{ "fallocate, up", will_grow, grow_fallocate, nthfile_right },
	{ "punch", will_punch, punch, nthfile_right },
	{ "punch at the end", will_punch_end, punch_end, nthfile_right },
	{ "zero range", will_punch, zero, nthfile_right },
};

static const struct failnth_op local_ops[] = {
	{ "read from a LOCAL file", nthfile_cold, read_all, nthfile_right },
	{ "fadvise, from a LOCAL file", nthfile_cold, fadvise, nthfile_right },
	{ "O_DIRECT read from a LOCAL file", direct_read_stage, direct_read, nthfile_right },
};

int main(void)
{
	tap_start(1100);
	nthfile_start("fail-nth-direct");
	fd_direct = -1;
	direct_open();
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		failnth_run(&ops[i]);
	no_room();
	refill();
	must(fsync(nf.fd) == 0);
	is(fh_local(nf.e.fh, nf.id, 0, NULL), 0, "LOCAL");
	for (size_t i = 0; i < sizeof(local_ops) / sizeof(local_ops[0]); i++)
		failnth_run(&local_ops[i]);
	close(fd_direct);
	return nthfile_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once in what programs do with a file's bytes: an error that makes sense or none, then it can be done; the bytes are right, and
 * fsync does not lie.
 * timeout: 300
 */
#include <sys/sendfile.h>

#include "lib/failnth-file.h"

#define PART	5000		/* within the second page, not aligned */
#define SOME	100

static int null, fd_random, fd_append;

/* ---- reading ---- */

static int reads(int fd, size_t at, size_t len)
{
	ssize_t n = pread(fd, nf.buf, len, at);

	if (n > 0 && !nthfile_is(nf.buf, at, n))
		return -EILSEQ;
	return nthfile_result(n, len);
}

static int read_part(void)
{
	return reads(nf.fd, PART, SOME);
}

static int read_all(void)
{
	return reads(nf.fd, 0, FILE_SIZE);
}

static int read_random(void)
{
	return reads(fd_random, 3 * 4096, 2 * 4096);
}

static int send_file(void)
{
	off_t at = 0;

	return nthfile_result(sendfile(null, nf.fd, &at, FILE_SIZE), FILE_SIZE);
}

static int fadvise(void)
{
	return -posix_fadvise(nf.fd, 0, FILE_SIZE, POSIX_FADV_WILLNEED);
}

static int drop(void)
{
	return -posix_fadvise(nf.fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int read_ahead(void)
{
	return readahead(nf.fd, 0, FILE_SIZE) ? -errno : 0;
}

/* ---- mappings ---- */

static void cold_map(void)
{
	nthfile_cold_map(MAP_SHARED);
}

static void random_cold(void)
{
	cold_map();
	must(madvise(nf.map, FILE_SIZE, MADV_RANDOM) == 0);
}

static void load_some(void *arg)
{
	memcpy(nf.buf, nf.map + PART, SOME);
}

static int load(void)
{
	if (gets_sigbus(load_some, NULL))
		return -EFAULT;
	return nthfile_is(nf.buf, PART, SOME) ? 0 : -EILSEQ;
}

static void store_some(void *arg)
{
	memcpy(nf.map + PART, nf.buf, SOME);
}

static int store(void)
{
	return gets_sigbus(store_some, NULL) ? -EFAULT : 0;
}

static void store_cold(void)
{
	cold_map();
	nthfile_will_write(PART, SOME);
}

static void store_random(void)
{
	random_cold();
	nthfile_will_write(PART, SOME);
}

/* Mapped for reading, and clean. */
static void store_loaded(void)
{
	cold_map();
	must(!load());
	nthfile_will_write(PART, SOME);
}

static void store_fresh(void)
{
	nthfile_fresh();
	cold_map();
	nthfile_will_write(PART, SOME);
}

static void private_cold(void)
{
	nthfile_cold_map(MAP_PRIVATE);
}

static int map_unmap(void)
{
	void *p = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, nf.fd, 0);
	int err;

	if (p == MAP_FAILED)
		return -errno;
	err = munmap(p, FILE_SIZE) ? -errno : 0;
	if (err)
		munmap(p, FILE_SIZE);
	return err;
}

static int populate(void)
{
	return madvise(nf.map, FILE_SIZE, MADV_POPULATE_WRITE) ? -errno : 0;
}

static void dirty_map(void)
{
	cold_map();
	nthfile_will_write(PART, SOME);
	must(!store());
}

static int sync_map(void)
{
	if (msync(nf.map, FILE_SIZE, MS_SYNC))
		return -errno;
	return 0;
}

/* ---- writing ---- */

static int writes(size_t at, size_t len)
{
	return nthfile_result(pwrite(nf.fd, nf.buf, len, at), len);
}

static void part_cold(void)
{
	nthfile_cold();
	nthfile_will_write(PART, SOME);
}

static void part_fresh(void)
{
	nthfile_fresh();
	nthfile_will_write(PART, SOME);
}

static int write_part(void)
{
	return writes(PART, SOME);
}

static void large_cold(void)
{
	nthfile_cold();
	nthfile_will_write(0, FILE_SIZE);
}

static void large_fresh(void)
{
	nthfile_fresh();
	nthfile_will_write(0, FILE_SIZE);
}

static int write_large(void)
{
	return writes(0, FILE_SIZE);
}

static void torn_cold(void)
{
	nthfile_cold();
	nthfile_will_write(PART, FILE_SIZE / 2);
}

static int write_torn(void)
{
	return writes(PART, FILE_SIZE / 2);
}

static void will_append(void)
{
	close(fd_append);
	fd_append = open(nf.path, O_WRONLY | O_APPEND);
	nthfile_whole();
	nthfile_will_write(FILE_SIZE, SOME);
}

static int append(void)
{
	return nthfile_result(write(fd_append, nf.buf, SOME), SOME);
}

static void beyond(void)
{
	nthfile_whole();
	nthfile_will_write(FILE_SIZE + PART, SOME);
}

static int write_beyond(void)
{
	return writes(FILE_SIZE + PART, SOME);
}

/* ---- syncing ---- */

/* Every second page of large folios: several requests for each. */
static void dirty_pages(void)
{
	nthfile_whole();
	nthfile_cold();
	nthfile_will_write(0, FILE_SIZE);
	must(!write_large());
	must(fsync(nf.fd) == 0);
	for (size_t at = 0; at < FILE_SIZE; at += 8192) {
		nthfile_will_write(at, 4096);
		must(writes(at, 4096) == 0);
	}
}

static int sync_file(void)
{
	return fsync(nf.fd) ? -errno : 0;
}

static int sync_all(void)
{
	return syncfs(nf.fd) ? -errno : 0;
}

#define WHOLE	.right = nthfile_right

static const struct failnth_op ops[] = {
	{ "read a part, cold", nthfile_cold, read_part, WHOLE },
	{ "read all, cold", nthfile_cold, read_all, WHOLE },
	{ "read all, warm", nthfile_warm, read_all, WHOLE },
	{ "read without readahead", nthfile_cold, read_random, WHOLE },
	{ "sendfile", nthfile_cold, send_file, WHOLE },
	{ "fadvise WILLNEED", nthfile_cold, fadvise, WHOLE },
	{ "fadvise DONTNEED", nthfile_warm, drop, WHOLE },
	{ "readahead", nthfile_cold, read_ahead, WHOLE },
	{ "mmap, munmap", NULL, map_unmap, WHOLE },
	{ "load", cold_map, load, WHOLE },
	{ "load at random", random_cold, load, WHOLE },
	{ "store", store_cold, store, WHOLE },
	{ "store at random", store_random, store, WHOLE },
	{ "store to a page that is mapped", store_loaded, store, WHOLE },
	{ "the first store", store_fresh, store, WHOLE },
	{ "store, private", private_cold, store, WHOLE },
	{ "populate for writing", cold_map, populate, WHOLE },
	{ "msync", dirty_map, sync_map, WHOLE },
	{ "write a part of a page, cold", part_cold, write_part, WHOLE },
	{ "the first write", part_fresh, write_part, WHOLE },
	{ "write all, cold", large_cold, write_large, WHOLE },
	{ "write all, the first time", large_fresh, write_large, WHOLE },
	{ "write with torn pages", torn_cold, write_torn, WHOLE },
	{ "append", will_append, append, WHOLE },
	{ "write beyond the end", beyond, write_beyond, WHOLE },
	{ "fsync of separate pages", dirty_pages, sync_file, WHOLE },
	{ "syncfs", dirty_pages, sync_all, WHOLE },
};

int main(void)
{
	tap_start(1100);
	nthfile_start("fail-nth");
	null = open("/dev/null", O_WRONLY);
	fd_random = open(nf.path, O_RDONLY);
	posix_fadvise(fd_random, 0, 0, POSIX_FADV_RANDOM);	/* no readahead, then */
	fd_append = -1;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		failnth_run(&ops[i]);
	close(fd_random);
	close(fd_append);
	return nthfile_done();
}

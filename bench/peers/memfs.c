// SPDX-License-Identifier: GPL-2.0
/*
 * The FUSE peer: one file, "data", in memory, through libfuse's low-level API.
 *
 *   memfs [-s] [-f] [-o clone_fd] [--size=BYTES] [--delay-us=N] DIRECTORY
 *
 * As fast as libfuse's documentation says how:
 *  - reads and writes of 1 MiB: max_read, max_write, and max_readahead as far as the kernel lets INIT
 *    raise it (it doesn't above the bdi's 128 KiB: run.sh writes 1024 to the bdi's read_ahead_kb);
 *  - READ is answered by fuse_reply_buf: one writev straight out of the file's memory, so one copy,
 *    into the page cache. The other ways were tried (6.1, instructions for a sequential MiB, 1.21
 *    million by writev): fuse_reply_data from memory, which goes through a pipe and moves pages, 1.97
 *    million; spliced out of a memfd 1.23 to 1.40, with SPLICE_MOVE 1.29 to 1.47;
 *  - there is no write_buf, so requests are fetched by one read and not by splice and read;
 *  - several reads in flight (async_read, max_background); attributes and entries cached for a day;
 *    pages kept over open; no attribute check before reads;
 *  - the file's memory is in huge pages;
 *  - one thread (-s) is the fastest way to answer one reader: no wake-up of a second thread. Without
 *    -s it is libfuse's thread pool.
 *
 * With --delay-us the answer to each READ leaves so much later, as if the bytes were that far away. Requests do not wait for each other:
 * delay.c keeps what is due, so that as many are under way as the kernel sends, with one thread, too.
 */
#define FUSE_USE_VERSION 312

#include <err.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delay.h"

#define FILE_INO	2
#define FILE_NAME	"data"
#define REQUEST		(1u << 20)
#define CACHED		86400.0

static struct {
	char *bytes;
	size_t size;
	unsigned long long room;
	unsigned long long delay;	/* us, of each READ */
} file;

static void attributes(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_blksize = REQUEST;
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return;
	}
	st->st_mode = S_IFREG | 0644;
	st->st_nlink = 1;
	st->st_size = file.size;
	st->st_blocks = file.size / 512;
}

static void memfs_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	conn->max_read = REQUEST;
	conn->max_write = REQUEST;
	conn->max_readahead = REQUEST;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->want |= conn->capable & FUSE_CAP_ASYNC_READ;
	conn->want &= ~FUSE_CAP_AUTO_INVAL_DATA;
}

static void memfs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = FILE_INO,
		.attr_timeout = CACHED,
		.entry_timeout = CACHED,
	};

	if (parent != FUSE_ROOT_ID || strcmp(name, FILE_NAME)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	attributes(FILE_INO, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void memfs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	attributes(ino, &st);
	fuse_reply_attr(req, &st, CACHED);
}

static void memfs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int what,
			  struct fuse_file_info *fi)
{
	if (what & FUSE_SET_ATTR_SIZE) {
		if ((unsigned long long)st->st_size > file.room) {
			fuse_reply_err(req, ENOSPC);
			return;
		}
		if ((size_t)st->st_size < file.size)
			memset(file.bytes + st->st_size, 0, file.size - st->st_size);
		file.size = st->st_size;
	}
	memfs_getattr(req, ino, fi);
}

static void memfs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (ino != FILE_INO) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void memfs_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset,
		       struct fuse_file_info *fi)
{
	size_t left = (size_t)offset < file.size ? file.size - offset : 0;

	(void)ino;
	(void)fi;
	if (len > left)
		len = left;
	if (file.delay)
		delay_reply(req, file.bytes + offset, len);
	else
		fuse_reply_buf(req, file.bytes + offset, len);
}

static void memfs_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t len,
			off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	if ((unsigned long long)offset + len > file.room) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	memcpy(file.bytes + offset, bytes, len);
	if (offset + len > file.size)
		file.size = offset + len;
	fuse_reply_write(req, len);
}

static void memfs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = memfs_init,
	.lookup = memfs_lookup,
	.getattr = memfs_getattr,
	.setattr = memfs_setattr,
	.open = memfs_open,
	.read = memfs_read,
	.write = memfs_write,
	.fsync = memfs_fsync,
};

static const struct fuse_opt options[] = {
	{ "--size=%llu", offsetof(typeof(file), room), 0 },
	{ "--delay-us=%llu", offsetof(typeof(file), delay), 0 },
	FUSE_OPT_END
};

static void allocate(void)
{
	file.size = file.room;
	file.bytes = mmap(NULL, file.room, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (file.bytes == MAP_FAILED)
		err(1, "memory for %llu bytes", file.room);
	madvise(file.bytes, file.room, MADV_HUGEPAGE);
	memset(file.bytes, 0, file.room);
}

static int serve_many(struct fuse_session *session, const struct fuse_cmdline_opts *opts)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int rc;

	fuse_loop_cfg_set_clone_fd(config, opts->clone_fd);
	rc = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return rc;
}

static int serve(struct fuse_session *session, const struct fuse_cmdline_opts *opts)
{
	int rc;

	if (fuse_set_signal_handlers(session))
		return 1;
	if (fuse_session_mount(session, opts->mountpoint))
		return 1;
	fuse_daemonize(opts->foreground);
	if (file.delay && delay_start(file.delay))
		return 1;
	rc = opts->singlethread ? fuse_session_loop(session) : serve_many(session, opts);
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts opts;
	struct fuse_session *session;
	int rc;

	file.room = 64ULL << 20;
	if (fuse_opt_parse(&args, &file, options, NULL) || fuse_parse_cmdline(&args, &opts))
		return 2;
	if (!opts.mountpoint)
		errx(2, "usage: memfs [-s] [-f] [-o clone_fd] [--size=BYTES] [--delay-us=N] DIRECTORY");
	fuse_opt_add_arg(&args, "-omax_read=1048576,fsname=memfs,default_permissions");
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session)
		return 1;
	allocate();
	rc = serve(session, &opts);
	fuse_session_destroy(session);
	free(opts.mountpoint);
	fuse_opt_free_args(&args);
	return rc;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on the prey's regions: one system call after the other, on files of one or two instances, interrupted after a moment if it lasts. What is read
 * is looked at: see fuzz.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "fuzz.h"

#define BUF	(256u << 10)
#define MAP	(4u << 20)
#define FDS	4

struct program {
	int fd[FDS];
	char *map, *buf;
	size_t map_len;
	char path[96], other[96];
};

static struct program p;
static sigjmp_buf jump;
static volatile sig_atomic_t touching;

static int fd(void)
{
	return p.fd[fuzz_below(FDS)];
}

static uint64_t offset(void)
{
	return fuzz_one_in(24) ? fuzz_odd() & INT64_MAX : fuzz_below(2048) * 4096 + (fuzz_one_in(2) ? fuzz_below(4096) : 0);
}

static size_t length(void)
{
	return fuzz_one_in(3) ? 1 + fuzz_below(BUF) : fuzz_one_in(2) ? 4096 * (1 + fuzz_below(16)) : 1 + fuzz_below(5000);
}

static void set_paths(void)
{
	snprintf(p.path, sizeof(p.path), "%s/%s", fuzz_dir(fuzz_below(FUZZ_MOUNTED)), fuzz_rel());
	snprintf(p.other, sizeof(p.other), "%s/%s", fuzz_dir(fuzz_below(FUZZ_MOUNTED)), fuzz_rel());
}

/* ---- open files ---- */

static long do_open(void)
{
	int at = fuzz_below(FDS), flags = fuzz_of((int[]){ O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY }), new;

	flags |= fuzz_one_in(4) ? 0 : O_CREAT;
	if (fuzz_one_in(2))
		flags |= fuzz_of((int[]){ O_DIRECT, O_DIRECT, O_DIRECT, O_APPEND, O_TRUNC, O_SYNC, O_DSYNC, O_NONBLOCK, O_EXCL, O_NOATIME, O_PATH, O_TMPFILE });
	new = open(p.path, flags | O_CLOEXEC, 0644);
	if (new >= 0 && p.fd[at] >= 0)
		close(p.fd[at]);
	if (new >= 0)
		p.fd[at] = new;
	return new;
}

static long do_read(void)
{
	uint64_t at = offset();
	ssize_t n = pread(fd(), p.buf, length(), at);

	if (n > 0)
		fuzz_check_bytes(p.buf, n, at);
	return n;
}

/* One after the other, so that it is read ahead. */
static long do_read_on(void)
{
	ssize_t n = 0;
	int in = fd();

	for (uint64_t at = fuzz_below(512) * 4096, end = at + fuzz_below(2 << 20); at < end; at += n) {
		n = pread(in, p.buf, 64 << 10, at);
		if (n <= 0)
			break;
		fuzz_check_bytes(p.buf, n, at);
	}
	return n;
}

static long do_write(void)
{
	memset(p.buf, fuzz_one_in(4) ? 0 : FUZZ_BYTE, BUF);
	return pwrite(fd(), p.buf, length(), offset());
}

/* By O_DIRECT, of whole pages; or nearly. */
static long do_direct(void)
{
	int in = open(p.path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644);
	uint64_t at = fuzz_one_in(16) ? offset() : fuzz_below(1024) * 4096;
	size_t len = fuzz_one_in(16) ? length() : 4096 * (1 + fuzz_below(BUF / 4096));
	void *from = p.map && p.map_len >= len && fuzz_one_in(4) ? p.map : p.buf;
	ssize_t n = -1;
	int err;

	if (in < 0)
		return -1;
	if (fuzz_one_in(2)) {
		if (from == p.buf)
			memset(p.buf, FUZZ_BYTE, BUF);
		n = pwrite(in, from, len, at);
	} else {
		n = pread(in, from, len, at);
		if (n > 0 && from == p.buf)
			fuzz_check_bytes(p.buf, n, at);
	}
	err = errno;
	close(in);
	errno = err;
	return n;
}

/* Past the end of a page that is not there. */
static long do_write_torn(void)
{
	return pwrite(fd(), p.buf + BUF - 1000, 4096, offset());
}

/* Its own mapping is where the bytes come from, or go to. */
static long do_read_mapped(void)
{
	return p.map ? pread(fd(), p.map, 1 + fuzz_below(p.map_len), offset()) : 0;
}

static long do_write_mapped(void)
{
	return p.map ? pwrite(fd(), p.map, 1 + fuzz_below(p.map_len), offset()) : 0;
}

static long do_fsync(void)
{
	return fuzz_one_in(2) ? fsync(fd()) : fdatasync(fd());
}

static long do_sync_range(void)
{
	return sync_file_range(fd(), offset(), length(), fuzz_below(8));
}

static long do_syncfs(void)
{
	return syncfs(fd());
}

static long do_truncate(void)
{
	uint64_t size = fuzz_size();

	return fuzz_one_in(2) ? ftruncate(fd(), size) : truncate(p.path, size);
}

static long do_fallocate(void)
{
	return fallocate(fd(), fuzz_of((int[]){ 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
						FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_PUNCH_HOLE, 0xff }), offset(), fuzz_one_in(8) ? fuzz_size() : length());
}

static long do_fadvise(void)
{
	return -posix_fadvise(fd(), fuzz_one_in(2) ? 0 : offset(), fuzz_one_in(2) ? 0 : length(), fuzz_below(7));
}

static long do_readahead(void)
{
	return readahead(fd(), offset(), length() * 8);
}

static long do_seek(void)
{
	return lseek(fd(), offset(), fuzz_of((int[]){ SEEK_DATA, SEEK_HOLE, SEEK_END, SEEK_SET, 77 })) < 0 ? -1 : 0;
}

static long do_sendfile(void)
{
	off_t at = offset();

	return sendfile(fd(), fd(), &at, length());
}

static long do_copy_range(void)
{
	loff_t from = offset(), to = offset();

	return copy_file_range(fd(), &from, fd(), &to, length(), 0);
}

static long do_splice(void)
{
	loff_t at = offset();
	ssize_t n, m = 0;
	int pipes[2];

	if (pipe2(pipes, O_NONBLOCK))
		return -1;
	n = splice(fd(), &at, pipes[1], NULL, length(), SPLICE_F_NONBLOCK);
	if (n > 0 && fuzz_one_in(2))
		splice(pipes[0], NULL, fd(), &at, n, SPLICE_F_NONBLOCK);
	else if (n > 0)
		m = read(pipes[0], p.buf, BUF);
	if (m > 0)
		fuzz_check_bytes(p.buf, m, at);
	close(pipes[0]);
	close(pipes[1]);
	return n;
}

static long do_lock_file(void)
{
	return flock(fd(), fuzz_of((int[]){ LOCK_SH, LOCK_EX, LOCK_UN }) | LOCK_NB);
}

static long do_ioctl(void)
{
	long value = fuzz_next();

	return ioctl(fd(), fuzz_one_in(2) ? FS_IOC_GETFLAGS : fuzz_next(), &value);
}

/* ---- mappings ---- */

static long do_mmap(void)
{
	int flags = fuzz_of((int[]){ MAP_SHARED, MAP_SHARED, MAP_PRIVATE, MAP_SHARED | MAP_POPULATE });
	int prot = fuzz_of((int[]){ PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC });
	void *map;

	if (p.map)
		munmap(p.map, p.map_len);
	p.map_len = 4096 * (1 + fuzz_below(MAP / 4096));
	map = mmap(NULL, p.map_len, prot, flags, fd(), fuzz_one_in(2) ? 0 : offset() & ~0xfffull);
	p.map = map == MAP_FAILED ? NULL : map;
	return p.map ? 0 : -1;
}

/* One page, or all; a SIGBUS or SIGSEGV is an answer as well. */
static long touch(bool store)
{
	size_t at = fuzz_one_in(2) ? 0 : fuzz_below(p.map_len), n = fuzz_one_in(3) ? p.map_len / 4096 : 1;

	for (; n-- && at < p.map_len; at += 4096) {
		if (store)
			((volatile char *)p.map)[at] = FUZZ_BYTE;
		else
			fuzz_check_bytes(p.map + at, 1, at);
	}
	return 0;
}

static long do_touch(bool store)
{
	long ret = -EFAULT;

	if (!p.map)
		return 0;
	touching = 1;
	if (!sigsetjmp(jump, 1))
		ret = touch(store);
	touching = 0;
	errno = -ret;
	return ret ? -1 : 0;
}

static long do_load(void)
{
	return do_touch(false);
}

static long do_store(void)
{
	return do_touch(true);
}

static long do_msync(void)
{
	return p.map ? msync(p.map, p.map_len, fuzz_of((int[]){ MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE })) : 0;
}

static long do_madvise(void)
{
	return p.map ? madvise(p.map, p.map_len, fuzz_of((int[]){ MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT,
								  MADV_REMOVE, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_HUGEPAGE, MADV_NORMAL })) : 0;
}

static long do_mlock(void)
{
	return p.map ? (fuzz_one_in(2) ? mlock(p.map, 65536) : munlock(p.map, p.map_len)) : 0;
}

static long do_mremap(void)
{
	void *map = p.map ? mremap(p.map, p.map_len, fuzz_below(2) ? p.map_len : 4096, MREMAP_MAYMOVE) : MAP_FAILED;

	if (map == MAP_FAILED)
		return p.map ? -1 : 0;
	p.map = map;
	p.map_len = 4096;
	return 0;
}

static long do_protect(void)
{
	return p.map ? mprotect(p.map, p.map_len, fuzz_of((int[]){ PROT_READ, PROT_READ | PROT_WRITE })) : 0;
}

static long do_fork(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(1);
	do_store();
	_exit(0);
}

/* ---- names ---- */

static long do_rename(void)
{
	return renameat2(AT_FDCWD, p.path, AT_FDCWD, p.other, fuzz_of((unsigned int[]){ 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT }));
}

static long do_unlink(void)
{
	return unlink(p.path);
}

static long do_dirs(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", fuzz_dir(fuzz_below(FUZZ_MOUNTED)), fuzz_one_in(2) ? "d" : "d/e");
	return fuzz_one_in(3) ? rmdir(path) : mkdir(path, 0755);
}

static long do_list(void)
{
	DIR *dir = opendir(fuzz_dir(fuzz_below(FUZZ_MOUNTED)));

	if (!dir)
		return -1;
	while (readdir(dir))
		;
	closedir(dir);
	return 0;
}

static long do_stat(void)
{
	struct statfs fs;
	struct stat st;

	return fuzz_one_in(2) ? stat(p.path, &st) : statfs(p.path, &fs);
}

static long do_chmod(void)
{
	return fuzz_one_in(2) ? chmod(p.path, fuzz_of((mode_t[]){ 0644, 0444, 0, 0777, 06755 })) : chown(p.path, fuzz_below(3), fuzz_below(3));
}

static long do_times(void)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = fuzz_next() >> 20 } };

	return utimensat(AT_FDCWD, p.path, t, 0);
}

static long do_links(void)
{
	return fuzz_one_in(2) ? link(p.path, p.other) : symlink(p.path, p.other);
}

static long do_xattr(void)
{
	return syscall(SYS_setxattr, p.path, "user.fuzz", "x", 1, 0);
}

static long do_caches(void)
{
	int out = open("/proc/sys/vm/drop_caches", O_WRONLY);
	long n = fuzz_one_in(8) ? write(out, "3", 1) : 0;

	close(out);
	return n;
}

static const struct {
	long (*run)(void);
	unsigned int weight;
} todo[] = {
	{ do_open, 8 }, { do_read, 10 }, { do_read_on, 6 }, { do_write, 12 }, { do_direct, 8 }, { do_write_torn, 1 }, { do_read_mapped, 2 }, { do_write_mapped, 2 }, { do_fsync, 4 },
	{ do_sync_range, 1 }, { do_syncfs, 1 }, { do_truncate, 4 }, { do_fallocate, 4 }, { do_fadvise, 6 }, { do_readahead, 2 }, { do_seek, 1 },
	{ do_sendfile, 1 }, { do_copy_range, 1 }, { do_splice, 3 }, { do_lock_file, 1 }, { do_ioctl, 1 }, { do_mmap, 8 }, { do_load, 8 }, { do_store, 8 },
	{ do_msync, 2 }, { do_madvise, 4 }, { do_mlock, 1 }, { do_mremap, 1 }, { do_protect, 1 }, { do_fork, 1 }, { do_rename, 2 }, { do_unlink, 1 },
	{ do_dirs, 1 }, { do_list, 1 }, { do_stat, 1 }, { do_chmod, 1 }, { do_times, 1 }, { do_links, 1 }, { do_xattr, 1 }, { do_caches, 1 },
};

const char *const fuzz_file_names[] = {
	"open", "read", "read-on", "write", "direct", "write-torn", "read-to-mapping", "write-from-mapping", "fsync", "sync-range", "syncfs", "truncate", "fallocate", "fadvise",
	"readahead", "seek", "sendfile", "copy-range", "splice", "flock", "ioctl", "mmap", "load", "store", "msync", "madvise", "mlock", "mremap", "mprotect",
	"fork", "rename", "unlink", "dirs", "list", "stat", "chmod", "times", "links", "xattr", "drop-caches",
};

static unsigned int choose(void)
{
	unsigned int sum = 0, at, i;

	for (i = 0; i < sizeof(todo) / sizeof(todo[0]); i++)
		sum += todo[i].weight;
	at = fuzz_below(sum);
	for (i = 0; at >= todo[i].weight; i++)
		at -= todo[i].weight;
	return i;
}

static void on_fault(int sig)
{
	if (touching)
		siglongjmp(jump, 1);
	signal(sig, SIG_DFL);
}

/* A fault that waits goes on after a signal, so this one leaves it. */
static void on_time(int sig)
{
	(void)sig;
	if (touching)
		siglongjmp(jump, 1);
}

static void set_up(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER }, late = { .sa_handler = on_time, .sa_flags = SA_NODEFER };
	char *room = mmap(NULL, BUF + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED || munmap(room + BUF, 4096))
		_exit(1);
	p.buf = room;
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGALRM, &late, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	for (int i = 0; i < FDS; i++) {
		set_paths();
		p.fd[i] = open(p.path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	}
}

/* For ever, until it is killed. */
int fuzz_file(void *arg)
{
	fuzz_seed((uintptr_t)arg);
	set_up();
	for (;;) {
		struct itimerval late = { { 0, 10000 }, { 0, 5000 + fuzz_below(fuzz_one_in(8) ? 300000 : 30000) } };
		unsigned int what = choose();
		long ret;

		set_paths();
		setitimer(ITIMER_REAL, &late, NULL);
		errno = 0;
		ret = todo[what].run();
		fuzz_count(FUZZ_FILE + what, ret < 0 ? -(errno ?: (int)-ret) : ret);
	}
}

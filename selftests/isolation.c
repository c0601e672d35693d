// SPDX-License-Identifier: GPL-2.0
/*
 * One instance's trouble is no one else's: with a dead helper and its dirty limit reached its writers block,
 * killably, while ext4 and a second instance beside it write as before.
 */
#include "lib/env.h"

#define BESIDE	(32 * MiB)

static struct env dead, live;
static uint64_t *progress;
static char ext4_dir[64], ext4_image[64];

/* Writes for ever, or until it blocks. */
static int writer(void *arg)
{
	static char buf[MiB];
	int fd = open(arg, O_WRONLY);

	for (uint64_t at = 0;; at += sizeof(buf)) {
		if (pwrite(fd, buf, sizeof(buf), at % (4 * GiB)) != sizeof(buf))
			return errno;
		__atomic_store_n(progress, at, __ATOMIC_RELEASE);
	}
}

/* Writes BESIDE bytes and makes them durable; gives the milliseconds, or -1. */
static long long write_beside(const char *dir)
{
	static char buf[MiB];
	char path[256];
	long long start = now_ms();
	int fd;

	snprintf(path, sizeof(path), "%s/beside", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (uint64_t at = 0; at < BESIDE; at += sizeof(buf)) {
		pattern_fill(buf, sizeof(buf), at, 5);
		if (pwrite(fd, buf, sizeof(buf), at) != sizeof(buf))
			return -1;
	}
	if (fsync(fd) || close(fd))
		return -1;
	return now_ms() - start;
}

static void ext4_end(void)
{
	if (ext4_dir[0] && getpid() == dead.owner)
		shell("umount %s 2>/dev/null; rm -rf %s %s", ext4_dir, ext4_dir, ext4_image);
}

static bool ext4_begin(void)
{
	snprintf(ext4_image, sizeof(ext4_image), "/dev/shm/ext4-%d", getpid());
	snprintf(ext4_dir, sizeof(ext4_dir), "/tmp/ext4-%d", getpid());
	atexit(ext4_end);
	return !shell("modprobe -q loop 2>/dev/null; mkdir -p %s && truncate -s 128M %s && "
		      "mkfs.ext4 -q %s && mount -o loop %s %s", ext4_dir, ext4_image, ext4_image,
		      ext4_image, ext4_dir);
}

static int write_process(void *dir)
{
	return write_beside(dir) < 0;
}

/* Bounded: it must not hang; and it must not have become another kind of slow. */
static void beside(const char *dir, const char *what, long long before)
{
	long long start = now_ms();
	pid_t pid = spawn(write_process, (void *)dir);
	int ret = reap(pid, 2 * SOON);
	long long after = now_ms() - start;

	if (ret == -ETIMEDOUT)
		kill_in_time(pid, SOON);
	is(ret, 0, "%s beside it is written", what);
	tap_note("%s: %lld ms before, %lld ms beside the dead instance", what, before, after);
	ok(after < 10 * before + 5000, "%s is not held up", what);
}

int main(void)
{
	long long ext4_before = 0, live_before;
	uint64_t last;
	bool ext4;
	pid_t pid;

	tap_start(600);
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	env_start_bare(&dead, "dead");
	env_start(&live, "live");
	must(env_region(&dead, "r", 4 * GiB));
	env_ask(&dead, REGIONFS_CMD_INSTANCE_SET, 0);
	nlq_u32(&dead.q, REGIONFS_A_DIRTY_RATIO, 5);
	is(env_call(&dead), 0, "the dirty limit can be set");
	ext4 = ext4_begin();
	if (ext4)
		ext4_before = write_beside(ext4_dir);
	live_before = write_beside(live.dir);
	pid = spawn(writer, (void *)env_path(&dead, "r"));
	ok(wait_asleep(pid, 2 * SOON), "the dead instance's writer blocks");
	last = *progress;
	tap_note("it had written %llu MiB", (unsigned long long)(last / MiB));
	if (ext4)
		beside(ext4_dir, "ext4", ext4_before);
	else
		tap_skip("no ext4 on a loop device here");
	beside(live.dir, "another instance", live_before);
	ok(*progress <= last + 8 * MiB, "the writer has not gone on meanwhile");
	ok(reap(pid, 0) == -ETIMEDOUT, "it is still there");
	ok(kill_in_time(pid, SOON), "and dies by kill -9");
	return tap_done();
}

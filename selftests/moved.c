// SPDX-License-Identifier: GPL-2.0
/* After MOVED with a newer epoch the old side can neither write nor serve bytes; late dirty ones are counted. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128];
static char *map;
static int fd, mapped[2], go[2];

static void load(void *arg)
{
	(void)*(volatile char *)arg;
}

static void store(void *arg)
{
	*(volatile char *)arg = 1;
}

static int moved(uint64_t epoch)
{
	env_ask(&e, REGIONFS_CMD_MOVED, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, epoch);
	return env_call_long(&e);
}

/* What an access to the open file came to: an errno. It is a child's, which can be left behind when it hangs. */
static int end_of(pid_t pid, const char *what)
{
	int ret = reap(pid, SOON);

	if (ret != -ETIMEDOUT)
		return ret;
	kill_in_time(pid, SOON);
	tap_bail("%s hangs", what);
}

static int reads(void *arg)
{
	char byte;

	return pread(fd, &byte, 1, 0) < 0 ? errno : 0;
}

static int writes(void *arg)
{
	return pwrite(fd, "x", 1, 0) < 0 ? errno : 0;
}

static int fsyncs(void *arg)
{
	return fsync(fd) ? errno : 0;
}

/* Has the page mapped before, and loads from it again when told to. */
static int loads(void *arg)
{
	char byte = 0;

	load(map);
	must(write(mapped[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
	return gets_sigbus(load, map) ? EFAULT : 0;
}

static int stores(void *arg)
{
	return gets_sigbus(store, map + 4096) ? EFAULT : 0;
}

/* What is dirty anywhere would be written by it. */
static int flushes(void *arg)
{
	return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) ? errno : 0;
}

static pid_t start_loader(void)
{
	char byte;
	pid_t pid;

	must(pipe(mapped) == 0 && pipe(go) == 0);
	pid = spawn(loads, NULL);
	must(read(mapped[0], &byte, 1) == 1);
	return pid;
}

static void gone(pid_t loader)
{
	must(write(go[1], "", 1) == 1);
	is(end_of(loader, "a load"), EFAULT, "a load gets SIGBUS, though the page was mapped");
	is(end_of(spawn(stores, NULL), "a store"), EFAULT, "a store gets SIGBUS");
	is(end_of(spawn(reads, NULL), "a read"), ESTALE, "read of an open file");
	is(end_of(spawn(writes, NULL), "a write"), ESTALE, "write");
	is(end_of(spawn(fsyncs, NULL), "fsync"), ESTALE, "fsync");
	is(end_of(spawn(flushes, NULL), "sync_file_range"), 0, "write-back finds nothing to do");
}

int main(void)
{
	uint32_t from;
	pid_t reader, loader;

	tap_start(300);
	env_start(&e, "moved");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 3);
	is(env_call(&e), 0, "the epoch is 3");
	loader = start_loader();
	is(app_run(path, APP_WRITE, 64 * KiB, 8192, 2), 0, "two pages are dirty");
	is(env_stat(&e, id, REGIONFS_STAT_DIRTY_BYTES), 8192, "and counted");
	is(moved(3), -EINVAL, "MOVED with the same epoch is refused");
	ok(e.nl.message[0], "with a reason: %s", e.nl.message);
	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_HOLD, 0, -1);
	from = fh_mark(e.fh);
	reader = app_start(path, APP_READ, 512 * KiB, 4096, 1);
	must(fh_wait(e.fh, from, REGIONFS_OP_READ, id, 512 * KiB, 4096, FH_HELD, SOON) >= 0);
	is(moved(4), 0, "MOVED with a newer one");
	is(nlr_u64(&e.r, REGIONFS_A_COUNT), 8192, "it counts the late dirty bytes");
	is(reap(reader, SOON), ESTALE, "a reader that was waiting is told");
	is(env_stat(&e, id, REGIONFS_STAT_DIRTY_BYTES), 0, "nothing is dirty");
	fh_clear(e.fh);
	from = fh_mark(e.fh);
	gone(loader);
	fh_release_all(e.fh);
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, NULL), 0, "nothing is written any more");
	munmap(map, MiB);
	close(fd);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * LOCAL: the kernel reads a region's file itself, and asks the helper again where something that changes the
 * bytes is on its way, and when the helper's word has ended.
 */
#include "lib/app.h"
#include "lib/env.h"
#include "lib/local.h"

#define CHUNK	(64 * KiB)
#define SIZE	(4 * MiB)

static struct env e;
static uint64_t id;
static char path[128];
static int fd;

static unsigned int reads_since(uint32_t from)
{
	return fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, NULL);
}

/* Whether a cold read of a chunk, which must give the pattern of seed, came to the helper. */
static bool asked(uint64_t at, uint64_t seed)
{
	uint32_t from = fh_mark(e.fh);

	env_evict(fd);
	is(app_run(path, APP_READ, at, CHUNK, seed), 0, "the bytes at %llu are right", (unsigned long long)at);
	return reads_since(from) > 0;
}

static void put(uint64_t at, uint64_t seed)
{
	static char buf[CHUNK];

	pattern_fill(buf, CHUNK, at, seed);
	must(pwrite(fd, buf, CHUNK, at) == CHUNK);
}

static void served(void)
{
	uint32_t from = fh_mark(e.fh);
	uint64_t before = env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES);

	is(fh_local(e.fh, id, 1, NULL), 0, "LOCAL is taken");
	is(app_run(path, APP_READ, 0, SIZE, 1), 0, "a cold read gives the file's bytes");
	env_evict(fd);
	is(app_run(path, APP_MAP_READ, 0, SIZE, 1), 0, "so does a cold mapping");
	is(reads_since(from), 0, "and the helper was not asked");
	ok(env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES) >= before + 2 * SIZE, "the bytes are counted");
	put(CHUNK, 2);
	must(fsync(fd) == 0);
	ok(!asked(CHUNK, 2), "what was written and evicted is read from the file");
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * CHUNK, CHUNK) == 0);
	must(fsync(fd) == 0);
	ok(!asked(2 * CHUNK, 0), "so is a hole");
}

/* Where the program's memory is a mapping of the region itself, its pages have to come first. */
static void into_itself(int direct)
{
	uint64_t at = 20 * CHUNK;
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), want[4096];

	must(map != MAP_FAILED);
	env_evict(fd);
	pattern_fill(want, 4096, at, 1);
	is(pread(direct, map + at + CHUNK, 4096, at), 4096, "into a mapping of the region");
	ok(!memcmp(map + at + CHUNK, want, 4096), "with the bytes");
	munmap(map, SIZE);
	put(at + CHUNK, 1);
	must(fsync(fd) == 0);
}

static void served_direct(void)
{
	uint64_t before = env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES);
	uint32_t from = fh_mark(e.fh);
	int direct = open(path, O_RDONLY | O_DIRECT);

	must(direct >= 0);
	put(4 * CHUNK, 3);
	is(app_run(path, APP_DIRECT_READ, 4 * CHUNK, CHUNK, 3), 0, "O_DIRECT: what is dirty is written first, and read");
	is(app_run(path, APP_DIRECT_READ, 5 * CHUNK, CHUNK, 1), 0, "so is what nobody has changed");
	is(app_run(path, APP_DIRECT_READ, 2 * CHUNK, CHUNK, 0), 0, "and a hole");
	is(pread(direct, (void *)4096, 4096, 0) < 0 ? errno : 0, EFAULT, "a bad address is refused");
	into_itself(direct);
	ok(env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES) >= before + 3 * CHUNK + 4096, "the bytes are counted");
	is(reads_since(from), 0, "and the helper was not asked");
	put(4 * CHUNK, 1);
	must(fsync(fd) == 0);
	close(direct);
}

/* Something that changes the range is held; a reader must wait for it, not take the file's bytes. */
static void waits(int op, uint64_t at, pid_t changer, enum app_what how, uint64_t seed, const char *what)
{
	long held = fh_wait(e.fh, 0, op, id, at, CHUNK, FH_HELD, SOON);
	pid_t reader;

	ok(held >= 0, "%s is held", what);
	env_evict(fd);
	reader = app_start(path, how, at, CHUNK, seed);
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, 2, SOON), "a %s asks the helper, behind it", app_name(how));
	fh_clear(e.fh);
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	is(reap(reader, SOON), 0, "and reads what %s has left", what);
	if (changer)
		is(reap(changer, SOON), 0, "which ends well");
}

static void ordered(void)
{
	uint64_t at = 8 * CHUNK;

	fh_rule(e.fh, REGIONFS_OP_DISCARD, id, 0, 0, FH_HOLD, 0, 1);
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, CHUNK) == 0);
	waits(REGIONFS_OP_DISCARD, at, 0, APP_READ, 0, "a punch");
	at += CHUNK;
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, 1);
	waits(REGIONFS_OP_WRITE, at, app_start(path, APP_DIRECT_WRITE, at, CHUNK, 4), APP_READ, 4, "an O_DIRECT write");
	at += CHUNK;
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, 1);
	waits(REGIONFS_OP_WRITE, at, app_start(path, APP_DIRECT_WRITE, at, CHUNK, 5), APP_DIRECT_READ, 5, "an O_DIRECT write");
}

static void resized(void)
{
	must(ftruncate(fd, 16 * CHUNK) == 0 && ftruncate(fd, SIZE) == 0);
	must(fsync(fd) == 0);
	ok(!asked(20 * CHUNK, 0), "what a truncate has taken away reads zero");
	must(ftruncate(fd, SIZE + 10 * CHUNK) == 0);
	must(fsync(fd) == 0);
	ok(!asked(SIZE + CHUNK, 0), "so do bytes past the old end");
	must(truncate(env_path(&e, "r"), SIZE + 10 * CHUNK - 100) == 0);
}

static void refused(void)
{
	is(fh_local(e.fh, id, 1, "/dev/shm"), -EBADF, "a directory is refused");
	is(fh_local(e.fh, id, 1, "/proc/version"), -EOPNOTSUPP, "so is a file that is not on a tmpfs");
	is(fh_local(e.fh, id, 1, path), -EOPNOTSUPP, "so is a region");
	is(fh_local(e.fh, id, 7, NULL), -ESTALE, "and another epoch");
	is(fh_local(e.fh, id + 100, 1, NULL), -ENOENT, "and an unknown region");
	ok(!asked(0, 1), "what was said before holds");
}

static void ended(void)
{
	uint32_t from;

	is(fh_local(e.fh, id, 1, ""), 0, "LOCAL can be taken back");
	ok(asked(0, 1), "the helper is asked again");
	from = fh_mark(e.fh);
	is(app_run(path, APP_DIRECT_READ, 0, CHUNK, 1), 0, "O_DIRECT: the bytes are right");
	ok(reads_since(from) > 0, "and the helper's");
	must(fh_local(e.fh, id, 1, NULL) == 0);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_str(&e.q, REGIONFS_A_SOURCE, "elsewhere:");
	is(env_call(&e), 0, "another source");
	ok(asked(0, 1), "the helper is asked again");
	must(fh_local(e.fh, id, 1, NULL) == 0);
	fh_kill(e.fh);
	must(fh_start(e.fh) == 0);
	ok(asked(0, 1), "a new helper is asked again");
	is(fh_local(e.fh, id, 1, NULL), 0, "until it says where the bytes are");
	ok(!asked(0, 1), "and not after that");
}

#define ROUNDS 100

/*
 * Once LOCAL has been taken back, what the file then holds is read by nobody, not even by who was copying it just then. Only what read() has
 * returned is looked at: with O_DIRECT the buffer may have held it before. local-direct.c stops such a reader in the middle.
 */
static void taken_back(const char *name, int flags)
{
	static char right[SIZE], wrong[SIZE];
	uint64_t other = env_filled(&e, name, SIZE, 1), seen;
	char file[64];
	pid_t pid;
	int shm;

	snprintf(file, sizeof(file), "/dev/shm/regionfs-local-%d", getpid());
	snprintf(path, sizeof(path), "%s", env_path(&e, name));
	pattern_fill(right, SIZE, 0, 1);
	memset(wrong, 0xee, SIZE);
	shm = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(shm >= 0);
	pid = local_reader_start(path, flags, SIZE);
	for (int i = 0; i < ROUNDS; i++) {
		must(pwrite(shm, right, SIZE, 0) == SIZE);
		seen = env_stat(&e, other, REGIONFS_STAT_LOCAL_BYTES);
		must(fh_local(e.fh, other, 0, file) == 0);
		if (!ok(env_wait_stat(&e, other, REGIONFS_STAT_LOCAL_BYTES, seen + 1, SOON), "round %d: it is read from the file", i))
			break;	/* the reader has seen something wrong */
		must(fh_local(e.fh, other, 0, "") == 0);
		must(pwrite(shm, wrong, SIZE, 0) == SIZE);
	}
	is(local_reader_stop(pid), 0, "nothing was seen that came after the end");
	close(shm);
	unlink(file);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "local");
	id = env_filled(&e, "r", SIZE, 1);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 1);
	is(env_call(&e), 0, "the epoch can be set");
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	served();
	served_direct();
	ordered();
	resized();
	refused();
	ended();
	taken_back("back", 0);
	taken_back("direct", O_DIRECT);
	close(fd);
	return tap_done();
}

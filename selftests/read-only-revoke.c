// SPDX-License-Identifier: GPL-2.0
/* READ_ONLY revokes at once, from open descriptors, mappings and root; dirty bytes are drained; undone by clearing it. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128];
static char *map;
static int fd;

static void store(void *arg)
{
	*(volatile char *)arg = 1;
}

static bool backing_is(uint64_t offset, uint64_t seed)
{
	char buf[4096];

	fh_pread(e.fh, id, buf, sizeof(buf), offset);
	return pattern_check(buf, sizeof(buf), offset, seed) < 0;
}

static int write_one(void)
{
	return pwrite(fd, "x", 1, 100) == 1 ? 0 : errno;
}

static void revoked(void)
{
	char to[160];

	snprintf(to, sizeof(to), "%s-other", path);
	is(write_one(), EROFS, "write through an open descriptor");
	ok(gets_sigbus(store, map), "a store to a page that was written gets SIGBUS");
	ok(gets_sigbus(store, map + 4 * 4096), "one to a fresh page as well");
	is(ftruncate(fd, 4096) ? errno : 0, EROFS, "truncate");
	is(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) ? errno : 0, EROFS,
	   "punch");
	is(app_run(path, APP_DIRECT_WRITE, 0, 4096, 3), EROFS, "a new writer, root's");
	is(app_run(path, APP_READ, 8192, 4096, 1), 0, "reads go on");
	is(map[8192], (char)pattern_byte(1, 8192), "loads go on");
	is(fsync(fd), 0, "fsync has nothing to complain of");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "read-only");
	id = env_filled(&e, "r", MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	pattern_fill(map, 4096, 0, 2);
	is(app_run(path, APP_WRITE, 4096, 4096, 2), 0, "bytes are dirty");
	is(env_flags(&e, id, REGIONFS_REGION_READ_ONLY, REGIONFS_REGION_READ_ONLY), 0,
	   "READ_ONLY is set");
	ok(env_region_u32(&e, id, REGIONFS_A_FLAGS) & REGIONFS_REGION_READ_ONLY, "and told");
	revoked();
	ok(backing_is(0, 2) && backing_is(4096, 2), "what was dirty has been written");
	is(env_flags(&e, id, 0, REGIONFS_REGION_READ_ONLY), 0, "READ_ONLY is cleared");
	is(write_one(), 0, "the descriptor writes again");
	ok(!gets_sigbus(store, map + 4 * 4096), "the mapping writes again");
	is(fsync(fd), 0, "fsync");
	munmap(map, MiB);
	close(fd);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/* Very large regions: bytes at far offsets, zeroes between them, the largest size, SEEK_END. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

static void far(int fd, const char *path, uint64_t offset, uint64_t seed)
{
	static char buf[8192];

	pattern_fill(buf, sizeof(buf), offset, seed);
	is(pwrite(fd, buf, sizeof(buf), offset), sizeof(buf), "write at %llu",
	   (unsigned long long)offset);
	is(fsync(fd), 0, "fsync");
	env_evict(fd);
	is(app_run(path, APP_READ, offset, sizeof(buf), seed), 0, "it reads back");
	is(app_run(path, APP_MAP_READ, offset, sizeof(buf), seed), 0, "and through a mapping");
}

int main(void)
{
	char path[128], byte;
	uint64_t id;
	int fd;

	tap_start(300);
	env_start(&e, "sparse");
	id = env_region(&e, "r", 16 * TiB);
	must(id);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	is(lseek(fd, 0, SEEK_END), 16 * TiB, "SEEK_END");
	far(fd, path, 3 * GiB + 4095, 1);
	far(fd, path, 8 * TiB - 4096, 2);
	far(fd, path, 16 * TiB - 8192, 3);
	is(pread(fd, &byte, 1, 16 * TiB), 0, "nothing behind the end");
	is(app_run(path, APP_READ, 5 * TiB, 64 * KiB, 0), 0, "never written bytes are zero");
	is(app_run(path, APP_MAP_READ, 6 * TiB, 64 * KiB, 0), 0, "in a mapping too");
	is(ftruncate(fd, 4 * TiB), 0, "truncate far down");
	is(ftruncate(fd, 16 * TiB), 0, "and up");
	is(app_run(path, APP_READ, 8 * TiB - 4096, 8192, 0), 0, "the cut bytes are zero");
	is(app_run(path, APP_READ, 3 * GiB + 4095, 8192, 1), 0, "the others are kept");
	close(fd);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/* A region of fixed size: writes end where it ends, EPERM past that; so do truncate and fallocate. */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(64 * KiB)

static struct env e;

static void writes(const char *what, int flags)
{
	int fd = env_path_fd(&e, "r", O_RDWR | flags);
	char *buf;

	must(posix_memalign((void **)&buf, 4096, 8192) == 0);
	memset(buf, 7, 8192);
	is(pwrite(fd, buf, 8192, SIZE - 4096), 4096, "%s: a write over the end is cut there", what);
	is(pwrite(fd, buf, 4096, SIZE) < 0 ? errno : 0, EPERM, "%s: one past it is refused", what);
	free(buf);
	close(fd);
}

int main(void)
{
	struct stat st;
	uint64_t id;
	int fd;

	tap_start(120);
	env_start(&e, "fixed");
	id = env_filled(&e, "r", SIZE, 1);
	is(env_flags(&e, id, REGIONFS_REGION_FIXED_SIZE, REGIONFS_REGION_FIXED_SIZE), 0, "the size is fixed");
	writes("buffered", 0);
	writes("direct", O_DIRECT);
	fd = env_path_fd(&e, "r", O_RDWR);
	is(ftruncate(fd, SIZE / 2) ? errno : 0, EPERM, "truncate is refused");
	is(fallocate(fd, 0, 0, 2 * SIZE) ? errno : 0, EPERM, "and fallocate");
	must(fstat(fd, &st) == 0);
	is(st.st_size, SIZE, "the size is as it was");
	is(fsync(fd), 0, "fsync");
	is(fh_size(e.fh, id), SIZE, "and the source's, too");
	close(fd);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A direct write that makes the file grow and fails in its middle: what was written past the end must not show
 * when the file grows later.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

int main(void)
{
	uint64_t id;
	char *buf, path[128];
	struct stat st;
	int fd, direct;

	tap_start(120);
	env_start(&e, "directext");
	id = env_region(&e, "r", 0);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	direct = env_path_fd(&e, "r", O_RDWR | O_DIRECT);
	must(posix_memalign((void **)&buf, 4096, 2 * MiB) == 0);
	pattern_fill(buf, 2 * MiB, 0, 1);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 4096, FH_ERROR, -EIO, 1);
	is(pwrite(direct, buf, 2 * MiB, 0) < 0 ? errno : 0, EIO, "a direct write whose first half fails");
	is(fh_seen(e.fh, 0, REGIONFS_OP_WRITE, id, MiB, MiB, NULL), 1, "its second half went to the helper");
	must(stat(path, &st) == 0);
	is(st.st_size, 0, "the file has not grown");
	is(pwrite(fd, "x", 1, 3 * MiB), 1, "a write far behind makes it grow");
	is(app_run(path, APP_READ, 0, 3 * MiB, 0), 0, "and all before it reads zero");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "fsync");
	env_evict(fd);
	is(app_run(path, APP_READ, 0, 3 * MiB, 0), 0, "also when it was evicted");
	close(fd);
	close(direct);
	return tap_done();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What has to be written before something else can be done, and fails, is an error of that: direct I/O over dirty pages,
 * INVALIDATE and WRITEBACK neither pretend that it was done nor try for ever.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128];

static unsigned int writes_since(uint32_t from)
{
	return fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 4096, NULL);
}

int main(void)
{
	uint32_t from;
	int fd;

	tap_start(200);
	env_start(&e, "afterr");
	id = env_filled(&e, "r", 64 * KiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 4096, FH_ERROR, -EIO, -1);
	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "a page is dirtied, and can't be written");
	fd = env_path_fd(&e, "r", O_RDWR);
	sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE);
	ok(fh_wait(e.fh, 0, REGIONFS_OP_WRITE, id, 0, 4096, FH_ANSWERED, SOON) >= 0, "as the flusher learns");
	is(env_long(&e, REGIONFS_CMD_FREEZE, id), -EIO, "FREEZE fails, though the same error stood there before");
	is(app_run(path, APP_DIRECT_READ, 0, 4096, 2), EIO, "a direct read of it fails");
	is(app_run(path, APP_DIRECT_WRITE, 0, 4096, 3), EIO, "so does a direct write");
	is(app_run(path, APP_TRUNCATE, 60 * KiB, 0, 0), 0, "and nobody waits behind it");
	is(env_long(&e, REGIONFS_CMD_WRITEBACK, id), -EIO, "WRITEBACK says so");
	from = fh_mark(e.fh);
	is(env_long(&e, REGIONFS_CMD_INVALIDATE, id), -EIO, "INVALIDATE says so");
	ok(writes_since(from) <= 2, "without trying again and again");
	is(app_run(path, APP_READ, 0, 4096, 2), 0, "the bytes are there as before");
	fh_clear(e.fh);
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "and are written once that works");
	is(app_run(path, APP_DIRECT_READ, 0, 4096, 2), 0, "a direct read gives them");
	close(fd);
	return tap_done();
}

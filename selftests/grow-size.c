// SPDX-License-Identifier: GPL-2.0
/*
 * A source that has grown by itself: once the kernel is told (REGION_SET, A_SIZE) the bytes past the old end are the
 * source's, not the zeroes of the cached last page; with that page dirty it is refused, and nothing changes. So it is while the source has not
 * heard yet of a size that a program has set.
 */
#include "lib/app.h"
#include "lib/env.h"

#define OLD	(4096 + 100)
#define NEW	(3 * 4096)

static struct env e;
static uint64_t id;
static char path[128];

static int set_size(uint64_t size)
{
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_SIZE, size);
	return env_call(&e);
}

static off_t size_now(void)
{
	struct stat st;

	must(stat(path, &st) == 0);
	return st.st_size;
}

static void is_truncated(void)
{
	fh_kill(e.fh);
	is(app_run(path, APP_TRUNCATE, OLD, 0, 0), 0, "it is truncated while there is no helper");
	is(set_size(NEW), -EBUSY, "a larger size is refused");
	ok(strstr(e.nl.message, "truncation"), "with the reason");
	is(size_now(), OLD, "and the size is what the program has set");
	must(fh_start(e.fh) == 0);
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "the next helper hears of it");
	is(fh_size(e.fh, id), OLD, "so does the source");
	is(set_size(OLD + 1), 0, "then it may be another one again");
}

int main(void)
{
	static char bytes[NEW];

	tap_start(120);
	env_start(&e, "grow");
	id = env_filled(&e, "r", OLD, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	is(app_run(path, APP_READ, 0, OLD, 1), 0, "the region is read, its last page too");
	pattern_fill(bytes, NEW, 0, 1);
	fh_pwrite(e.fh, id, bytes, NEW, 0);
	is(app_run(path, APP_WRITE, 4096, 100, 1), 0, "the last page is dirtied");
	is(set_size(NEW), -EBUSY, "a larger size is refused");
	ok(strstr(e.nl.message, "dirty"), "with the reason");
	is(size_now(), OLD, "and the size is as before");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "it is written back");
	is(set_size(NEW), 0, "the larger size is taken");
	is(size_now(), NEW, "and is the file's");
	is(app_run(path, APP_READ, 0, NEW, 1), 0, "all bytes are the source's");
	is(app_run(path, APP_MAP_READ, 0, NEW, 1), 0, "in a mapping too");
	is_truncated();
	return tap_done();
}

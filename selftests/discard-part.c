// SPDX-License-Identifier: GPL-2.0
/*
 * INVALIDATE with A_DISCARD of a part of a large folio that is dirty and held by someone: no byte may read as zero that
 * is not, in the range or beside it.
 */
#include "lib/app.h"
#include "lib/env.h"

#define AT	(2 * MiB)	/* where a large folio begins, once a sequential read has come there */
#define FROM	(AT + 16 * KiB)
#define LENGTH	(32 * KiB)

static struct env e;
static uint64_t id;

static int discard(uint64_t offset, uint64_t length)
{
	env_ask(&e, REGIONFS_CMD_INVALIDATE, id);
	nlq_u64(&e.q, REGIONFS_A_OFFSET, offset);
	nlq_u64(&e.q, REGIONFS_A_LENGTH, length);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 1000);
	nlq_flag(&e.q, REGIONFS_A_DISCARD);
	return env_call_long(&e);
}

/* One page is that of seed 2, or, once that was dropped, the source's. */
static bool is_either(const char *path, uint64_t at)
{
	return !app_run(path, APP_READ, at, 4096, 2) || !app_run(path, APP_READ, at, 4096, 1);
}

int main(void)
{
	char path[128], sink[4096];
	int fd, pipefd[2];
	loff_t at = AT;

	tap_start(120);
	env_start(&e, "discard");
	id = env_filled(&e, "r", 4 * MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	is(app_run(path, APP_READ, 0, 4 * MiB, 1), 0, "the region is read");
	is(app_run(path, APP_WRITE, AT + 4096, 4096, 2), 0, "a page beside the range is dirtied");
	is(app_run(path, APP_WRITE, FROM + 4096, 4096, 2), 0, "and one in it");
	must(pipe(pipefd) == 0);
	is(splice(fd, &at, pipefd[1], NULL, 4096, 0), 4096, "a pipe holds a page of the same folio");
	discard(FROM, LENGTH);	/* it may be refused as long as the page is held */
	is(app_run(path, APP_READ, FROM, 4096, 1), 0, "a page of the range reads as its source");
	ok(is_either(path, FROM + 4096), "the one that was dirty, as it was or as its source");
	is(app_run(path, APP_READ, FROM + 8192, LENGTH - 8192, 1), 0, "and the others");
	is(app_run(path, APP_READ, AT + 4096, 4096, 2), 0, "the page beside it, as it was written");
	is(read(pipefd[0], sink, sizeof(sink)), 4096, "the pipe lets go");
	is(discard(FROM, LENGTH), 0, "the range is discarded");
	is(app_run(path, APP_READ, FROM, LENGTH, 1), 0, "it reads as the source");
	is(app_run(path, APP_READ, AT + 4096, 4096, 2), 0, "the page beside it, as it was written");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "fsync");
	env_evict(fd);
	is(app_run(path, APP_READ, AT + 4096, 4096, 2), 0, "which is at the source, too");
	is(app_run(path, APP_READ, FROM, LENGTH, 1), 0, "and what was discarded is not");
	close(fd);
	return tap_done();
}

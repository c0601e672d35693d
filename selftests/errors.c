// SPDX-License-Identifier: GPL-2.0
/*
 * An error of the helper is an error of that access, and can be tried again; a page is up to date only with
 * all of its bytes. A_TIMEOUT bounds the wait for an absent helper. Odd ways to answer are right as well.
 */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;
static uint64_t id;
static char path[128], all[4 * MiB];
static int fd;

static void retriable(enum app_what how, uint64_t offset, int want)
{
	fh_rule(e.fh, REGIONFS_OP_READ, id, offset, 4096, FH_ERROR, -EIO, -1);
	is(app_run(path, how, offset, 4096, 1), want, "a failed READ: %s", app_name(how));
	is(app_run(path, how, offset, 4096, 1), want, "again");
	fh_clear(e.fh);
	is(app_run(path, how, offset, 4096, 1), 0, "then it is good");
}

static void edge(void)
{
	fh_rule(e.fh, REGIONFS_OP_READ, id, MiB, 4096, FH_ERROR, -EIO, -1);
	is(app_run(path, APP_WRITE, MiB + 10, 100, 2), EIO, "a failed READ: a write to a part of a page");
	is(app_run(path, APP_WRITE, MiB, 4096, 2), 0, "a write of the whole page needs no READ");
	fh_clear(e.fh);
	is(app_run(path, APP_READ, MiB, 4096, 2), 0, "and is read");
	is(app_run(path, APP_READ, MiB + 4096, 4096, 1), 0, "beside it all is as before");
}

static void answers(void)
{
	fh_rule(e.fh, REGIONFS_OP_READ, id, 2 * MiB, 256 * KiB, FH_ZERO, 0, -1);
	is(app_run(path, APP_READ, 2 * MiB, 64 * KiB, 0), 0, "an answer without an address is zeroes");
	fh_clear(e.fh);
	ok(e.fh->s->features & REGIONFS_F_ANY_ADDR, "any address is granted");
	fh_rule(e.fh, REGIONFS_OP_READ, id, 3 * MiB, 256 * KiB, FH_ANY_ADDR, 0, -1);
	is(app_run(path, APP_READ, 3 * MiB, 256 * KiB, 1), 0, "an answer from another address");
	fh_clear(e.fh);
}

/* A folio that takes several requests: an error of one of them is told, and is not tried again for ever. */
static void in_parts(void)
{
	uint64_t at = 3 * MiB + 256 * KiB;

	fh_stop(e.fh);
	e.fh->request = 64 * KiB;
	must(fh_start(e.fh) == 0);
	must(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
	env_evict(fd);
	fh_rule(e.fh, REGIONFS_OP_READ, id, at, 4096, FH_ERROR, -EIO, -1);
	app_run(path, APP_READ, 0, 4 * MiB, 1);	/* comes there with folios that have grown, and is short */
	is(app_run(path, APP_READ, at, 64 * KiB, 1), EIO, "a failed READ of a part of a folio: read");
	is(app_run(path, APP_MAP_READ, at, 64 * KiB, 1), APP_SIGBUS, "a load gets SIGBUS");
	fh_clear(e.fh);
	is(app_run(path, APP_READ, 0, 4 * MiB, 1), 0, "then all is good");
	fh_stop(e.fh);
	e.fh->request = FH_REQUEST;
	must(fh_start(e.fh) == 0);
}

static void timeout(void)
{
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u32(&e.q, REGIONFS_A_TIMEOUT, 500);
	is(env_call(&e), 0, "a timeout is set");
	fh_kill(e.fh);
	is(app_run(path, APP_READ, 3 * MiB + 512 * KiB, 4096, 1), EIO, "no helper: read fails");
	is(app_run(path, APP_MAP_READ, 3 * MiB + 512 * KiB, 4096, 1), APP_SIGBUS, "a load gets SIGBUS");
	must(fh_start(e.fh) == 0);
	is(app_run(path, APP_READ, 3 * MiB + 512 * KiB, 4096, 1), 0, "with a helper it is good");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "fsync too");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "errors");
	id = env_filled(&e, "r", 4 * MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	retriable(APP_READ, 0, EIO);
	retriable(APP_MAP_READ, 256 * KiB, APP_SIGBUS);
	retriable(APP_DIRECT_READ, 512 * KiB, EIO);
	retriable(APP_SENDFILE, 768 * KiB, EIO);
	edge();
	answers();
	must(fsync(fd) == 0);
	pattern_fill(all, sizeof(all), 0, 1);
	fh_pwrite(e.fh, id, all, sizeof(all), 0);
	env_evict(fd);
	in_parts();
	env_evict(fd);
	timeout();
	close(fd);
	return tap_done();
}

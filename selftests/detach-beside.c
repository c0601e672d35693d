// SPDX-License-Identifier: GPL-2.0
/*
 * Truncating, and punching, does not wait for a WRITE beside what is taken away, that the helper holds, where both are of one large folio. Nothing of
 * what was written there is lost.
 */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(8 * MiB)
#define AT	(5 * MiB)		/* what the helper holds: a page */
#define CUT	(AT + 32 * KiB)		/* and what goes, of the same folio, since all was read in order */

static struct env e;
static uint64_t id;
static char path[128];

static pid_t hold(void)
{
	uint32_t from = fh_mark(e.fh);
	pid_t syncer;

	fh_rule(e.fh, REGIONFS_OP_WRITE, id, AT, 4096, FH_HOLD, 0, 1);
	must(app_run(path, APP_WRITE, AT, 4096, 2) == 0);
	must(app_run(path, APP_WRITE, CUT, 4096, 3) == 0);
	syncer = app_start(path, APP_FSYNC, 0, 0, 0);
	ok(fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, AT, 4096, FH_HELD, SOON) >= 0, "the helper holds a WRITE");
	return syncer;
}

static void is_kept(pid_t syncer, uint64_t kept_at)
{
	char got[4096], want[4096];

	fh_clear(e.fh);
	fh_release_all(e.fh);
	is(reap(syncer, SOON), 0, "fsync ends when the WRITE is answered");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "and another one");
	fh_pread(e.fh, id, got, sizeof(got), AT);
	pattern_fill(want, sizeof(want), AT, 2);
	ok(!memcmp(got, want, sizeof(got)), "what was written beside is at the source");
	is(app_run(path, APP_READ, kept_at, 4096, 0), 0, "and what went is zero");
}

int main(void)
{
	pid_t syncer;

	tap_start(300);
	env_start(&e, "beside");
	must(env_takeback(&e, 600000) == 0);
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	is(app_run(path, APP_READ, 0, SIZE, 1), 0, "the region is read in order");

	syncer = hold();
	is(app_run(path, APP_PUNCH, CUT, 4096, 0), 0, "punch returns while it does");
	is_kept(syncer, CUT);

	/* the folio was split */
	drop_caches();
	is(reap(app_start_any(path, APP_READ, 0, SIZE), SOON), 0, "it is read in order again");
	syncer = hold();
	is(app_run(path, APP_TRUNCATE, CUT + 100, 0, 0), 0, "truncate returns while it does");
	is(app_run(path, APP_TRUNCATE, SIZE, 0, 0), 0, "and so does one that grows it");
	is_kept(syncer, CUT + 4096);
	return tap_done();
}

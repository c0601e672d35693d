/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the detach tests. A reader and a bystander wait for one READ that the helper holds; then something
 * takes part of the range away, which must not wait for the READ.
 */
#ifndef SELFTESTS_DETACH_H
#define SELFTESTS_DETACH_H

#include "app.h"
#include "env.h"

#define DETACH_SIZE	MiB
#define DETACH_AT	(512 * KiB)	/* what the reader wants: this far, 16 KiB */
#define DETACH_BY	(544 * KiB)	/* what the bystander wants: this far, 16 KiB */
#define DETACH_LEN	(16 * KiB)

struct detach {
	struct env e;
	uint64_t id, late;
	char path[128];
	long place;		/* of the READ that is held */
	uint32_t from;
	pid_t reader, bystander;
};

/* Both processes wait for READs of the helper, which holds them; the take-back limit is out of the way. */
static inline void detach_begin(struct detach *d, uint64_t reader_seed, uint64_t bystander_seed)
{
	env_start(&d->e, "detach");
	must(env_takeback(&d->e, 600000) == 0);
	d->id = env_filled(&d->e, "r", DETACH_SIZE, 1);
	snprintf(d->path, sizeof(d->path), "%s", env_path(&d->e, "r"));
	d->late = env_stat(&d->e, d->id, REGIONFS_STAT_LATE_COMMITS);
	d->from = fh_mark(d->e.fh);
	fh_rule(d->e.fh, REGIONFS_OP_READ, d->id, DETACH_AT, 128 * KiB, FH_HOLD, 0, -1);
	d->reader = app_start(d->path, APP_READ, DETACH_AT, DETACH_LEN, reader_seed);
	d->place = fh_wait(d->e.fh, d->from, REGIONFS_OP_READ, d->id, DETACH_AT, 4096, FH_HELD,
			   SOON);
	ok(d->place >= 0, "the helper holds a READ");
	if (d->place < 0)
		tap_bail("cannot go on");
	d->bystander = app_start(d->path, APP_READ, DETACH_BY, DETACH_LEN, bystander_seed);
	ok(fh_wait(d->e.fh, d->from, REGIONFS_OP_READ, d->id, DETACH_BY, 4096, FH_HELD, SOON) >= 0,
	   "and one for the bystander");
	ok(wait_asleep(d->reader, SOON) && wait_asleep(d->bystander, SOON), "both readers wait");
	fh_clear(d->e.fh);
}

/* All READs that are held are answered; within [from, to) with bytes that must be seen nowhere. */
static inline void detach_release(struct detach *d, uint64_t from, uint64_t to)
{
	uint32_t end = fh_mark(d->e.fh);

	for (uint32_t i = d->from; i != end; i++) {
		const struct regionfs_io_desc *r = &fh_at(d->e.fh, i)->desc;
		uint64_t a = from > r->offset ? from : r->offset;
		uint64_t b = to < r->offset + r->length ? to : r->offset + r->length;

		if (fh_at(d->e.fh, i)->state != FH_HELD)
			continue;
		if (r->op == REGIONFS_OP_READ && a < b)
			memset(fh_buf(d->e.fh, i) + (a - r->offset), 0xdd, b - a);
		fh_release(d->e.fh, i, FH_PRETEND, 0);
	}
}

/* Is [offset, offset + len) read as the pattern of seed (0: zeroes)? */
static inline bool detach_reads(struct detach *d, uint64_t offset, size_t len, uint64_t seed)
{
	return app_run(d->path, APP_READ, offset, len, seed) == 0;
}

#endif

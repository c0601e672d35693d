// SPDX-License-Identifier: GPL-2.0
/*
 * The log of a local store: what is appended from within a done, while others of the same batch have not been told yet, comes after them; each is
 * told once, and is where it was said to be, also after a restart. On a full file system (a small tmpfs; skipped without root) those that wait
 * together for room are told together, and PUSHED among them is noted.
 */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "stores/redo.h"
#include "tap.h"
#include "tests/source.h"

#define NR	12u
#define ALL	(NR + 2)
/* Two records. */
#define LENGTH	(REDO_PIECE + 8192)

struct append {
	struct redo_io io;
	uint64_t at[2];		/* of its records */
	unsigned int nr_at, nr_done;
	int error;
	char data[LENGTH];
};

static struct append appends[ALL];
static unsigned int begun, left;
static char got[LENGTH];
static struct redo *redo;
static struct loop *loop;
static bool over;

static void stop(void)
{
	over = true;
	loop_stop(loop);
}

static struct append *append_of(struct redo_io *io)
{
	return list_entry(io, struct append, io);
}

static void placed(struct redo_io *io, uint64_t offset, uint64_t length, uint64_t at)
{
	struct append *append = append_of(io);

	if (append->nr_at < 2)
		append->at[append->nr_at] = at;
	append->nr_at++;
}

static void append(void);

/* The first one and one in the middle bring another one. */
static void done(struct redo_io *io, int error)
{
	struct append *one = append_of(io);

	one->nr_done++;
	one->error = one->error ? one->error : error;
	if (one == &appends[0] || one == &appends[NR / 2])
		append();
	if (!--left)
		stop();
}

static void append(void)
{
	struct append *one = &appends[begun];

	memset(one->data, (int)begun + 1, LENGTH);
	one->io = (struct redo_io){
		.done = done, .placed = placed, .kind = REDO_WRITE, .gen = 1, .offset = (uint64_t)begun * LENGTH, .length = LENGTH,
		.size = (uint64_t)ALL * LENGTH, .data = one->data,
	};
	begun++;
	left++;
	redo_append(redo, &one->io);
}

static void log_open(const char *dir, struct redo_found *found)
{
	struct redo_options options = {
		.loop = loop, .dir = dir, .durable = true, .identity = "test", .segment = REDO_SEGMENT_MAX,
	};
	char why[256] = "";

	if (!redo_open(&redo, &options, found, why, sizeof(why)))
		return;
	printf("# %s\n", why);
	exit(99);
}

static void closed(void *arg)
{
	stop();
}

static void log_close(void)
{
	over = false;
	redo_close(redo, 0, closed, NULL);
	source_turn(&over);
}

static int read_error;

static void read_done(struct redo_io *io, int error)
{
	read_error = error;
	stop();
}

static bool is_at(const struct append *one, uint64_t at, uint64_t from, uint64_t length)
{
	struct redo_io io = { .done = read_done, .length = length, .data = got };

	over = false;
	redo_read(redo, &io, at);
	source_turn(&over);
	return !read_error && !memcmp(got, one->data + from, length);
}

static unsigned int nr_whole(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < ALL; i++) {
		const struct append *one = &appends[i];

		nr += one->nr_at == 2 && is_at(one, one->at[0], 0, REDO_PIECE) &&
		      is_at(one, one->at[1], REDO_PIECE, LENGTH - REDO_PIECE);
	}
	return nr;
}

static unsigned int nr_told_once(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < ALL; i++)
		nr += appends[i].nr_done == 1 && !appends[i].error;
	return nr;
}

static bool in_order(const struct redo_found *found)
{
	bool same = found->n == 2 * ALL;

	for (unsigned int i = 0; same && i < found->n; i++)
		same = found->records[i].offset == (uint64_t)(i / 2) * LENGTH + i % 2 * REDO_PIECE &&
		       found->records[i].at == appends[i / 2].at[i % 2];
	return same;
}

static void in_a_batch(void)
{
	struct redo_found found;

	log_open(source_dir(), &found);
	/* all but the first are there when the log's first file is */
	while (begun < NR)
		append();
	source_turn(&over);
	tap_number(nr_told_once(), ALL, "each is told once");
	tap_number(nr_whole(), ALL, "and is where it was said to be");
	log_close();
	log_open(source_dir(), &found);
	tap_ok(in_order(&found), "it is found in the order that it came");
	tap_number(nr_whole(), ALL, "in the same places");
	log_close();
	free(found.records);
}

/* ---- a full file system ---- */

#define WAITING	7u

static int errors[WAITING];
static unsigned int answers, wanted;

static void answered(struct redo_io *io, int error)
{
	errors[answers++] = error;
	if (answers == wanted)
		stop();
}

static void nowhere(struct redo_io *io, uint64_t offset, uint64_t length, uint64_t at)
{
}

/* So many at once; one of them is PUSHED. */
static void append_many(unsigned int nr, unsigned int pushed)
{
	struct redo_io ios[WAITING];

	over = false;
	answers = 0;
	wanted = nr;
	for (unsigned int i = 0; i < nr; i++) {
		ios[i] = (struct redo_io){
			.done = answered, .placed = nowhere, .kind = i == pushed ? REDO_PUSHED : REDO_WRITE, .gen = 1,
			.length = i == pushed ? 0 : LENGTH, .size = LENGTH, .data = appends[0].data,
		};
		redo_append(redo, &ios[i]);
	}
	source_turn(&over);
}

static unsigned int nr_without_room(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < answers; i++)
		nr += errors[i] == -ENOSPC;
	return nr;
}

static void on_a_full_disk(void)
{
	struct redo_found found;
	char small[300];

	snprintf(small, sizeof(small), "%s/small", source_dir());
	if (mkdir(small, 0700) || mount("none", small, "tmpfs", 0, "size=56M")) {
		tap_skip("a full disk", "no tmpfs can be mounted");
		return;
	}
	log_open(small, &found);
	do
		append_many(1, 1);
	while (!errors[0]);
	append_many(WAITING, WAITING / 2);
	tap_number(nr_without_room(), WAITING - 1, "all that wait for room are told that there is none");
	tap_number(errors[WAITING - 1], 0, "PUSHED is noted, though it came among them");
	log_close();
	umount2(small, MNT_DETACH);
}

int main(void)
{
	loop = source_begin();
	in_a_batch();
	on_a_full_disk();
	source_end();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Sequential reading reaches requests of 1 MiB, and several MiB ahead of a program that waits; a random touch asks for little, wherever it is, and a
 * LOCAL region is read by so much as one request has. Demand is marked.
 */
#include "lib/app.h"
#include "lib/env.h"

#define SIZE	(32 * MiB)

static struct env e;
static volatile struct {
	uint64_t at;		/* where in_order() is */
	uint64_t over;
} *place;

static uint64_t longest(uint64_t id, uint32_t from)
{
	uint64_t most = 0;

	for (uint32_t i = from; i != fh_mark(e.fh); i++) {
		const struct regionfs_io_desc *d = &fh_at(e.fh, i)->desc;

		if (d->region == id && d->op == REGIONFS_OP_READ && d->length > most)
			most = d->length;
	}
	return most;
}

/* Up to where the helper was asked for. */
static uint64_t asked_to(uint64_t id, uint32_t from)
{
	uint64_t to = 0;

	for (uint32_t i = from; i != fh_mark(e.fh); i++) {
		const struct regionfs_io_desc *d = &fh_at(e.fh, i)->desc;

		if (d->region == id && d->op == REGIONFS_OP_READ && d->offset + d->length > to)
			to = d->offset + d->length;
	}
	return to;
}

/* How many requests somebody waited for. */
static unsigned int demanded(uint32_t from)
{
	unsigned int n = 0;

	for (uint32_t i = from; i != fh_mark(e.fh); i++)
		n += fh_at(e.fh, i)->desc.flags & REGIONFS_REQ_DEMAND ? 1 : 0;
	return n;
}

/* Reads all in order. How far ahead of the program the helper was asked at most. */
static uint64_t in_order(uint64_t id, int fd, const char *p, size_t step, bool *good)
{
	static char buf[4 * MiB];
	uint32_t from = fh_mark(e.fh);
	uint64_t most = 0, to;

	*good = true;
	for (uint64_t at = 0; at < SIZE; at += step) {
		place->at = at;
		if (!p)
			must(pread(fd, buf, step, at) == (ssize_t)step);
		*good &= pattern_check(p ? p + at : buf, step, at, 1) < 0;
		to = asked_to(id, from);
		if (to > at + step && to - at - step > most)
			most = to - at - step;
	}
	return most;
}

/* @advice: of posix_fadvise(). */
static void sequential(const char *name, bool map, int advice)
{
	uint64_t id = env_filled(&e, name, SIZE, 1), ahead;
	uint32_t from = fh_mark(e.fh);
	int fd = env_path_fd(&e, name, O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned int n;
	bool good;

	must(p != MAP_FAILED && !posix_fadvise(fd, 0, 0, advice));
	ahead = in_order(id, fd, map ? p : NULL, 64 * KiB, &good);
	ok(good, "%s: 32 MiB in order are right", name);
	n = fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, NULL);
	is(longest(id, from), MiB, "%s: requests grow to 1 MiB", name);
	ok(n <= 200, "%s: %u requests", name, n);
	ok(ahead >= (map ? 5 : 3) * MiB / 2, "%s: up to %llu KiB ahead are asked for", name, (unsigned long long)(ahead / KiB));
	munmap(p, SIZE);
	close(fd);
}

/* Answers what is held whenever the program waits, and not before, until it is told to end. */
static int answer_late(void *none)
{
	uint64_t was = 0, before = 0;

	(void)none;
	while (!place->over) {
		usleep(20000);
		if (place->at == was && was == before)
			fh_release_all(e.fh);
		before = was;
		was = place->at;
	}
	return 0;
}

/* Of a source that is far away, and always waited for, more is asked for ahead. */
static void far_away(const char *name, bool map, size_t step, uint64_t least)
{
	uint64_t id = env_filled(&e, name, SIZE, 1), ahead;
	int fd = env_path_fd(&e, name, O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	pid_t answers;
	bool good;

	must(p != MAP_FAILED);
	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_HOLD, 0, -1);
	place->over = 0;
	answers = spawn(answer_late, NULL);
	ahead = in_order(id, fd, map ? p : NULL, step, &good);
	place->over = 1;
	must(reap(answers, SOON) == 0);
	fh_clear(e.fh);
	must(fh_release_all(e.fh) >= 0);
	ok(good, "%s: 32 MiB of a source that is far away are right", name);
	ok(ahead >= least && ahead <= 17 * MiB, "%s: up to %llu KiB ahead are asked for", name, (unsigned long long)(ahead / KiB));
	munmap(p, SIZE);
	close(fd);
}

#define GROUP	"/sys/fs/cgroup/readahead-test"

static void leave_group(void)
{
	write_file("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(GROUP);
}

/* What is read ahead is charged to who reads, and cannot be reclaimed: of little memory it takes little. */
static void in_group(void)
{
	uint64_t id = env_filled(&e, "in-group", SIZE, 1), ahead;
	int fd = env_path_fd(&e, "in-group", O_RDONLY);
	bool good;

	if (mkdir(GROUP, 0700) || write_file(GROUP "/memory.max", "67108864") || write_file(GROUP "/cgroup.procs", "0")) {
		tap_skip("no memory cgroup can be made");
	} else {
		ahead = in_order(id, fd, NULL, 64 * KiB, &good);
		ok(good && ahead <= 5 * MiB / 2, "in a cgroup of 64 MiB up to %llu KiB ahead are asked for", (unsigned long long)(ahead / KiB));
	}
	leave_group();
	close(fd);
}

/* A touch behind what is there might go on with it, or not. */
static void touch_behind(const char *name, bool map)
{
	uint64_t id = env_filled(&e, name, SIZE, 1), bytes;
	int fd = env_path_fd(&e, name, O_RDONLY);
	static char buf[MiB];
	uint32_t from;
	char *p;

	must(!posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
	for (uint64_t at = 4 * MiB; at < 16 * MiB; at += sizeof(buf))
		must(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
	close(fd);
	fd = env_path_fd(&e, name, O_RDONLY);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED && !posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	from = fh_mark(e.fh);
	if (!map)
		must(pread(fd, buf, 4 * KiB, 16 * MiB) == 4 * KiB);
	is(map ? p[16 * MiB] : buf[0], (char)pattern_byte(1, 16 * MiB), "%s: a page behind 12 MiB that are there is right", name);
	fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, &bytes);
	ok(bytes <= MiB + 4 * KiB, "%s: it asked for %llu KiB", name, (unsigned long long)(bytes / KiB));
	munmap(p, SIZE);
	close(fd);
}

static bool all_copied(void *arg)
{
	return env_stat(&e, *(uint64_t *)arg, REGIONFS_STAT_LOCAL_BYTES) == SIZE;
}

/* What is copied here is copied by so much as one request has, whatever he says: of that, what he reads, and what another CPU may have begun. */
static void local(const char *name, bool map)
{
	uint64_t id = env_filled(&e, name, SIZE, 1), now, most = 0;
	int fd = env_path_fd(&e, name, O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0), buf[4 * KiB];
	bool good = true;

	must(p != MAP_FAILED && !posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) && !fh_local(e.fh, id, 0, NULL));
	for (uint64_t at = 0; at < SIZE; at += sizeof(buf)) {
		if (!map)
			must(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
		good &= pattern_check(map ? p + at : buf, sizeof(buf), at, 1) < 0;
		if (at % (32 * KiB))
			continue;
		now = env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES);
		most = now > at + most ? now - at : most;
	}
	ok(good, "%s: 32 MiB in order are right", name);
	ok(wait_until(all_copied, &id, SOON), "%s: all of them are copied by the kernel", name);
	ok(most >= MiB / 2 && most <= 2 * MiB, "%s: %llu KiB are ahead of who reads at most", name, (unsigned long long)(most / KiB));
	munmap(p, SIZE);
	close(fd);
}

static bool nothing_outstanding(void *arg)
{
	return !env_stat(&e, 0, REGIONFS_STAT_OUTSTANDING);
}

/* As two threads may: in order in two places of one file, by turns once both have long windows. */
static void by_turns(void)
{
	const uint64_t half = 3 * SIZE / 2, first = SIZE / 2;
	uint64_t id = env_filled(&e, "by-turns", 2 * half, 1);
	int fd = env_path_fd(&e, "by-turns", O_RDONLY);
	static char buf[64 * KiB];
	uint32_t from;

	for (uint64_t place = 0; place < 2 * half; place += half)
		for (uint64_t at = 0; at < first; at += sizeof(buf))
			must(pread(fd, buf, sizeof(buf), place + at) == sizeof(buf));
	must(wait_until(nothing_outstanding, NULL, SOON));
	from = fh_mark(e.fh);
	for (uint64_t at = first; at < first + SIZE / 2; at += sizeof(buf)) {
		must(pread(fd, buf, sizeof(buf), half + at) == sizeof(buf));
		must(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
	}
	must(wait_until(nothing_outstanding, NULL, SOON));
	ok(fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, half, NULL), "by turns in two places, more is asked for");
	is(demanded(from), 0, "before somebody waits for it");
	close(fd);
}

static void random_touch(void)
{
	uint64_t id = env_filled(&e, "random", SIZE, 1), at = 1, bytes;
	uint32_t from = fh_mark(e.fh);
	int fd = env_path_fd(&e, "random", O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	bool good = true;

	for (int i = 0; i < 100; i++) {
		at = pattern_word(99, i) % SIZE;
		good &= p[at] == (char)pattern_byte(1, at);
	}
	ok(good, "100 random loads are right");
	fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, &bytes);
	ok(bytes <= 100 * 64 * KiB, "they asked for %llu KiB", (unsigned long long)(bytes / KiB));
	ok(fh_at(e.fh, from)->desc.flags & REGIONFS_REQ_DEMAND, "and are marked as demand");
	munmap(p, SIZE);
	close(fd);
}

/* What is wanted soon is asked for, as much as one request may; what stands in its middle changes nothing. */
static void will_need(void)
{
	uint64_t id = env_filled(&e, "needed", SIZE, 1), bytes;
	int fd = env_path_fd(&e, "needed", O_RDONLY);
	uint32_t from = fh_mark(e.fh);
	char buf[4 * KiB];

	must(!posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
	for (uint64_t at = 256 * KiB; at < 288 * KiB; at += sizeof(buf))
		must(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
	fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, &bytes);
	is(bytes, 32 * KiB, "advised RANDOM, what is read is asked for, and no more");
	close(fd);
	fd = env_path_fd(&e, "needed", O_RDONLY);
	from = fh_mark(e.fh);
	is(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0, "advised WILLNEED of all of it");
	must(wait_until(nothing_outstanding, NULL, SOON));
	fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, &bytes);
	is(bytes, MiB - 32 * KiB, "what was not there of a MiB is asked for");
	close(fd);
}

/* To advise it is no way round the bound of those that touch. */
static void local_needed(void)
{
	uint64_t id = env_filled(&e, "local-needed", SIZE, 1), was;
	int fd = env_path_fd(&e, "local-needed", O_RDONLY);

	must(!fh_local(e.fh, id, 0, NULL));
	was = env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES);
	must(!posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	is(env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES) - was, MiB, "advised WILLNEED, a LOCAL file just opened: 1 MiB is copied");
	close(fd);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "readahead");
	place = mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(place != MAP_FAILED && !env_takeback(&e, 60000));	/* a host that stands still for a moment is no slow source */
	sequential("by-read", false, POSIX_FADV_NORMAL);
	sequential("by-map", true, POSIX_FADV_NORMAL);
	sequential("advised", true, POSIX_FADV_SEQUENTIAL);
	far_away("far-read", false, 64 * KiB, 7 * MiB);
	far_away("far-long", false, 4 * MiB, 3 * MiB);
	far_away("far-map", true, 64 * KiB, 7 * MiB);
	in_group();
	touch_behind("behind-read", false);
	touch_behind("behind-map", true);
	local("local-read", false);
	local("local-map", true);
	random_touch();
	by_turns();
	will_need();
	local_needed();
	return tap_done();
}

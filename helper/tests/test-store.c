// SPDX-License-Identifier: GPL-2.0
/* The local store, step by step, on a tmpfs and on a disk. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store-ask.h"
#include "store-private.h"

#define SIZE	(64 * PAGE)

static bool disk;

static const char *on(void)
{
	return disk ? "disk" : "tmpfs";
}

/* ---- bytes ---- */

static void check_bytes(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);
	uint64_t skip = 1 << 2, offset, length;

	tap_ok(!store_was_there(store) && store_size(store) == SIZE && !store_recovered(store), "%s: a new store is empty", on());
	tap_ok(!write_pages(store, 1, 3, 2, 10) && read_page(store, 3) == 10 && read_page(store, 4) == 10, "what is written is read");
	tap_ok(store_absent(store, 0, SIZE, &offset, &length) && offset == 0 && length == 3 * PAGE, "what is before it is absent");
	fill_pages(store, 0, 8, 20, &skip);
	tap_ok(read_page(store, 3) == 10 && read_page(store, 4) == 10, "a fill does not overwrite a change");
	tap_ok(read_page(store, 0) == 20 && read_page(store, 1) == 20 && read_page(store, 7) == 20, "it takes what is absent");
	tap_ok(read_page(store, 2) == ABSENT, "but not what it is told to skip");
	fill_pages(store, 0, 8, 21, NULL);
	tap_ok(read_page(store, 2) == 21 && read_page(store, 0) == 20, "nor what is there");
	tap_ok(!change(store, BACKEND_DISCARD, 1, 3 * PAGE, PAGE, 0) && read_page(store, 3) == 0, "a discard reads zero");
	tap_ok(write_pages(store, 1, 1, 1, 1) == 0 && change(store, BACKEND_WRITE, 1, 100, PAGE, 0) == -EINVAL, "a part of a page is refused");
	remove_store(store);
	tap_ok(access(dir, F_OK), "removed, its directory is gone");
	free(dir);
}

static void check_now(void)
{
	char *dir = make_dir(disk), space[PAGE];
	struct store *store = open_store(dir, disk, SIZE);
	int map;

	write_pages(store, 1, 5, 1, 50);
	tap_ok(store_read_now(store, 5 * PAGE, PAGE, space) == !disk && (disk || page_version(space, 5, PAGE) == 50),
	       "%s: memory is read at once, a disk not", on());
	tap_ok(!store_read_now(store, 5 * PAGE, 2 * PAGE, space), "what is not there is not");
	tap_ok(store_local_fd(store, &map) >= 0 && map >= 0, "a file for the kernel, and a map");
	close_store(store);
	drop_dir(dir);
}

/* ---- generations ---- */

static void check_generations(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);
	struct store_gen *one, *two;

	write_pages(store, 1, 0, 4, 1);
	write_pages(store, 2, 2, 4, 2);
	one = store_gen_oldest(store);
	two = store_gen_after(store, one);
	tap_ok(one->gen == 1 && two->gen == 2 && !store_gen_after(store, two) && !one->pending, "%s: a generation each", on());
	tap_ok(log_page(store, one, 2) == 1 && log_page(store, two, 2) == 2 && read_page(store, 2) == 2, "each keeps its version");
	tap_ok(log_page(store, one, 5) == ABSENT && log_page(store, two, 0) == ABSENT, "and has what it changed, no more");
	tap_ok(!store_gen_merge(store, one) && one->gen == 2 && one->oldest == 1 && !store_gen_after(store, one), "merged they are one");
	tap_ok(log_page(store, one, 0) == 1 && log_page(store, one, 2) == 2 && log_page(store, one, 5) == 2, "that has the newest");
	store_gen_pushed(store, one);
	tap_ok(!store_gen_oldest(store), "pushed, it is gone");
	write_pages(store, 2, 0, 1, 3);
	tap_ok(store_gen_oldest(store)->gen == 3, "who is late for a pushed generation is in the next");
	close_store(store);
	drop_dir(dir);
}

static void check_resize(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);
	struct store_gen *gen;

	write_pages(store, 1, 0, 16, 1);
	change(store, BACKEND_RESIZE, 1, 0, 8 * PAGE, 8 * PAGE);
	gen = store_gen_oldest(store);
	tap_ok(gen->resized && gen->size == 8 * PAGE && gen->low == 8 * PAGE && store_size(store) == 8 * PAGE, "%s: a truncation", on());
	tap_ok(log_page(store, gen, 7) == 1 && !extents_any(&gen->changed, 8 * PAGE, UINT64_MAX), "cuts the generation");
	change(store, BACKEND_RESIZE, 2, 0, 12 * PAGE, 8 * PAGE);
	tap_ok(read_page(store, 9) == 0 && read_page(store, 7) == 1, "what was cut off is zero, not what the source has");
	write_pages(store, 2, 20, 1, 2);
	tap_ok(read_page(store, 15) == 0 && store_size(store) == 21 * PAGE, "also in front of a write beyond the end");
	write_pages(store, 3, 4, 4, 3);
	change(store, BACKEND_RESIZE, 4, 0, 30 * PAGE, 6 * PAGE);
	gen = store_gen_oldest(store);
	while (store_gen_after(store, gen))
		store_gen_merge(store, gen);
	tap_ok(gen->size == 30 * PAGE && gen->low == 6 * PAGE, "merged: the last size and the lowest");
	tap_ok(log_page(store, gen, 4) == 3 && log_page(store, gen, 0) == 1 && log_page(store, gen, 7) == 0, "older bytes beyond a cut are gone");
	close_store(store);
	drop_dir(dir);
}

/* ---- the log ---- */

static void check_bounded(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);
	struct store_stats stats;
	bool good = true;

	for (uint64_t round = 1; round <= 100; round++) {
		write_pages(store, round, 0, 64, round);
		good &= log_page(store, store_gen_oldest(store), round % 64) == round;
		store_gen_pushed(store, store_gen_oldest(store));
	}
	ask_sync(store);
	store_stats(store, &stats);
	tap_ok(good && !stats.unpushed, "%s: 25 MiB in rounds of a quarter", on());
	tap_ok(stats.log <= 6u << 20, "the log did not grow (%llu KiB)", (unsigned long long)stats.log >> 10);
	close_store(store);
	tap_number(count_files(dir, "log-"), 0, "closed with everything pushed it has no files");
	drop_dir(dir);
}

/* Bytes of the log that nobody has counted as unpushed. */
static bool is_counted(struct store *store)
{
	struct store_stats stats;

	store_stats(store, &stats);
	/* the last file, those that are ready for what comes, and the records' headers */
	return stats.log <= stats.unpushed + stats.unpushed / 32 + (4u << 20);
}

/*
 * The source is away. max_unpushed bounds the log for that all of it counts: versions that were replaced in their own generation or in a later one,
 * and changes of few bytes or none.
 */
static void check_counted(void)
{
	char *dir = make_dir(disk), data[PAGE] = { 0 };
	struct store *store = open_store(dir, disk, SIZE + 7);
	bool good = true;

	for (unsigned int round = 0; round < 40; round++)
		good &= !write_pages(store, 1 + round / 10, 0, 64, round + 1);
	tap_ok(good && is_counted(store), "%s: pages that are written again and again count each time", on());
	for (unsigned int i = 0; i < 60000; i++) {
		struct asked *asked = ask_new(BACKEND_WRITE, SIZE, 7, data);

		asked->io.gen = 5;
		store_change(store, &asked->io);
		good &= !ask_wait(asked);
	}
	tap_ok(good && is_counted(store), "so do a few bytes");
	close_store(store);
	store = open_store(dir, disk, SIZE + 7);
	tap_ok(is_counted(store), "also after a restart");
	while (store_gen_oldest(store))
		store_gen_pushed(store, store_gen_oldest(store));
	ask_note(store);
	for (unsigned int i = 0; i < 600 && count_files(dir, "log-") > 4; i++)
		wait_ms(100);
	tap_ok(count_files(dir, "log-") <= 4, "and what is pushed goes");
	close_store(store);
	drop_dir(dir);
}

static void check_long_write(void)
{
	char *dir = make_dir(disk);
	uint64_t pages = 1200, good = 0;
	struct store *store = open_store(dir, disk, pages * PAGE);

	tap_number(write_pages(store, 1, 0, pages, 9), 0, "a write longer than several segments");
	for (uint64_t i = 0; i < pages; i++)
		good += read_page(store, i) == 9 && log_page(store, store_gen_oldest(store), i) == 9;
	tap_number((long long)good, (long long)pages, "is all there, and in the log");
	close_store(store);
	drop_dir(dir);
}

/* ---- restarts ---- */

static void write_history(struct store *store)
{
	fill_pages(store, 40, 4, 77, NULL);
	write_pages(store, 5, 0, 4, 1);
	store_gen_pushed(store, store_gen_oldest(store));
	write_pages(store, 6, 2, 4, 2);
	change(store, BACKEND_DISCARD, 6, 5 * PAGE, PAGE, 0);
	write_pages(store, 7, 3, 1, 3);
	change(store, BACKEND_RESIZE, 7, 0, 50 * PAGE, 50 * PAGE);
}

static void check_history(struct store *store, const char *when)
{
	struct store_gen *one = store_gen_oldest(store), *two = one ? store_gen_after(store, one) : NULL;

	tap_ok(two && one->gen == 6 && two->gen == 7 && store_recovered(store) == 7, "%s, %s: the generations are there", on(), when);
	if (!two)
		return;
	tap_ok(log_page(store, one, 3) == 2 && log_page(store, two, 3) == 3 && log_page(store, one, 5) == 0, "each with its versions");
	tap_ok(two->resized && two->size == 50 * PAGE && !one->resized && store_size(store) == 50 * PAGE, "and sizes");
	tap_ok(read_page(store, 2) == 2 && read_page(store, 3) == 3 && read_page(store, 5) == 0, "the newest bytes are read");
	tap_ok(read_page(store, 0) == 1, "also those that were pushed");
}

static void check_kill(void)
{
	char *dir = make_dir(disk);
	struct store *store;
	int status = 0;
	pid_t child = fork();

	/* neither a ring nor threads live on in a child */
	if (!child) {
		execl("/proc/self/exe", "test-store", disk ? "disk" : "tmpfs", dir, NULL);
		_exit(99);
	}
	waitpid(child, &status, 0);
	tap_ok(WIFSIGNALED(status), "a helper is killed");
	store = open_store(dir, disk, SIZE);
	tap_ok(store_was_there(store), "there was something");
	check_history(store, "after a kill");
	tap_ok(disk || read_page(store, 41) == 77, "what was pulled is there, too");
	close_store(store);
	store = open_store(dir, disk, SIZE);
	check_history(store, "closed and opened");
	tap_ok(disk || read_page(store, 41) == 77, "with what was pulled");
	close_store(store);
	drop_dir(dir);
}

static void check_clean(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);

	fill_pages(store, 0, 32, 5, NULL);
	write_pages(store, 1, 1, 1, 6);
	store_gen_pushed(store, store_gen_oldest(store));
	close_store(store);
	store = open_store(dir, disk, SIZE);
	tap_ok(store_was_there(store) && read_page(store, 0) == 5 && read_page(store, 1) == 6, "%s: clean bytes are there next time", on());
	close_store(store);
	store = try_open(dir, disk, SIZE, "another", 0);
	tap_ok(store && read_page(store, 0) == ABSENT, "but not for another source");
	write_pages(store, 1, 1, 1, 6);
	close_store(store);
	store = try_open(dir, disk, SIZE, "source", 0);
	tap_ok(!store && opened_error == -ESTALE && strstr(opened_why, "changes"), "which can't have its changes: %s", opened_why);
	store = try_open(dir, disk, SIZE, "another", 0);
	tap_ok(store && read_page(store, 1) == 6, "they stay its own");
	store_discard_changes(store);
	tap_ok(read_page(store, 1) == ABSENT && !store_gen_oldest(store), "discarded they are absent");
	close_store(store);
	store = try_open(dir, disk, SIZE, "source", 0);
	tap_ok(store && !store_gen_oldest(store), "and stand in nobody's way");
	remove_store(store);
	free(dir);
}

static void check_discarded(void)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, SIZE);

	write_pages(store, 1, 1, 2, 6);
	store_discard_changes(store);
	write_pages(store, 1, 2, 1, 7);
	ask_sync(store);
	copy = copy_dir(dir, disk);
	close_store(store);
	store = open_store(copy, disk, SIZE);
	tap_ok(read_page(store, 1) == ABSENT && read_page(store, 2) == 7, "%s: what was discarded does not come back after a kill", on());
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

/* What has no bytes takes room, too. */
static void check_charged(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);
	struct store_stats stats, again;

	for (unsigned int i = 0; i < 100; i++)
		change(store, BACKEND_DISCARD, 1, i % 2 * PAGE, PAGE, 0);
	change(store, BACKEND_RESIZE, 2, 0, SIZE / 2, SIZE / 2);
	store_stats(store, &stats);
	tap_ok(stats.unpushed >= 101 * 64, "%s: what has no bytes is counted (%llu)", on(), (unsigned long long)stats.unpushed);
	tap_ok(store_gen_high(store) == SIZE, "the size that the source may have is known");
	close_store(store);
	store = open_store(dir, disk, SIZE);
	store_stats(store, &again);
	tap_ok(again.unpushed == stats.unpushed && store_gen_high(store) == SIZE, "also the next time");
	store_gen_pushed(store, store_gen_oldest(store));
	store_gen_pushed(store, store_gen_oldest(store));
	store_stats(store, &again);
	tap_ok(!again.unpushed && !store_gen_high(store), "until it is pushed");
	close_store(store);
	drop_dir(dir);
}

/* ---- a disk that fails ---- */

static int read_raw(struct store *store, uint64_t page, char data[PAGE])
{
	struct asked *asked = ask_new(BACKEND_READ, page * PAGE, PAGE, data);

	store_read(store, &asked->io);
	return ask_wait(asked);
}

static void check_lost(void)
{
	char *dir = make_dir(disk), data[PAGE];
	struct store *store = open_store(dir, disk, SIZE);
	int null = open("/dev/null", O_WRONLY), kept = dup(base_fd(store->base)), err;
	bool good = true;

	fill_pages(store, 0, 8, 1, NULL);
	write_pages(store, 1, 8, 8, 2);
	tap_number(read_raw(store, 32, data), -ENODATA, "what is not there is not, and no error");
	dup2(null, base_fd(store->base));
	err = read_raw(store, 3, data);
	for (uint64_t page = 8; page < 16; page++)
		good &= !read_raw(store, page, data) && page_version(data, page, PAGE) == 2;
	dup2(kept, base_fd(store->base));
	tap_ok(err == -ENODATA && read_page(store, 3) == ABSENT, "%s: what the disk has lost is absent: the source has it", on());
	tap_ok(good, "what the source has not is read from the log, however often");
	close(kept);
	close(null);
	close_store(store);
	drop_dir(dir);
}

/* ---- a source that others change ---- */

static void drop_clean(struct store *store)
{
	struct asked *asked = ask_new(BACKEND_READ, 0, 0, NULL);

	store_drop_clean(store, &asked->io);
	ask_wait(asked);
}

/* What was dropped may be there again, and then so is its version. */
static void check_version_killed(void)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, SIZE);

	fill_pages(store, 0, 8, 1, NULL);
	store_set_version(store, "one", true);
	close_store(store);
	store = open_store(dir, disk, SIZE);
	drop_clean(store);
	store_set_version(store, "two", true);
	/* whoever would write it now does it elsewhere */
	usleep(100000);
	copy = copy_dir(dir, disk);
	close_store(store);
	store = open_store(copy, disk, SIZE);
	tap_ok(!strcmp(store_version(store), "one"), "%s: killed before what was dropped is sure to be gone: the version is the old one", on());
	close_store(store);
	store = open_store(dir, disk, SIZE);
	tap_ok(read_page(store, 0) == ABSENT && !strcmp(store_version(store), "two"), "closed in order it is noted");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

static void check_version(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);

	tap_ok(!store_version(store), "%s: a new store has noted no version", on());
	fill_pages(store, 0, 8, 1, NULL);
	store_set_version(store, "meanwhile", true);
	store_set_version(store, "two", true);
	close_store(store);
	store = open_store(dir, disk, SIZE);
	tap_is(store_version(store), "two", "the newest one is kept");
	write_pages(store, 1, 4, 2, 2);
	store_gen_pushed(store, store_gen_oldest(store));
	write_pages(store, 2, 5, 2, 3);
	drop_clean(store);
	store_set_version(store, "three", true);
	tap_ok(read_page(store, 0) == ABSENT && read_page(store, 4) == ABSENT, "of another one nothing is here");
	tap_ok(read_page(store, 5) == 3 && read_page(store, 6) == 3 && store_gen_oldest(store), "but changes");
	fill_pages(store, 0, 1, 4, NULL);
	close_store(store);
	store = open_store(dir, disk, SIZE);
	tap_is(store_version(store), "three", "it is noted");
	tap_ok(read_page(store, 0) == 4 && read_page(store, 6) == 3 && read_page(store, 4) == ABSENT, "and the store is as it was then");
	remove_store(store);
	tap_ok(access(dir, F_OK), "removed it is gone");
	free(dir);
}

/* A power cut may have kept what is not in the region's size elsewhere. */
static void check_size(void)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, SIZE);

	write_pages(store, 1, 60, 10, 1);
	ask_sync(store);
	copy = copy_dir(dir, disk);
	close_store(store);
	store = open_store(copy, disk, SIZE / 2);
	tap_ok(store_size(store) == 70 * PAGE && read_page(store, 69) == 1, "%s: changes beyond the size that is asked for stay", on());
	tap_ok(log_page(store, store_gen_oldest(store), 69) == 1, "and can be pushed");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

/* ---- others ---- */

static void check_locked(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE), *other;

	write_pages(store, 1, 0, 4, 1);
	other = try_open(dir, disk, SIZE, "source", 0);
	tap_ok(!other && opened_error == -EBUSY, "%s: one that is open is nobody else's: %s", on(), opened_why);
	closed_done = false;
	store_remove(store, on_closed, NULL);
	other = try_open(dir, disk, SIZE, "source", 0);
	tap_ok(other && !store_was_there(other), "who opens it while it is removed gets a new one");
	turn(&closed_done);
	write_pages(other, 1, 0, 4, 2);
	close_store(other);
	store = open_store(dir, disk, SIZE);
	tap_ok(read_page(store, 0) == 2 && store_gen_oldest(store), "that stays");
	remove_store(store);
	tap_ok(access(dir, F_OK), "until it is removed");
	free(dir);
}

/* ---- no room ---- */

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* A limit on a file's size stands for a full disk. */
static void check_full(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, SIZE);
	struct store_stats stats;
	uint64_t version = 1, count = 0;
	int err = 0;

	write_pages(store, 1, 0, 8, version);
	limit_files((1u << 20) - 1);
	while (!err && count++ < 2000)
		err = write_pages(store, 1, 0, 8, ++version);
	store_stats(store, &stats);
	tap_ok(err == -ENOSPC && stats.full, "%s: there is no room any more, and it says so", on());
	tap_ok(read_page(store, 0) == version - 1 && log_page(store, store_gen_oldest(store), 7) == version - 1, "nothing has changed");
	store_gen_pushed(store, store_gen_oldest(store));
	tap_number(ask_sync(store), 0, "but what is at the source can be noted");
	limit_files(RLIM_INFINITY);
	tap_number(write_pages(store, 2, 0, 8, ++version), 0, "with room it goes on");
	store_stats(store, &stats);
	tap_ok(!stats.full && read_page(store, 0) == version, "and says so");
	close_store(store);
	drop_dir(dir);
}

/* What can't be noted is not noted. */
static void check_note(void)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, SIZE);
	int err;

	tap_ok(!ask_note(store), "%s: there is nothing to be noted", on());
	write_pages(store, 1, 0, 8, 1);
	limit_files(4096);
	store_gen_pushed(store, store_gen_oldest(store));
	err = ask_note(store);
	limit_files(RLIM_INFINITY);	/* also stdout's, which may be a file */
	tap_ok(err < 0, "what can't be noted is not");
	tap_number(ask_note(store), 0, "asked again it is");
	copy = copy_dir(dir, disk);
	close_store(store);
	store = open_store(copy, disk, SIZE);
	tap_ok(!store_gen_oldest(store), "and is not forgotten in a kill");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

/* The log is made, the base can't take the bytes: they are read from the log. */
static void check_base_full(void)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, 1024 * PAGE);
	uint64_t offset, length;

	write_pages(store, 1, 0, 1, 1);
	limit_files(1u << 20);
	tap_number(write_pages(store, 1, 500, 2, 5), 0, "what only the log has room for is written");
	limit_files(RLIM_INFINITY);
	tap_ok(read_page(store, 500) == 5 && read_page(store, 501) == 5, "%s: it is read from there", on());
	tap_ok(store_absent(store, 499 * PAGE, 1024 * PAGE, &offset, &length) && offset == 499 * PAGE && length == PAGE, "it is not absent");
	fill_pages(store, 498, 8, 9, NULL);
	tap_ok(read_page(store, 500) == 5 && read_page(store, 499) == 9 && read_page(store, 502) == 9, "a fill leaves it alone");
	ask_sync(store);
	copy = copy_dir(dir, disk);
	store_gen_pushed(store, store_gen_oldest(store));
	tap_ok(read_page(store, 500) == ABSENT, "once the source has it, it may be absent");
	close_store(store);
	store = open_store(copy, disk, 1024 * PAGE);
	tap_ok(read_page(store, 500) == 5, "after a kill it is there");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

static void check_pinned(void)
{
	char *dir = make_dir(disk);
	struct store *store = try_open(dir, disk, 4096 * PAGE, "source", 1u << 20);
	struct store_stats stats;
	bool good = true;

	for (uint64_t i = 0; i < 16; i++)
		write_pages(store, 1, i * 64, 1, 4);
	for (uint64_t i = 0; i < 4096; i += 16)
		fill_pages(store, i, 16, 5, NULL);
	for (uint64_t i = 0; i < 16; i++)
		good &= read_page(store, i * 64) == 4;
	store_stats(store, &stats);
	tap_ok(good && stats.evicted, "%s: others are given up, changes never", on());
	store_gen_pushed(store, store_gen_oldest(store));
	for (uint64_t i = 0; i < 4096; i += 16)
		fill_pages(store, i, 16, 5, NULL);
	store_stats(store, &stats);
	tap_ok(stats.present <= 1u << 20, "pushed they are as any (%llu)", (unsigned long long)stats.present);
	close_store(store);
	drop_dir(dir);
}

static void check_map(void)
{
	char *dir = make_dir(disk);
	struct store *store = open_store(dir, disk, 10 * PAGE);
	uint64_t here[3], unpushed[3];

	fill_pages(store, 0, 1, 1, NULL);
	write_pages(store, 1, 2, 4, 2);
	write_pages(store, 2, 3, 1, 2);
	store_map(store, 3, here, unpushed);
	tap_ok(here[0] + here[1] + here[2] == 5 * PAGE, "%s: the map of what is present", on());
	tap_ok(unpushed[0] + unpushed[1] + unpushed[2] == 4 * PAGE && unpushed[1] >= unpushed[0], "and unpushed");
	close_store(store);
	drop_dir(dir);
}

static void check_all(void)
{
	check_bytes();
	check_now();
	check_generations();
	check_resize();
	check_bounded();
	check_counted();
	check_long_write();
	check_kill();
	check_clean();
	check_discarded();
	check_charged();
	check_lost();
	check_version();
	check_version_killed();
	check_size();
	check_locked();
	check_full();
	check_note();
	check_base_full();
	check_pinned();
	check_map();
}

static void be_killed(const char *dir)
{
	write_history(open_store(dir, disk, SIZE));
	raise(SIGKILL);
}

int main(int argc, char **argv)
{
	signal(SIGXFSZ, SIG_IGN);
	if (loop_open(&loop, 0))
		return 99;
	if (argc > 2) {
		disk = !strcmp(argv[1], "disk");
		be_killed(argv[2]);
	}
	check_all();
	disk = true;
	check_all();
	loop_close(loop);
	return tap_end();
}

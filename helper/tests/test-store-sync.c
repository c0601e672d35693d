// SPDX-License-Identifier: GPL-2.0
/* The local store on a disk whose fdatasync fails, for a while: who waits is told, once; nothing is lost, and it goes on. */
#include "store-ask.h"
#include "store-private.h"

#define SIZE	(512 * PAGE)

void __real_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only);
void __wrap_loop_fsync(struct loop *loop, struct loop_op *op, int fd, bool data_only);

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __real_unlinkat(int dir_fd, const char *name, int flags);
int __wrap_unlinkat(int dir_fd, const char *name, int flags);

/* The one file of the log whose fdatasync fails; or NULL. */
static const char *fail_file;
static bool fail_log, fail_base, fail_copy, slow_dir, fail_unlink;

/* As on a copy-on-write file system that is full. */
int __wrap_unlinkat(int dir_fd, const char *name, int flags)
{
	if (!fail_unlink)
		return __real_unlinkat(dir_fd, name, flags);
	errno = ENOSPC;
	return -1;
}

static bool is_of(int fd, const char *what)
{
	char path[600] = "", link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		exit(99);
	return strstr(path, what);
}

static bool is_dir(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISDIR(st.st_mode);
}

int __wrap_fsync(int fd)
{
	if (slow_dir && is_dir(fd))
		usleep(500000);
	if (!fail_copy || !is_of(fd, "/repair-"))
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

void __wrap_loop_fsync(struct loop *any_loop, struct loop_op *op, int fd, bool data_only)
{
	bool fails = is_of(fd, "/log-") ? fail_log || (fail_file && is_of(fd, fail_file)) : fail_base;

	__real_loop_fsync(any_loop, op, fails ? -1 : fd, data_only);
}

static int error_of(struct store *store)
{
	struct store_stats stats;

	store_stats(store, &stats);
	return stats.error;
}

static bool are(struct store *store, uint64_t first, uint64_t n, uint64_t version)
{
	bool good = true;

	for (uint64_t page = first; page < first + n; page++)
		good &= read_page(store, page) == version;
	return good;
}

static bool logged(struct store *store, struct store_gen *gen, uint64_t first, uint64_t n, uint64_t version)
{
	bool good = true;

	for (uint64_t page = first; page < first + n; page++)
		good &= log_page(store, gen, page) == version;
	return good;
}

static void check_log(void)
{
	char *dir = make_dir(true), *copy;
	struct store *store = open_store(dir, true, SIZE);
	struct store_gen *one, *two;

	write_pages(store, 1, 0, 400, 1);
	fail_log = true;
	tap_ok(ask_sync(store) < 0 && error_of(store), "an fsync that fails says so");
	fail_log = false;
	tap_number(write_pages(store, 2, 100, 200, 2), 0, "what comes after it is taken");
	tap_ok(are(store, 0, 100, 1) && are(store, 100, 200, 2), "all of it is read");
	tap_ok(!ask_sync(store) && !error_of(store), "the next one makes it good");
	copy = copy_dir(dir, true);
	one = store_gen_oldest(store);
	two = store_gen_after(store, one);
	tap_ok(logged(store, one, 0, 400, 1) && logged(store, two, 100, 200, 2), "all of it can be pushed");
	store_gen_pushed(store, one);
	store_gen_pushed(store, two);
	tap_number(ask_note(store), 0, "and that is noted");
	close_store(store);
	store = open_store(copy, true, SIZE);
	tap_ok(store_gen_oldest(store) && are(store, 0, 100, 1) && are(store, 100, 200, 2), "after a kill it is all there");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

static uint64_t place_of(const struct store_gen *gen, uint64_t page)
{
	struct extent extent = { 0 };

	extents_next(&gen->changed, page * PAGE, &extent);
	return extent.at;
}

/* Behind a file that is not on the disk a start finds nothing: what is in the next one is not to be pushed either. */
static void check_order(void)
{
	char *dir = make_dir(true);
	struct store *store = open_store(dir, true, SIZE);
	struct store_gen *one, *two;

	write_pages(store, 1, 0, 200, 1);
	write_pages(store, 2, 0, 200, 2);
	one = store_gen_oldest(store);
	two = store_gen_after(store, one);
	fail_file = "/log-0000000000000001";
	tap_ok(ask_sync(store) < 0, "the fsync of one file fails, that of the next one doesn't");
	fail_file = NULL;
	tap_ok(place_of(two, 199) >> 24 == 2 && !redo_synced(store->redo, place_of(two, 199)), "what is in the next one counts as not synced");
	tap_ok(!ask_sync(store) && redo_synced(store->redo, place_of(one, 0)) && redo_synced(store->redo, place_of(two, 199)),
	       "until the first one is made good");
	close_store(store);
	drop_dir(dir);
}

/* While it fails. */
static void check_failing(void)
{
	char *dir = make_dir(true);
	struct store *store = open_store(dir, true, SIZE);
	bool good = true;

	fail_log = true;
	for (uint64_t i = 0; i < 8; i++) {
		good &= !write_pages(store, 1 + i, 8 * i, 8, 10 + i);
		ask_sync(store);
	}
	for (uint64_t i = 0; i < 8; i++)
		good &= are(store, 8 * i, 8, 10 + i);
	tap_ok(good, "while it fails changes are taken and read");
	fail_log = false;
	tap_number(ask_sync(store), 0, "when it doesn't any more they are on the disk");
	while (store_gen_oldest(store))
		store_gen_pushed(store, store_gen_oldest(store));
	tap_number(ask_note(store), 0, "and noted");
	close_store(store);
	tap_number(count_files(dir, "log-"), 0, "the log has emptied");
	drop_dir(dir);
}

/* A log that fails for hours must not fill the disk, too: it gets longer by what is written alone. */
static void check_length(void)
{
	char *dir = make_dir(true);
	struct store *store = open_store(dir, true, SIZE);
	bool good = true;

	fail_log = fail_copy = true;
	for (uint64_t i = 0; i < 12; i++)
		good &= !write_pages(store, 1 + i, i, 1, 10 + i) && ask_sync(store) < 0;
	tap_ok(good, "an fsync fails for long, and so do the copies of what it was for");
	tap_ok(count_files(dir, "log-") <= 5, "it takes no file for each time (%u)", count_files(dir, "log-"));
	fail_log = fail_copy = false;
	tap_number(ask_sync(store), 0, "when it doesn't any more all is on the disk");
	for (uint64_t i = 0; i < 12; i++)
		good &= are(store, i, 1, 10 + i) && logged(store, store_gen_oldest(store), 0, 1, 10);
	tap_ok(good, "and is read");
	close_store(store);
	drop_dir(dir);
}

/* Files that are being taken away are no longer synced, nor made good: a copy would take the name again, and be there at the next start. */
static void check_gone(void)
{
	char *dir = make_dir(true);
	struct store *store = open_store(dir, true, SIZE);
	struct store_stats stats = { .log = 1 };

	write_pages(store, 1, 0, 4, 1);
	fail_log = fail_copy = true;
	ask_sync(store);
	store_gen_pushed(store, store_gen_oldest(store));
	slow_dir = true;
	/* it has not been used for long */
	for (unsigned int i = 0; i < 3000 && stats.log; i++) {
		store->last_change = 0;
		wait_ms(20);
		store_stats(store, &stats);
	}
	tap_ok(!stats.log, "a log that can't be synced goes as a whole, where nothing of it is needed");
	fail_log = fail_copy = false;
	tap_number(ask_sync(store), 0, "while it goes there is nothing to be synced");
	wait_ms(1500);
	slow_dir = false;
	close_store(store);
	tap_number(count_files(dir, "log-"), 0, "and nothing of it comes back");
	drop_dir(dir);
}

static void pass_on(struct store *store, uint64_t gen)
{
	write_pages(store, gen, 0, 300, gen);
	store_gen_pushed(store, store_gen_oldest(store));
	ask_note(store);
	wait_ms(2500);
}

/* One whose time has come, but which can't be removed, is not outlived by those that come after it. */
static void check_unlink(void)
{
	char *dir = make_dir(true), *copy;
	struct store *store = open_store(dir, true, SIZE);

	fail_unlink = true;
	pass_on(store, 1);
	fail_unlink = false;
	pass_on(store, 2);
	pass_on(store, 3);
	write_pages(store, 4, 0, 4, 4);
	ask_sync(store);
	copy = copy_dir(dir, true);
	close_store(store);
	store = open_store(copy, true, SIZE);
	tap_ok(store_gen_oldest(store) && are(store, 0, 4, 4), "a file that can't be removed for a while costs nothing of what comes after it");
	tap_number(count_files(copy, "damaged-"), 0, "and is not taken for damage");
	close_store(store);
	drop_dir(copy);
	drop_dir(dir);
}

static void check_base(void)
{
	char *dir = make_dir(true);
	struct store *store = open_store(dir, true, SIZE);
	struct store_stats stats;

	write_pages(store, 1, 0, 400, 1);
	fill_pages(store, 400, 32, 2, NULL);
	fail_base = true;
	wait_ms(1500);
	tap_ok(error_of(store), "a flush that fails is told");
	tap_ok(are(store, 0, 400, 1), "what the source has not is read");
	fail_base = false;
	store_gen_pushed(store, store_gen_oldest(store));
	tap_number(ask_note(store), 0, "it is pushed");
	wait_ms(3000);
	write_pages(store, 2, 0, 400, 3);
	store_gen_pushed(store, store_gen_oldest(store));
	wait_ms(2500);
	store_stats(store, &stats);
	tap_ok(!stats.error && stats.log <= 3u << 20, "then the log gets shorter (%llu)", (unsigned long long)stats.log);
	close_store(store);
	store = open_store(dir, true, SIZE);
	tap_ok(are(store, 0, 400, 3), "what came later is kept");
	close_store(store);
	drop_dir(dir);
}

int main(void)
{
	if (loop_open(&loop, 0))
		return 99;
	check_log();
	check_order();
	check_failing();
	check_length();
	check_gone();
	check_unlink();
	check_base();
	loop_close(loop);
	return tap_end();
}

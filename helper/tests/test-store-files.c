// SPDX-License-Identifier: GPL-2.0
/* A local store whose log has more files than a process may have open. */
#include <sys/resource.h>

#include "store-ask.h"

/* Of 1 MiB of records each, and so in one file and the head of another */
#define ROUNDS	96u
#define N	256u
#define SIZE	(8ull << 20)
/* Those that the log keeps open: what it writes to, what is ready for that, and some that were read. */
#define MOST	16u

static void limit_files(rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		exit(99);
	limit.rlim_cur = most;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		exit(99);
}

static unsigned int open_files(void)
{
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned int n = 0;

	while (stream && (entry = readdir(stream))) {
		char path[600];
		ssize_t len = readlinkat(dirfd(stream), entry->d_name, path, sizeof(path) - 1);

		path[len > 0 ? len : 0] = 0;
		n += strstr(path, "/log-") != NULL;
	}
	closedir(stream);
	return n;
}

static uint64_t first_page(unsigned int round)
{
	return round % 8 * N;
}

static bool write_all(struct store *store)
{
	bool good = true;

	for (unsigned int i = 0; i < ROUNDS && good; i++)
		good = !write_pages(store, i + 1, first_page(i), N, i + 1) && !ask_sync(store);
	return good;
}

static struct store_gen *gen_of(struct store *store, unsigned int round)
{
	struct store_gen *gen = store_gen_oldest(store);

	while (gen && gen->gen != round + 1)
		gen = store_gen_after(store, gen);
	return gen;
}

/* Now here, now there. */
static bool all_there(struct store *store)
{
	bool good = true;

	for (unsigned int i = 0; i < 3 * ROUNDS && good; i++) {
		unsigned int round = i * 37 % ROUNDS;
		struct store_gen *gen = gen_of(store, round);

		good = gen && log_page(store, gen, first_page(round) + i % N) == round + 1;
	}
	return good;
}

static uint64_t place_of(struct store *store, unsigned int round)
{
	struct extent extent = { 0 };

	extents_next(&gen_of(store, round)->changed, first_page(round) * PAGE, &extent);
	return extent.at;
}

/* The first page of each, two readers of each, all at once. */
static bool all_at_once(struct store *store)
{
	static struct asked *asked[2 * ROUNDS];
	static char data[2 * ROUNDS][PAGE];
	bool good = true;

	for (unsigned int i = 0; i < 2 * ROUNDS; i++) {
		asked[i] = ask_new(BACKEND_READ, 0, PAGE, data[i]);
		store_log_read(store, &asked[i]->io, place_of(store, i % ROUNDS));
	}
	for (unsigned int i = 0; i < 2 * ROUNDS; i++)
		good &= !ask_wait(asked[i]) && page_version(data[i], first_page(i % ROUNDS), PAGE) == i % ROUNDS + 1;
	return good;
}

/* No file can be opened for a while. */
static void check_none(struct store *store)
{
	char data[PAGE];
	struct asked *asked = ask_new(BACKEND_READ, 0, PAGE, data);

	all_there(store);
	log_page(store, gen_of(store, ROUNDS - 1), first_page(ROUNDS - 1));
	limit_files(0);
	store_log_read(store, &asked->io, place_of(store, 3));
	wait_ms(200);
	limit_files(64);
	tap_ok(!ask_wait(asked) && page_version(data, first_page(3), PAGE) == 4, "a read waits until its file can be opened");
}

static void check_store(struct store *store, const char *when)
{
	tap_ok(open_files() <= MOST, "%s: few of them are open (%u)", when, open_files());
	tap_ok(all_there(store), "all of it is read");
	tap_ok(open_files() <= MOST, "a few at a time (%u)", open_files());
}

static void check(bool disk)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, SIZE);

	tap_ok(write_all(store), "on a %s: the log takes more files than may be open", disk ? "disk" : "tmpfs");
	tap_ok(count_files(dir, "log-") >= ROUNDS, "it has as many (%u)", count_files(dir, "log-"));
	check_store(store, "written");
	check_none(store);
	limit_files(1024);
	tap_ok(all_at_once(store), "all of them are read at once");
	tap_ok(open_files() <= MOST, "and left (%u)", open_files());
	limit_files(64);
	copy = copy_dir(dir, disk);
	close_store(store);
	store = open_store(dir, disk, SIZE);
	check_store(store, "opened again");
	close_store(store);
	drop_dir(dir);
	store = open_store(copy, disk, SIZE);
	check_store(store, "after a kill");
	write_pages(store, ROUNDS, 0, N, ROUNDS);
	while (store_gen_oldest(store))
		store_gen_pushed(store, store_gen_oldest(store));
	tap_number(ask_note(store), 0, "all of it is pushed");
	close_store(store);
	tap_number(count_files(copy, "log-"), 0, "and then no file is left");
	drop_dir(copy);
}

int main(void)
{
	limit_files(64);
	if (loop_open(&loop, 0))
		return 99;
	check(false);
	check(true);
	loop_close(loop);
	return tap_end();
}

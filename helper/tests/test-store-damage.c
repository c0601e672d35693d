// SPDX-License-Identifier: GPL-2.0
/*
 * The files of a local store, damaged by chance: bits that flip, ends that are missing, files that are gone. It opens with what is
 * left, or says why not; what it serves was written there once.
 */
#include "store-ask.h"

#define PAGES	64u
#define VERSIONS 40u

static bool disk;

static char *make_store(void)
{
	char *dir = make_dir(disk), *copy;
	struct store *store = open_store(dir, disk, PAGES * PAGE);

	for (uint64_t version = 2; version < VERSIONS; version++) {
		write_pages(store, version, any(PAGES - 8), 1 + any(8), version);
		if (version % 5 == 0)
			store_gen_pushed(store, store_gen_oldest(store));
	}
	fill_pages(store, 0, PAGES, 1, NULL);
	ask_sync(store);
	copy = copy_dir(dir, disk);
	close_store(store);
	drop_dir(dir);
	return copy;
}

static void flip(char *data, size_t len)
{
	for (uint64_t n = 1 + any(4); n && len; n--)
		data[any(any(2) ? len : len < 8192 ? len : 8192)] ^= (char)(1 << any(8));
}

/* One file of the log; or of the base too, where there are checksums. */
static void damage(const char *dir)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, no_dots, backwards), victim = (int)any((uint64_t)n);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		size_t len;
		char *data = read_file(dir, name, &len);

		if (i == victim && (disk || !strncmp(name, "log-", 4))) {
			flip(data, len);
			write_file(dir, name, data, any(3) ? len : any(len + 1));
		}
		free(data);
		free(entries[i]);
	}
	free(entries);
}

static bool serves(struct store *store)
{
	struct store_gen *one;
	bool good = true;

	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t got = read_page(store, page);

		good &= got == ABSENT || got < VERSIONS;
	}
	while ((one = store_gen_oldest(store))) {
		for (uint64_t page = 0; page < PAGES; page++) {
			uint64_t got = log_page(store, one, page);

			good &= got == ABSENT || got < VERSIONS;
		}
		store_gen_pushed(store, one);
	}
	return good;
}

static void check_chance(void)
{
	unsigned int good = 0, refused = 0, rounds = 100;

	for (unsigned int i = 0; i < rounds; i++) {
		char *dir = make_store();
		struct store *store;

		damage(dir);
		store = try_open(dir, disk, PAGES * PAGE, "source", 0);
		refused += !store;
		good += !store || serves(store);
		if (store)
			close_store(store);
		drop_dir(dir);
	}
	tap_number(good, rounds, disk ? "disk: garbage is never served" : "tmpfs: garbage is never served");
	tap_ok(refused < rounds / 10, "it opens all the same (%u did not)", refused);
}

/* Bits that flip while it is open. */
static void check_open(void)
{
	char *dir = make_dir(disk), *data;
	struct store *store = open_store(dir, disk, PAGES * PAGE);
	struct dirent **entries;
	size_t len;
	int n;

	write_pages(store, 1, 0, 4, 5);
	ask_sync(store);
	n = scandir(dir, &entries, no_dots, backwards);
	for (int i = 0; i < n; i++) {
		if (!strncmp(entries[i]->d_name, "log-", 4)) {
			data = read_file(dir, entries[i]->d_name, &len);
			data[4096 + 64 + 100] ^= 1;
			write_file(dir, entries[i]->d_name, data, len);
			free(data);
		}
		free(entries[i]);
	}
	free(entries);
	tap_ok(log_page(store, store_gen_oldest(store), 1) == FAILED, "the pusher is not given what was damaged since");
	tap_ok(read_page(store, 1) == 5, "the base has it");
	close_store(store);
	drop_dir(dir);
}

int main(void)
{
	if (loop_open(&loop, 0))
		return 99;
	for (int i = 0; i < 2; i++) {
		disk = i;
		check_chance();
		check_open();
	}
	loop_close(loop);
	return tap_end();
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A local store in a unit test: in a directory of its own, asked and waited for. A page says which one it is and of which version, in
 * each of its words: what is torn or of another place shows.
 */
#ifndef REGIONFS_TESTS_STORE_ASK_H
#define REGIONFS_TESTS_STORE_ASK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../store.h"
#include "tap.h"

#define PAGE	4096u
#define GARBAGE	UINT64_MAX

static struct loop *loop;

/* ---- pages ---- */

static inline void page_fill(char *data, uint64_t page, uint64_t version)
{
	uint64_t *word = (uint64_t *)data;

	for (unsigned int i = 0; i < PAGE / 8; i++)
		word[i] = version ? version << 32 | page << 16 | i : 0;
}

/* The version of a page (its first len bytes); 0: zeroes. */
static inline uint64_t page_version(const char *data, uint64_t page, uint64_t len)
{
	uint64_t version = *(const uint64_t *)data >> 32;
	char want[PAGE];

	page_fill(want, page, version);
	return memcmp(data, want, len) ? GARBAGE : version;
}

/* ---- a store ---- */

struct asked {
	struct store_io io;
	bool done;
	int error;
};

static inline void asked_done(struct store_io *io, int error)
{
	struct asked *asked = container_of(io, struct asked, io);

	asked->done = true;
	asked->error = error;
	loop_stop(loop);
}

static inline struct asked *ask_new(enum backend_op op, uint64_t offset, uint64_t length, void *data)
{
	struct asked *asked = calloc(1, sizeof(*asked));

	if (!asked)
		exit(99);
	asked->io.done = asked_done;
	asked->io.op = op;
	asked->io.offset = offset;
	asked->io.length = length;
	asked->io.data = data;
	return asked;
}

static inline void turn(const bool *flag)
{
	while (!*flag) {
		loop_run(loop);
		loop_again(loop);
	}
}

struct wait {
	struct loop_timer timer;
	bool over;
};

static inline void wait_over(struct loop_timer *timer)
{
	container_of(timer, struct wait, timer)->over = true;
	loop_stop(loop);
}

static inline void wait_ms(unsigned int ms)
{
	struct wait wait = { .timer.fire = wait_over };

	loop_timer_set(loop, &wait.timer, ms);
	turn(&wait.over);
}

/* And frees it. */
static inline int ask_wait(struct asked *asked)
{
	int error;

	turn(&asked->done);
	error = asked->error;
	free(asked);
	return error;
}

static inline int ask_note(struct store *store)
{
	struct asked *asked = ask_new(BACKEND_SYNC, 0, 0, NULL);

	store_note(store, &asked->io);
	return ask_wait(asked);
}

static inline int ask_sync(struct store *store)
{
	struct asked *asked = ask_new(BACKEND_SYNC, 0, 0, NULL);

	store_sync(store, &asked->io);
	return ask_wait(asked);
}

/* The data is the caller's until it is done. */
static inline struct asked *write_start(struct store *store, uint64_t gen, uint64_t page, uint64_t n, char *data)
{
	struct asked *asked = ask_new(BACKEND_WRITE, page * PAGE, n * PAGE, data);

	asked->io.gen = gen;
	store_change(store, &asked->io);
	return asked;
}

static inline int write_pages(struct store *store, uint64_t gen, uint64_t page, uint64_t n, uint64_t version)
{
	char *data = malloc(n * PAGE);
	int err;

	for (uint64_t i = 0; i < n; i++)
		page_fill(data + i * PAGE, page + i, version);
	err = ask_wait(write_start(store, gen, page, n, data));
	free(data);
	return err;
}

static inline int change(struct store *store, enum backend_op op, uint64_t gen, uint64_t offset, uint64_t length, uint64_t arg)
{
	struct asked *asked = ask_new(op, offset, length, NULL);

	asked->io.gen = gen;
	asked->io.arg = arg;
	store_change(store, &asked->io);
	return ask_wait(asked);
}

/* As a filled page from the source would be. */
static inline int fill_pages(struct store *store, uint64_t page, uint64_t n, uint64_t version, const uint64_t *skip)
{
	struct asked *asked;
	char *data = malloc(n * PAGE);
	int err;

	for (uint64_t i = 0; i < n; i++)
		page_fill(data + i * PAGE, page + i, version);
	asked = ask_new(BACKEND_READ, page * PAGE, n * PAGE, data);
	asked->io.skip = skip;
	store_fill(store, &asked->io);
	err = ask_wait(asked);
	free(data);
	return err;
}

static inline void check_range(struct store *store, uint64_t offset, uint64_t length)
{
	struct asked *asked = ask_new(BACKEND_READ, offset, length, NULL);

	store_check(store, &asked->io);
	ask_wait(asked);
}

static inline bool present(struct store *store, uint64_t page)
{
	check_range(store, page * PAGE, PAGE);
	return store_present(store, page * PAGE, PAGE);
}

#define ABSENT	(UINT64_MAX - 1)
#define FAILED	(UINT64_MAX - 2)

/* What the store has of a page. */
static inline uint64_t read_page(struct store *store, uint64_t page)
{
	char data[PAGE];
	struct asked *asked;

	if (!present(store, page))
		return ABSENT;
	asked = ask_new(BACKEND_READ, page * PAGE, PAGE, data);
	store_read(store, &asked->io);
	return ask_wait(asked) ? FAILED : page_version(data, page, PAGE);
}

/* What a generation has of a page; ABSENT: it didn't change it. */
static inline uint64_t log_page(struct store *store, struct store_gen *gen, uint64_t page)
{
	struct extent extent;
	struct asked *asked;
	char data[PAGE] = { 0 };
	uint64_t at;

	if (!extents_next(&gen->changed, page * PAGE, &extent) || extent.start > page * PAGE)
		return ABSENT;
	at = extent.at == EXTENT_ZERO ? EXTENT_ZERO : extent.at + (page * PAGE - extent.start);
	asked = ask_new(BACKEND_READ, 0, extent.end < (page + 1) * PAGE ? extent.end - page * PAGE : PAGE, data);
	store_log_read(store, &asked->io, at);
	return ask_wait(asked) ? FAILED : page_version(data, page, PAGE);
}

/* ---- open and close ---- */

static struct store *opened_store;
static int opened_error;
static char opened_why[400];
static bool opened_done;

static inline void on_opened(void *arg, struct store *store, int error, const char *why)
{
	opened_store = store;
	opened_error = error;
	snprintf(opened_why, sizeof(opened_why), "%s", why);
	opened_done = true;
	loop_stop(loop);
}

static inline struct store *try_open(const char *dir, bool disk, uint64_t size, const char *identity, uint64_t budget)
{
	struct store_options options = {
		.loop = loop, .kind = disk ? LOCAL_FILE : LOCAL_MEMORY, .dir = dir, .instance = 7, .identity = identity, .size = size,
		.budget = budget, .opened = on_opened,
	};

	opened_done = false;
	if (store_open(&options))
		exit(99);
	turn(&opened_done);
	return opened_store;
}

static inline struct store *open_store(const char *dir, bool disk, uint64_t size)
{
	struct store *store = try_open(dir, disk, size, "source", 0);

	if (!store) {
		printf("Bail out! %s: %s\n", opened_why, strerror(-opened_error));
		exit(99);
	}
	return store;
}

static bool closed_done;

static inline void on_closed(void *arg)
{
	closed_done = true;
	loop_stop(loop);
}

static inline void close_store(struct store *store)
{
	closed_done = false;
	store_close(store, on_closed, NULL);
	turn(&closed_done);
}

static inline void remove_store(struct store *store)
{
	closed_done = false;
	store_remove(store, on_closed, NULL);
	turn(&closed_done);
}

/* ---- directories ---- */

static inline char *make_dir(bool disk)
{
	char *dir;

	if (asprintf(&dir, "%s/regionfs-store.XXXXXX", disk ? "/var/tmp" : "/dev/shm") < 0 || !mkdtemp(dir))
		exit(99);
	return dir;
}

static inline void drop_dir(char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		unlinkat(dirfd(stream), entry->d_name, 0);
	if (stream)
		closedir(stream);
	rmdir(dir);
	free(dir);
}

static inline unsigned int count_files(const char *dir, const char *prefix)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	unsigned int n = 0;

	while (stream && (entry = readdir(stream)))
		n += !strncmp(entry->d_name, prefix, strlen(prefix));
	if (stream)
		closedir(stream);
	return n;
}

/* NULL: it is not there any longer. */
static inline char *read_file(const char *dir, const char *name, size_t *len)
{
	char path[600], *data;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !(data = malloc((size_t)st.st_size + 1)) || pread(fd, data, (size_t)st.st_size, 0) != st.st_size)
		exit(99);
	close(fd);
	*len = (size_t)st.st_size;
	return data;
}

static inline void write_file(const char *dir, const char *name, const char *data, size_t len)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		exit(99);
	close(fd);
}

static inline int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static inline int backwards(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

/* What a helper that is killed now would leave. Its workers may take files of the log away meanwhile, the oldest first: so that comes last. */
static inline char *copy_dir(const char *from, bool disk)
{
	char *to = make_dir(disk);
	struct dirent **entries;
	int n = scandir(from, &entries, no_dots, backwards);

	for (int i = 0; i < n; i++) {
		size_t len;
		char *data = read_file(from, entries[i]->d_name, &len);

		if (data)
			write_file(to, entries[i]->d_name, data, len);
		free(data);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return to;
}

/* ---- chance ---- */

static uint64_t chance_seed = 1;

static inline uint64_t any(uint64_t below)
{
	chance_seed ^= chance_seed << 13;
	chance_seed ^= chance_seed >> 7;
	chance_seed ^= chance_seed << 17;
	return chance_seed % below;
}

#endif

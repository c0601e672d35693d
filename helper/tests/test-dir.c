// SPDX-License-Identifier: GPL-2.0
/*
 * The dir backend where its requests meet: what is written while a READ, of which nobody orders it, holds on to a chunk
 * that goes; and what is left after one has failed.
 *
 * A chunk file that is a FIFO makes a READ last as long as the test wants; a lease makes open() do.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"
#include "tap.h"

#define CHUNK	4096u
#define TRIES	200

static char path[256];
static char ones[4 * CHUNK], twos[4 * CHUNK], space[4 * CHUNK], other[CHUNK];

static struct backend *dir_open(const char *name, bool create)
{
	char uri[300];

	snprintf(path, sizeof(path), "%s/%s", source_dir(), name);
	snprintf(uri, sizeof(uri), "dir:%s?chunk=4K", path);
	return source_open(uri, create, 0);
}

static const char *in_dir(const char *name)
{
	static char full[300];

	snprintf(full, sizeof(full), "%s/%s", path, name);
	return full;
}

/* What the next helper sees is what counts. */
static bool next_sees(struct backend *backend, const char *name, uint64_t length, char value)
{
	bool same;

	source_close(backend);
	backend = dir_open(name, false);
	if (!backend)
		return false;
	same = source_holds(backend, 0, length, value);
	source_close(backend);
	return same;
}

/* ---- a READ that lasts ---- */

/* op takes chunk 0 away while a READ has it open; arg and length are op's. */
static void check_write_after(const char *what, enum backend_op op, uint64_t offset, uint64_t length)
{
	struct backend *backend = dir_open(what, true);
	struct ask read;
	int fifo;

	ask(backend, BACKEND_WRITE, CHUNK, CHUNK, ones);
	if (mkfifo(in_dir("0"), 0600))
		exit(99);
	fifo = open(in_dir("0"), O_RDWR | O_CLOEXEC);
	ask_start(&read, backend, BACKEND_READ, 0, CHUNK, space);
	while (source_nr_open(fifo) < 2)
		ask(backend, BACKEND_READ, CHUNK, CHUNK, other);
	tap_number(ask(backend, op, offset, length, NULL), 0, what);
	tap_ok(!read.answered, "a READ that came before is still under way");
	tap_number(ask(backend, BACKEND_WRITE, 0, CHUNK, twos), 0, "a WRITE after it");
	tap_ok(source_holds(backend, 0, CHUNK, 2), "is seen by a READ");
	if (write(fifo, ones, CHUNK) != (ssize_t)CHUNK)
		exit(99);
	ask_wait(&read);
	close(fifo);
	tap_ok(next_sees(backend, what, CHUNK, 2), "and by the next helper's");
}

/* ---- an open() that lasts ---- */

static void check_write_after_slow_open(void)
{
	struct backend *backend = dir_open("lease", true);
	struct ask read, write;
	int fd;

	signal(SIGIO, SIG_IGN);
	fd = open(in_dir("0"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, CHUNK) || fcntl(fd, F_SETLEASE, F_WRLCK)) {
		tap_skip("WRITE after a slow open()", "no leases here");
		source_close(backend);
		return;
	}
	ask(backend, BACKEND_WRITE, CHUNK, CHUNK, ones);
	ask_start(&read, backend, BACKEND_READ, 0, CHUNK, space);
	tap_number(ask(backend, BACKEND_DISCARD, 0, CHUNK, NULL), 0, "DISCARD while a READ opens the chunk");
	ask_start(&write, backend, BACKEND_WRITE, 0, CHUNK, twos);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	ask_wait(&read);
	tap_number(ask_wait(&write), 0, "a WRITE after it");
	tap_ok(next_sees(backend, "lease", CHUNK, 2), "is seen by the next helper");
	close(fd);
}

/* ---- a READ that opens what is about to go ---- */

static bool survives(struct backend *backend, enum backend_op op)
{
	struct ask going, read;

	ask(backend, BACKEND_WRITE, 0, CHUNK, ones);
	ask_start(&going, backend, op, 0, op == BACKEND_RESIZE ? 0 : CHUNK, NULL);
	ask_start(&read, backend, BACKEND_READ, 0, CHUNK, space);
	ask_wait(&going);
	ask_wait(&read);
	ask(backend, BACKEND_WRITE, 0, CHUNK, twos);
	return !access(in_dir("0"), F_OK);
}

static void check_reopened(const char *what, enum backend_op op)
{
	struct backend *backend = dir_open("reopened", true);
	unsigned int lost = 0;

	for (unsigned int i = 0; i < TRIES; i++)
		lost += !survives(backend, op);
	tap_number(lost, 0, what);
	ask(backend, BACKEND_DESTROY, 0, 0, NULL);
	source_close(backend);
}

/* ---- what an error leaves behind ---- */

/* Nothing can be written to, or unlinked, where a directory stands; what it was is put aside. */
static void obstruct(const char *name)
{
	char aside[300];

	snprintf(aside, sizeof(aside), "%s/aside", path);
	rename(in_dir(name), aside);
	if (mkdir(in_dir(name), 0700))
		exit(99);
}

static void clear(const char *name)
{
	char aside[300];

	snprintf(aside, sizeof(aside), "%s/aside", path);
	rmdir(in_dir(name));
	rename(aside, in_dir(name));
}

/* The kernel tries again with the size that it has by now as the lowest. */
static void check_resize_again(void)
{
	struct backend *backend = dir_open("resize", true);

	ask(backend, BACKEND_WRITE, 0, 4 * CHUNK, ones);
	obstruct("8192");
	tap_ok(ask(backend, BACKEND_RESIZE, CHUNK, CHUNK, NULL) < 0, "a RESIZE fails");
	tap_number((long long)backend->caps.size, 4 * CHUNK, "the size is what it was");
	clear("8192");
	tap_number(ask(backend, BACKEND_RESIZE, CHUNK, CHUNK, NULL), 0, "it is tried again");
	tap_number((long long)backend->caps.size, CHUNK, "the size follows");
	tap_number(ask(backend, BACKEND_RESIZE, CHUNK, 4 * CHUNK, NULL), 0, "the source grows");
	tap_ok(source_holds(backend, CHUNK, 3 * CHUNK, 0), "what was cut off reads zero");
	source_close(backend);
}

/* op, of all that there is, after a WRITE past the end that has failed on its way. */
static void check_half_written(const char *what, enum backend_op op)
{
	struct backend *backend = dir_open(what, true);

	obstruct("4096");
	tap_ok(ask(backend, BACKEND_WRITE, 0, 2 * CHUNK, ones) < 0, "a WRITE past the end fails half-way");
	tap_number((long long)backend->caps.size, 0, "the size is what it was");
	clear("4096");
	tap_number(ask(backend, op, 0, op == BACKEND_RESIZE ? 0 : 2 * CHUNK, NULL), 0, what);
	if (op == BACKEND_RESIZE)
		tap_number(ask(backend, op, 0, 2 * CHUNK, NULL), 0, "the source grows");
	tap_ok(source_holds(backend, 0, 2 * CHUNK, 0), "what was discarded reads zero");
	source_close(backend);
}

/* As if the helper had been killed on the way: the next one can still tell what it is, and deletes the rest. */
static void check_destroy_again(void)
{
	struct backend *backend = dir_open("destroy", true);
	unsigned int gone = 0;

	for (unsigned int i = 0; i < 16; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u", i * CHUNK);
		ask(backend, BACKEND_WRITE, i * CHUNK, CHUNK, ones);
		obstruct(name);
		ask(backend, BACKEND_DESTROY, 0, 0, NULL);
		gone += access(in_dir(".regionfs"), F_OK) != 0;
		rmdir(in_dir(name));
	}
	tap_number(gone, 0, "DESTROY that fails leaves what names the directory");
	source_close(backend);
}

int main(void)
{
	source_begin();
	memset(ones, 1, sizeof(ones));
	memset(twos, 2, sizeof(twos));
	check_write_after("DISCARD", BACKEND_DISCARD, 0, CHUNK);
	check_write_after("RESIZE", BACKEND_RESIZE, 0, 0);
	check_write_after_slow_open();
	check_reopened("a READ while DISCARD unlinks: no WRITE is lost after it", BACKEND_DISCARD);
	check_reopened("a READ while RESIZE unlinks: no WRITE is lost after it", BACKEND_RESIZE);
	check_resize_again();
	check_half_written("RESIZE to nothing", BACKEND_RESIZE);
	check_half_written("DISCARD of all", BACKEND_DISCARD);
	check_destroy_again();
	source_end();
	return tap_end();
}

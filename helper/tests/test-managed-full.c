// SPDX-License-Identifier: GPL-2.0
/* A managed region whose store is on a file system that is too small for it: all is written, if more slowly, and all is at the source in the end. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "managed-private.h"
#include "tests/managed-file.h"

#define SIZE	(96u << 20)
#define UNIT	(1u << 20)

static char small[128], bytes[UNIT];
static struct backend *backend;

static void begin(void)
{
	char text[256];
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(bytes, 'A', UNIT);
	for (uint64_t at = 0; at < SIZE; at += UNIT)
		if (write(fd, bytes, UNIT) != UNIT)
			exit(99);
	close(fd);
	snprintf(text, sizeof(text), "local=file:%s/store durability=local", small);
	backend = managed_file_start(text, SIZE);
}

static bool all_is(char value)
{
	bool same = true;

	for (uint64_t at = 0; same && at < SIZE; at += UNIT) {
		same = !ask(backend, BACKEND_READ, at, UNIT, bytes);
		for (unsigned int i = 0; same && i < UNIT; i++)
			same = bytes[i] == value;
	}
	return same;
}

static bool source_is(char value)
{
	int fd = open(file, O_RDONLY);
	bool same = true;

	while (same && read(fd, bytes, UNIT) == UNIT)
		for (unsigned int i = 0; same && i < UNIT; i++)
			same = bytes[i] == value;
	close(fd);
	return same;
}

/* As the kernel writes back: then no generation is without a change under way until they have all been told. */
static int write_all_at_once(char value)
{
	static struct ask asks[SIZE / UNIT];
	int error = 0;

	memset(bytes, value, UNIT);
	for (unsigned int i = 0; i < SIZE / UNIT; i++)
		ask_start(&asks[i], backend, BACKEND_WRITE, (uint64_t)i * UNIT, UNIT, bytes);
	for (unsigned int i = 0; i < SIZE / UNIT; i++)
		error = error ? error : ask_wait(&asks[i]);
	return error;
}

int main(void)
{
	int error = 0;

	regiond.loop = source_begin();
	barriers_init(&barriers);
	atomic_store(&region.users, 100);
	region.info.timeout = 15000;
	snprintf(file, sizeof(file), "%s/source", source_dir());
	snprintf(uri, sizeof(uri), "file:%s", file);
	snprintf(small, sizeof(small), "%s/small", source_dir());
	if (mkdir(small, 0700) || mount("none", small, "tmpfs", 0, "size=80M")) {
		tap_skip("a store that is full", "no tmpfs can be mounted");
		source_end();
		return tap_end();
	}
	begin();
	tap_ok(all_is('A'), "all of it is read, though it has no room");
	for (uint64_t at = 0; !error && at < SIZE; at += UNIT) {
		memset(bytes, 'B', UNIT);
		error = ask(backend, BACKEND_WRITE, at, UNIT, bytes);
	}
	tap_number(error, 0, "more is written than there is room for");
	tap_number(managed_file_flush(backend), 0, "it is pushed");
	tap_ok(source_is('B'), "the source has it");
	tap_ok(all_is('B'), "and it is read");
	tap_number(write_all_at_once('C'), 0, "all of it is written at once");
	tap_number(managed_file_flush(backend), 0, "it is pushed");
	tap_ok(source_is('C'), "the source has it");
	source_close(backend);
	umount2(small, MNT_DETACH);
	source_end();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* A managed region over a file of this host that is mostly zeroes: when all is here, its store takes no more room than the others. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "managed-private.h"
#include "tests/managed-file.h"

#define SIZE	(32u << 20)
#define UNIT	(1u << 20)
/* Where there is something. */
#define FIRST	(5 * UNIT + 4096)
#define LAST	(31 * UNIT)
#define LENGTH	8192
/* Each of the two may bring a piece of zeroes along that is pulled with it. */
#define ROOM	(4 * UNIT)

static char bytes[UNIT], store[128];
static struct backend *backend;

static void new_source(void)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(bytes, 'A', LENGTH);
	if (ftruncate(fd, SIZE) || pwrite(fd, bytes, LENGTH, FIRST) != LENGTH || pwrite(fd, bytes, LENGTH, LAST) != LENGTH)
		exit(99);
	close(fd);
}

static bool is_here(void)
{
	struct store_stats stats;

	store_stats(managed_of(backend)->store, &stats);
	return stats.present == SIZE;
}

static char wanted(uint64_t at)
{
	return (at >= FIRST && at < FIRST + LENGTH) || (at >= LAST && at < LAST + LENGTH) ? 'A' : 0;
}

static unsigned int read_wrong(void)
{
	unsigned int wrong = 0;

	for (uint64_t at = 0; at < SIZE; at += UNIT) {
		if (ask(backend, BACKEND_READ, at, UNIT, bytes))
			return UINT32_MAX;
		for (unsigned int i = 0; i < UNIT; i++)
			wrong += bytes[i] != wanted(at + i);
	}
	return wrong;
}

/* What the store's bytes take on the disk. */
static uint64_t room(void)
{
	char pattern[160];
	struct stat st = { 0 };
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/*/bytes", store);
	if (glob(pattern, 0, NULL, &found) || found.gl_pathc != 1 || stat(found.gl_pathv[0], &st))
		exit(99);
	globfree(&found);
	return (uint64_t)st.st_blocks * 512;
}

int main(void)
{
	char text[256];

	source_begin();
	managed_file_begin();
	snprintf(store, sizeof(store), "%s/store", source_dir());
	new_source();
	snprintf(text, sizeof(text), "local=file:%s pull-order=sequential", store);
	backend = managed_file_start(text, SIZE);
	for (unsigned int i = 0; i < 200 && !is_here(); i++)
		pass(50);
	tap_ok(is_here(), "all is pulled");
	printf("# the store takes %llu bytes for %u\n", (unsigned long long)room(), SIZE);
	tap_ok(room() < ROOM, "zeroes take no room");
	tap_number(read_wrong(), 0, "the bytes are right");
	source_close(backend);
	source_end();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* BACKEND_VERSION of the sources on this host: another one after each change, whoever makes it, and the same one for the next who opens it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "tests/source.h"

#define SIZE	(2u << 20)	/* of a directory: 512 chunks, eight groups (backends/dir-version.c) */

static char uri[160], path[128];
static char data[SIZE];
static char last[BACKEND_VERSION_MAX], now[BACKEND_VERSION_MAX];

static struct backend *open_it(void)
{
	struct backend *backend = source_open(uri, false, SIZE);

	if (!backend)
		exit(99);
	return backend;
}

static void look(struct backend *backend)
{
	memcpy(last, now, sizeof(last));
	memset(now, 0, sizeof(now));
	if (ask(backend, BACKEND_VERSION, 0, 0, now))
		printf("# %s has none\n", uri);
}

/* It is what the next one finds who looks at everything. */
static bool is_lasting(struct backend **backend)
{
	look(*backend);
	source_close(*backend);
	*backend = open_it();
	look(*backend);
	return *now && !strcmp(last, now);
}

static bool is_another(struct backend *backend)
{
	look(backend);
	return *now && strcmp(last, now);
}

/* By what we do ourselves. */
static void test_own(struct backend **backend)
{
	look(*backend);
	tap_ok(is_lasting(backend), "%s: it stays the same", uri);
	look(*backend);
	ask(*backend, BACKEND_WRITE, 70000, 100, data);
	tap_ok(is_another(*backend) && is_lasting(backend), "but for a WRITE");
	ask(*backend, BACKEND_WRITE, SIZE - 4096, 4096, data);
	ask(*backend, BACKEND_SYNC, 0, 0, NULL);
	tap_ok(is_another(*backend) && is_lasting(backend), "that is synced");
	ask(*backend, BACKEND_DISCARD, 65536, 8192, NULL);
	tap_ok(is_another(*backend) && is_lasting(backend), "a DISCARD");
	ask(*backend, BACKEND_RESIZE, SIZE / 2 + 100, SIZE / 2 + 100, NULL);
	tap_ok(is_another(*backend) && is_lasting(backend), "a RESIZE");
	ask(*backend, BACKEND_RESIZE, SIZE, SIZE, NULL);
	tap_ok(is_another(*backend) && is_lasting(backend), "and one that only makes it longer");
}

/* A reader keeps nobody away, so it looks again each time. */
static void test_reader(struct backend *backend)
{
	struct backend *reader = source_open_reader(uri);

	look(backend);
	look(reader);
	tap_ok(!strcmp(last, now), "a reader sees the same");
	ask(backend, BACKEND_WRITE, 8192, 100, data);
	tap_ok(is_another(reader), "and what is changed while it reads");
	ask(backend, BACKEND_WRITE, 8192, 100, data);
	look(backend);
	look(reader);
	tap_ok(!strcmp(last, now), "each time");
	source_close(reader);
}

static void change(const char *name, bool keep_time)
{
	struct timespec times[2];
	struct stat st;
	int fd = open(name, O_RDWR);

	if (fd < 0 || fstat(fd, &st) || pwrite(fd, "?", 1, 10) != 1)
		exit(99);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (keep_time)
		futimens(fd, times);
	close(fd);
}

/* Right after we have looked: within the same tick of the clock. */
static void test_others(const char *name)
{
	struct backend *backend = open_it();
	bool good = true;

	for (int i = 0; i < 20 && good; i++) {
		ask(backend, BACKEND_WRITE, 100, 100, data);
		look(backend);
		change(name, i % 2);
		source_close(backend);
		backend = open_it();
		good = is_another(backend);
	}
	tap_ok(good, "what others change at once, in place, is seen, whatever they do with its time");
	source_close(backend);
}

static void test_source(const char *text, const char *name)
{
	struct backend *backend;

	snprintf(uri, sizeof(uri), "%s", text);
	backend = source_open(uri, true, SIZE);
	tap_ok(backend && backend->caps.version, "%s has a version", uri);
	ask(backend, BACKEND_WRITE, 0, SIZE, data);
	test_own(&backend);
	test_reader(backend);
	source_close(backend);
	test_others(name);
}

int main(void)
{
	char text[160];

	source_begin();
	memset(data, 'v', SIZE);
	snprintf(path, sizeof(path), "%s/file", source_dir());
	snprintf(text, sizeof(text), "file:%s", path);
	test_source(text, path);
	snprintf(text, sizeof(text), "dir:%s/dir?chunk=4K", source_dir());
	snprintf(path, sizeof(path), "%s/dir/0", source_dir());
	test_source(text, path);
	snprintf(path, sizeof(path), "%s/memory/m", source_dir());
	test_source("memory:?name=m", path);
	source_end();
	return tap_end();
}

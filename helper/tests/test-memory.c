// SPDX-License-Identifier: GPL-2.0
/*
 * The memory backend where a WRITE ends half-way: what of it has landed is answered alike, however it is asked for. A limit
 * on the size of files stands for a full tmpfs. And long WRITEs over what is there.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "source.h"
#include "tap.h"

#define PAGE	4096u

static char ones[4 * PAGE], space[PAGE];

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit))
		exit(99);
	limit.rlim_cur = bytes;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		exit(99);
}

/* The first byte at offset, copied. */
static int first_byte(struct backend *backend, uint64_t offset)
{
	struct ask ask;

	ask_start(&ask, backend, BACKEND_READ, offset, PAGE, space);
	return ask_wait(&ask) ? -1 : *(char *)ask.req.data;
}

static int first_byte_or_null(struct backend *backend, uint64_t offset)
{
	struct ask ask;

	ask_start_with(&ask, backend, BACKEND_ZERO_NULL, BACKEND_READ, offset, PAGE, space);
	return ask_wait(&ask) ? -1 : ask.req.data ? *(char *)ask.req.data : 0;
}

#define LONG	(32 * PAGE)

static char was[BACKEND_VERSION_MAX], is[BACKEND_VERSION_MAX], longer[LONG];

static int write_long(struct backend *backend, int value)
{
	memset(longer, value, LONG);
	return ask(backend, BACKEND_WRITE, 0, LONG, longer);
}

/* What is there already is written through a mapping, which the file's times know nothing of. */
static void test_again(struct backend *backend)
{
	write_long(backend, 1);
	ask(backend, BACKEND_VERSION, 0, 0, was);
	tap_number(write_long(backend, 2), 0, "a long WRITE over what is there");
	tap_ok(source_holds(backend, 0, LONG, 2), "its bytes are there");
	ask(backend, BACKEND_VERSION, 0, 0, is);
	tap_ok(strcmp(was, is), "and the version is another");
}

static void test_cut_behind(struct backend *backend)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/memory/again", source_dir());
	if (truncate(path, 5 * PAGE))
		exit(99);
	tap_number(write_long(backend, 3), 0, "one over what somebody has cut off behind our back");
	tap_ok(source_holds(backend, 0, LONG, 3), "its bytes are there, too");
}

int main(void)
{
	struct backend *backend;

	source_begin();
	memset(ones, 1, sizeof(ones));
	signal(SIGXFSZ, SIG_IGN);
	backend = source_open("memory:0?name=half", true, 0);
	limit_files(2 * PAGE);
	tap_ok(ask(backend, BACKEND_WRITE, 0, 4 * PAGE, ones) < 0, "a WRITE fails half-way");
	limit_files(RLIM_INFINITY);
	tap_number(first_byte_or_null(backend, PAGE), first_byte(backend, PAGE), "its bytes are there, or are not");
	source_close(backend);
	backend = source_open("memory:0?name=again", true, 0);
	test_again(backend);
	test_cut_behind(backend);
	source_close(backend);
	source_end();
	return tap_end();
}

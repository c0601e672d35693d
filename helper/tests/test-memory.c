// SPDX-License-Identifier: GPL-2.0
/*
 * The memory backend where a WRITE ends half-way: what of it has landed is answered alike, however it is asked for. A limit
 * on the size of files stands for a full tmpfs.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

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
	source_end();
	return tap_end();
}

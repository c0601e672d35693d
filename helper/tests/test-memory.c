// SPDX-License-Identifier: GPL-2.0
/*
 * The memory backend where a WRITE ends half-way: what of it has landed is answered alike, however it is asked for. A limit
 * on the size of files stands for a full tmpfs. And long WRITEs over what is there, and answers that are delayed.
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

#define DELAYED	8

static struct loop *loop;
static struct ask late[DELAYED];
static unsigned int there;	/* of them, when the timer went off */
static bool fired;

static void count_answers(struct loop_timer *timer)
{
	there = 0;
	for (int i = 0; i < DELAYED; i++)
		there += late[i].answered;
	fired = true;
	loop_stop(loop);
}

static void ask_all(struct backend *backend, enum backend_op op, char *data)
{
	for (unsigned int i = 0; i < DELAYED; i++)
		ask_start(&late[i], backend, op, i * PAGE, PAGE, data + i * PAGE);
}

#define DELAY	300

/* Timers go off in the order of their times, however slow we are: one of 1 ms before those that are set later, one as long as theirs after them. */
static void test_delay(void)
{
	struct backend *backend = source_open("memory:0?name=late&delay=300ms", true, 0);
	struct loop_timer timer = { .fire = count_answers };
	uint64_t began = loop_now_ns();
	bool right = true;

	tap_ok(backend->caps.local_fd < 0, "the kernel does not get the file of one that is delayed");
	loop_timer_set(loop, &timer, 1);
	memset(longer, 4, sizeof(longer));
	ask_all(backend, BACKEND_WRITE, longer);
	source_turn(&fired);
	tap_number(there, 0, "the loop goes on, and none is answered");
	for (int i = 0; i < DELAYED; i++)
		ask_wait(&late[i]);
	tap_ok(loop_now_ns() - began >= DELAY * 1000000ull, "all wait for their time");
	memset(longer, 0, sizeof(longer));
	ask_all(backend, BACKEND_READ, longer);
	loop_timer_set(loop, &timer, DELAY + 1);
	fired = false;
	source_turn(&fired);
	tap_number(there, DELAYED, "and do not wait for each other");
	for (int i = 0; i < DELAYED; i++)
		right &= !ask_wait(&late[i]) && *(char *)late[i].req.data == 4;
	tap_ok(right, "with what was written");
	source_close(backend);
}

int main(void)
{
	struct backend *backend;

	loop = source_begin();
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
	tap_ok(backend->caps.local_fd >= 0, "the kernel gets the file");
	source_close(backend);
	test_delay();
	source_end();
	return tap_end();
}

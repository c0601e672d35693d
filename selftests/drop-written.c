// SPDX-License-Identifier: GPL-2.0
/*
 * INVALIDATE of pages that a program writes all the time, through a mapping: there is a dirty one again whenever all have been written, and yet it
 * gets done. Neither the program nor one that cuts the file meanwhile meets an error, and no write is lost.
 */
#include "lib/env.h"

#define PAGES	16
#define APART	128	/* pages: they are in several pieces of what is dropped at once */

#define SIZE	(16 * MiB)

static struct env e;

/* Adds one to the first word of each page, round by round, until it is told to end: then the rounds, in the page behind them. */
static int write_all(void *path)
{
	volatile uint64_t *map;
	uint64_t round = 0;
	int fd = open(path, O_RDWR);

	map = mmap(NULL, (PAGES + 1) * APART * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || map == MAP_FAILED)
		return 1;
	while (!map[PAGES * APART * 512 + 1]) {
		for (unsigned int i = 0; i < PAGES; i++)
			map[i * APART * 512]++;
		map[PAGES * APART * 512] = ++round;
	}
	return 0;
}

/* Answers each WRITE a moment after it came, until it is killed: the program has written again by then. */
static __attribute__((noreturn)) int answer_late(void *none)
{
	(void)none;
	for (;;) {
		usleep(20000);
		fh_release_all(e.fh);
	}
}

/* Cuts the file far behind what is written, and lets it grow again, until it fails. */
static int cut(void *path)
{
	while (!truncate(path, SIZE - 8192) && !truncate(path, SIZE))
		usleep(1000);
	return errno;
}

static uint64_t word(int fd, unsigned int page)
{
	uint64_t value = 0;

	must(pread(fd, &value, sizeof(value), page * APART * 4096) == sizeof(value));
	return value;
}

static bool word_grows(int fd, unsigned int page)
{
	uint64_t before = word(fd, page);

	for (int i = 0; i < SOON / 10 && word(fd, page) == before; i++)
		usleep(10000);
	return word(fd, page) != before;
}

int main(void)
{
	uint64_t id, rounds, same = 0, end = 1;
	pid_t writer, answers, cutter;
	char path[128];
	int fd;

	tap_start(120);
	env_start(&e, "dropw");
	id = env_region(&e, "r", SIZE);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, 0, 0, FH_HOLD, 0, -1);
	answers = spawn(answer_late, NULL);
	writer = spawn(write_all, path);
	cutter = spawn(cut, path);
	ok(word_grows(fd, PAGES), "a program writes pages all the time");
	for (int i = 0; i < 10; i++)
		is(env_long(&e, REGIONFS_CMD_INVALIDATE, id), 0, "they are dropped");
	kill(cutter, SIGKILL);
	is(reap(cutter, SOON), PROC_KILLED + SIGKILL, "the file was cut meanwhile, without an error");
	ok(word_grows(fd, PAGES), "the program goes on");
	must(pwrite(fd, &end, sizeof(end), PAGES * APART * 4096 + 8) == sizeof(end));
	is(reap(writer, SOON), 0, "until it is told to end");
	is(env_long(&e, REGIONFS_CMD_INVALIDATE, id), 0, "nothing is kept in memory");
	kill(answers, SIGKILL);
	reap(answers, SOON);
	rounds = word(fd, PAGES);
	for (unsigned int i = 0; i < PAGES; i++)
		same += word(fd, i) == rounds;
	is(same, PAGES, "each page has had all its writes");
	close(fd);
	return tap_done();
}

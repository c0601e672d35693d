// SPDX-License-Identifier: GPL-2.0
/*
 * A store into a page that is mapped for reading already, and that somebody goes on reading meanwhile, comes to its turn too: that
 * the page is mapped again while it waits must not send it back to the end of the line, for ever.
 */
#include <pthread.h>

#include "lib/env.h"

#define PAGES	8

static struct env e;
static uint64_t id;
static char *map;
static volatile bool stop;

static void rate(uint64_t bytes)
{
	env_ask(&e, REGIONFS_CMD_WRITE_RATE, id);
	nlq_u64(&e.q, REGIONFS_A_WRITE_RATE, bytes);
	must(env_call(&e) == 0);
}

static void *poll_pages(void *arg)
{
	unsigned int sum = 0;

	while (!stop)
		for (int i = 0; i < PAGES; i++)
			sum += *(volatile char *)(map + i * 4096);
	return (void *)(uintptr_t)sum;
}

static int stores(void *arg)
{
	pthread_t reader;

	if (pthread_create(&reader, NULL, poll_pages, NULL))
		return 1;
	for (int i = 0; i < PAGES; i++)
		*(volatile char *)(map + i * 4096) = 'x';
	stop = true;
	return pthread_join(reader, NULL);
}

int main(void)
{
	char byte;
	pid_t pid;
	int fd;

	tap_start(120);
	env_start(&e, "mapped");
	id = env_filled(&e, "r", MiB, 1);
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	rate(16 * KiB);
	pid = spawn(stores, NULL);
	is(reap(pid, SOON), 0, "all stores come to their turns");
	for (int i = 0; i < PAGES; i++)
		must(pread(fd, &byte, 1, i * 4096) == 1 && byte == 'x');
	ok(true, "and are seen by all");
	rate(1);
	map[64 * KiB] = 1;
	byte = *(volatile char *)(map + 128 * KiB);
	pid = spawn(stores, NULL);
	rate(0);
	is(reap(pid, SOON), 0, "and go on when the limit is lifted");
	munmap(map, MiB);
	close(fd);
	return tap_done();
}

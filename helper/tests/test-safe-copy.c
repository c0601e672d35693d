// SPDX-License-Identifier: GPL-2.0
/* Copies into mappings of files that are long enough, and not. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../safe-copy.h"
#include "tap.h"

#define PAGE	4096u
#define PAGES	64u

static char from[PAGES * PAGE];

/* A mapping of PAGES pages, of a file that has so many of them. */
static char *map_file(unsigned int pages)
{
	int fd = memfd_create("safe-copy", MFD_CLOEXEC);
	char *map;

	if (fd < 0 || ftruncate(fd, pages * PAGE))
		exit(99);
	map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		exit(99);
	return map;
}

static void test_whole(void)
{
	char *map = map_file(PAGES);

	tap_number(safe_copy(map, from, sizeof(from)), 0, "all of it is copied");
	tap_ok(!memcmp(map, from, sizeof(from)), "as it is");
	munmap(map, PAGES * PAGE);
}

static void test_short(void)
{
	char *map = map_file(8), *other = map_file(PAGES);

	tap_number(safe_copy(map, from, sizeof(from)), -EFAULT, "a file that ends is an error");
	tap_number(safe_copy(map, from, sizeof(from)), -EFAULT, "and the next time, too");
	tap_ok(!memcmp(map, from, 8 * PAGE - 64), "what there is of it was copied");
	tap_number(safe_copy(other, from, sizeof(from)), 0, "another one is copied afterwards");
	munmap(map, PAGES * PAGE);
	munmap(other, PAGES * PAGE);
}

static void *copy_often(void *map)
{
	intptr_t wrong = 0;

	for (int i = 0; i < 200; i++)
		wrong += safe_copy(map, from, sizeof(from)) != -EFAULT;
	return (void *)wrong;
}

static void test_threads(void)
{
	char *map = map_file(8), *whole = map_file(PAGES);
	intptr_t wrong = 0;
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, copy_often, map))
		exit(99);
	for (int i = 0; i < 200; i++)
		wrong += safe_copy(whole, from, sizeof(from)) != 0;
	pthread_join(thread, &result);
	tap_number(wrong, 0, "one thread's errors are not another's");
	tap_number((intptr_t)result, 0, "nor the other way round");
	munmap(map, PAGES * PAGE);
	munmap(whole, PAGES * PAGE);
}

enum wrong { OUTSIDE, SOURCE, SENT };

/* A SIGBUS outside a copy, one in a copy whose source it is, and one that somebody sends. */
static int ends_with(enum wrong wrong)
{
	char *map = map_file(8);
	int status;
	pid_t pid = fork();

	if (!pid) {
		safe_copy(from, from + PAGE, 64);
		if (wrong == SOURCE)
			safe_copy(from, map + 8 * PAGE, PAGE);
		else if (wrong == SENT)
			kill(getpid(), SIGBUS);
		else
			*(volatile char *)(map + 8 * PAGE) = 1;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(99);
	munmap(map, PAGES * PAGE);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int main(void)
{
	for (unsigned int i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7 + i / PAGE);
	test_whole();
	test_short();
	test_threads();
	tap_number(ends_with(OUTSIDE), SIGBUS, "a SIGBUS of something else ends the process");
	tap_number(ends_with(SOURCE), SIGBUS, "so does one where the bytes come from");
	tap_number(ends_with(SENT), SIGBUS, "and one that was sent");
	return tap_end();
}

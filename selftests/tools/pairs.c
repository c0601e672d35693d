// SPDX-License-Identifier: GPL-2.0
/*
 * pairs write FILE	a counter goes to one page, then to one far from it, each synced, over and over; SIGTERM ends it, and it says the last one that
 *			both have
 * pairs read FILE	sees both, over and over, through a mapping: the first is as the second, or one ahead, and neither goes back. SIGTERM ends
 *			it, and it says how many it has seen, the last one, and the longest time that it had to wait for one look; it fails at the
 *			first look that is wrong
 * pairs show FILE	both
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static volatile sig_atomic_t ended;
static volatile uint64_t *near, *far;

static void end(int signal)
{
	ended = 1;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void map(const char *path, bool writes)
{
	int fd = open(path, writes ? O_RDWR : O_RDONLY);
	struct stat st;
	char *bytes;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(2);
	}
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		perror(path);
		exit(2);
	}
	near = (volatile uint64_t *)(bytes + PAGE);
	far = (volatile uint64_t *)(bytes + (st.st_size - 2 * PAGE) / PAGE * PAGE);
}

static void sync_page(volatile uint64_t *page)
{
	if (msync((void *)page, PAGE, MS_SYNC)) {
		perror("msync");
		exit(1);
	}
}

static int run_write(void)
{
	uint64_t n = *near > *far ? *near : *far;

	while (!ended) {
		*near = ++n;
		sync_page(near);
		*far = n;
		sync_page(far);
	}
	printf("%" PRIu64 "\n", n);
	return 0;
}

/* Both of one state: between two looks at the first that are the same, the second can be of no other. */
static void look(uint64_t *first, uint64_t *second)
{
	do {
		*first = *near;
		*second = *far;
	} while (*near != *first);
}

static int run_read(void)
{
	uint64_t first, second, last = 0, last_second = 0, seen = 0, longest = 0;

	while (!ended) {
		uint64_t began = now_ms(), took;

		look(&first, &second);
		took = now_ms() - began;
		longest = took > longest ? took : longest;
		if (first - second > 1 || first < last || second < last_second) {
			printf("wrong: %" PRIu64 " and %" PRIu64 ", after %" PRIu64 " and %" PRIu64 "\n", first, second, last, last_second);
			return 1;
		}
		seen += first != last || second != last_second;
		last = first;
		last_second = second;
		usleep(500);
	}
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", seen, last, longest);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = end };

	if (argc != 3) {
		fprintf(stderr, "Usage: pairs write|read|show FILE\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	map(argv[2], !strcmp(argv[1], "write"));
	if (!strcmp(argv[1], "write"))
		return run_write();
	if (!strcmp(argv[1], "read"))
		return run_read();
	printf("%" PRIu64 " %" PRIu64 "\n", *near, *far);
	return 0;
}

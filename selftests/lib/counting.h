/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs that count in a mapped file share: its pages, of which each has a counter in front; an end that SIGTERM asks for. */
#ifndef SELFTESTS_COUNTING_H
#define SELFTESTS_COUNTING_H

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

static volatile sig_atomic_t ended;

static inline void on_term(int number)
{
	(void)number;
	ended = 1;
}

static inline uint64_t *counter(char *map, uint64_t page)
{
	return (uint64_t *)(void *)(map + page * PAGE);
}

/* The whole file, for good, or NULL, when that has been said. From now on SIGTERM sets ended. */
static inline char *map_counters(const char *path, uint64_t *pages)
{
	struct sigaction action = { .sa_handler = on_term };
	struct stat st;
	char *map;
	int fd;

	sigaction(SIGTERM, &action, NULL);
	fd = open(path, O_RDWR);
	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		return NULL;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		perror("mmap");
		return NULL;
	}
	*pages = (uint64_t)st.st_size / PAGE;
	return map;
}

#endif

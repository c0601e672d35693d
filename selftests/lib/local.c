// SPDX-License-Identifier: GPL-2.0
/* local: see local.h. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app.h"
#include "env.h"
#include "local.h"

#define CHUNK	REGIONFS_LOCAL_CHUNK

/* ---- the map ---- */

void local_map_open(struct local_map *local, uint64_t size)
{
	int fd;

	local->length = sizeof(*local->map) + size / CHUNK * sizeof(local->map->word[0]);
	snprintf(local->file, sizeof(local->file), "/dev/shm/regionfs-bytes-%d", getpid());
	snprintf(local->path, sizeof(local->path), "/dev/shm/regionfs-map-%d", getpid());
	local->bytes = open(local->file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fd = open(local->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(local->bytes >= 0 && fd >= 0 && ftruncate(fd, local->length) == 0);
	local->map = mmap(NULL, local->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(local->map != MAP_FAILED);
	close(fd);
}

void local_map_close(struct local_map *local)
{
	munmap(local->map, local->length);
	close(local->bytes);
	unlink(local->path);
	unlink(local->file);
}

void local_map_take_back(struct local_map *local, unsigned int chunks)
{
	for (unsigned int i = 0; i < chunks; i++)
		__atomic_store_n(&local->map->word[i], 0, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&local->map->seq, 1, __ATOMIC_SEQ_CST);
}

/* ---- the reader ---- */

struct reader {
	const char *path;
	int flags;
	uint64_t size;
};

static volatile sig_atomic_t stop;

static void on_stop(int sig)
{
	stop = sig;
}

static int reads_on(void *arg)
{
	static char buf[CHUNK] __attribute__((aligned(4096)));
	struct sigaction act = { .sa_handler = on_stop };
	const struct reader *reader = arg;
	int in = open(reader->path, O_RDONLY | reader->flags);

	sigaction(SIGUSR1, &act, NULL);
	while (!stop) {
		env_evict(in);
		for (uint64_t at = 0; at < reader->size && !stop; at += CHUNK)
			if (pread(in, buf, CHUNK, at) == CHUNK ? pattern_check(buf, CHUNK, at, 1) != -1 : !stop)
				return 1;
	}
	return 0;
}

pid_t local_reader_start(const char *path, int flags, uint64_t size)
{
	struct reader reader = { path, flags, size };

	return spawn(reads_on, &reader);
}

int local_reader_stop(pid_t pid)
{
	must(kill(pid, SIGUSR1) == 0);
	return reap(pid, SOON);
}

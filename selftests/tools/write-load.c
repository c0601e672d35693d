// SPDX-License-Identifier: GPL-2.0
/*
 * write-load DIR FILES SIZE SEED: writes and checks FILES files of SIZE bytes (K, M) in DIR, a thread each, by
 * stores into a shared mapping, by write, and by both between fsyncs, until SIGTERM. Then syncs them, and
 * leaves what each must hold in DIR.expected/N. No error is expected on the way: one ends it with status 1.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST	(128u << 10)

struct file {
	pthread_t thread;
	char path[4096];
	int fd;
	char *map, *expected;
	uint64_t size, seed, operations;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static uint64_t next(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static void pick(struct file *f, uint64_t *at, size_t *len)
{
	*at = next(&f->seed) % f->size;
	*len = 1 + next(&f->seed) % (next(&f->seed) % 4 ? 5000 : LONGEST);
	if (*len > f->size - *at)
		*len = f->size - *at;
}

static void wrong(struct file *f, const char *how, uint64_t at)
{
	errx(1, "%s: byte %llu is wrong by %s after %llu operations", f->path,
	     (unsigned long long)at, how, (unsigned long long)f->operations);
}

static void check(struct file *f, uint64_t at, size_t len)
{
	static __thread char buf[LONGEST];
	ssize_t n = pread(f->fd, buf, len, at);

	if (n != (ssize_t)len)
		err(1, "%s: read at %llu gives %zd", f->path, (unsigned long long)at, n);
	if (memcmp(buf, f->expected + at, len))
		wrong(f, "read", at);
	if (memcmp(f->map + at, f->expected + at, len))
		wrong(f, "mmap", at);
}

static void operation(struct file *f)
{
	unsigned int what = next(&f->seed) % 16;
	uint64_t at;
	size_t len;

	pick(f, &at, &len);
	if (what < 12) {
		memset(f->expected + at, (int)next(&f->seed), len);
		if (what < 6)
			memcpy(f->map + at, f->expected + at, len);
		else if (pwrite(f->fd, f->expected + at, len, at) != (ssize_t)len)
			err(1, "%s: write at %llu", f->path, (unsigned long long)at);
	} else if (what < 15) {
		check(f, at, len);
	} else if (fdatasync(f->fd)) {
		err(1, "%s: fdatasync", f->path);
	}
	f->operations++;
}

static void *work(void *arg)
{
	struct file *f = arg;

	while (!stop)
		operation(f);
	if (fsync(f->fd))
		err(1, "%s: fsync", f->path);
	return NULL;
}

static void open_file(struct file *f)
{
	f->fd = open(f->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (f->fd < 0 || ftruncate(f->fd, f->size))
		err(1, "%s", f->path);
	f->map = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	f->expected = calloc(1, f->size);
	if (f->map == MAP_FAILED || !f->expected)
		err(1, "%s: mmap", f->path);
}

static void leave(struct file *f, const char *dir, unsigned int i)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%s.expected/%u", dir, i);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	for (uint64_t done = 0; done < f->size;) {
		ssize_t n = fd < 0 ? -1 : write(fd, f->expected + done, f->size - done);

		if (n <= 0)
			err(1, "%s", path);
		done += n;
	}
	close(fd);
}

static uint64_t size_of(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	return *end == 'M' ? n << 20 : *end == 'K' ? n << 10 : n;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_term };
	uint64_t operations = 0;
	unsigned int nr;
	struct file *files;
	char dir[4200];

	if (argc != 5)
		errx(2, "usage: write-load DIR FILES SIZE SEED");
	nr = atoi(argv[2]);
	files = calloc(nr, sizeof(*files));
	if (!files || !size_of(argv[3]))
		errx(2, "FILES and SIZE must not be 0");
	sigaction(SIGTERM, &sa, NULL);
	snprintf(dir, sizeof(dir), "%s.expected", argv[1]);
	mkdir(dir, 0700);
	for (unsigned int i = 0; i < nr; i++) {
		files[i].size = size_of(argv[3]);
		files[i].seed = strtoull(argv[4], NULL, 0) * 1000003 + i;
		snprintf(files[i].path, sizeof(files[i].path), "%s/%u", argv[1], i);
		open_file(&files[i]);
	}
	for (unsigned int i = 0; i < nr; i++)
		if (pthread_create(&files[i].thread, NULL, work, &files[i]))
			errx(1, "no thread");
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(files[i].thread, NULL);
		leave(&files[i], argv[1], i);
		operations += files[i].operations;
	}
	printf("%llu operations\n", (unsigned long long)operations);
	return 0;
}

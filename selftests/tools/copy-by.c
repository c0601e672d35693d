// SPDX-License-Identifier: GPL-2.0
/*
 * copy-by HOW FROM TO: copies a file by write, mmap (stores into a shared mapping, then msync) or direct
 * (O_DIRECT writes; the rest that is no whole block goes by write), and fsyncs it.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK	4096u
#define ONCE	(1u << 20)

static void write_all(int fd, const char *p, uint64_t size, uint64_t from)
{
	while (from < size) {
		size_t n = size - from < ONCE ? size - from : ONCE;
		ssize_t done = pwrite(fd, p + from, n, from);

		if (done <= 0)
			err(1, "write at %llu", (unsigned long long)from);
		from += done;
	}
}

static void copy_by_mmap(int fd, const char *p, uint64_t size)
{
	char *to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (to == MAP_FAILED)
		err(1, "mmap");
	memcpy(to, p, size);
	if (msync(to, size, MS_SYNC))
		err(1, "msync");
	munmap(to, size);
}

static void copy_by_direct(int fd, const char *path, const char *p, uint64_t size)
{
	uint64_t whole = size / BLOCK * BLOCK;
	int direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	char *buf;

	if (direct < 0 || posix_memalign((void **)&buf, BLOCK, ONCE))
		err(1, "open %s with O_DIRECT", path);
	for (uint64_t done = 0; done < whole;) {
		size_t n = whole - done < ONCE ? whole - done : ONCE;
		ssize_t ret;

		memcpy(buf, p + done, n);
		ret = pwrite(direct, buf, n, done);
		if (ret <= 0)
			err(1, "direct write at %llu", (unsigned long long)done);
		done += ret;
	}
	free(buf);
	close(direct);
	write_all(fd, p, size, whole);
}

int main(int argc, char **argv)
{
	const char *how, *p;
	struct stat st;
	int from, to;

	if (argc != 4)
		errx(2, "usage: copy-by write|mmap|direct FROM TO");
	how = argv[1];
	from = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st))
		err(1, "%s", argv[2]);
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, from, 0);
	if (p == MAP_FAILED)
		err(1, "mmap %s", argv[2]);
	to = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (to < 0 || ftruncate(to, st.st_size))
		err(1, "%s", argv[3]);
	if (!strcmp(how, "mmap"))
		copy_by_mmap(to, p, st.st_size);
	else if (!strcmp(how, "direct"))
		copy_by_direct(to, argv[3], p, st.st_size);
	else
		write_all(to, p, st.st_size, 0);
	if (fsync(to))
		err(1, "fsync");
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/* mapped: see mapped.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapped.h"

int mapped_grow(struct mapped *mapped, size_t len)
{
	void *addr;

	if (len <= mapped->len)
		return 0;
	if (fallocate(mapped->fd, 0, 0, (off_t)len))
		return -errno;
	if (mapped->addr)
		addr = mremap(mapped->addr, mapped->len, len, MREMAP_MAYMOVE);
	else
		addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, mapped->fd, 0);
	if (addr == MAP_FAILED)
		return -errno;
	mapped->addr = addr;
	mapped->len = len;
	return 0;
}

/* All of a file that is there. */
static int map_rest(struct mapped *mapped, size_t len)
{
	struct stat st;

	if (fstat(mapped->fd, &st))
		return -errno;
	return mapped_grow(mapped, (size_t)st.st_size > len ? (size_t)st.st_size : len);
}

int mapped_open(struct mapped *mapped, const char *path, int flags, size_t len)
{
	int ret;

	*mapped = (struct mapped){ .fd = -1 };
	if (path)
		mapped->fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
	else
		mapped->fd = memfd_create("regionfs", MFD_CLOEXEC);
	if (mapped->fd < 0)
		return -errno;
	ret = map_rest(mapped, len);
	if (ret)
		mapped_close(mapped);
	return ret;
}

void mapped_close(struct mapped *mapped)
{
	if (mapped->addr)
		munmap(mapped->addr, mapped->len);
	if (mapped->fd >= 0)
		close(mapped->fd);
	*mapped = (struct mapped){ .fd = -1 };
}

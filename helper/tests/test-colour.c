// SPDX-License-Identifier: GPL-2.0
/* Where memory begins that the kernel copies from and to. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../colour.h"
#include "tap.h"

#define PAGE	4096u
#define BLOCK	(2u << 20)

static bool is_mapped(void *addr)
{
	unsigned char there;

	return !mincore(addr, PAGE, &there);
}

int main(void)
{
	size_t len = BLOCK + 3 * PAGE + 100;
	char *at = colour_map(COLOUR_BUFFERS, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), *other;

	if (at == MAP_FAILED)
		return 99;
	tap_ok((uintptr_t)at % BLOCK && (uintptr_t)at % PAGE == 0 && (uintptr_t)at % BLOCK % (64 * PAGE), "beside the beginning of a block, large or small");
	memset(at, 1, len);
	tap_ok(is_mapped(at + len - 1 - (len - 1) % PAGE), "all of it is there");
	tap_ok(!is_mapped(at - PAGE) && !is_mapped(at + BLOCK + 4 * PAGE), "and nothing more");
	tap_ok(!munmap(at, len) && !is_mapped(at), "it goes as others do");
	other = colour_map(COLOUR_STORE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	tap_ok(other != MAP_FAILED && ((uintptr_t)other - (uintptr_t)at) % (64 * PAGE), "a store not where buffers do");
	errno = 0;
	tap_ok(colour_map(COLOUR_BUFFERS, PAGE, PROT_READ, MAP_SHARED, -1) == MAP_FAILED && errno == EBADF, "what mmap() says is passed on");
	errno = 0;
	tap_ok(colour_map(COLOUR_BUFFERS, SIZE_MAX - PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1) == MAP_FAILED && errno == ENOMEM, "too much is an error");
	return tap_end();
}

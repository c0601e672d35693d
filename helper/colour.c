// SPDX-License-Identifier: GPL-2.0
/* colour: a mapping that begins where colour.h says. */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "colour.h"

#define PAGE	4096u
#define ALIGN	(2u << 20)	/* blocks are no larger */

static void give_back(char *from, char *end)
{
	if (from < end)
		munmap(from, (size_t)(end - from));
}

void *colour_map(enum colour colour, size_t len, int prot, int flags, int fd)
{
	size_t pages = (len + PAGE - 1) & ~(size_t)(PAGE - 1), beside = (size_t)colour * PAGE, whole = pages + ALIGN + beside;
	char *space, *at;
	int err;

	if (pages < len || whole < pages) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	space = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return MAP_FAILED;
	at = (char *)(((uintptr_t)space + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1)) + beside;
	if (mmap(at, len, prot, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		err = errno;
		munmap(space, whole);
		errno = err;
		return MAP_FAILED;
	}
	give_back(space, at);
	give_back(at + pages, space + whole);
	return at;
}

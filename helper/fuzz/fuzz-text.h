/* SPDX-License-Identifier: GPL-2.0 */
/* What the fuzzers of texts share. */
#ifndef REGIONFS_FUZZ_TEXT_H
#define REGIONFS_FUZZ_TEXT_H

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

/* malloc'ed, of just that length, so that a sanitizer sees what is read beyond its end. Ends at a NUL. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	CHECK(text);
	return text;
}

/* The text up to there, malloc'ed; *text is what follows. */
static inline char *fuzz_cut(const char **text, const char *end)
{
	size_t len = strcspn(*text, end);
	char *part = fuzz_text((const uint8_t *)*text, len);

	*text += len + ((*text)[len] != '\0');
	return part;
}

/* The path of a file in memory that has just this; one at a time. */
static inline const char *fuzz_file(const void *data, size_t size)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(fd >= 0 && !fchmod(fd, 0600) && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	return path;
}

#endif

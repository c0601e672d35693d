// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzers have found, and what they begin with, as a unit test: each file of corpus/NAME once through fuzz-NAME.c. A case ends the program
 * (abort(), or a sanitizer); then there is no line for it, and none after it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "tests/tap.h"

/* In memory of just that length, so that a sanitizer sees what is read beyond it. */
static int replay(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	data = malloc((size_t)st.st_size + !st.st_size);
	n = data ? read(fd, data, (size_t)st.st_size) : -1;
	if (n == st.st_size)
		LLVMFuzzerTestOneInput(data, (size_t)n);
	free(data);
	close(fd);
	return n == st.st_size ? 0 : -EIO;
}

static int is_case(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(void)
{
	int n, dir = open(FUZZ_CORPUS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **entries;

	n = dir < 0 ? -1 : scandir(FUZZ_CORPUS, &entries, is_case, alphasort);
	tap_ok(n > 0, "there are cases in %s", FUZZ_CORPUS);
	for (int i = 0; i < n; i++) {
		tap_ok(!replay(dir, entries[i]->d_name), "%s", entries[i]->d_name);
		free(entries[i]);
	}
	if (n > 0)
		free(entries);
	return tap_end();
}

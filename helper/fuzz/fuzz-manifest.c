// SPDX-License-Identifier: GPL-2.0
/*
 * A dir: source of any files: a byte of flags, the meta file up to a zero byte, then for each file a name up to a zero byte and two bytes of its length.
 * Seeds: what dir: has written after WRITEs and a RESIZE, with and without a size that is older than its files.
 */
#include "backends/dir.h"
#include "fuzz/fuzz-source.h"

#define VERSIONS 1
#define GROWS	2
#define MOST	4096u
#define FILES	32u

static bool is_own(const char *name)
{
	return !strcmp(name, DIR_META) || !strcmp(name, DIR_LOCK) || !strcmp(name, ".");
}

static void write_files(const uint8_t *data, size_t size)
{
	static char bytes[1 << 16];
	size_t len = strnlen((const char *)data, size);
	char name[32];

	memset(bytes, 'd', sizeof(bytes));
	fuzz_file(DIR_META, data, len);
	for (unsigned int i = 0; len < size && i < FILES; i++) {
		uint16_t length;

		data += len + 1;
		size -= len + 1;
		len = strnlen((const char *)data, size);
		snprintf(name, sizeof(name), "%.*s", (int)(len < 31 ? len : 31), (const char *)data);
		data += len < size ? len + 1 : len;
		size -= len < size ? len + 1 : len;
		len = 0;
		fuzz_take(&data, &size, &length, sizeof(length));
		if (*name && !strchr(name, '/') && !is_own(name) && strcmp(name, ".."))
			fuzz_file(name, bytes, length);
		if (!size)
			break;
		data--;
		size++;
	}
}

static void check_ends(struct backend *backend)
{
	uint64_t size = backend_size(backend), chunk = backend->caps.chunk;
	char byte[2] = { 1, 1 };

	CHECK(size <= INT64_MAX && chunk >= 4096 && !(chunk & (chunk - 1)));
	CHECK(size < 2 || !fuzz_ask(backend, BACKEND_READ, size - 2, 2, byte));
	CHECK(!fuzz_ask(backend, BACKEND_READ, size, 1, byte) && !byte[0]);
	CHECK(size < chunk || !fuzz_ask(backend, BACKEND_READ, chunk - 1, 2, byte));
}

static void check_version(struct backend *backend)
{
	char before[BACKEND_VERSION_MAX], after[BACKEND_VERSION_MAX];

	CHECK(!fuzz_ask(backend, BACKEND_VERSION, 0, 0, before) && !fuzz_ask(backend, BACKEND_VERSION, 0, 0, after));
	CHECK(!strcmp(before, after));
}

/* Where a byte was cut off there is none when it is larger again. */
static void check_resize(struct backend *backend)
{
	uint64_t size = backend_size(backend), half = size / 2;
	char byte = 1;

	CHECK(!fuzz_ask(backend, BACKEND_RESIZE, 0, half, NULL) && backend_size(backend) == half);
	CHECK(!fuzz_ask(backend, BACKEND_RESIZE, 0, size, NULL) && backend_size(backend) == size);
	CHECK(half == size || (!fuzz_ask(backend, BACKEND_READ, half, 1, &byte) && !byte));
}

static void check_again(uint64_t size)
{
	int error;
	struct backend *backend = fuzz_open("dir", "", &error);

	CHECK(backend && backend_size(backend) == size);
	fuzz_close(backend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backend *backend;
	uint64_t end;
	int error;

	if (!size || size > MOST)
		return 0;
	fuzz_begin();
	write_files(data + 1, size - 1);
	backend = fuzz_open("dir", "", &error);
	if (backend) {
		check_ends(backend);
		if (data[0] & VERSIONS)
			check_version(backend);
		if (data[0] & GROWS)
			check_resize(backend);
		end = backend_size(backend);
		fuzz_close(backend);
		check_again(end);
	}
	return fuzz_end();
}

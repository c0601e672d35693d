// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region over a file: random changes against a model, with the store in memory and in a directory, closed and opened again on the way; at the
 * end the source has what the model has.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "managed.h"
#include "tests/managed-file.h"

#define SIZE_MAX_ (4u << 20)


static char model[SIZE_MAX_], bytes[SIZE_MAX_];
static uint64_t size;
static uint64_t seed = 1;

static uint64_t rnd(uint64_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

/* ---- open and close ---- */

static struct managed_opening {
	struct backend_open open;
	struct backend *backend;
	bool done;
	int error;
} opening;

static void is_open(struct backend_open *open, struct backend *backend, int error)
{
	opening.backend = backend;
	opening.error = error;
	opening.done = true;
	loop_stop(regiond.loop);
}

static struct backend *open_managed(const char *text)
{
	memset(&opening, 0, sizeof(opening));
	managed_file_open(&opening.open, text, size, is_open);
	source_turn(&opening.done);
	if (opening.error)
		printf("# %s\n", opening.open.why);
	return opening.backend;
}

/* ---- the model ---- */

static void model_resize(uint64_t to, uint64_t low)
{
	if (low < size)
		memset(model + low, 0, SIZE_MAX_ - low);
	size = to;
}

static int change(struct backend *backend)
{
	uint64_t offset = rnd(size + 5000), length = 1 + rnd(rnd(4) ? 9000 : 200000);
	static char data[SIZE_MAX_];

	if (rnd(3)) {
		offset &= ~4095ULL;
		length = (length + 4095) & ~4095ULL;
	}
	if (offset + length > SIZE_MAX_)
		length = SIZE_MAX_ - offset;
	switch (rnd(8)) {
	case 0:
		if (offset >= size)
			return 0;
		length = length > size - offset ? size - offset : length;
		memset(model + offset, 0, length);
		return ask(backend, BACKEND_DISCARD, offset, length, NULL);
	case 1:
		if (rnd(3))
			return 0;
		offset = rnd(size + 1);
		length = rnd(2) ? offset : offset + rnd(SIZE_MAX_ - offset);
		model_resize(length, offset);
		return ask(backend, BACKEND_RESIZE, offset, length, NULL);
	}
	for (uint64_t i = 0; i < length; i++)
		data[i] = (char)rnd(256);
	memcpy(model + offset, data, length);
	if (offset + length > size)
		size = offset + length;
	return ask(backend, BACKEND_WRITE, offset, length, data);
}

static bool look(struct backend *backend)
{
	uint64_t offset = rnd(size + 1), length = 1 + rnd(rnd(2) ? 5000 : 1500000);

	length = length > size - offset ? size - offset : length;
	if (!length)
		return true;
	memset(bytes, 0x55, length);
	if (ask(backend, BACKEND_READ, offset, length, bytes))
		return false;
	for (uint64_t i = 0; i < length; i++)
		if (bytes[i] != model[offset + i]) {
			printf("# byte %llu is %02x, should be %02x (READ %llu+%llu, size %llu)\n", (unsigned long long)(offset + i),
			       (unsigned char)bytes[i], (unsigned char)model[offset + i], (unsigned long long)offset,
			       (unsigned long long)length, (unsigned long long)size);
			return false;
		}
	return true;
}

static bool source_is_model(void)
{
	int fd = open(file, O_RDONLY);
	ssize_t got = read(fd, bytes, SIZE_MAX_);
	bool same = got == (ssize_t)size && !memcmp(bytes, model, size);

	for (ssize_t i = 0; !same && i < got; i++)
		if (bytes[i] != model[i]) {
			printf("# the source's byte %zd is %02x, should be %02x\n", i, (unsigned char)bytes[i], (unsigned char)model[i]);
			break;
		}
	if (!same)
		printf("# the source has %zd bytes, should have %llu\n", got, (unsigned long long)size);
	close(fd);
	return same;
}

static void new_source(void)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	size = 2400000 + rnd(100000);
	memset(model, 0, SIZE_MAX_);
	for (uint64_t i = 0; i < size; i++)
		model[i] = (char)rnd(256);
	if (write(fd, model, size) != (ssize_t)size)
		exit(99);
	close(fd);
}

/* ---- the test ---- */

static void test_random(const char *policy, unsigned int rounds)
{
	bool right = true;
	int failed = 0;

	region.info.id++;
	new_source();
	for (unsigned int round = 0; right && !failed && round < rounds; round++) {
		struct backend *backend = open_managed(policy);

		if (!tap_ok(backend, "it opens: %s", policy))
			return;
		for (unsigned int i = 0; right && !failed && i < 150; i++) {
			failed = change(backend);
			right = look(backend);
			if (!rnd(10))
				failed |= ask(backend, BACKEND_SYNC, 0, 0, NULL);
		}
		if (round % 3 == 2 || round == rounds - 1) {
			tap_number(managed_file_flush(backend), 0, "it is pushed");
			right &= source_is_model();
		}
		source_close(backend);
	}
	tap_number(failed, 0, "no change fails");
	tap_ok(right, "what is read, and what the source has in the end, is what was written");
}

/* SEED: another run of changes */
int main(int argc, char **argv)
{
	char text[256];

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);

	source_begin();
	managed_file_begin();
	test_random("local=memory durability=local", 7);
	test_random("local=memory durability=remote pull-order=none", 4);
	test_random("local=memory durability=local local-size=1M", 4);
	snprintf(text, sizeof(text), "local=file:%s/store durability=local", source_dir());
	test_random(text, 7);
	snprintf(text, sizeof(text), "local=file:%s/store2 durability=local local-size=1M pull-order=none", source_dir());
	test_random(text, 4);
	source_end();
	return tap_end();
}

// SPDX-License-Identifier: GPL-2.0
/* Buffers: what is given back is used again, up to a bound, from any thread. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "tap.h"

#define MIB	(1u << 20)
#define MANY	64u

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size, resident;

	if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2)
		exit(99);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void test_again(void)
{
	char *one = buffer_alloc(100000), *two;

	memset(one, 7, 100000);
	tap_number((long long)((uintptr_t)one % 4096), 0, "a buffer begins with a page");
	buffer_free(one, 100000);
	two = buffer_alloc(128 << 10);
	tap_ok(one == two, "the next of about that length is the same memory");
	buffer_free(two, 128 << 10);
	two = buffer_alloc(4096);
	tap_ok(one != two, "a shorter one is not");
	buffer_free(two, 4096);
	buffer_free(NULL, 4096);
}

static void test_bound(void)
{
	char *buffer[MANY];
	long before = resident_kib(), most;

	for (unsigned int i = 0; i < MANY; i++)
		memset(buffer[i] = buffer_alloc(MIB), 1, MIB);
	most = resident_kib() - before;
	for (unsigned int i = 0; i < MANY; i++)
		buffer_free(buffer[i], MIB);
	tap_ok(most >= 60 << 10, "(64 MiB are in use: %ld KiB)", most);
	tap_ok(resident_kib() - before <= (BUFFERS_KEPT >> 10) + 1024, "of them no more than BUFFERS_KEPT are kept: %ld KiB",
	       resident_kib() - before);
	memset(buffer[0] = buffer_alloc(3 * MIB), 1, 3 * MIB);
	buffer_free(buffer[0], 3 * MIB);
	tap_ok(resident_kib() - before <= (BUFFERS_KEPT >> 10) + 1024, "a very long one never is");
}

static void *work(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	long wrong = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		size_t length = 4096u << (seed >> 40) % 6;
		char *buffer = buffer_alloc(length);

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		buffer[0] = buffer[length - 1] = (char)(uintptr_t)arg;
		wrong += buffer[0] != (char)(uintptr_t)arg || buffer[length - 1] != (char)(uintptr_t)arg;
		buffer_free(buffer, length);
	}
	return (void *)wrong;
}

static void test_threads(void)
{
	pthread_t thread[4];
	long wrong = 0;

	for (uintptr_t i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)(i + 1)))
			exit(99);
	for (unsigned int i = 0; i < 4; i++) {
		void *result;

		pthread_join(thread[i], &result);
		wrong += (long)result;
	}
	tap_number(wrong, 0, "no two threads have the same one");
}

int main(void)
{
	test_again();
	test_bound();
	test_threads();
	return tap_end();
}

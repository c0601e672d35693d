// SPDX-License-Identifier: GPL-2.0
/*
 * crc32c: polynomial 0x1edc6f41, reflected, as RFC 3720 (12.1, B.4) has it. With the CPU's instruction where there is one, else by Sarwate's
 * table ("Computation of Cyclic Redundancy Checks via Table Look-Up", 1988), a byte at a time.
 */
#include <pthread.h>
#include <string.h>

#include "crc32c.h"

#define REFLECTED 0x82f63b78u

static uint32_t table[256];

static void table_fill(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? REFLECTED : 0);
		table[i] = crc;
	}
}

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, table_fill);
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2")))
static uint32_t by_cpu(uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_cpu(~crc, data, len);
#endif
	return ~by_table(~crc, data, len);
}

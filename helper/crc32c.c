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

/* ---- zeroes ---- */

/*
 * A checksum that goes on over zeroes is linear in its bits (what is inverted before and after stays outside). So 2^n zeroes are
 * 32 words, one for each bit, and 2^(n+1) the same applied twice.
 */
static uint32_t zeroes[8 * sizeof(size_t)][32];

static uint32_t apply(const uint32_t by[32], uint32_t crc)
{
	uint32_t sum = 0;

	for (; crc; crc &= crc - 1)
		sum ^= by[__builtin_ctz(crc)];
	return sum;
}

static void zeroes_fill(void)
{
	for (unsigned int bit = 0; bit < 32; bit++)
		zeroes[0][bit] = by_table(1u << bit, (const unsigned char *)"", 1);
	for (unsigned int n = 1; n < 8 * sizeof(size_t); n++)
		for (unsigned int bit = 0; bit < 32; bit++)
			zeroes[n][bit] = apply(zeroes[n - 1], zeroes[n - 1][bit]);
}

uint32_t crc32c_zeroes(uint32_t crc, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, zeroes_fill);
	crc = ~crc;
	for (; len; len &= len - 1)
		crc = apply(zeroes[__builtin_ctzl(len)], crc);
	return ~crc;
}

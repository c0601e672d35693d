// SPDX-License-Identifier: GPL-2.0
/* CRC32C against the vectors of RFC 3720, B.4, and in pieces; the table against the instruction. */
#include "tap.h"

/* Both ways, whatever this CPU has: the file itself, for its static functions. */
#include "../crc32c.c"

static void vectors(void)
{
	unsigned char data[32];

	memset(data, 0, sizeof(data));
	tap_number(crc32c(0, data, sizeof(data)), 0x8a9136aa, "zeroes");
	memset(data, 0xff, sizeof(data));
	tap_number(crc32c(0, data, sizeof(data)), 0x62a8ab43, "ones");
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)i;
	tap_number(crc32c(0, data, sizeof(data)), 0x46dd794e, "rising");
	tap_number(crc32c(0, "123456789", 9), 0xe3069283, "digits");
	tap_number(crc32c(crc32c(0, "12345", 5), "6789", 4), 0xe3069283, "digits in pieces");
	tap_number(crc32c(0, NULL, 0), 0, "nothing");
}

static void zeroes_are_zeroes(void)
{
	static const unsigned char zero[70000];
	bool same = true;

	for (size_t len = 0; len < sizeof(zero); len = len * 3 / 2 + 1)
		same &= crc32c_zeroes(0x12345678, len) == crc32c(0x12345678, zero, len) && crc32c_zeroes(0, len) == crc32c(0, zero, len);
	tap_ok(same, "zeroes that nobody looks at");
	tap_number(crc32c_zeroes(crc32c_zeroes(7, 1ull << 39), 1ull << 39), crc32c_zeroes(7, 1ull << 40), "a tebibyte of them");
}

int main(void)
{
	vectors();
	zeroes_are_zeroes();
	tap_number(~by_table(~0u, (const unsigned char *)"123456789", 9), 0xe3069283, "the table");
	return tap_end();
}

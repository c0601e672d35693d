/* SPDX-License-Identifier: GPL-2.0 */
/* zero: are these bytes all zero? They then need not be sent or stored. */
#ifndef REGIONFS_ZERO_H
#define REGIONFS_ZERO_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Most bytes that are not zero show it at once; the rest is memcmp's speed. */
static inline bool is_zero(const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t head = len < 16 ? len : 16;

	for (size_t i = 0; i < head; i++)
		if (p[i])
			return false;
	return len <= 16 || !memcmp(p, p + 16, len - 16);
}

#endif

// SPDX-License-Identifier: GPL-2.0
/* key16: see key16.h. */
#include <stdio.h>

#include "key16.h"

void key16_text(char text[2 * KEY16 + 1], const uint8_t key[KEY16])
{
	for (unsigned int i = 0; i < KEY16; i++)
		sprintf(text + 2 * i, "%02x", key[i]);
}

/* -1: it is none, as the end of a text is. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool key16_take(const char *text, uint8_t key[KEY16])
{
	for (unsigned int i = 0; i < KEY16; i++, text += 2) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

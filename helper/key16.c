// SPDX-License-Identifier: GPL-2.0
/* key16: see key16.h. */
#include <stdio.h>

#include "key16.h"
#include "text.h"

void key16_text(char text[2 * KEY16 + 1], const uint8_t key[KEY16])
{
	for (unsigned int i = 0; i < KEY16; i++)
		sprintf(text + 2 * i, "%02x", key[i]);
}

bool key16_take(const char *text, uint8_t key[KEY16])
{
	for (unsigned int i = 0; i < KEY16; i++, text += 2) {
		int high = text_hex_digit(text[0]), low = high < 0 ? -1 : text_hex_digit(text[1]);

		if (low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

// SPDX-License-Identifier: GPL-2.0
/* key16: see key16.h. */
#include <stdio.h>

#include "key16.h"

void key16_text(char text[2 * KEY16 + 1], const uint8_t key[KEY16])
{
	for (unsigned int i = 0; i < KEY16; i++)
		sprintf(text + 2 * i, "%02x", key[i]);
}

bool key16_take(const char *text, uint8_t key[KEY16])
{
	for (unsigned int i = 0; i < KEY16; i++)
		if (sscanf(text + 2 * i, "%2hhx", &key[i]) != 1)
			return false;
	return true;
}

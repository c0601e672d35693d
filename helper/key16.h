/* SPDX-License-Identifier: GPL-2.0 */
/* key16: 16 random bytes that name something, such as a client or a nonce, as text: 32 hexadecimal digits. */
#ifndef REGIONFS_KEY16_H
#define REGIONFS_KEY16_H

#include <stdbool.h>
#include <stdint.h>

#define KEY16 16u

/* With a 0 behind it. */
void key16_text(char text[2 * KEY16 + 1], const uint8_t key[KEY16]);
/* Of the first 32 characters. false: they are not that; key has a part of it. */
bool key16_take(const char *text, uint8_t key[KEY16]);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* text: text that grows. */
#ifndef REGIONFS_TEXT_H
#define REGIONFS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. A failed allocation sets failed and drops what is added. */
struct text {
	char *data;
	size_t len;
	size_t max;
	bool failed;
};

void text_free(struct text *text);

void text_add(struct text *text, const char *data, size_t len);
void text_string(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);
/* With %XX for blanks, what can't be printed, and %: one word. */
void text_encoded(struct text *text, const char *string);
/* Undoes that, in place. What is no %XX with capital letters stays as it is. */
void text_decode(char *string);
/* -1: it is none, as the end of a text is. Either case. */
int text_hex_digit(char c);
/* In quotes, as JSON has it; what is no UTF-8 is written with question marks. */
void text_json(struct text *text, const char *string);
/* A sentence that says why, where it is asked for (why_len may be 0); gives error back. */
int text_fail(char *why, size_t why_len, int error, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif

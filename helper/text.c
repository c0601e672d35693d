// SPDX-License-Identifier: GPL-2.0
/* text: see text.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "text.h"

void text_add(struct text *text, const char *data, size_t len)
{
	if (text->len + len + 1 > text->max) {
		size_t max = (text->len + len + 1) * 2;
		char *grown = realloc(text->data, max);

		if (!grown) {
			text->failed = true;
			return;
		}
		text->data = grown;
		text->max = max;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void text_free(struct text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}

void text_string(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_number(struct text *text, uint64_t number)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	text_add(text, at, (size_t)(digits + sizeof(digits) - at));
}

void text_encoded(struct text *text, const char *string)
{
	char hex[4];

	for (; *string; string++) {
		if ((unsigned char)*string > ' ' && *string != '%' && *string != 0x7f) {
			text_add(text, string, 1);
			continue;
		}
		snprintf(hex, sizeof(hex), "%%%02X", (unsigned char)*string);
		text_add(text, hex, 3);
	}
}

static int capital_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void text_decode(char *string)
{
	char *to = string;

	for (; *string; string++) {
		int high = *string == '%' ? capital_digit(string[1]) : -1;
		int low = high >= 0 ? capital_digit(string[2]) : -1;

		*to++ = low < 0 ? *string : (char)(high << 4 | low);
		string += low < 0 ? 0 : 2;
	}
	*to = '\0';
}

int text_hex_digit(char c)
{
	return capital_digit((char)toupper((unsigned char)c));
}

/* It need not be UTF-8, as paths need not. */
static json_t *json_of(const char *string)
{
	json_t *json = json_string(string);
	char *copy = json ? NULL : strdup(string);

	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	if (!json)
		json = json_string(copy ? copy : "?");
	free(copy);
	return json;
}

static void add_rare(struct text *text, const char *string)
{
	json_t *json = json_of(string);
	char *dumped = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

	text_string(text, dumped ? dumped : "\"?\"");
	free(dumped);
	json_decref(json);
}

void text_json(struct text *text, const char *string)
{
	const char *c = string;

	while (*c >= ' ' && *c < 0x7f && *c != '"' && *c != '\\')
		c++;
	if (*c) {
		add_rare(text, string);
		return;
	}
	text_add(text, "\"", 1);
	text_add(text, string, (size_t)(c - string));
	text_add(text, "\"", 1);
}

int text_fail(char *why, size_t why_len, int error, const char *fmt, ...)
{
	va_list args;

	if (why && why_len) {
		va_start(args, fmt);
		vsnprintf(why, why_len, fmt, args);
		va_end(args);
	}
	return error;
}

// SPDX-License-Identifier: GPL-2.0
/* Sizes, durations and modes as people write them, and the way back. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "units.h"

/*
 * Digits and an optional fraction of at most nine digits, kept exact: value = whole + frac /
 * scale.
 */
struct decimal {
	uint64_t whole;
	uint64_t frac;
	uint64_t scale;
};

static int parse_digits(const char **text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	errno = 0;
	*value = strtoull(*text, &end, 10);
	if (errno)
		return -ERANGE;
	*text = end;
	return 0;
}

static int parse_fraction(const char **text, struct decimal *number)
{
	number->frac = 0;
	number->scale = 1;
	if (**text != '.')
		return 0;
	(*text)++;
	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	for (; isdigit((unsigned char)**text); (*text)++) {
		if (number->scale >= 1000000000)
			return -EINVAL;
		number->frac = number->frac * 10 + (uint64_t)(**text - '0');
		number->scale *= 10;
	}
	return 0;
}

static int parse_decimal(const char **text, struct decimal *number)
{
	int err = parse_digits(text, &number->whole);

	return err ? err : parse_fraction(text, number);
}

/*
 * number * unit; -EINVAL where the fraction leaves a remainder, since half a byte is surely a
 * mistake.
 */
static int scale_decimal(const struct decimal *number, uint64_t unit, uint64_t *value)
{
	unsigned __int128 part = (unsigned __int128)number->frac * unit;
	unsigned __int128 all;

	if (part % number->scale)
		return -EINVAL;
	all = (unsigned __int128)number->whole * unit + part / number->scale;
	if (all > UINT64_MAX)
		return -ERANGE;
	*value = (uint64_t)all;
	return 0;
}

/* The suffixes K, KB and KiB all mean 1024: nobody asks for a region of powers of ten. */
static int size_unit(const char *suffix, uint64_t *unit)
{
	static const char letters[] = "KMGTP";
	const char *at;

	*unit = 1;
	if (!*suffix || !strcasecmp(suffix, "B"))
		return 0;
	at = strchr(letters, toupper((unsigned char)*suffix));
	if (!at)
		return -EINVAL;
	suffix++;
	if (*suffix && strcasecmp(suffix, "B") && strcasecmp(suffix, "iB"))
		return -EINVAL;
	*unit = 1ULL << (10 * (at - letters + 1));
	return 0;
}

int regionfs_size_parse(const char *text, uint64_t *value)
{
	struct decimal number;
	uint64_t unit;
	int err;

	err = parse_decimal(&text, &number);
	if (!err)
		err = size_unit(text, &unit);
	if (!err)
		err = scale_decimal(&number, unit, value);
	return err;
}

static int duration_unit(const char *suffix, uint64_t *unit)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "min", 60000 }, { "h", 3600000 },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(suffix, units[i].name)) {
			*unit = units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

int regionfs_duration_parse(const char *text, uint64_t *ms)
{
	struct decimal number;
	uint64_t unit;
	int err;

	err = parse_decimal(&text, &number);
	if (!err)
		err = duration_unit(text, &unit);
	if (!err)
		err = scale_decimal(&number, unit, ms);
	return err;
}

int regionfs_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t number;
	int err = parse_digits(&text, &number);

	if (err)
		return err;
	if (*text)
		return -EINVAL;
	if (number < min || number > max)
		return -ERANGE;
	*value = number;
	return 0;
}

int regionfs_mode_parse(const char *text, uint32_t *mode)
{
	uint32_t bits = 0;

	if (!*text || strlen(text) > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '7')
			return -EINVAL;
		bits = bits * 8 + (uint32_t)(*text - '0');
	}
	if (bits > 07777)
		return -ERANGE;
	*mode = bits;
	return 0;
}

/* Three digits, but "1 MiB", not "1.00 MiB". */
static void format_digits(double value, bool whole, char *text, size_t room)
{
	int digits = whole || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
	char *point;

	snprintf(text, room, "%.*f", digits, value);
	point = strchr(text, '.');
	if (point && !strtoul(point + 1, NULL, 10))
		*point = '\0';
}

const char *regionfs_size_format(uint64_t bytes, char text[REGIONFS_UNITS_TEXT])
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;
	char digits[16];

	/* 1023.96 KiB would print as "1024 KiB": step up where rounding gets there. */
	while (value >= 1023.5 && unit + 1 < sizeof(names) / sizeof(names[0])) {
		value /= 1024;
		unit++;
	}
	format_digits(value, unit == 0, digits, sizeof(digits));
	snprintf(text, REGIONFS_UNITS_TEXT, "%s %s", digits, names[unit]);
	return text;
}

const char *regionfs_duration_format(uint64_t ms, char text[REGIONFS_UNITS_TEXT])
{
	uint64_t seconds = ms / 1000 + (ms % 1000 >= 500);

	if (ms < 1000)
		snprintf(text, REGIONFS_UNITS_TEXT, "%" PRIu64 " ms", ms);
	else if (ms < 59950)
		snprintf(text, REGIONFS_UNITS_TEXT, "%.1f s", (double)ms / 1000);
	else if (seconds < 3600)
		snprintf(text, REGIONFS_UNITS_TEXT, "%" PRIu64 "m%02us", seconds / 60,
			 (unsigned int)(seconds % 60));
	else
		snprintf(text, REGIONFS_UNITS_TEXT, "%" PRIu64 "h%02um", seconds / 3600,
			 (unsigned int)(seconds / 60 % 60));
	return text;
}

const char *regionfs_mode_format(uint32_t mode, char text[REGIONFS_UNITS_TEXT])
{
	static const char letters[] = "rwxrwxrwx";
	size_t i;

	for (i = 0; i < 9; i++)
		text[i] = mode & (0400U >> i) ? letters[i] : '-';
	text[9] = '\0';
	if (mode & 04000)
		text[2] = mode & 0100 ? 's' : 'S';
	if (mode & 02000)
		text[5] = mode & 0010 ? 's' : 'S';
	if (mode & 01000)
		text[8] = mode & 0001 ? 't' : 'T';
	return text;
}

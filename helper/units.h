/* SPDX-License-Identifier: GPL-2.0 */
/* Sizes, durations and modes as people write them, and the way back. */
#ifndef REGIONFS_UNITS_H
#define REGIONFS_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Enough for every text that the format functions make. */
#define REGIONFS_UNITS_TEXT	32

/*
 * All parsers take the whole string or nothing: 0, -EINVAL for what they can't read, -ERANGE for
 * what doesn't fit. *value is touched on success only.
 */

/*
 * "4096", "64K", "1.5G", "10MiB": powers of 1024, up to T and P; a fraction must come out as
 * whole bytes.
 */
int regionfs_size_parse(const char *text, uint64_t *value);

/* "250ms", "60s", "5m", "1h"; without a unit, seconds. In milliseconds. */
int regionfs_duration_parse(const char *text, uint64_t *ms);

/* A decimal number between min and max. */
int regionfs_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* "644", "0644": permission bits, octal as chmod has it. */
int regionfs_mode_parse(const char *text, uint32_t *mode);

/* "1.5 GiB", "512 B": three digits are enough for people. Returns text. */
const char *regionfs_size_format(uint64_t bytes, char text[REGIONFS_UNITS_TEXT]);

/* "320 ms", "1.5 s", "2m05s", "3h10m". Returns text. */
const char *regionfs_duration_format(uint64_t ms, char text[REGIONFS_UNITS_TEXT]);

/* "rw-r--r--". Returns text. */
const char *regionfs_mode_format(uint32_t mode, char text[REGIONFS_UNITS_TEXT]);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* ini: reads "key = value" lines under "[section]" headings; # and ; begin a comment line. */
#ifndef REGIONFS_INI_H
#define REGIONFS_INI_H

#include <stddef.h>

/*
 * take(arg, section, key, value, why, why_len) for each line, section "" before the first heading; an error ends the
 * reading, with why completed to "FILE:LINE: why". value may be in double quotes, and is not processed otherwise.
 * -ENOENT when there is no file.
 */
int ini_read(const char *path,
	     int (*take)(void *arg, const char *section, const char *key, const char *value, char *why, size_t why_len),
	     void *arg, char *why, size_t why_len);

#endif

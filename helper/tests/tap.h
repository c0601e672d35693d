/* SPDX-License-Identifier: GPL-2.0 */
/* TAP out of unit tests: tap_ok() for each check, tap_end() as main's last line. */
#ifndef REGIONFS_TESTS_TAP_H
#define REGIONFS_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count, tap_failures;

static inline bool __attribute__((format(printf, 2, 3))) tap_ok(bool ok, const char *format, ...)
{
	va_list list;

	printf("%s %d - ", ok ? "ok" : "not ok", ++tap_count);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	/* A crash in the next check must not take this line along. */
	fflush(stdout);
	tap_failures += !ok;
	return ok;
}

static inline bool tap_is(const char *got, const char *wanted, const char *what)
{
	bool ok = !strcmp(got, wanted);

	tap_ok(ok, "%s", what);
	if (!ok)
		printf("# got    '%s'\n# wanted '%s'\n", got, wanted);
	return ok;
}

static inline bool tap_number(long long got, long long wanted, const char *what)
{
	bool ok = got == wanted;

	tap_ok(ok, "%s", what);
	if (!ok)
		printf("# got %lld, wanted %lld\n", got, wanted);
	return ok;
}

static inline void tap_skip(const char *what, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, what, why);
}

static inline int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif

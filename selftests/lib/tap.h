/* SPDX-License-Identifier: GPL-2.0 */
/* TAP output as kselftest wants it: exit 0 passed, 1 failed, 4 skipped. */
#ifndef SELFTESTS_TAP_H
#define SELFTESTS_TAP_H

#include <stdbool.h>

/* Starts a test program: the TAP header, line buffering, and an alarm after which it bails out. */
void tap_start(unsigned int seconds);

bool tap_check(bool good, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tap_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tap_skip_all(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void tap_bail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Prints the plan and gives main's exit status. */
int tap_done(void);

/* One test point: ok(what must hold, "what it means", ...). Gives the condition back. */
#define ok(cond, ...)	tap_check(!!(cond), __FILE__, __LINE__, __VA_ARGS__)

/* As ok(a == b), and prints both numbers when they differ. */
#define is(a, b, ...) ({						\
	long long __a = (a), __b = (b);					\
	bool __same = ok(__a == __b, __VA_ARGS__);			\
	if (!__same)							\
		tap_note("  %s is %lld, expected %s = %lld", #a, __a, #b, __b); \
	__same; })

/* What the rest of the program cannot do without. */
#define must(cond) do {							\
	if (!(cond))							\
		tap_bail("%s:%d: %s: %m", __FILE__, __LINE__, #cond);	\
} while (0)

#endif

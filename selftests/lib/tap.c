// SPDX-License-Identifier: GPL-2.0
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

static int tap_points, tap_failed;
static pid_t tap_owner;

static void tap_alarm(int sig)
{
	static const char text[] = "Bail out! the test did not end in time\n";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	exit(1);
}

void tap_start(unsigned int seconds)
{
	struct sigaction sa = { .sa_handler = tap_alarm };

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
	tap_owner = getpid();
	sigaction(SIGALRM, &sa, NULL);
	alarm(seconds);
}

bool tap_check(bool good, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++tap_points);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		tap_failed++;
		printf("#   at %s:%d\n", file, line);
	}
	return good;
}

#define tap_line(prefix) do {			\
	va_list ap;				\
						\
	fputs(prefix, stdout);			\
	va_start(ap, fmt);			\
	vprintf(fmt, ap);			\
	va_end(ap);				\
	putchar('\n');				\
} while (0)

void tap_note(const char *fmt, ...)
{
	tap_line("# ");
}

void tap_skip(const char *fmt, ...)
{
	printf("ok %d ", ++tap_points);
	tap_line("# SKIP ");
}

void tap_skip_all(const char *fmt, ...)
{
	tap_line("1..0 # SKIP ");
	exit(4);
}

void tap_bail(const char *fmt, ...)
{
	tap_line("Bail out! ");
	fflush(stdout);
	if (getpid() == tap_owner)
		exit(1);
	_exit(1);
}

int tap_done(void)
{
	alarm(0);
	printf("1..%d\n", tap_points);
	return tap_failed ? 1 : 0;
}

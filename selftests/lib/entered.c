// SPDX-License-Identifier: GPL-2.0
/*
 * A child reads the trace, and takes each function that it finds there off what is traced: so the buffer has room for those that are seldom
 * entered, and what is entered all the time costs nothing after the first moment. What the compiler has inlined is no function.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "entered.h"
#include "proc.h"
#include "tap.h"

#define TRACING	"/sys/kernel/tracing/"
#define MAX	2048

static char names[MAX][64];
static int nr;
static bool *seen;		/* shared with the child */
static pid_t child;

static int append(const char *file, const char *text)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND);
	ret = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void list_functions(void)
{
	char line[256];
	FILE *f = fopen(TRACING "set_ftrace_filter", "r");

	while (f && nr < MAX && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s", names[nr]) == 1 && !strncmp(names[nr], "regionfs_", 9))
			nr++;
	if (f)
		fclose(f);
}

/* " task-123 [000] ..... 1.234: name <-caller": marks it; true when it is new. */
static bool mark(const char *line)
{
	char name[64];
	const char *at = strstr(line, ": regionfs_");

	if (!at || sscanf(at + 2, "%63s", name) != 1)
		return false;
	for (int i = 0; i < nr; i++)
		if (!strcmp(names[i], name) && !seen[i])
			return seen[i] = true;
	return false;
}

static void take_off(const bool *new)
{
	static char text[MAX * 64];
	size_t len = 0;

	for (int i = 0; i < nr; i++)
		if (new[i])
			len += snprintf(text + len, sizeof(text) - len, "%s\n", names[i]);
	if (len)
		append("set_ftrace_notrace", text);
}

static int follow(void *arg)
{
	static bool before[MAX], new[MAX];
	FILE *f = fopen(TRACING "trace_pipe", "r");
	char line[512];

	while (f) {
		long long until = now_ms() + 200;
		bool some = false;

		while (now_ms() < until && fgets(line, sizeof(line), f))
			some |= mark(line);
		if (!some)
			continue;
		for (int i = 0; i < nr; i++) {
			new[i] = seen[i] && !before[i];
			before[i] = seen[i];
		}
		take_off(new);
	}
	return 1;
}

bool entered_start(void)
{
	append("set_ftrace_notrace", " ");
	if (write_file(TRACING "set_ftrace_filter", ":mod:regionfs"))
		return false;
	list_functions();
	seen = mmap(NULL, MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!nr || seen == MAP_FAILED || write_file(TRACING "current_tracer", "function"))
		return false;
	child = spawn(follow, NULL);
	return true;
}

void entered_print(void)
{
	int count = 0;

	kill_in_time(child, 10000);
	write_file(TRACING "current_tracer", "nop");
	write_file(TRACING "set_ftrace_filter", "");
	write_file(TRACING "set_ftrace_notrace", "");
	for (int i = 0; i < nr; i++)
		count += seen[i];
	tap_note("%d of %d functions of the module were entered; these were not:", count, nr);
	for (int i = 0; i < nr; i++)
		if (!seen[i])
			tap_note("  %s", names[i]);
}

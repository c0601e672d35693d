// SPDX-License-Identifier: GPL-2.0
/* Starts a regiond in the background and waits until it serves its instance. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "progress.h"
#include "start.h"

#define READY_FD	3
#define ARGS_MAX	80

static int fail(struct regionfs_start *start, int err, const char *text)
{
	snprintf(start->message, sizeof(start->message), "%s", text);
	return err;
}

/* The one beside this program, so that what was built or installed together runs together. */
static bool find_beside(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);
	char *slash;

	if (n <= 0)
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return false;
	strcpy(slash + 1, "regiond");
	return !access(path, X_OK);
}

static int find_helper(struct regionfs_start *start, char path[PATH_MAX])
{
	static const char *const dirs[] = { "/usr/local/sbin", "/usr/sbin", "/usr/bin" };

	if (start->helper && *start->helper) {
		snprintf(path, PATH_MAX, "%s", start->helper);
		return 0;
	}
	if (find_beside(path))
		return 0;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, PATH_MAX, "%s/regiond", dirs[i]);
		if (!access(path, X_OK))
			return 0;
	}
	return fail(start, -ENOENT, "regiond is not installed here: name it with helper=PATH");
}

/* In the child, up to exec. said takes what it prints until it has gone to the background. */
static void become_helper(char *const *argv, int ready, int said)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* ready and said may be 0..2 when those were closed: move them out of the way first. */
	ready = fcntl(ready, F_DUPFD, 10);
	said = fcntl(said, F_DUPFD, 10);
	if (chdir("/") || ready < 0 || dup2(null, 0) < 0 || dup2(said, 1) < 0 ||
	    dup2(said, 2) < 0 || dup2(ready, READY_FD) < 0)
		_exit(126);
	close_range(READY_FD + 1, ~0U, 0);
	execv(argv[0], argv);
	dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void build_argv(const struct regionfs_start *start, char *path, char *argv[ARGS_MAX])
{
	static char instance_option[] = "--instance", ready_option[] = "--ready-fd=3";
	int n = 0;

	argv[n++] = path;
	argv[n++] = instance_option;
	argv[n++] = (char *)start->instance;
	argv[n++] = ready_option;
	for (int i = 0; start->args && start->args[i] && n + 1 < ARGS_MAX; i++)
		argv[n++] = start->args[i];
	argv[n] = NULL;
}

/* 0: it serves; -EIO: it ended before; -ETIMEDOUT. */
static int wait_ready(int fd, unsigned int limit_ms)
{
	uint64_t end = regionfs_progress_now() + limit_ms, now;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte;

	for (;;) {
		now = regionfs_progress_now();
		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&ready, 1, (int)(end - now)) > 0)
			return read(fd, &byte, 1) == 1 ? 0 : -EIO;
	}
}

/* The last line that it has printed, without "regiond[NAME]: " in front; "" when there is none. */
static const char *last_words(int said, char *text, size_t room)
{
	ssize_t n = pread(said, text, room - 1, 0);
	char *line, *colon;

	text[n > 0 ? n : 0] = '\0';
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	colon = strstr(line, ": ");
	return colon && !strncmp(line, "regiond", 7) ? colon + 2 : line;
}

static int fail_helper(struct regionfs_start *start, int err, pid_t pid, int said)
{
	char text[4096];
	const char *words = last_words(said, text, sizeof(text));
	int status = 0;

	if (err == -ETIMEDOUT) {
		kill(pid, SIGTERM);
		snprintf(start->message, sizeof(start->message),
			 "it did not get ready within %u s%s%.900s", start->limit_ms / 1000,
			 *words ? ": " : "", words);
		return err;
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		snprintf(start->message, sizeof(start->message), "it was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(start->message, sizeof(start->message), "%.1000s",
			 *words ? words : "it ended without saying why; see the system's log");
	return err;
}

static int run_helper(struct regionfs_start *start, char *const *argv, int said)
{
	int pipes[2], err;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return fail(start, -errno, strerror(errno));
	pid = fork();
	if (!pid)
		become_helper(argv, pipes[1], said);
	close(pipes[1]);
	if (pid < 0) {
		err = fail(start, -errno, "cannot start a process");
	} else {
		err = wait_ready(pipes[0], start->limit_ms);
		if (err)
			fail_helper(start, err, pid, said);
	}
	close(pipes[0]);
	return err;
}

int regionfs_start(struct regionfs_start *start)
{
	char path[PATH_MAX], *argv[ARGS_MAX];
	int said, err;

	err = find_helper(start, path);
	if (err)
		return err;
	build_argv(start, path, argv);
	/* Memory, not a pipe: what it prints after we have left must not end it. */
	said = memfd_create("regiond", MFD_CLOEXEC);
	if (said < 0)
		return fail(start, -errno, strerror(errno));
	err = run_helper(start, argv, said);
	close(said);
	return err;
}

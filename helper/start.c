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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "progress.h"
#include "start.h"

#define ARGS_MAX 80

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
static void become_helper(char *const *argv, int said)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* said may be 0..2 when those were closed: move it out of the way first. */
	said = fcntl(said, F_DUPFD, 10);
	if (chdir("/") || dup2(null, 0) < 0 || dup2(said, 1) < 0 || dup2(said, 2) < 0)
		_exit(126);
	close_range(3, ~0U, 0);
	execv(argv[0], argv);
	dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void build_argv(const struct regionfs_start *start, char *path, char *argv[ARGS_MAX])
{
	static char instance_option[] = "--instance";
	int n = 0;

	argv[n++] = path;
	argv[n++] = instance_option;
	argv[n++] = (char *)start->instance;
	for (int i = 0; start->args && start->args[i] && n + 1 < ARGS_MAX; i++)
		argv[n++] = start->args[i];
	argv[n] = NULL;
}

/* 0 and *status when it has exited within the limit, -ETIMEDOUT. */
static int wait_exit(pid_t pid, unsigned int limit_ms, int *status)
{
	uint64_t end = regionfs_progress_now() + limit_ms, now;
	struct pollfd exited = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	pid_t gone;

	while (!(gone = waitpid(pid, status, WNOHANG))) {
		now = regionfs_progress_now();
		if (now >= end)
			break;
		poll(&exited, exited.fd >= 0, exited.fd >= 0 ? (int)(end - now) : 20);
	}
	if (exited.fd >= 0)
		close(exited.fd);
	return gone ? 0 : -ETIMEDOUT;
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

static int judge(struct regionfs_start *start, int err, int status, int said)
{
	char text[4096];
	const char *words = last_words(said, text, sizeof(text));

	if (err) {
		snprintf(start->message, sizeof(start->message),
			 "it did not get ready within %u s, and goes on trying%s%.900s",
			 start->limit_ms / 1000, *words ? ": " : "", words);
		return err;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status))
		snprintf(start->message, sizeof(start->message), "it was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(start->message, sizeof(start->message), "%.1000s",
			 *words ? words : "it ended without saying why; see the system's log");
	return -EIO;
}

int regionfs_start(struct regionfs_start *start)
{
	char path[PATH_MAX], *argv[ARGS_MAX];
	int said, err, status = 0;
	pid_t pid;

	err = find_helper(start, path);
	if (err)
		return err;
	build_argv(start, path, argv);
	/* Memory, not a pipe: what it prints after we have left must not end it. */
	said = memfd_create("regiond", MFD_CLOEXEC);
	pid = said < 0 ? -1 : fork();
	if (!pid)
		become_helper(argv, said);
	if (pid < 0) {
		err = fail(start, -errno, "cannot start a process");
	} else {
		err = wait_exit(pid, start->limit_ms, &status);
		err = judge(start, err, status, said);
	}
	if (said >= 0)
		close(said);
	return err;
}

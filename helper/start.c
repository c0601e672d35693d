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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "progress.h"
#include "start.h"

#define READY_FD	3
#define LOG_DIR		"/var/log/regionfs"
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

/*
 * What regiond says later goes to a file; where that can't be, nowhere, rather than into a closed
 * pipe.
 */
static int open_log(const char *instance)
{
	char path[PATH_MAX];
	int fd;

	mkdir(LOG_DIR, 0750);
	snprintf(path, sizeof(path), LOG_DIR "/%s.log", instance);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
	return fd >= 0 ? fd : open("/dev/null", O_WRONLY);
}

/* In the child, up to exec. Only what is safe after fork() of a single thread. */
static void become_helper(const struct regionfs_start *start, const char *path, char *const *argv,
			  int ready)
{
	int null = open("/dev/null", O_RDONLY);
	int log = open_log(start->instance);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (chdir("/"))
		_exit(126);
	/* ready may be 0..2 when those were closed: move it out of the way first. */
	ready = fcntl(ready, F_DUPFD, 10);
	if (ready < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
	    dup2(ready, READY_FD) < 0)
		_exit(126);
	close_range(READY_FD + 1, ~0U, 0);
	execv(path, argv);
	dprintf(READY_FD, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

static void build_argv(const struct regionfs_start *start, const char *path, char *argv[ARGS_MAX])
{
	static char instance_option[] = "--instance", ready_option[] = "--ready-fd=3";
	int n = 0;

	argv[n++] = (char *)path;
	argv[n++] = instance_option;
	argv[n++] = (char *)start->instance;
	argv[n++] = ready_option;
	for (int i = 0; start->args && start->args[i] && n + 1 < ARGS_MAX; i++)
		argv[n++] = start->args[i];
	argv[n] = NULL;
}

/* The first line that comes, or "" when there is none; -ETIMEDOUT. */
static int read_ready(int fd, unsigned int limit_ms, char *line, size_t room)
{
	uint64_t end = regionfs_progress_now() + limit_ms;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	uint64_t now;
	ssize_t n;

	line[0] = '\0';
	while (used + 1 < room && !strchr(line, '\n')) {
		now = regionfs_progress_now();
		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&ready, 1, (int)(end - now)) <= 0)
			continue;
		n = read(fd, line + used, room - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
		line[used] = '\0';
	}
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

static int fail_exit(struct regionfs_start *start, int status)
{
	if (WIFSIGNALED(status))
		snprintf(start->message, sizeof(start->message),
			 "regiond was ended by signal %d (%s); see " LOG_DIR "/%s.log",
			 WTERMSIG(status), strsignal(WTERMSIG(status)), start->instance);
	else
		snprintf(start->message, sizeof(start->message),
			 "regiond exited with status %d; see " LOG_DIR "/%s.log",
			 WEXITSTATUS(status), start->instance);
	return -EIO;
}

static int wait_ready(struct regionfs_start *start, int fd)
{
	char line[sizeof(start->message)];
	int status, err;

	err = read_ready(fd, start->limit_ms, line, sizeof(line));
	if (!err && !strcmp(line, "ready"))
		return 0;
	if (err)
		kill(start->pid, SIGTERM);
	if (!err && *line)
		return fail(start, -EIO, line);
	if (err) {
		snprintf(start->message, sizeof(start->message),
			 "regiond did not get ready within %u s; see " LOG_DIR "/%s.log",
			 start->limit_ms / 1000, start->instance);
		return err;
	}
	waitpid(start->pid, &status, 0);
	return fail_exit(start, status);
}

int regionfs_start(struct regionfs_start *start)
{
	char path[PATH_MAX], *argv[ARGS_MAX];
	int pipes[2], err;

	err = find_helper(start, path);
	if (err)
		return err;
	build_argv(start, path, argv);
	if (pipe2(pipes, O_CLOEXEC))
		return fail(start, -errno, strerror(errno));
	start->pid = fork();
	if (!start->pid)
		become_helper(start, path, argv, pipes[1]);
	close(pipes[1]);
	err = start->pid < 0 ? fail(start, -errno, "cannot start a process") :
			       wait_ready(start, pipes[0]);
	close(pipes[0]);
	return err;
}

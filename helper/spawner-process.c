// SPDX-License-Identifier: GPL-2.0
/*
 * spawner-process: the small process that runs commands, and keeps the rights that these may need, where regiond has given up its own. It never has the device open, holds no lock of regiond's, and
 * ends, with what it runs, when regiond does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "list.h"
#include "run-dir.h"
#include "spawner-private.h"

#define KILL_AFTER_MS 5000

extern char **environ;

struct child {
	struct list list;
	uint64_t id;
	pid_t pid;
	int output_fd;
	uint64_t deadline;	/* ms, 0: none */
	bool warned;		/* SIGTERM was sent */
	bool timed_out;
	bool exited;
	int status;
	size_t len;
	char output[SPAWNER_OUTPUT];
};

static struct list children = LIST_INIT(children);
static int sock_fd, signal_fd;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void answer(uint64_t id, int status, const char *output, size_t len)
{
	char packet[sizeof(struct spawner_answer) + SPAWNER_OUTPUT];
	struct spawner_answer head = { .id = id, .status = status };

	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), output, len);
	if (send(sock_fd, packet, sizeof(head) + len, MSG_NOSIGNAL) < 0 && errno == EPIPE)
		_exit(0);
}

/* ---- starting ---- */

static void become_command(const char *command, char **env, int stdio, int output)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	/* what is ignored here, or where regiond was started, is none of the command's business */
	for (int number = 1; number < 32; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(stdio >= 0 ? stdio : null, 0);
	dup2(stdio >= 0 ? stdio : null, 1);
	dup2(output, 2);
	close_range(3, ~0U, 0);
	execle("/bin/sh", "sh", "-c", command, (char *)NULL, env);
	_exit(127);
}

static bool is_set(const char *entry, const char *more, const char *end)
{
	size_t len = strcspn(entry, "=") + 1;

	for (; more < end; more += strlen(more) + 1)
		if (!strncmp(entry, more, len))
			return true;
	return false;
}

/* Our environment, and the strings after the command in place of what they name. */
static char **make_env(char *more, const char *end)
{
	size_t n = 0, at = 0;
	char **env;

	while (environ[n])
		n++;
	for (const char *text = more; text < end; text += strlen(text) + 1)
		at++;
	env = calloc(n + at + 1, sizeof(*env));
	if (!env)
		return NULL;
	at = 0;
	for (size_t i = 0; i < n; i++)
		if (!is_set(environ[i], more, end))
			env[at++] = environ[i];
	for (char *text = more; text < end; text += strlen(text) + 1)
		env[at++] = text;
	return env;
}

static int child_start(struct child *child, char *command, const char *end, int stdio)
{
	char **env = make_env(command + strlen(command) + 1, end);
	int pipes[2];

	if (!env || pipe2(pipes, O_CLOEXEC | O_NONBLOCK)) {
		free(env);
		return -ENOMEM;
	}
	child->pid = fork();
	if (!child->pid)
		become_command(command, env, stdio, pipes[1]);
	free(env);
	close(pipes[1]);
	child->output_fd = pipes[0];
	if (child->pid < 0) {
		close(pipes[0]);
		return -EAGAIN;
	}
	return 0;
}

static void run(const struct spawner_ask *ask, char *command, const char *end, int stdio)
{
	struct child *child = calloc(1, sizeof(*child));
	int err = child ? child_start(child, command, end, stdio) : -ENOMEM;

	if (stdio >= 0)
		close(stdio);
	if (err) {
		free(child);
		answer(ask->id, err, "", 0);
		return;
	}
	child->id = ask->id;
	child->deadline = ask->timeout_ms ? now_ms() + ask->timeout_ms : 0;
	list_add(&children, &child->list);
}

/* ---- ending ---- */

static void child_terminate(struct child *child)
{
	kill(-child->pid, child->warned ? SIGKILL : SIGTERM);
	child->warned = true;
	child->deadline = now_ms() + KILL_AFTER_MS;
}

static void kill_id(uint64_t id)
{
	struct list *entry;

	list_for_each(entry, &children)
		if (list_entry(entry, struct child, list)->id == id)
			child_terminate(list_entry(entry, struct child, list));
}

static void child_output(struct child *child)
{
	char more[4096];
	ssize_t n;

	while ((n = read(child->output_fd, more, sizeof(more))) > 0) {
		size_t room = sizeof(child->output) - child->len;
		size_t add = (size_t)n < room ? (size_t)n : room;

		memcpy(child->output + child->len, more, add);
		child->len += add;
	}
}

static void child_end(struct child *child)
{
	int status = WIFSIGNALED(child->status) ? 256 + WTERMSIG(child->status) : WEXITSTATUS(child->status);

	child_output(child);
	answer(child->id, child->timed_out ? -ETIMEDOUT : status, child->output, child->len);
	close(child->output_fd);
	list_del(&child->list);
	free(child);
}

static void reap(void)
{
	struct signalfd_siginfo info;
	struct list *entry, *next;
	pid_t pid;
	int status;

	while (read(signal_fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		list_for_each_safe(entry, next, &children) {
			struct child *child = list_entry(entry, struct child, list);

			if (child->pid != pid)
				continue;
			child->status = status;
			child_end(child);
		}
	}
}

static int check_deadlines(void)
{
	uint64_t now = now_ms();
	struct list *entry;
	int wait = -1;

	list_for_each(entry, &children) {
		struct child *child = list_entry(entry, struct child, list);

		if (child->deadline && child->deadline <= now) {
			child->timed_out = child->timed_out || !child->warned;
			child_terminate(child);
		}
		if (child->deadline && (wait < 0 || child->deadline - now < (uint64_t)wait))
			wait = (int)(child->deadline - now);
	}
	return wait;
}

/* ---- the process ---- */

static void leave(void)
{
	struct list *entry;

	list_for_each(entry, &children)
		kill(-list_entry(entry, struct child, list)->pid, SIGTERM);
	_exit(0);
}

static void take(void)
{
	static char packet[SPAWNER_PACKET + 1];
	struct iovec iov = { .iov_base = packet, .iov_len = SPAWNER_PACKET };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *head;
	struct spawner_ask ask;
	ssize_t n = recvmsg(sock_fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int stdio = -1;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		leave();
	head = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (head && head->cmsg_type == SCM_RIGHTS)
		memcpy(&stdio, CMSG_DATA(head), sizeof(int));
	if (n < (ssize_t)sizeof(ask))
		return;
	packet[n] = '\0';
	memcpy(&ask, packet, sizeof(ask));
	if (ask.kind == SPAWNER_KILL)
		kill_id(ask.id);
	else if (ask.kind == SPAWNER_CLEAR)
		run_dir_clear(packet + sizeof(ask), stdio);
	else
		run(&ask, packet + sizeof(ask), packet + n, stdio);
}

/* Of what regiond had open nothing is kept: whoever reads its output must see it end. */
static void drop_files(int sock)
{
	int null = open("/dev/null", O_RDWR);

	/* it may be one of the first three itself, where those were closed */
	sock = fcntl(sock, F_DUPFD, 4);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	sock_fd = dup2(sock, 3);
	close_range(4, ~0U, 0);
	fcntl(sock_fd, F_SETFD, FD_CLOEXEC);
}

static void prepare(int sock)
{
	sigset_t set;

	drop_files(sock);
	prctl(PR_SET_NAME, "regiond-spawner");
	/* a Ctrl-C at regiond's terminal is regiond's affair */
	setsid();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A pipe of a command that closed its stderr would be ready for ever: those are read when it ends. */
void spawner_process(int sock)
{
	struct pollfd fds[2];

	prepare(sock);
	fds[0] = (struct pollfd){ .fd = sock_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	for (;;) {
		struct list *entry;
		int wait = check_deadlines();

		/* so that no command blocks on a full stderr */
		list_for_each(entry, &children) {
			child_output(list_entry(entry, struct child, list));
			wait = wait < 0 || wait > 100 ? 100 : wait;
		}
		if (poll(fds, 2, wait) < 0 && errno != EINTR)
			leave();
		if (fds[1].revents)
			reap();
		if (fds[0].revents)
			take();
	}
}

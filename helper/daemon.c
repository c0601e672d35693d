// SPDX-License-Identifier: GPL-2.0
/* daemon: see daemon.h. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"

static int ready_to = -1;	/* ready_fd */
static int parent_to = -1;	/* the process that waits for us in the foreground */

static int wait_for_child(int fd, pid_t child)
{
	char ok = 0;
	int status;

	if (read(fd, &ok, 1) == 1)
		return 0;
	waitpid(child, &status, 0);
	return 1;
}

int daemon_start(bool foreground, int ready_fd)
{
	int pipes[2];
	pid_t child;

	ready_to = ready_fd;
	if (ready_fd >= 0)
		fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
	if (foreground)
		return 0;
	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child) {
		close(pipes[1]);
		_exit(wait_for_child(pipes[0], child));
	}
	close(pipes[0]);
	parent_to = pipes[1];
	setsid();
	return chdir("/") ? -errno : 0;
}

static void say(int *fd, const char *text, size_t len)
{
	if (*fd < 0)
		return;
	if (write(*fd, text, len) < 0)
		log_debug("nobody waits for us any more");
	close(*fd);
	*fd = -1;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_syslog();
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

void daemon_ready(void)
{
	bool background = parent_to >= 0;

	daemon_notify("READY=1");
	say(&ready_to, "ready\n", 6);
	say(&parent_to, "", 1);
	if (background)
		leave_terminal();
}

void daemon_failed(const char *why)
{
	char line[600];
	int len = snprintf(line, sizeof(line), "%s\n", why);

	say(&ready_to, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
	if (parent_to >= 0)
		close(parent_to);
	parent_to = -1;
}

void daemon_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path || !*path || strlen(path) >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, strlen(path));
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_debug("the service manager can't be told: %s", strerror(errno));
	close(fd);
}

// SPDX-License-Identifier: GPL-2.0
/* dial: connecting to a peer. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "dial.h"
#include "spawner.h"

static struct spawner *spawner;

void dial_set_spawner(struct spawner *which)
{
	spawner = which;
}

/* ---- the end ---- */

static void dial_end(struct loop_task *task)
{
	struct dial *dial = container_of(task, struct dial, task);
	int fd = dial->fd;

	if (dial->addresses)
		freeaddrinfo(dial->addresses);
	dial->addresses = NULL;
	if (dial->canceled && fd >= 0) {
		close(fd);
		fd = -1;
		dial->error = -ECANCELED;
	}
	dial->done(dial, fd >= 0 ? fd : dial->error, dial->why);
}

static void dial_result(struct dial *dial, int fd, int error, const char *what)
{
	dial->fd = fd;
	dial->error = error;
	if (fd < 0)
		snprintf(dial->why, sizeof(dial->why), "%s: %s", what, strerror(-error));
	dial->task.run = dial_end;
	loop_post(dial->loop, &dial->task);
}

/* ---- TCP and UNIX sockets ---- */

static void connect_next(struct dial *dial);

static void connect_late(struct loop_timer *timer)
{
	struct dial *dial = container_of(timer, struct dial, timer);

	loop_cancel(dial->loop, &dial->op);
}

static void connect_done(struct loop_op *op, int res)
{
	struct dial *dial = container_of(op, struct dial, op);

	dial->connecting = false;
	loop_timer_cancel(dial->loop, &dial->timer);
	if (!res && !dial->canceled) {
		dial_result(dial, dial->fd, 0, "");
		return;
	}
	close(dial->fd);
	/* it may be connected all the same: then 0 would be taken for a descriptor */
	if (dial->canceled)
		res = -ECANCELED;
	else if (res == -ECANCELED)
		res = -ETIMEDOUT;
	dial->error = res;
	dial->next = dial->next ? dial->next->ai_next : NULL;
	if (dial->next && !dial->canceled)
		connect_next(dial);
	else
		dial_result(dial, -1, dial->error, dial->uri->host ? dial->uri->host : dial->uri->path);
}

static void connect_to(struct dial *dial, const struct sockaddr *addr, socklen_t len)
{
	dial->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (dial->fd < 0) {
		dial_result(dial, -1, -errno, "socket");
		return;
	}
	dial->op.done = connect_done;
	dial->timer.fire = connect_late;
	dial->connecting = true;
	loop_timer_set(dial->loop, &dial->timer, dial->timeout_ms ? dial->timeout_ms : 10000);
	loop_connect(dial->loop, &dial->op, dial->fd, addr, len);
}

static void connect_next(struct dial *dial)
{
	connect_to(dial, dial->next->ai_addr, dial->next->ai_addrlen);
}

/* In a worker's thread. */
static int resolve(struct loop_work *work)
{
	struct dial *dial = container_of(work, struct dial, work);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	char port[8];
	int ret;

	snprintf(port, sizeof(port), "%u", dial->uri->port ? dial->uri->port : DIAL_PORT);
	ret = getaddrinfo(dial->uri->host, port, &hints, &dial->addresses);
	if (ret == EAI_SYSTEM)
		return -errno;
	if (!ret)
		return 0;
	snprintf(dial->why, sizeof(dial->why), "%s: %s", dial->uri->host, gai_strerror(ret));
	return ret == EAI_AGAIN ? -EAGAIN : -EHOSTUNREACH;
}

static void resolved(struct loop_work *work, int res)
{
	struct dial *dial = container_of(work, struct dial, work);

	if (res || dial->canceled) {
		dial->fd = -1;
		dial->error = dial->canceled ? -ECANCELED : res;
		dial_end(&dial->task);
		return;
	}
	dial->next = dial->addresses;
	connect_next(dial);
}

static void start_tcp(struct dial *dial)
{
	dial->work.work = resolve;
	dial->work.done = resolved;
	loop_work(dial->loop, &dial->work);
}

static int unix_address(const char *path, struct sockaddr_un *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (!*path)
		return -EINVAL;
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	return 0;
}

static void start_unix(struct dial *dial)
{
	int ret = unix_address(dial->uri->path, &dial->local);

	if (ret)
		dial_result(dial, -1, ret, dial->uri->path);
	else
		connect_to(dial, (struct sockaddr *)&dial->local, sizeof(dial->local));
}

/* ---- commands ---- */

/* Lives until the command has ended, which may be long after the dial. */
struct command {
	struct spawner_job job;
	int fd;			/* the command's end; kept so that we see its end, not before */
	char text[];
};

static void command_done(struct spawner_job *job, int status, const char *output)
{
	struct command *command = container_of(job, struct command, job);

	close(command->fd);
	free(command);
}

static int command_start(const char *text, int *fd)
{
	struct command *command = calloc(1, sizeof(*command) + strlen(text) + 1);
	int pair[2];

	if (!command)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(command);
		return -errno;
	}
	strcpy(command->text, text);
	command->fd = pair[1];
	command->job.command = command->text;
	command->job.stdio = pair[1];
	command->job.done = command_done;
	spawner_run(spawner, &command->job);
	*fd = pair[0];
	return 0;
}

static void start_exec(struct dial *dial)
{
	int fd = -1, ret = spawner ? command_start(dial->uri->path, &fd) : -EOPNOTSUPP;

	dial_result(dial, fd, ret, dial->uri->path);
}

/* ---- all ---- */

void dial_start(struct dial *dial)
{
	dial->addresses = dial->next = NULL;
	dial->fd = -1;
	dial->error = 0;
	dial->canceled = dial->connecting = false;
	*dial->why = 0;
	memset(&dial->timer, 0, sizeof(dial->timer));
	if (!strcmp(dial->uri->scheme, "peer+unix"))
		start_unix(dial);
	else if (!strcmp(dial->uri->scheme, "peer+exec"))
		start_exec(dial);
	else
		start_tcp(dial);
}

void dial_cancel(struct dial *dial)
{
	dial->canceled = true;
	if (dial->connecting)
		loop_cancel(dial->loop, &dial->op);
}

/* ---- addresses to listen on ---- */

static int parse_inet(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *found;
	char host[64];
	const char *port = strrchr(text, ':');
	size_t n = port ? (size_t)(port - text) : 0;

	if (!port || n >= sizeof(host) || !port[1])
		return -EINVAL;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	memcpy(host, text, n);
	host[n] = 0;
	if (getaddrinfo(n ? host : NULL, port + 1, &hints, &found))
		return -EINVAL;
	memcpy(addr, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int dial_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len, char *why,
	       size_t why_len)
{
	int ret;

	memset(addr, 0, sizeof(*addr));
	if (!strncmp(text, "unix:", 5)) {
		*len = sizeof(struct sockaddr_un);
		ret = unix_address(text + 5, (struct sockaddr_un *)addr);
	} else {
		ret = parse_inet(text, addr, len);
	}
	if (ret)
		snprintf(why, why_len, "\"%s\" is no address to listen on: ADDR:PORT, [ADDR]:PORT or unix:PATH",
			 text);
	return ret;
}

bool dial_is_local(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	if (addr->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	return addr->ss_family == AF_UNIX;
}

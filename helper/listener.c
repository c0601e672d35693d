// SPDX-License-Identifier: GPL-2.0
/* listener: addresses where peers call. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dial.h"
#include "export.h"
#include "listener.h"
#include "service.h"

#define BACKLOG		64
#define PAUSE_MS	100u

/* ---- memory ---- */

bool listener_take(struct listener *listener, struct list *hungry, uint32_t bytes, bool urgent)
{
	if (listener->memory + bytes > LISTENER_MEMORY + (urgent ? LISTENER_RESERVE : 0)) {
		if (hungry) {
			list_del(hungry);
			list_add(&listener->hungry, hungry);
		}
		return false;
	}
	listener->memory += bytes;
	return true;
}

/* Out of the loop, so that a chain of requests that end at once does not nest. */
static void feed(struct loop_task *task)
{
	struct listener *listener = container_of(task, struct listener, feed);
	struct list hungry, *entry;

	listener->feeding = false;
	list_init(&hungry);
	list_splice(&hungry, &listener->hungry);
	while ((entry = list_pop(&hungry)))
		service_fed(list_entry(entry, struct service, hungry));
	listener_drop(listener);
}

void listener_give(struct listener *listener, uint32_t bytes)
{
	listener->memory -= bytes;
	if (list_empty(&listener->hungry) || listener->feeding)
		return;
	listener->feeding = true;
	loop_post(listener->server->loop, &listener->feed);
}

/* ---- accepting ---- */

static void listener_accept(struct listener *listener);

static void accept_again(struct loop_timer *timer)
{
	listener_accept(container_of(timer, struct listener, pause));
}

static void let_in(struct listener *listener, int fd)
{
	const struct door_limits *limits = &listener->server->limits;
	struct door_address from;

	door_count(&listener->door, limits, loop_now_ns());
	if (door_enter(&listener->door, limits, fd, &from))
		service_accept(listener, fd, &from);
}

static void accepted(struct loop_op *op, int res)
{
	struct listener *listener = container_of(op, struct listener, accept);

	listener->accepting = false;
	if (res >= 0 && listener->closing)
		close(res);
	else if (res >= 0)
		let_in(listener, res);
	if (listener->closing)
		listener_drop(listener);
	else if (res >= 0)
		listener_accept(listener);
	else
		loop_timer_set(listener->server->loop, &listener->pause, PAUSE_MS);	/* EMFILE and the like pass */
}

static void listener_accept(struct listener *listener)
{
	const struct door_limits *limits = &listener->server->limits;
	unsigned int delay = door_delay(&listener->door, limits, loop_now_ns());

	if (listener->accepting || listener->closing ||
	    listener->nr_services >= LISTENER_CONNECTIONS || door_is_full(&listener->door, limits))
		return;
	if (delay) {
		loop_timer_set(listener->server->loop, &listener->pause, delay);
		return;
	}
	listener->accepting = true;
	loop_accept(listener->server->loop, &listener->accept, listener->fd);
}

/* Those who have been accepted already come first. */
static void next_ones(struct listener *listener)
{
	struct door_address from;
	int fd;

	while (listener->nr_services < LISTENER_CONNECTIONS &&
	       (fd = door_next(&listener->door, &listener->server->limits, &from)) >= 0)
		service_accept(listener, fd, &from);
	listener_accept(listener);
}

void listener_known(struct listener *listener, struct door_guest *guest)
{
	door_leave(&listener->door, guest);
	if (!listener->closing)
		next_ones(listener);
}

void listener_gone(struct listener *listener, struct door_guest *guest)
{
	listener->nr_services--;
	door_leave(&listener->door, guest);
	if (listener->closing)
		listener_drop(listener);
	else
		next_ones(listener);
}

/* ---- making one ---- */

static int check_safe(const struct listener_options *options, const struct sockaddr_storage *addr,
		      char *why, size_t why_len)
{
	bool tls = options->tls_psk || options->tls_cert || options->tls_key || options->tls_ca;

	if (tls || options->insecure || dial_is_local(addr))
		return 0;
	snprintf(why, why_len, "%s can be reached from outside: give --tls-psk FILE, or --tls-cert, "
		 "--tls-key and --tls-ca, or --insecure for clear text", options->listen);
	return -EPERM;
}

static char *credentials_of(const struct listener_options *options)
{
	const char *const names[] = { options->tls_psk, options->tls_cert, options->tls_key, options->tls_ca };
	char *text = NULL;

	if (asprintf(&text, "%s\n%s\n%s\n%s", names[0] ?: "", names[1] ?: "", names[2] ?: "", names[3] ?: "") < 0)
		return NULL;
	return text;
}

/* What is allowed to a name is so by the CA, or the key, that it was given for: an address that has another one does not do. -EBUSY, -ENOMEM. */
static int check_credentials(const struct listener *listener, const struct listener_options *options, char *why, size_t why_len)
{
	char *text = credentials_of(options);
	int ret = !text ? -ENOMEM : strcmp(text, listener->credentials) ? -EBUSY : 0;

	free(text);
	if (ret == -EBUSY && !!listener->tls != (options->tls_psk || options->tls_cert))
		snprintf(why, why_len, "%s is already used %s TLS", options->listen, listener->tls ? "with" : "without");
	else if (ret == -EBUSY)
		snprintf(why, why_len, "%s is already used with another key or certificate: name the same files, or another address",
			 options->listen);
	return ret;
}

static int open_tls(struct listener *listener, const struct listener_options *options, char *why,
		    size_t why_len)
{
	struct tls_options tls = {
		.psk = options->tls_psk, .cert = options->tls_cert, .key = options->tls_key,
		.ca = options->tls_ca, .server = true,
	};

	return tls_wanted(&tls) ? tls_context_open(&listener->tls, &tls, why, why_len) : 0;
}

static void name_address(struct listener *listener)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[INET6_ADDRSTRLEN] = "";

	if (getsockname(listener->fd, (struct sockaddr *)&addr, &len) || addr.ss_family == AF_UNIX) {
		snprintf(listener->address, sizeof(listener->address), "%s", listener->text);
	} else if (addr.ss_family == AF_INET) {
		struct sockaddr_in *in = (void *)&addr;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(listener->address, sizeof(listener->address), "%s:%u", host, ntohs(in->sin_port));
	} else {
		struct sockaddr_in6 *in = (void *)&addr;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		snprintf(listener->address, sizeof(listener->address), "[%s]:%u", host, ntohs(in->sin6_port));
	}
}

/* A socket that nobody listens on any more stands in the way of its successor. */
static void remove_stale(const struct sockaddr_storage *addr, socklen_t len)
{
	const struct sockaddr_un *un = (const void *)addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)addr, len) && errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

static int bind_socket(struct listener *listener, const struct sockaddr_storage *addr, socklen_t len)
{
	bool local = addr->ss_family == AF_UNIX;
	int one = 1, ret;

	listener->fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener->fd < 0)
		return -errno;
	if (local)
		remove_stale(addr, len);
	else
		setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = bind(listener->fd, (const struct sockaddr *)addr, len) ? -errno : 0;
	if (!ret && local)
		listener->path = strdup(((const struct sockaddr_un *)(const void *)addr)->sun_path);
	/* not by umask, which other threads make files under; nobody can connect before listen() anyway */
	if (!ret && listener->path && chmod(listener->path, 0600))
		ret = -errno;
	if (!ret && listen(listener->fd, BACKLOG))
		ret = -errno;
	return ret;
}

static void listener_free(struct listener *listener)
{
	if (listener->path)
		unlink(listener->path);
	if (listener->fd >= 0)
		close(listener->fd);
	tls_context_put(listener->tls);
	free(listener->path);
	free(listener->text);
	free(listener->credentials);
	free(listener);
}

static struct listener *listener_new(struct server *server, const struct listener_options *options)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->fd = -1;
	listener->server = server;
	listener->text = strdup(options->listen);
	listener->credentials = credentials_of(options);
	list_init(&listener->services);
	list_init(&listener->exports);
	list_init(&listener->hungry);
	door_init(&listener->door);
	listener->accept.done = accepted;
	listener->pause.fire = accept_again;
	listener->feed.run = feed;
	if (listener->text && listener->credentials)
		return listener;
	free(listener->credentials);
	free(listener->text);
	free(listener);
	return NULL;
}

static int listener_start(struct server *server, const struct listener_options *options,
			  const struct sockaddr_storage *addr, socklen_t len,
			  struct listener **result, char *why, size_t why_len)
{
	struct listener *listener = listener_new(server, options);
	int ret;

	if (!listener)
		return -ENOMEM;
	ret = open_tls(listener, options, why, why_len);
	if (!ret) {
		ret = bind_socket(listener, addr, len);
		if (ret)
			snprintf(why, why_len, "cannot listen on %s: %s%s", options->listen, strerror(-ret),
				 ret == -EACCES ? " (a port below 1024 takes a lower net.ipv4.ip_unprivileged_port_start)" : "");
	}
	if (ret) {
		listener_free(listener);
		return ret;
	}
	name_address(listener);
	list_add(&server->listeners, &listener->list);
	listener_accept(listener);
	*result = listener;
	return 0;
}

int listener_find(struct server *server, const struct listener_options *options,
		  struct listener **listener, char *why, size_t why_len)
{
	struct sockaddr_storage addr;
	struct list *at;
	socklen_t len;
	int ret = dial_parse(options->listen, &addr, &len, why, why_len);

	if (!ret)
		ret = check_safe(options, &addr, why, why_len);
	if (ret)
		return ret;
	list_for_each(at, &server->listeners) {
		struct listener *other = list_entry(at, struct listener, list);

		if (other->closing || strcmp(other->address, options->listen))
			continue;
		/* The first export has decided on how to come in: the files may have changed since */
		*listener = other;
		return check_credentials(other, options, why, why_len);
	}
	return listener_start(server, options, &addr, len, listener, why, why_len);
}

/* ---- the end ---- */

void listener_drop(struct listener *listener)
{
	struct list *at, *next;

	if (!list_empty(&listener->exports))
		return;
	if (!listener->closing) {
		listener->closing = true;
		loop_timer_cancel(listener->server->loop, &listener->pause);
		if (listener->accepting)
			loop_cancel(listener->server->loop, &listener->accept);
		door_close(&listener->door);
		list_for_each_safe(at, next, &listener->services)
			service_close(list_entry(at, struct service, list), -ESHUTDOWN);
	}
	if (listener->accepting || listener->feeding || !list_empty(&listener->services))
		return;
	list_del(&listener->list);
	listener_free(listener);
}

struct export *listener_export(struct listener *listener, const char *region)
{
	struct list *at;

	list_for_each(at, &listener->exports) {
		struct export *export = list_entry(at, struct export, list);

		if (!strcmp(export->name, region) && !export->closing)
			return export;
	}
	return NULL;
}

struct export *listener_group(struct listener *listener, const char *group)
{
	struct list *at;

	list_for_each(at, &listener->exports) {
		struct export *export = list_entry(at, struct export, list);

		if (export->group && export->leads && !strcmp(export->group, group) && !export->closing)
			return export;
	}
	return NULL;
}

/*
 * What lasts as long as unsynced bytes do: as this host is up, whatever becomes of this process. In a hash of its own, since the boot's number
 * is nobody else's business.
 */
static int boot_id(uint8_t id[16])
{
	char text[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	uint64_t h[2] = { 0xcbf29ce484222325, 0x84222325cbf29ce4 };

	if (fd >= 0)
		close(fd);
	if (n < 36)
		return getrandom(id, 16, 0) == 16 ? 0 : -EIO;
	for (ssize_t i = 0; i < n; i++) {
		h[0] = (h[0] ^ (uint8_t)text[i]) * 0x100000001b3;
		h[1] = (h[1] ^ (uint8_t)text[i] ^ h[0] >> 32) * 0x100000001b3;
	}
	memcpy(id, h, 16);
	return 0;
}

int server_open(struct server **result, struct loop *loop)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	if (boot_id(server->id)) {
		free(server);
		return -EIO;
	}
	server->loop = loop;
	server->features = WIRE_FEAT_ALL;
	server->limits = door_defaults;
	list_init(&server->shrinks);
	list_init(&server->listeners);
	if (gethostname(server->name, sizeof(server->name) - 1))
		strcpy(server->name, "unknown");
	*result = server;
	return 0;
}

void server_close(struct server *server)
{
	free(server);
}

// SPDX-License-Identifier: GPL-2.0
/* service: an accepted connection's introduction and life. Its requests are in serve.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export.h"
#include "log.h"
#include "service.h"

/* ---- life ---- */

static void service_settle(struct service *service)
{
	if (service->conn || service->nr_requests)
		return;
	list_del(&service->list);
	list_del(&service->hungry);
	service->listener->credit -= service->granted;
	listener_gone(service->listener, &service->guest);
	free(service);
}

void service_release(struct service *service)
{
	service->nr_requests--;
	if (service->conn && !service->stalled)
		conn_resume(service->conn);
	service_settle(service);
}

void service_close(struct service *service, int error)
{
	if (service->conn)
		conn_close(service->conn, error);
}

/* Who just looks whether somebody is here is not worth a line, nor one whose network fails. */
static void say_refused(const struct service *service, int error, const char *why)
{
	const char *from = service->guest.from.text;

	if (service->state >= SERVICE_AUTHORIZED || !error || error == -ECONNRESET || error == -ESHUTDOWN)
		return;
	log_warning("a connection from %s to %s is refused: %s", from, service->listener->address,
		    *why ? why : error == -ETIMEDOUT ? "who it is was not said in time" : strerror(-error));
}

static void service_ended(struct conn *conn, int error, const char *why)
{
	struct service *service = conn_arg(conn);
	struct serve_req *stalled = service->stalled;

	say_refused(service, error, why);
	service->conn = NULL;
	loop_timer_cancel(service->listener->server->loop, &service->timer);
	service->nr_requests++;		/* held until the end of this */
	if (stalled) {
		service->stalled = NULL;
		serve_fail(stalled, -ECONNRESET, "the connection is gone");
	}
	export_detach(service);
	service_release(service);
}

/* Strangers have a while to introduce themselves; those who are known, to ping. */
static void service_timer(struct loop_timer *timer)
{
	struct service *service = container_of(timer, struct service, timer);
	uint64_t silent = (loop_now_ns() - conn_heard(service->conn)) / 1000000;

	if (service->state < SERVICE_OPENING)
		conn_close(service->conn, -ETIMEDOUT);
	else if (silent > (service->nr_requests ? SERVICE_GONE_MS : SERVICE_SILENT_MS))
		conn_close(service->conn, -ETIMEDOUT);
	else
		loop_timer_set(service->listener->server->loop, timer, SERVICE_SILENT_MS / 2);
}

static void service_ready(struct conn *conn)
{
}

/* ---- the introduction ---- */

/* Says no, and ends the connection once that is sent. */
static void say_no(struct serve_req *req, int error, const char *why)
{
	struct conn *conn = req->service->conn;

	serve_fail(req, error, "%s", why);
	conn_finish(conn);
}

static void fill_hello_reply(const struct service *service, struct wire_hello_reply *reply)
{
	const struct server *server = service->listener->server;

	memset(reply, 0, sizeof(*reply));
	reply->version = WIRE_VERSION;
	reply->features = service->hello.features;
	reply->max_data = WIRE_DATA_BULK;
	reply->max_requests = SERVICE_REQUESTS;
	reply->ping_ms = SERVICE_PING_MS;
	memcpy(reply->server, server->id, sizeof(reply->server));
	memcpy(reply->name, server->name, sizeof(reply->name));
}

static int take_hello(struct service *service, struct serve_req *req, const uint8_t *body,
		      size_t len)
{
	struct wire_hello *hello = &service->hello;
	struct wire_hello_reply reply;

	if (wire_decode(WIRE_S_HELLO, body, len, hello) < 0 || hello->magic != WIRE_MAGIC) {
		serve_fail(req, -EPROTO, "not a HELLO");
		return -EPROTO;
	}
	if (hello->version_min > WIRE_VERSION || hello->version_max < WIRE_VERSION) {
		say_no(req, -EPROTONOSUPPORT, "no common version of the peer protocol");
		return 0;
	}
	service->state = SERVICE_HELLO;
	hello->features &= service->listener->server->features;
	fill_hello_reply(service, &reply);
	serve_shape(req, WIRE_S_HELLO_REPLY, &reply);
	return 0;
}

/*
 * TLS has proved who it is, or the listener was opened without on purpose. What is asked here is kept
 * for methods that a later version may bring.
 */
static int take_auth(struct service *service, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_auth_msg auth;

	if (wire_decode(WIRE_S_AUTH, body, len, &auth) < 0) {
		serve_fail(req, -EPROTO, "not an AUTH");
		return -EPROTO;
	}
	if (auth.method != WIRE_AUTH_TRANSPORT) {
		say_no(req, -EACCES, "this way of authorization is unknown here");
		return 0;
	}
	service->state = SERVICE_AUTHORIZED;
	conn_ration(service->conn, UINT64_MAX);
	listener_known(service->listener, &service->guest);
	serve_reply(req, 0, NULL, 0);
	return 0;
}

static int take_open(struct service *service, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_open open;
	struct export *export;

	if (wire_decode(WIRE_S_OPEN, body, len, &open) < 0) {
		serve_fail(req, -EPROTO, "not an OPEN");
		return -EPROTO;
	}
	export = listener_export(service->listener, open.region);
	if (!export)
		export = listener_group(service->listener, open.region);
	if (!export) {
		serve_fail(req, -ENOENT, "%s is not exported here", open.region);
		return 0;
	}
	service->state = SERVICE_OPENING;
	service->opening = req;
	service->slot = open.slot;
	service->incarnation = open.incarnation;
	export_attach(export, service, req, &open);
	return 0;
}

/* As many names as a small frame holds, after the one that was given, in the order that the listener has them. */
static void take_list(struct service *service, struct serve_req *req, const uint8_t *body, size_t len)
{
	uint8_t out[WIRE_UNAUTH_MAX - WIRE_HEAD_SIZE];
	struct wire_list list;
	bool skip, more = false;
	size_t used = 0;
	struct list *at;

	if (wire_decode(WIRE_S_LIST, body, len, &list) < 0) {
		serve_fail(req, -EPROTO, "not a LIST");
		return;
	}
	skip = *list.after;
	list_for_each(at, &service->listener->exports) {
		struct export *export = list_entry(at, struct export, list);
		struct wire_list_entry entry = { .flags = 0 };
		struct wire_info info;
		int n;

		/* nor does it hear of what it may do nothing with */
		if (!export_access(export, service))
			continue;
		if (skip) {
			skip = strcmp(export->name, list.after) != 0;
			continue;
		}
		export_info(export, &info);
		entry.size = info.size;
		entry.flags = info.flags;
		strncpy(entry.region, export->name, WIRE_REGION_MAX);
		n = wire_encode(WIRE_S_LIST_ENTRY, &entry, out + used, sizeof(out) - used);
		if (n < 0) {
			more = true;
			break;
		}
		used += (size_t)n;
	}
	serve_reply(req, more ? WIRE_F_MORE : 0, out, (uint32_t)used);
}

static int introduce(struct service *service, const struct wire_head *head, const uint8_t *body,
		     size_t len)
{
	static const uint8_t wanted[] = { [SERVICE_STRANGER] = WIRE_HELLO, [SERVICE_HELLO] = WIRE_AUTH };
	struct serve_req *req;

	if (service->state < SERVICE_AUTHORIZED && head->type != wanted[service->state])
		return -EPROTO;
	req = serve_new(service, head);
	if (!req)
		return -ENOMEM;
	switch (head->type) {
	case WIRE_HELLO:
		if (service->state == SERVICE_STRANGER)
			return take_hello(service, req, body, len);
		break;
	case WIRE_AUTH:
		if (service->state == SERVICE_HELLO)
			return take_auth(service, req, body, len);
		break;
	case WIRE_OPEN:
		if (service->state == SERVICE_AUTHORIZED)
			return take_open(service, req, body, len);
		break;
	case WIRE_LIST:
		take_list(service, req, body, len);
		return 0;
	case WIRE_PING:
		serve_reply(req, 0, NULL, 0);
		return 0;
	}
	serve_fail(req, -EPROTO, "%s does not belong here", wire_type_name(head->type));
	return -EPROTO;
}

static bool is_introduction(uint8_t type)
{
	return type <= WIRE_OPEN || type == WIRE_LIST || type == WIRE_PING;
}

static int service_frame(struct conn *conn, const struct wire_head *head, const uint8_t *body,
			 size_t len)
{
	struct service *service = conn_arg(conn);
	int ret;

	/* Only the client calls. */
	if (head->type & WIRE_REPLY)
		return -EPROTO;
	if (service->state != SERVICE_OPEN || is_introduction(head->type))
		ret = introduce(service, head, body, len);
	else
		ret = serve_frame(service, head, body, len);
	if (!ret && service->nr_requests >= SERVICE_REQUESTS)
		conn_pause(conn);
	return ret;
}

static const struct conn_ops service_ops = {
	.ready = service_ready,
	.frame = service_frame,
	.ended = service_ended,
};

void service_accept(struct listener *listener, int fd, const struct door_address *from)
{
	struct service *service = calloc(1, sizeof(*service));

	if (!service) {
		close(fd);
		return;
	}
	if (conn_open(&service->conn, listener->server->loop, fd, listener->tls, &service_ops, service)) {
		free(service);
		return;
	}
	service->listener = listener;
	list_add(&listener->services, &service->list);
	list_init(&service->hungry);
	list_init(&service->waiting);
	listener->nr_services++;
	door_admit(&listener->door, &service->guest, from);
	conn_ration(service->conn, listener->server->limits.bytes);
	service->timer.fire = service_timer;
	loop_timer_set(listener->server->loop, &service->timer, listener->server->limits.ms);
}

void service_fed(struct service *service)
{
	struct serve_req *req = service->stalled;

	if (!req)
		return;
	service->stalled = NULL;
	serve_stalled(req);
	if (!service->stalled && service->conn)
		conn_resume(service->conn);
}

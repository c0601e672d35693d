// SPDX-License-Identifier: GPL-2.0
/* link: how it connects, introduces itself, stays alive, and comes back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link-internal.h"

#define BACKOFF_MIN	100u
#define BACKOFF_MAX	5000u
/* A peer that has said nothing for so many ping times is gone. */
#define PINGS_LOST	4u

/* ---- the end, and trying again ---- */

static void link_dead(struct link *link, int error)
{
	link->state = LINK_DEAD;
	loop_timer_cancel(link->session->config.loop, &link->timer);
	link_fail_all(link, error);
	session_link_ended(link->session, link);
}

static void link_retry(struct link *link)
{
	uint32_t jitter = (uint32_t)random() % (link->backoff_ms / 4 + 1);

	link->state = LINK_WAITING;
	loop_timer_set(link->session->config.loop, &link->timer, link->backoff_ms + jitter);
	link->backoff_ms = link->backoff_ms * 2 > BACKOFF_MAX ? BACKOFF_MAX : link->backoff_ms * 2;
}

static void link_down(struct link *link, int error, const char *why, bool refused)
{
	if (!link->down_since)
		link->down_since = loop_now_ns();
	if (session_link_down(link->session, link, error, why, refused))
		link_retry(link);
	else
		link_dead(link, link->session->error ? link->session->error : error);
}

void link_lost(struct link *link, int error, const char *why)
{
	bool refused = link->error != 0 || error == -EACCES;

	loop_timer_cancel(link->session->config.loop, &link->timer);
	if (link->error)
		link_down(link, link->error, link->why, refused);
	else
		link_down(link, error, *why ? why : strerror(-error), refused);
}

/* ---- the introduction: HELLO, AUTH and OPEN in one go, so that it costs one round trip ---- */

static void refused(struct link *link, int error)
{
	if (link->error || !link->conn)
		return;
	link->error = error;
	conn_close(link->conn, error);
}

static void hello_done(struct link_req *req, int error)
{
	struct link *link = req->link;
	struct wire_hello_reply reply;

	if (!error && (wire_decode(WIRE_S_HELLO_REPLY, req->into, req->got, &reply) < 0 ||
		       reply.version != WIRE_VERSION || reply.max_data < link->max_data ||
		       !reply.max_requests)) {
		snprintf(link->why, sizeof(link->why), "the peer's HELLO makes no sense");
		error = -EPROTO;
	}
	if (error) {
		refused(link, error);
		return;
	}
	link->max_requests = reply.max_requests > 1024 ? 1024 : reply.max_requests;
	link->ping_ms = reply.ping_ms < 200 ? 200 : reply.ping_ms;
	link->session->features = link->features = reply.features;
	memcpy(link->session->server, reply.name, sizeof(reply.name));
	memcpy(link->server_id, reply.server, sizeof(link->server_id));
	session_server(link->session, reply.server);
}

static void auth_done(struct link_req *req, int error)
{
	uint32_t limit = req->link->slot ? WIRE_FRAME_BULK : WIRE_FRAME_DEMAND;

	if (error)
		refused(req->link, error);
	else if (req->link->conn)
		conn_limit(req->link->conn, limit);
}

/* What the answers to HELLO and AUTH say goes for all that follows, so they come first; and no file has more than INT64_MAX bytes. */
static int take_info(const struct link *link, const struct link_req *req, struct wire_info *info)
{
	if (!link->hello.answered || !link->auth.answered)
		return -EPROTO;
	if (wire_decode(WIRE_S_INFO, req->into, req->got, info) < 0)
		return -EPROTO;
	return info->size > INT64_MAX ? -EPROTO : 0;
}

static void open_done(struct link_req *req, int error)
{
	struct link *link = req->link;
	struct wire_info info;

	if (!error && take_info(link, req, &info)) {
		snprintf(link->why, sizeof(link->why), "the peer's answer to OPEN makes no sense");
		error = -EPROTO;
	}
	if (error || link->state != LINK_HELLO || link->error) {
		if (error)
			refused(link, error);
		return;
	}
	link->session->info = info;
	link->state = LINK_UP;
	link->backoff_ms = BACKOFF_MIN;
	link->down_since = 0;
	if (link->slot)
		conn_bulk(link->conn);
	loop_timer_set(link->session->config.loop, &link->timer, link->ping_ms);
	session_link_up(link->session, link);
	if (!(link->session->features & WIRE_FEAT_PUBLISH))
		link_fail_batches(link);
	if (link->session->lost)
		link_fail_syncs(link);
	link_pump(link);
}

static int introduce(struct link *link, struct link_req *req, unsigned int nr, uint8_t type,
		     const void *msg, enum wire_shape shape, size_t used)
{
	int n = wire_encode(shape, msg, link->out + used, sizeof(link->out) - used);

	if (n < 0)
		return n;
	memset(req, 0, sizeof(*req));
	req->type = type;
	req->handshake = true;
	req->id = link->next_id++;
	req->generation = link->session->config.generation;
	req->epoch = link->session->config.epoch;
	req->data = link->out + used;
	req->data_len = (uint32_t)n;
	req->into = link->in[nr];
	req->into_len = sizeof(link->in[nr]);
	return n;
}

static void fill_hello(struct link *link, struct wire_hello *hello)
{
	memset(hello, 0, sizeof(*hello));
	hello->magic = WIRE_MAGIC;
	hello->version_min = hello->version_max = WIRE_VERSION;
	hello->features = WIRE_FEAT_ALL;
	hello->max_data = link->max_data;
	memcpy(hello->client, link->session->config.client, sizeof(hello->client));
	if (gethostname(hello->name, sizeof(hello->name) - 1))
		strcpy(hello->name, "unknown");
}

static void fill_open(struct link *link, struct wire_open *open)
{
	memset(open, 0, sizeof(*open));
	open->flags = link->session->config.open_flags;
	memcpy(open->session, link->session->id, sizeof(open->session));
	open->slot = (uint8_t)link->slot;
	open->incarnation = ++link->incarnation;
	memcpy(open->region, link->session->region, sizeof(open->region));
}

void link_ready(struct conn *conn)
{
	struct link *link = conn_arg(conn);
	struct wire_auth_msg auth = { .method = WIRE_AUTH_TRANSPORT };
	struct wire_hello hello;
	struct wire_open open;
	size_t used;

	fill_hello(link, &hello);
	fill_open(link, &open);
	/* What a name's length allows was checked when the session was opened; the buffer holds the longest. */
	used = (size_t)introduce(link, &link->hello, 0, WIRE_HELLO, &hello, WIRE_S_HELLO, 0);
	used += (size_t)introduce(link, &link->auth, 1, WIRE_AUTH, &auth, WIRE_S_AUTH, used);
	introduce(link, &link->open, 2, WIRE_OPEN, &open, WIRE_S_OPEN, used);
	link->hello.done = hello_done;
	link->auth.done = auth_done;
	link->open.done = open_done;
	link_send_req(link, &link->hello);
	link_send_req(link, &link->auth);
	link_send_req(link, &link->open);
}

/* ---- connecting ---- */

static void dialed(struct dial *dial, int fd, const char *why)
{
	struct link *link = container_of(dial, struct link, dial);
	int ret = fd;

	if (fd >= 0)
		ret = conn_open(&link->conn, link->session->config.loop, fd,
				link->session->config.tls, &link_conn_ops, link);
	if (ret < 0) {
		link->conn = NULL;
		link_down(link, ret, fd < 0 ? why : "out of memory", false);
		return;
	}
	link->state = LINK_HELLO;
	loop_timer_set(link->session->config.loop, &link->timer, 10000);
}

static void link_dial(struct link *link)
{
	link->state = LINK_DIALING;
	link->error = 0;
	*link->why = 0;
	link->credit = 0;
	link->max_data = link->slot ? WIRE_DATA_BULK : WIRE_DATA_DEMAND;
	link->dial.loop = link->session->config.loop;
	link->dial.uri = link->session->config.uri;
	link->dial.done = dialed;
	dial_start(&link->dial);
}

void link_start(struct link *link)
{
	if (link->state == LINK_IDLE)
		link_dial(link);
}

void link_hurry(struct link *link)
{
	if (link->state != LINK_WAITING)
		return;
	loop_timer_cancel(link->session->config.loop, &link->timer);
	link->backoff_ms = BACKOFF_MIN;
	link_dial(link);
}

/* ---- pings ---- */

static void ping_done(struct link_req *req, int error)
{
	struct link *link = req->link;

	link->pinging = false;
	if (!error && !link->slot)
		session_rtt(link->session, loop_now_ns() - req->sent_at);
}

static void link_ping(struct link *link)
{
	struct link_req *req = &link->ping;

	memset(req, 0, sizeof(*req));
	req->type = WIRE_PING;
	req->handshake = true;	/* not to be repeated on another connection */
	req->id = link->next_id++;
	req->done = ping_done;
	link->pinging = true;
	link_send_req(link, req);
}

void link_measure(struct link *link)
{
	if (link_is_up(link) && !link->pinging)
		link_ping(link);
}

static void link_alive(struct link *link)
{
	uint64_t silent = (loop_now_ns() - conn_heard(link->conn)) / 1000000;

	if (silent > (uint64_t)link->ping_ms * PINGS_LOST) {
		conn_close(link->conn, -ETIMEDOUT);
		return;
	}
	if (!link->pinging && (!link->slot || silent >= link->ping_ms / 2))
		link_ping(link);
	loop_timer_set(link->session->config.loop, &link->timer, link->ping_ms);
}

static void link_timer(struct loop_timer *timer)
{
	struct link *link = container_of(timer, struct link, timer);

	if (link->state == LINK_WAITING)
		link_dial(link);
	else if (link_is_up(link))
		link_alive(link);
	else if (link->conn)
		conn_close(link->conn, -ETIMEDOUT);	/* no answer to the introduction */
}

/* ---- life ---- */

const char *link_why(const struct link_req *req, int error)
{
	return *req->link->why ? req->link->why : strerror(-error);
}

void link_init(struct link *link, struct session *session, unsigned int slot)
{
	link->session = session;
	link->slot = slot;
	link->state = LINK_IDLE;
	link->backoff_ms = BACKOFF_MIN;
	link->max_data = slot ? WIRE_DATA_BULK : WIRE_DATA_DEMAND;
	link->next_id = 1;
	link->timer.fire = link_timer;
	list_init(&link->waiting);
	list_init(&link->unanswered);
}

void link_stop(struct link *link, int error)
{
	switch (link->state) {
	case LINK_DIALING:
		dial_cancel(&link->dial);
		break;
	case LINK_HELLO:
	case LINK_UP:
		/* Whatever happens next, link_lost() is where it ends. */
		if (link->conn)
			conn_close(link->conn, error);
		break;
	case LINK_DEAD:
		break;
	default:
		link_dead(link, error);
	}
}

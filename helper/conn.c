// SPDX-License-Identifier: GPL-2.0
/* conn: frames over a stream socket on a loop. Receiving and TLS here, sending in conn-send.c. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn-internal.h"

/* Unsent bytes that a bulk connection keeps in the socket. */
#define BULK_NOTSENT (128 << 10)
/* A host that acknowledges nothing for so long is gone, though bytes for it may wait in the socket. */
#define GONE_MS 30000

/* ---- the end ---- */

static void conn_free(struct conn *conn)
{
	tls_close(conn->tls);
	free(conn->in);
	free(conn->raw);
	free(conn->out);
	close(conn->fd);
	free(conn);
}

/* Out of the loop, when no operation is under way any more. */
static void conn_ended(struct loop_task *task)
{
	struct conn *conn = container_of(task, struct conn, end);

	conn_drop_frames(conn, conn->error ? conn->error : -ECONNRESET);
	conn->ops->ended(conn, conn->error, conn->why);
	conn_free(conn);
}

void conn_settle(struct conn *conn)
{
	if (!conn->closing || conn->receiving || conn->sending || conn->nested || conn->ending)
		return;
	conn->ending = true;
	loop_post(conn->loop, &conn->end);
}

void conn_close(struct conn *conn, int error)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->error = error;
	shutdown(conn->fd, SHUT_RDWR);
	if (conn->receiving)
		loop_cancel(conn->loop, &conn->recv_op);
	if (conn->sending)
		loop_cancel(conn->loop, &conn->send_op);
	conn_settle(conn);
}

void conn_fail(struct conn *conn, int error, const char *why)
{
	if (!conn->closing)
		snprintf(conn->why, sizeof(conn->why), "%s", why);
	conn_close(conn, error);
}

void conn_finish(struct conn *conn)
{
	conn->finishing = true;
	conn->paused = true;
	conn_pump(conn);
}

/* ---- frames ---- */

/* The next whole frame in the buffer to the user. 1: there was one; 0: more bytes are needed. */
static int conn_take(struct conn *conn)
{
	struct wire_head head;
	int ret;

	if (conn->filled - conn->taken < WIRE_HEAD_SIZE)
		return 0;
	ret = wire_head_decode(conn->in + conn->taken, conn->limit, &head);
	if (ret) {
		conn_fail(conn, ret, ret == -EMSGSIZE ? "a frame over the limit" : "not the peer protocol");
		return ret;
	}
	if (conn->filled - conn->taken < head.length)
		return 0;
	conn->taken += head.length;
	ret = conn->ops->frame(conn, &head, conn->in + conn->taken - head.length + WIRE_HEAD_SIZE,
			       head.length - WIRE_HEAD_SIZE);
	if (ret < 0)
		conn_close(conn, ret);
	return ret < 0 ? ret : 1;
}

/* Makes room for the longest frame that may come. No receive is under way. */
static int conn_make_room(struct conn *conn)
{
	uint8_t *bigger;

	if (conn->taken) {
		conn->filled -= conn->taken;
		memmove(conn->in, conn->in + conn->taken, conn->filled);
		conn->taken = 0;
	}
	if (conn->room >= conn->limit)
		return 0;
	bigger = realloc(conn->in, conn->limit);
	if (!bigger) {
		conn_fail(conn, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	conn->in = bigger;
	conn->room = conn->limit;
	return 0;
}

/* Decrypted bytes into the frame buffer. 1: some came. */
static int conn_decrypt(struct conn *conn)
{
	ptrdiff_t n;

	if (conn_make_room(conn) || conn->filled == conn->room)
		return 0;
	n = tls_read(conn->tls, conn->in + conn->filled, conn->room - conn->filled);
	if (n > 0) {
		conn->filled += (size_t)n;
		return 1;
	}
	if (n == -EAGAIN)
		return 0;
	conn_fail(conn, n ? (int)n : conn->filled ? -EPROTO : 0, n ? tls_why(conn->tls) : "");
	return (int)n;
}

/* Everything that has come and may be taken now. */
static void conn_process(struct conn *conn)
{
	int ret;

	if (conn->nested)
		return;
	conn->nested = true;
	do {
		ret = 1;
		while (ret > 0 && !conn->paused && !conn->closing)
			ret = conn_take(conn);
		if (conn->paused || conn->closing)
			break;
	} while (conn->tls && conn_decrypt(conn) > 0);
	conn->nested = false;
}

static void conn_up(struct conn *conn)
{
	conn->up = true;
	conn->nested = true;
	conn->ops->ready(conn);
	conn->nested = false;
}

static void conn_shake(struct conn *conn)
{
	int ret = tls_handshake(conn->tls);

	conn_pump(conn);
	if (ret == 0)
		conn_up(conn);
	else if (ret != -EAGAIN)
		conn_refuse(conn, ret, tls_why(conn->tls));
}

static void conn_receive(struct conn *conn)
{
	if (conn->receiving || conn->closing || conn->paused)
		return;
	if (!conn->tls && conn_make_room(conn))
		return;
	conn->receiving = true;
	if (conn->tls) {
		loop_recv(conn->loop, &conn->recv_op, conn->fd, conn->raw, CONN_RAW);
		return;
	}
	loop_recv(conn->loop, &conn->recv_op, conn->fd, conn->in + conn->filled,
		  (uint32_t)(conn->room - conn->filled));
}

/* What follows every step: frames, then more bytes, or the end. */
static void conn_go_on(struct conn *conn)
{
	if (conn->tls && !conn->up && !conn->closing && !conn->refused)
		conn_shake(conn);
	if (conn->up)
		conn_process(conn);
	conn_receive(conn);
	conn_pump(conn);
	conn_settle(conn);
}

static void conn_received(struct loop_op *op, int res)
{
	struct conn *conn = container_of(op, struct conn, recv_op);

	conn->receiving = false;
	if (res > 0 && (uint64_t)res > conn->ration) {
		conn_fail(conn, -EMSGSIZE, "more bytes than a stranger may send");
	} else if (res > 0) {
		conn->ration -= conn->ration == UINT64_MAX ? 0 : (uint64_t)res;
		conn->heard = loop_now_ns();
		if (!conn->tls)
			conn->filled += (size_t)res;
		else if (tls_feed(conn->tls, conn->raw, (size_t)res))
			conn_fail(conn, -ENOMEM, "out of memory");
	} else if (!res && !conn->up) {
		conn_fail(conn, -ECONNRESET, "closed before TLS was agreed on");
	} else if (!res) {
		/* With TLS an end without its close_notify may be forged; without, a cut-off frame is an error. */
		conn_fail(conn, conn->tls || conn->filled != conn->taken ? -ECONNRESET : 0, "");
	} else if (res != -EINTR && res != -EAGAIN) {
		conn_fail(conn, res, "");
	}
	conn_go_on(conn);
}

void conn_pause(struct conn *conn)
{
	conn->paused = true;
}

/* Out of the loop, so that the caller is not called back from within. */
static void conn_resumed(struct loop_task *task)
{
	struct conn *conn = container_of(task, struct conn, resume);

	conn->resuming = false;
	conn->nested = false;
	conn_go_on(conn);
}

void conn_resume(struct conn *conn)
{
	if (!conn->paused || conn->finishing)
		return;
	conn->paused = false;
	if (conn->nested || conn->resuming || conn->closing)
		return;
	conn->resuming = true;
	conn->nested = true;	/* holds the conn until the task has run */
	loop_post(conn->loop, &conn->resume);
}

/* ---- beginnings ---- */

static void conn_started(struct loop_task *task)
{
	struct conn *conn = container_of(task, struct conn, resume);

	conn->resume.run = conn_resumed;
	conn->nested = false;
	if (!conn->tls && !conn->closing)
		conn_up(conn);
	conn_go_on(conn);
}

static int conn_buffers(struct conn *conn, struct tls_context *tls)
{
	conn->limit = WIRE_UNAUTH_MAX;
	conn->room = WIRE_UNAUTH_MAX;
	conn->in = malloc(conn->room);
	if (!conn->in)
		return -ENOMEM;
	if (!tls)
		return 0;
	conn->raw = malloc(CONN_RAW);
	conn->out = malloc(CONN_RAW);
	if (!conn->raw || !conn->out)
		return -ENOMEM;
	return tls_open(&conn->tls, tls);
}

int conn_open(struct conn **result, struct loop *loop, int fd, struct tls_context *tls,
	      const struct conn_ops *ops, void *arg)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	unsigned int gone = GONE_MS;
	int one = 1;

	if (!conn) {
		close(fd);
		return -ENOMEM;
	}
	conn->fd = fd;
	if (conn_buffers(conn, tls)) {
		conn_free(conn);
		return -ENOMEM;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone, sizeof(gone));
	conn->loop = loop;
	conn->ops = ops;
	conn->ration = UINT64_MAX;
	conn->arg = arg;
	conn->heard = loop_now_ns();
	conn->recv_op.done = conn_received;
	conn->end.run = conn_ended;
	conn_send_init(conn);
	conn->nested = true;
	conn->resume.run = conn_started;
	loop_post(loop, &conn->resume);
	*result = conn;
	return 0;
}

void conn_limit(struct conn *conn, uint32_t limit)
{
	conn->limit = limit;
}

void conn_ration(struct conn *conn, uint64_t bytes)
{
	conn->ration = bytes;
}

void *conn_arg(const struct conn *conn)
{
	return conn->arg;
}

const char *conn_peer(const struct conn *conn)
{
	return conn->tls ? tls_peer(conn->tls) : "";
}

bool conn_peer_is(const struct conn *conn, const char *who)
{
	return conn->tls && conn->up && tls_peer_is(conn->tls, who);
}

uint64_t conn_heard(const struct conn *conn)
{
	return conn->heard;
}

void conn_bulk(struct conn *conn)
{
	int bytes = BULK_NOTSENT;

	setsockopt(conn->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
}

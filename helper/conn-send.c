// SPDX-License-Identifier: GPL-2.0
/* conn: the sending half. Clear frames go out as they lie in memory; with TLS they pass through a buffer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn-internal.h"

static struct conn_frame *first_frame(struct conn *conn)
{
	return list_empty(&conn->frames) ? NULL :
	       list_entry(conn->frames.next, struct conn_frame, list);
}

static void frame_sent(struct conn_frame *frame, int error)
{
	list_del(&frame->list);
	frame->sent(frame, error);
}

void conn_drop_frames(struct conn *conn, int error)
{
	struct conn_frame *frame;

	while ((frame = first_frame(conn)))
		frame_sent(frame, error);
}

/* ---- clear text ---- */

static unsigned int frame_iov(struct conn_frame *frame, struct iovec *iov)
{
	unsigned int n = 0;
	uint32_t skip = frame->done;

	if (skip < frame->head_len) {
		iov[n].iov_base = frame->head + skip;
		iov[n++].iov_len = frame->head_len - skip;
		skip = 0;
	} else {
		skip -= frame->head_len;
	}
	if (skip < frame->data_len) {
		iov[n].iov_base = (char *)frame->data + skip;
		iov[n++].iov_len = frame->data_len - skip;
	}
	return n;
}

static void send_clear(struct conn *conn)
{
	unsigned int n = 0, frames = 0;
	struct list *at;

	list_for_each(at, &conn->frames) {
		if (frames++ == CONN_BATCH)
			break;
		n += frame_iov(list_entry(at, struct conn_frame, list), conn->iov + n);
	}
	if (!n)
		return;
	conn->msg.msg_iov = conn->iov;
	conn->msg.msg_iovlen = n;
	conn->sending = true;
	loop_sendmsg(conn->loop, &conn->send_op, conn->fd, &conn->msg, 0);
}

/* len more bytes of the queue have left. */
static void clear_sent(struct conn *conn, size_t len)
{
	struct conn_frame *frame;

	while (len && (frame = first_frame(conn))) {
		size_t left = frame->head_len + frame->data_len - frame->done;

		if (len < left) {
			frame->done += (uint32_t)len;
			return;
		}
		len -= left;
		frame_sent(frame, 0);
	}
}

/* ---- TLS ---- */

/* Encrypts one frame; that copies it, so it can be given back. */
static int encrypt_next(struct conn *conn)
{
	struct conn_frame *frame = first_frame(conn);
	int ret;

	if (!frame || !conn->up)
		return 0;
	ret = tls_write(conn->tls, frame->head, frame->head_len);
	if (!ret)
		ret = tls_write(conn->tls, frame->data, frame->data_len);
	if (ret)
		conn_fail(conn, ret, tls_why(conn->tls));
	else
		frame_sent(frame, 0);
	return ret ? ret : 1;
}

static void send_tls(struct conn *conn)
{
	int more;

	if (conn->out_done == conn->out_len)
		conn->out_done = conn->out_len = 0;
	if (!conn->out_len) {
		do {
			conn->out_len += tls_pull(conn->tls, conn->out + conn->out_len,
						  CONN_RAW - conn->out_len);
			more = conn->out_len < CONN_RAW ? encrypt_next(conn) : 0;
		} while (more > 0);
	}
	if (!conn->out_len || conn->closing)
		return;
	conn->sending = true;
	loop_send(conn->loop, &conn->send_op, conn->fd, conn->out + conn->out_done,
		  (uint32_t)(conn->out_len - conn->out_done));
}

/* ---- both ---- */

static void finish_if_empty(struct conn *conn)
{
	if (conn->sending || conn->closing)
		return;
	if (conn->refused)
		conn_close(conn, conn->refusal);
	else if (conn->finishing && list_empty(&conn->frames))
		conn_close(conn, 0);
}

/* The order of things at the end: frames, TLS's own farewell, shutdown. */
static void say_goodbye(struct conn *conn)
{
	if (!conn->finishing || !list_empty(&conn->frames) || !conn->tls || conn->goodbye)
		return;
	conn->goodbye = true;
	tls_finish(conn->tls);
}

void conn_pump(struct conn *conn)
{
	if (conn->sending || conn->closing || conn->pumping)
		return;
	conn->pumping = true;
	say_goodbye(conn);
	if (conn->tls)
		send_tls(conn);
	else if (conn->up)
		send_clear(conn);
	conn->pumping = false;
	finish_if_empty(conn);
}

static void conn_sent(struct loop_op *op, int res)
{
	struct conn *conn = container_of(op, struct conn, send_op);

	conn->sending = false;
	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	if (res < 0)
		conn_fail(conn, res, "");
	else if (conn->tls)
		conn->out_done += (size_t)res;
	else
		clear_sent(conn, (size_t)res);
	conn_pump(conn);
	conn_settle(conn);
}

void conn_send(struct conn *conn, struct conn_frame *frame)
{
	frame->done = 0;
	list_init(&frame->list);
	list_add(&conn->frames, &frame->list);
	conn_pump(conn);
}

void conn_refuse(struct conn *conn, int error, const char *why)
{
	conn->refused = true;
	conn->refusal = error;
	snprintf(conn->why, sizeof(conn->why), "%s", why);
	conn->paused = true;
	conn_pump(conn);
}

void conn_send_init(struct conn *conn)
{
	list_init(&conn->frames);
	conn->send_op.done = conn_sent;
}

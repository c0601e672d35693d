/* SPDX-License-Identifier: GPL-2.0 */
/*
 * conn: frames of the peer protocol (wire.h) over a stream, on a loop, with TLS or without. It knows neither who calls nor what the
 * frames say.
 *
 * Threads: all of it belongs to the loop's thread.
 *
 * Life: conn_open() to the callback ended, which comes exactly once, out of the loop, after every frame that was given to
 * conn_send() has been given back; the conn is freed after it. conn_close() may be called at any time before that,
 * from within callbacks too.
 *
 * Memory: one receive buffer, of the longest frame that is allowed now; what is sent stays the caller's, who
 * bounds it. conn_pause() stops taking frames, and so the sender, by the transport's own flow control.
 */
#ifndef REGIONFS_CONN_H
#define REGIONFS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"
#include "tls.h"
#include "wire.h"

struct conn;

/* Room for a frame's head and a struct wire_range in front of data. */
#define CONN_HEAD_ROOM WIRE_BEFORE_DATA

/* A frame to be sent, the caller's until sent() gives it back. */
struct conn_frame {
	uint8_t head[CONN_HEAD_ROOM];
	uint32_t head_len;
	uint32_t data_len;
	const void *data;
	/* error 0: it is on its way (not: it has arrived). May come from within conn_send(). */
	void (*sent)(struct conn_frame *frame, int error);
	/* conn.c's */
	struct list list;
	uint32_t done;		/* bytes of it that are sent */
};

struct conn_ops {
	/* The transport is up, and TLS where there is some. */
	void (*ready)(struct conn *conn);
	/* A frame came; body is valid during the call. A negative errno closes the connection. */
	int (*frame)(struct conn *conn, const struct wire_head *head, const uint8_t *body, size_t len);
	/* The end: error is 0 when the other side ended it in order between two frames. why is "" or a sentence. */
	void (*ended)(struct conn *conn, int error, const char *why);
};

/*
 * A connection over fd, a stream socket (TCP, UNIX, one end of a pair); taken over in any case. tls: a context, or NULL for
 * clear text. Frames up to WIRE_UNAUTH_MAX are accepted. -ENOMEM: nothing has happened, but fd is closed.
 */
int conn_open(struct conn **conn, struct loop *loop, int fd, struct tls_context *tls,
	      const struct conn_ops *ops, void *arg);
void conn_send(struct conn *conn, struct conn_frame *frame);
/* From now on frames up to limit are accepted; the memory is taken when the next bytes are awaited. */
void conn_limit(struct conn *conn, uint32_t limit);
/* So many bytes may come from now on, TLS's own among them; more end it with -EMSGSIZE. UINT64_MAX: as many as there are, as at first. */
void conn_ration(struct conn *conn, uint64_t bytes);
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
/* Ends it now; ended() will tell error. Frames that are queued are given back with it. */
void conn_close(struct conn *conn, int error);
/* Takes nothing more in, sends what is queued, then ends it. */
void conn_finish(struct conn *conn);

void *conn_arg(const struct conn *conn);
/* Who the other side is, by TLS; "" without. */
const char *conn_peer(const struct conn *conn);
/* Has it proved to be that, as tls_peer_is() has it? Nobody has, without TLS. */
bool conn_peer_is(const struct conn *conn, const char *who);
/* When the last byte came, loop_now_ns(). */
uint64_t conn_heard(const struct conn *conn);
/* Bulk TCP: keep little unsent in the socket, so that what is urgent is not behind it. */
void conn_bulk(struct conn *conn);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* conn's own: shared by conn.c (receiving, life) and conn-send.c (sending). */
#ifndef REGIONFS_CONN_INTERNAL_H
#define REGIONFS_CONN_INTERNAL_H

#include "conn.h"

/* Bytes of one TLS receive or send. */
#define CONN_RAW (64u << 10)
/* Frames that one sendmsg may carry. */
#define CONN_BATCH 16u

struct conn {
	struct loop *loop;
	int fd;
	const struct conn_ops *ops;
	void *arg;
	struct tls *tls;

	/* decrypted bytes: taken .. filled are to be looked at */
	uint8_t *in;
	size_t room, filled, taken;
	uint32_t limit;
	uint64_t ration;		/* bytes that may still come */
	uint8_t *raw;			/* TLS: as they came */
	struct loop_op recv_op;
	uint64_t heard;

	struct list frames;		/* to be sent, in order; the first may be under way */
	uint8_t *out;			/* TLS: as they go */
	size_t out_len, out_done;
	struct loop_op send_op;
	struct msghdr msg;
	struct iovec iov[2 * CONN_BATCH];

	bool up;			/* ready() was called */
	bool receiving, sending;	/* the operation is the loop's */
	bool nested;			/* a callback or task of ours is running or posted: don't free, don't recurse */
	bool pumping;
	bool paused, resuming;
	bool finishing;			/* close when all is sent */
	bool refused;			/* close with refusal when the TLS alert is sent */
	bool goodbye;			/* TLS has been told to end */
	bool closing, ending;
	int refusal;
	int error;
	char why[256];
	struct loop_task resume, end;
};

/* conn.c */
void conn_fail(struct conn *conn, int error, const char *why);
/* Frees it, by way of the loop, once it is closing and nothing is under way. */
void conn_settle(struct conn *conn);

/* conn-send.c */
void conn_send_init(struct conn *conn);
/* Starts a send when there is something and none is under way. */
void conn_pump(struct conn *conn);
void conn_drop_frames(struct conn *conn, int error);
/* TLS was refused: tell the other side why, then close. */
void conn_refuse(struct conn *conn, int error, const char *why);

#endif

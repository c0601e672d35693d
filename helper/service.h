/* SPDX-License-Identifier: GPL-2.0 */
/*
 * service: one connection of a peer's that was accepted here: its introduction, its requests, its end.
 *
 * Threads: the main loop's alone. A request that is under way holds its service; the service is freed after its
 * connection has ended and its last request with it.
 */
#ifndef REGIONFS_SERVICE_H
#define REGIONFS_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "conn.h"
#include "listener.h"
#include "wire.h"

#define SERVICE_REQUESTS	64u	/* unanswered ones of a connection */
#define SERVICE_PING_MS		1000u
#define SERVICE_SILENT_MS	30000u
/* Whatever is under way: a client pings while it waits. */
#define SERVICE_GONE_MS		60000u
/* WRITE data that a client may send ahead: on a bulk connection the one that may write fills 80 MB/s at 100 ms with it. */
#define SERVICE_CREDIT_BULK	(8u << 20)
#define SERVICE_CREDIT_LEAST	(256u << 10)

struct export_session;

enum service_state {
	SERVICE_STRANGER,	/* nothing but HELLO */
	SERVICE_HELLO,		/* nothing but AUTH */
	SERVICE_AUTHORIZED,	/* LIST, OPEN */
	SERVICE_OPENING,	/* OPEN is being answered */
	SERVICE_OPEN,
};

struct service {
	struct listener *listener;
	struct list list;		/* listener's */
	struct list hungry;		/* listener's, while it waits for memory */
	struct door_guest guest;	/* until it is authorized */
	struct conn *conn;		/* NULL: ended */
	enum service_state state;
	struct loop_timer timer;
	struct wire_hello hello;	/* features: that both sides have */
	/* of OPEN */
	struct export_session *session;
	uint8_t slot;
	uint32_t incarnation;
	struct serve_req *opening;
	struct list waiting;		/* export's, while OPEN waits for others to end */
	unsigned int nr_requests;	/* under way, replies being sent among them */
	uint64_t credit;		/* WRITE data that may still come */
	uint32_t granted;		/* when it was opened: the listener's */
	struct serve_req *stalled;	/* waits for memory; the connection is paused */
	unsigned int stubborn;		/* READs in a row whose bytes would not shrink: serve-shrink.c */
};

/* A request, from its frame to its reply having been sent. */
struct serve_req {
	struct service *service;
	struct export_session *session;	/* it counts as busy there, or NULL */
	uint8_t slot;
	struct wire_head head;
	struct wire_range range;
	uint8_t *buffer;		/* of bytes bytes, accounted for in the listener */
	uint32_t bytes;
	uint32_t credit;		/* to be given back with the reply */
	struct backend_req backend;
	struct conn_frame frame;
	struct loop_work shrinking;
	struct list shrink_list;
};

/* Takes fd. */
void service_accept(struct listener *listener, int fd, const struct door_address *from);
/* There may be memory for what waits. */
void service_fed(struct service *service);

/* ---- for serve.c, export.c, seeder.c ---- */

/* Closes the connection; requests that are under way end by themselves. */
void service_close(struct service *service, int error);

/* A request of the service has ended: takes frames again, or frees the service. */
void service_release(struct service *service);

/* NULL when there is no memory. The request counts among the service's. */
struct serve_req *serve_new(struct service *service, const struct wire_head *head);
/*
 * The answer: flags are WIRE_F_*; len bytes of body, which is in req->buffer, or short and copied there, or NULL. Ends req. The
 * connection may be gone: then it is just freed.
 */
void serve_reply(struct serve_req *req, uint8_t flags, const void *body, uint32_t len);
/* error negative; a sentence for people. */
void serve_fail(struct serve_req *req, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A message of a shape as the reply. */
void serve_shape(struct serve_req *req, enum wire_shape shape, const void *msg);
/* A frame of an open service. Negative: close the connection. */
int serve_frame(struct service *service, const struct wire_head *head, const uint8_t *body,
		size_t len);
/*
 * serve-shrink.c: the bytes of a READ, which are in its buffer, are being shrunk, if its client wants that and it may pay; then comes
 * serve_shrunk(). false: they go as they are.
 */
bool serve_shrink(struct serve_req *req);
/* len: their new length; 0: they are as they were. */
void serve_shrunk(struct serve_req *req, uint32_t len);
/* Goes on with the request that waited for memory. */
void serve_stalled(struct serve_req *req);

#endif

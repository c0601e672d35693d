/* SPDX-License-Identifier: GPL-2.0 */
/*
 * link: one connection of a client's session with a peer, and the requests that are on it. A link that breaks
 * comes back by itself, with back-off; it then sends again what is unanswered. That is harmless, since the other side ends the
 * old connection of the slot, and what it still has under way, before it lets the new one in.
 *
 * Threads: the session's loop alone.
 */
#ifndef REGIONFS_LINK_H
#define REGIONFS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "dial.h"
#include "list.h"
#include "wire.h"

struct link;
struct session;

/* A request and its reply. The caller's, and its buffers too, from link_submit() to done. */
struct link_req {
	/* the caller's */
	uint8_t type;
	uint8_t flags;
	uint32_t generation;
	uint64_t epoch;
	uint8_t body[WIRE_RANGE_SIZE + WIRE_BATCH_SIZE];	/* small bodies; a WRITE's range */
	uint32_t body_len;
	const void *data;		/* what follows body */
	uint32_t data_len;
	void *into;			/* the reply's body goes here, */
	uint32_t into_len;		/* at most so many bytes; exactly so many for READ */
	/* error: the other side's, as a negative errno, or the session's. */
	void (*done)(struct link_req *req, int error);
	/* what came */
	uint32_t got;			/* bytes in into */
	uint8_t reply_flags;
	uint64_t reply_epoch;
	/* link.c's */
	struct list list;
	struct conn_frame frame;
	uint64_t id;
	uint64_t sent_at;
	struct link *link;
	uint32_t weight;		/* bytes of data it moves, either way */
	bool handshake, sending, answered;
	bool sent;			/* on some connection, which may be gone */
	int error;
};

enum link_state {
	LINK_IDLE,
	LINK_DIALING,
	LINK_HELLO,	/* connected; HELLO, AUTH and OPEN are sent */
	LINK_UP,
	LINK_WAITING,	/* for the back-off to pass */
	LINK_DEAD,	/* for good */
};

struct link {
	struct session *session;
	unsigned int slot;		/* 0: demand */
	enum link_state state;
	struct dial dial;
	struct conn *conn;
	struct list waiting;		/* to be sent */
	struct list unanswered;		/* sent, in order */
	unsigned int nr_unanswered, max_requests;
	uint64_t unsent;		/* bytes of WRITE data that conn holds: what the path hasn't taken yet */
	uint32_t max_data;		/* of one READ or WRITE here */
	uint64_t credit;		/* bytes of WRITE data that may still be sent */
	uint64_t load;			/* bytes that requests on this link move */
	uint64_t urgent;		/* of these, bytes that a program waits for */
	uint64_t in_flight;		/* of load, sent and unanswered */
	uint64_t next_id;
	uint32_t incarnation;
	uint8_t server_id[16];		/* of the connection's other side */
	uint64_t features;		/* that both have */
	uint32_t ping_ms;
	uint32_t backoff_ms;
	uint64_t down_since;		/* loop_now_ns(); 0 while up */
	struct loop_timer timer;	/* back-off; while up: pings */
	struct link_req hello, auth, open, ping;
	bool pinging;
	int error;			/* of the handshake */
	char why[WIRE_TEXT_MAX + 1];
	uint8_t out[WIRE_UNAUTH_MAX];	/* HELLO, AUTH, OPEN as sent */
	uint8_t in[3][WIRE_UNAUTH_MAX];	/* their replies */
};

/* The sentence that goes with a request's error. */
const char *link_why(const struct link_req *req, int error);
void link_init(struct link *link, struct session *session, unsigned int slot);
/* Dials, when it is idle. */
void link_start(struct link *link);
/* Dials now, when it waits to try again. */
void link_hurry(struct link *link);
/* No more. What is unanswered fails with error; ends with session_link_ended(). */
void link_stop(struct link *link, int error);
void link_submit(struct link *link, struct link_req *req);
/* Sends what the limits allow now. */
void link_pump(struct link *link);
/* Can it send? Not as soon as its connection has ended, though it is told later. */
bool link_is_up(const struct link *link);
/* Would it send now, if the session had room? */
bool link_awaits_room(const struct link *link);
/* Has it measure its round trip: ends with session_rtt() on the demand link. */
void link_measure(struct link *link);
/* Everything that waits or is unanswered fails with error. */
void link_fail_all(struct link *link, int error);
/* SYNCs that wait fail with -EIO: what they are about is lost. */
void link_fail_syncs(struct link *link);
/* What waits and is of a batch fails with -ESTALE: this server doesn't know of batches, and would take offence. */
void link_fail_batches(struct link *link);
/*
 * What waits fails, but for WRITE, DISCARD and RESIZE, not staged, and PUBLISH, that were sent once: the server may still have them, and would
 * do them after what follows.
 */
void link_fail_harmless(struct link *link, int error);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * session: a client's conversation with one region of a peer: a demand connection, a few bulk ones, and
 * how much may be on its way on them.
 *
 * Threads: one loop's alone. Life: session_open() to session_close()'s callback.
 */
#ifndef REGIONFS_SESSION_H
#define REGIONFS_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "link.h"
#include "tls.h"
#include "wire.h"

/* Bulk connections, unless told otherwise; and, unless there is to be a single one, those that are made for what is sent, once something is */
#define SESSION_BULK_DEFAULT	2u
#define SESSION_WRITING		2u
#define SESSION_WINDOW_MIN	(64u << 10)
#define SESSION_WINDOW_MAX	(32u << 20)

struct session_config {
	struct loop *loop;
	const struct uri *uri;		/* valid until closed */
	struct tls_context *tls;	/* NULL: clear text; a reference is taken */
	const char *region;		/* copied */
	uint8_t client[16];
	uint32_t open_flags;		/* WIRE_OPEN_* */
	uint32_t generation;
	uint64_t epoch;
	unsigned int nr_bulk;
	unsigned int nr_writing;	/* as many more, for WRITEs alone */
	uint32_t open_ms;		/* give up opening after this; 0: 3 s */
	uint32_t away_ms;		/* fail what may be failed after the peer has been away for so long; 0: wait */
	void *arg;
	/* Once: the region is open, or why it could not be. Not from within session_open(). */
	void (*opened)(struct session *session, int error, const char *why);
};

struct session {
	struct session_config config;
	char region[WIRE_REGION_MAX + 1];
	uint8_t id[16];
	struct link links[WIRE_SLOTS_MAX];
	unsigned int nr_links;
	unsigned int nr_stopped;
	struct wire_info info;		/* as OPEN last told */
	uint64_t features;
	char server[WIRE_NAME_MAX + 1];
	/* What is not synced is lost when the server's host was booted in between, or another one has taken over: its id is another one then. */
	uint8_t server_id[16];		/* the newest; all 0: none yet */
	uint64_t wire_bytes;		/* that the answers to READs had */
	uint64_t changes, synced;	/* answered so far; of these, known to be durable */
	bool lost;
	uint64_t window;		/* bytes that bulk may have in flight */
	uint64_t bulk_in_flight;
	struct link *turn;		/* that gets room next, as long as it waits for some; NULL: whoever wants it first */
	bool window_full;		/* it was the limit since the last sample */
	bool starting;			/* no queue has been seen yet */
	uint64_t peak;			/* the most that bulk had in flight since the last sample */
	uint64_t rtt, rtt_min, rtt_at;	/* ns, of the demand connection; the last sample, the best, when the last was */
	bool bulk_alone;		/* its user's: no program waits for demand, so that bulk need not give way much */
	unsigned int nr_late;		/* samples in a row that were late, since the window was looked at, */
	uint64_t late, late_since;	/* and the least of them, and when the first came */
	struct loop_timer tick;
	uint64_t opening_until;
	bool is_open, closing;
	bool told;			/* opened was called, with an error */
	bool falling, ending;		/* these tasks are posted */
	struct loop_task fall, end;
	struct link_req bye;		/* CLOSE */
	int error;			/* dead: what requests are answered with */
	char why[WIRE_TEXT_MAX + 1];
	/* Optional, set once it is open: the other side has gone, or is back; from within, and not while it is being closed. */
	void (*changed)(void *arg);
	void *changed_arg;
	void (*closed)(struct session *session);
};

int session_open(struct session **session, const struct session_config *config);
/*
 * Also after it could not be opened. What is unanswered fails with -ESHUTDOWN; then comes closed, out of the loop, and
 * after it the session is freed.
 */
void session_close(struct session *session, void (*closed)(struct session *session));
/* On the demand connection; a long READ on a bulk one where that has nothing else under way. */
void session_urgent(struct session *session, struct link_req *req);
/* On the bulk connection that has least to do. */
void session_bulk(struct session *session, struct link_req *req);
/* On one of the bulk connections that are up, another one for each index in turn; on the demand connection where none is. */
void session_beside(struct session *session, unsigned int index, struct link_req *req);
/* Would more bulk go out soon? What is given to session_bulk() beyond that only waits in a queue, and a program that wants it waits with it. */
bool session_wants(const struct session *session);
/* The longest READ or WRITE of either kind now. */
uint32_t session_max_data(const struct session *session, bool bulk);

/* ---- for link.c ---- */

/* On the demand connection, whatever it is. */
void session_demand(struct session *session, struct link_req *req);
/* Who is there, as each HELLO says. */
void session_server(struct session *session, const uint8_t id[16]);
/* A change was answered on this link. */
void session_changed(struct session *session, const struct link *link);
void session_link_up(struct session *session, struct link *link);
/* The other side has said no, or has not been there. true: the link shall try again. */
bool session_link_down(struct session *session, struct link *link, int error, const char *why,
		       bool refused);
void session_link_ended(struct session *session, struct link *link);
void session_rtt(struct session *session, uint64_t ns);
/* May this bulk link send a request of so many bytes now? If so, the turn is another one's that waits; if not, it keeps it. */
bool session_room(struct session *session, struct link *link, uint32_t bytes);
void session_sent(struct session *session, uint32_t bytes);
void session_answered(struct session *session, struct link *link, uint32_t bytes);

#endif

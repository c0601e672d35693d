// SPDX-License-Identifier: GPL-2.0
/* link: requests and replies of one connection. How it connects is in link-connect.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "link-internal.h"
#include "shrink.h"

static struct link_req *first_req(const struct list *list)
{
	return list_empty(list) ? NULL : list_entry(list->next, struct link_req, list);
}

/* A program waits for it. */
static bool is_urgent(const struct link_req *req)
{
	return req->type == WIRE_READ && req->flags & WIRE_F_DEMAND;
}

/* ---- the end of a request ---- */

static void req_end(struct link_req *req)
{
	struct link *link = req->link;

	if (!req->handshake)
		link->load -= req->weight;
	if (is_urgent(req))
		link->urgent -= req->weight;
	req->done(req, req->error);
}

/* The reply may be seen before the frame is given back: both are waited for. */
static void req_finish(struct link_req *req, int error)
{
	req->error = error;
	req->answered = true;
	if (!req->sending)
		req_end(req);
}

static void frame_sent(struct conn_frame *frame, int error)
{
	struct link_req *req = container_of(frame, struct link_req, frame);

	req->sending = false;
	req->link->unsent -= req->data_len;
	if (req->answered)
		req_end(req);
}

/* ---- sending ---- */

/* It may have been meant for a server that knows more than the one that is there now. */
static uint8_t flags_for(const struct link *link, const struct link_req *req)
{
	return link->features & WIRE_FEAT_ZSTD ? req->flags : req->flags & ~WIRE_F_ZSTD;
}

void link_send_req(struct link *link, struct link_req *req)
{
	struct conn_frame *frame = &req->frame;
	struct wire_head head = {
		.length = WIRE_HEAD_SIZE + req->body_len + req->data_len,
		.type = req->type, .flags = flags_for(link, req), .generation = req->generation,
		.id = req->id, .epoch = req->epoch,
	};

	wire_head_encode(frame->head, &head);
	memcpy(frame->head + WIRE_HEAD_SIZE, req->body, req->body_len);
	frame->head_len = WIRE_HEAD_SIZE + req->body_len;
	frame->data = req->data;
	frame->data_len = req->data_len;
	frame->sent = frame_sent;
	req->link = link;
	req->sending = true;
	req->sent = true;
	req->answered = false;
	req->got = 0;
	req->sent_at = loop_now_ns();
	list_add(&link->unanswered, &req->list);
	link->nr_unanswered++;
	link->unsent += req->data_len;
	if (!req->handshake) {
		link->in_flight += req->weight;
		if (link->slot)
			session_sent(link->session, req->weight);
	}
	conn_send(link->conn, frame);
}

bool link_is_up(const struct link *link)
{
	return link->state == LINK_UP && link->conn;
}

static bool has_leave(const struct link *link, const struct link_req *req)
{
	/* what is not urgent leaves some of them */
	if (link->nr_unanswered >= link->max_requests - (is_urgent(req) ? 0 : link->max_requests / 8))
		return false;
	return req->type != WIRE_WRITE || link->credit >= req->data_len;
}

static bool needs_room(const struct link *link, const struct link_req *req)
{
	return link->slot && !is_urgent(req);
}

bool link_awaits_room(const struct link *link)
{
	const struct link_req *req = link_is_up(link) ? first_req(&link->waiting) : NULL;

	return req && needs_room(link, req) && has_leave(link, req);
}

static bool may_send(struct link *link, const struct link_req *req)
{
	return has_leave(link, req) && (!needs_room(link, req) || session_room(link->session, link, req->weight));
}

void link_pump(struct link *link)
{
	struct link_req *req;

	while (link_is_up(link) && (req = first_req(&link->waiting)) && may_send(link, req)) {
		list_del(&req->list);
		if (req->type == WIRE_WRITE)
			link->credit -= req->data_len;
		link_send_req(link, req);
	}
}

/* Also on a bulk link, where the long ones go, and on the demand link, where a SYNC may be long: what is urgent overtakes all that waits. */
static void enqueue(struct link *link, struct link_req *req)
{
	struct list *at = link->waiting.next;

	if (!is_urgent(req))
		at = &link->waiting;
	while (at != &link->waiting && is_urgent(list_entry(at, struct link_req, list)))
		at = at->next;
	list_add(at, &req->list);
}

void link_submit(struct link *link, struct link_req *req)
{
	req->link = link;
	req->id = link->next_id++;
	req->handshake = false;
	req->sending = req->answered = req->sent = false;
	req->got = 0;
	req->weight = req->type == WIRE_READ ? req->into_len : req->type == WIRE_WRITE ? req->data_len : 0;
	link->load += req->weight;
	link->urgent += is_urgent(req) ? req->weight : 0;
	list_init(&req->list);
	enqueue(link, req);
	link_pump(link);
}

/* ---- receiving ---- */

static struct link_req *find_req(struct link *link, uint64_t id)
{
	struct list *at;

	list_for_each(at, &link->unanswered) {
		struct link_req *req = list_entry(at, struct link_req, list);

		if (req->id == id)
			return req;
	}
	return NULL;
}

/* It is not in flight any more. */
static void req_off(struct link *link, struct link_req *req)
{
	list_del(&req->list);
	link->nr_unanswered--;
	if (req->handshake)
		return;
	link->in_flight -= req->weight;
	session_answered(link->session, link, req->weight);
}

/* Only who has asked for it need understand it. */
static int take_zstd(struct link_req *req, const uint8_t *body, size_t len)
{
	if (req->type != WIRE_READ || !(req->flags & WIRE_F_ZSTD) || shrink_undo(body, len, req->into, req->into_len))
		return -EPROTO;
	req->got = req->into_len;
	return 0;
}

static int take_body(struct link_req *req, const struct wire_head *head, const uint8_t *body,
		     size_t len)
{
	if (head->flags & WIRE_F_ZERO)
		return len || req->type != WIRE_READ || head->flags & WIRE_F_ZSTD ? -EPROTO : 0;
	if (head->flags & WIRE_F_ZSTD)
		return take_zstd(req, body, len);
	if (req->type == WIRE_READ && len != req->into_len)
		return -EPROTO;
	/* what a later version has more to say */
	if (len > req->into_len)
		len = req->into_len;
	if (len)
		memcpy(req->into, body, len);
	req->got = (uint32_t)len;
	return 0;
}

static void take_why(struct link *link, const uint8_t *body, size_t len)
{
	struct wire_text text;

	if (wire_decode(WIRE_S_TEXT, body, len, &text) >= 0)
		memcpy(link->why, text.text, sizeof(link->why));
	else
		*link->why = 0;
}

static int link_frame(struct conn *conn, const struct wire_head *head, const uint8_t *body,
		      size_t len)
{
	struct link *link = conn_arg(conn);
	struct link_req *req = find_req(link, head->id);

	if (!req || head->type != (req->type | WIRE_REPLY))
		return -EPROTO;
	req->reply_flags = head->flags;
	req->reply_epoch = head->epoch;
	if (head->error)
		take_why(link, body, len);
	else if (take_body(req, head, body, len))
		return -EPROTO;
	if (req->type == WIRE_READ && !head->error)
		link->session->wire_bytes += len;
	link->credit += head->credit;
	req_off(link, req);
	req_finish(req, -(int)head->error);
	link_pump(link);
	return 0;
}

/* ---- when it broke ---- */

/* What was not answered goes back to the front of what waits, in its order. */
static void link_requeue(struct link *link)
{
	while (!list_empty(&link->unanswered)) {
		struct link_req *req = list_entry(link->unanswered.prev, struct link_req, list);

		req_off(link, req);
		if (!req->handshake)
			list_add_head(&link->waiting, &req->list);
		else if (req == &link->ping)
			link->pinging = false;
	}
}

/*
 * A program does not wait until a bulk connection is back, when there is the demand connection; and LAST is worth something at once, or not at
 * all: the next server there may not even know it.
 */
static void link_move_on(struct link *link)
{
	struct session *session = link->session;
	struct list waiting, *entry;

	list_init(&waiting);
	list_splice(&waiting, &link->waiting);
	while ((entry = list_pop(&waiting))) {
		struct link_req *req = list_entry(entry, struct link_req, list);

		if (req->type == WIRE_LAST) {
			req_finish(req, -ECONNRESET);
		} else if (link->slot && !session->closing && is_urgent(req) && req->into_len <= session->links[0].max_data) {
			link->load -= req->weight;
			link->urgent -= req->weight;
			session_demand(session, req);
		} else {
			list_add(&link->waiting, &req->list);
		}
	}
}

static void link_conn_ended(struct conn *conn, int error, const char *why)
{
	struct link *link = conn_arg(conn);

	link->conn = NULL;
	link_requeue(link);
	link_move_on(link);
	link_lost(link, error ? error : -ECONNRESET, why);
}

/* Not what is staged: without its PUBLISH it comes to nothing. */
static bool may_land_late(const struct link_req *req)
{
	return req->sent && !(req->flags & WIRE_F_STAGED) && (req->type == WIRE_WRITE || req->type == WIRE_DISCARD || req->type == WIRE_RESIZE ||
			     req->type == WIRE_PUBLISH);
}

static bool is_any(const struct link_req *req)
{
	return true;
}

static bool is_harmless(const struct link_req *req)
{
	return !may_land_late(req);
}

static bool is_of_batch(const struct link_req *req)
{
	return req->flags & WIRE_F_STAGED || req->type == WIRE_PUBLISH;
}

/* Those on the wire come back when the connection has ended; here are the others. */
static void fail_waiting(struct link *link, int error, bool (*which)(const struct link_req *req))
{
	struct list waiting, *entry;

	list_init(&waiting);
	list_splice(&waiting, &link->waiting);
	while ((entry = list_pop(&waiting))) {
		struct link_req *req = list_entry(entry, struct link_req, list);

		if (which(req))
			req_finish(req, error);
		else
			list_add(&link->waiting, &req->list);
	}
}

void link_fail_all(struct link *link, int error)
{
	fail_waiting(link, error, is_any);
}

void link_fail_harmless(struct link *link, int error)
{
	fail_waiting(link, error, is_harmless);
}

static bool is_sync(const struct link_req *req)
{
	return req->type == WIRE_SYNC;
}

void link_fail_syncs(struct link *link)
{
	snprintf(link->why, sizeof(link->why), "the server was booted, or replaced, before it had synced all that was written");
	fail_waiting(link, -EIO, is_sync);
}

void link_fail_batches(struct link *link)
{
	fail_waiting(link, -ESTALE, is_of_batch);
}

const struct conn_ops link_conn_ops = {
	.ready = link_ready,
	.frame = link_frame,
	.ended = link_conn_ended,
};

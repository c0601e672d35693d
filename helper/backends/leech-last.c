// SPDX-License-Identifier: GPL-2.0
/*
 * leech: the chunks that were changed last, where they are few: asked for together with FINALIZE (LAST), on the bulk connections, which have carried much
 * and so are fast, where they carry nothing else by then. Which chunks these are is known by the final list, in its order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech-private.h"

/* One that was asked for. Life: until it is answered, which the end of the session is as well, and what came of it was taken, or dropped. */
struct leech_last {
	struct list list;		/* leech's */
	struct leech *leech;
	struct link_req req;
	uint8_t body[8];
	uint32_t index;
	struct fetch *fetch;		/* that waits for it */
	bool came, failed;
	uint8_t reply[WIRE_LAST_HEAD + LEECH_CHUNK];
};

static void last_free(struct leech_last *last)
{
	list_del(&last->list);
	free(last);
}

/* What it holds for the fetch's chunk, of that hand-over. false: nothing. */
static bool has_bytes(const struct leech_last *last, const struct fetch *fetch)
{
	const struct chunkmap_owner *owner = &fetch->leech->last_owner;
	struct wire_last_reply reply;
	uint32_t len = last->req.got;

	return !last->failed && wire_decode(WIRE_S_LAST_REPLY, last->reply, len, &reply) >= 0 &&
	       !memcmp(reply.nonce, owner->nonce, sizeof(reply.nonce)) && reply.chunk == fetch->first &&
	       (len == WIRE_LAST_HEAD || len == WIRE_LAST_HEAD + fetch->peer.length);
}

static void last_take(struct leech_last *last)
{
	struct fetch *fetch = last->fetch;
	bool zero = last->req.got == WIRE_LAST_HEAD;

	if (has_bytes(last, fetch)) {
		memcpy(fetch->buffer, last->reply + WIRE_LAST_HEAD, zero ? 0 : fetch->peer.length);
		leech_fetch_given(fetch, zero);
	} else {
		leech_fetch_ask(fetch);
	}
	last_free(last);
}

static void last_came(struct link_req *req, int error)
{
	struct leech_last *last = container_of(req, struct leech_last, req);

	last->came = true;
	last->failed = error;
	if (last->fetch)
		last_take(last);
	else if (error || chunkmap_state(last->leech->map) != CHUNKMAP_PULLING)
		last_free(last);
}

static void ask(struct leech *leech, struct session *session, uint32_t index)
{
	struct wire_last body = { .index = index, .most = LEECH_LASTS };
	struct leech_last *last = calloc(1, sizeof(*last));

	if (!last)
		return;		/* it is read, later */
	last->leech = leech;
	last->index = index;
	list_add(&leech->lasts, &last->list);
	last->req.type = WIRE_LAST;
	last->req.data = last->body;
	last->req.data_len = (uint32_t)wire_encode(WIRE_S_LAST, &body, last->body, sizeof(last->body));
	last->req.into = last->reply;
	last->req.into_len = sizeof(last->reply);
	last->req.done = last_came;
	session_beside(session, index, &last->req);
}

static struct leech_last *find(struct leech *leech, uint32_t index)
{
	struct list *at;

	list_for_each(at, &leech->lasts) {
		struct leech_last *last = list_entry(at, struct leech_last, list);

		if (last->index == index)
			return last;
	}
	return NULL;
}

void leech_drop_lasts(struct leech *leech)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &leech->lasts) {
		struct leech_last *last = list_entry(at, struct leech_last, list);

		if (last->came)
			last_free(last);
	}
}

/* Those of an attempt before that are still unanswered do for this one: they wait over there. */
void leech_ask_lasts(struct leech *leech)
{
	struct session *session = leech_session(leech);

	leech_drop_lasts(leech);
	if (!session || leech->nr_pulls || !(session->features & WIRE_FEAT_LAST) || chunkmap_chunk(leech->map) != LEECH_CHUNK)
		return;
	for (uint32_t i = 0; i < LEECH_LASTS; i++)
		if (!find(leech, i))
			ask(leech, session, i);
}

void leech_expect_last(struct leech *leech, const struct chunkmap_owner *owner, uint32_t index, uint64_t chunk)
{
	struct leech_last *last = find(leech, index);
	struct fetch *fetch;

	/* what is pulled stands before it, and a READ passes that */
	if (!last || last->fetch || (!last->came && leech->nr_pulls))
		return;
	fetch = leech_fetch_hold(leech, chunk);
	if (!fetch)
		return;
	leech->last_owner = *owner;
	last->fetch = fetch;
	if (last->came)
		last_take(last);
}

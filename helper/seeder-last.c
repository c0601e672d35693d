// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: LAST: a chunk of the final list, if that is short, asked for together with FINALIZE and answered together with it, on another connection: the
 * leecher has the bytes as soon as it may let programs at them, and not a round trip later. Until it is handed over, it waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "listener.h"
#include "regiond.h"
#include "seeder-private.h"
#include "service.h"
#include "zero.h"

struct last {
	struct serve_req *req;
	struct region *region;		/* a reference */
	struct backend_req read;
};

static void last_end(struct last *last, int error)
{
	uint32_t len = error || is_zero(last->read.data, last->read.length) ? 0 : (uint32_t)last->read.length;

	struct export_session *session = last->req->session;
	uint8_t slot = last->req->slot;

	session->export->read_bytes += len;
	if (error)
		serve_fail(last->req, error, "it could not be read");
	else
		serve_reply(last->req, 0, last->req->buffer, WIRE_LAST_HEAD + len);
	region_put(last->region);
	free(last);
	/* Last: it may end the session. */
	export_idle(session, slot);
}

static void last_read(struct backend_req *req, int error)
{
	last_end(container_of(req, struct last, read), error);
}

static struct last *last_new(struct seeder *seeder, struct serve_req *req, uint64_t chunk)
{
	struct wire_last_reply reply = { .chunk = chunk };
	uint32_t bytes = WIRE_LAST_HEAD + seeder->chunk;
	struct service *service = req->service;
	struct last *last = calloc(1, sizeof(*last));

	if (!last || !listener_take(service->listener, NULL, bytes, true)) {
		free(last);
		return NULL;
	}
	req->bytes = bytes;
	req->buffer = malloc(bytes);
	if (!req->buffer) {
		free(last);
		return NULL;
	}
	memcpy(reply.nonce, seeder->nonce, sizeof(reply.nonce));
	wire_encode(WIRE_S_LAST_REPLY, &reply, req->buffer, WIRE_LAST_HEAD);
	req->session = service->session;
	req->slot = service->slot;
	export_busy(req);
	last->req = req;
	last->region = region_get(seeder->handover.region);
	return last;
}

static void read_chunk(struct seeder *seeder, struct serve_req *req, uint64_t chunk)
{
	uint64_t offset = chunk * seeder->chunk, left = seeder->size - offset;
	struct last *last = last_new(seeder, req, chunk);

	if (!last) {
		serve_fail(req, -EAGAIN, "there is no memory for it just now");
		return;
	}
	last->read.op = BACKEND_READ;
	last->read.flags = BACKEND_DEMAND;
	last->read.offset = offset;
	last->read.length = left < seeder->chunk ? left : seeder->chunk;
	last->read.data = req->buffer + WIRE_LAST_HEAD;
	last->read.loop = last->region->regiond->loop;
	last->read.done = last_read;
	region_submit(last->region->regiond->regions, last->region->info.id, &last->read);
}

/* Which one that is; false: there is none, or there are more than are wanted. */
static bool find_chunk(const struct seeder *seeder, const struct wire_last *ask, uint64_t *chunk)
{
	struct wire_extent extents[WIRE_LAST_MAX];
	uint64_t next, total = tracker_closed(seeder->tracker);
	uint32_t index = ask->index;
	unsigned int nr;

	if (total > ask->most || seeder->chunk > WIRE_SEED_CHUNK)
		return false;
	nr = tracker_list(seeder->tracker, 0, extents, WIRE_LAST_MAX, &next);
	for (unsigned int i = 0; i < nr; index -= extents[i++].count)
		if (index < extents[i].count) {
			*chunk = extents[i].chunk + index;
			return *chunk * seeder->chunk < seeder->size;
		}
	return false;
}

static void answer(struct seeder *seeder, struct serve_req *req, const struct wire_last *ask)
{
	uint64_t chunk;

	/* its connection may be gone by now */
	if (!req->service->conn || !req->service->session)
		serve_fail(req, -ECONNRESET, "nobody waits for it");
	else if (seeder_take_list(seeder))
		serve_fail(req, -ENOMEM, "out of memory");
	else if (find_chunk(seeder, ask, &chunk))
		read_chunk(seeder, req, chunk);
	else
		serve_fail(req, -ENOENT, "the final list has no such chunk");
}

void seeder_answer_lasts(struct seeder *seeder)
{
	for (unsigned int i = 0; i < WIRE_LAST_MAX; i++) {
		struct wire_last ask = { .index = i };
		struct serve_req *req = seeder->lasts[i];

		seeder->lasts[i] = NULL;
		if (!req)
			continue;
		ask.most = (uint32_t)req->range.length;
		answer(seeder, req, &ask);
	}
}

void seeder_fail_lasts(struct seeder *seeder)
{
	for (unsigned int i = 0; i < WIRE_LAST_MAX; i++) {
		struct serve_req *req = seeder->lasts[i];

		seeder->lasts[i] = NULL;
		if (req)
			serve_fail(req, -ECANCELED, "it is not handed over");
	}
}

/* It may come before FINALIZE does, which goes another way. */
void seeder_take_last(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_last ask;

	if (wire_decode(WIRE_S_LAST, body, len, &ask) < 0 || ask.index >= WIRE_LAST_MAX || ask.most > WIRE_LAST_MAX) {
		serve_fail(req, -EPROTO, "not a LAST");
		return;
	}
	if (seeder->state == WIRE_SEED_HANDED_OFF && !seeder->stepping && !seeder->give_up) {
		answer(seeder, req, &ask);
		return;
	}
	if (seeder->state != WIRE_SEED_TRACKING && seeder->state != WIRE_SEED_FROZEN) {
		serve_fail(req, -EINVAL, "it is %s", wire_seed_state_name(seeder->state));
		return;
	}
	/* asked again after a reconnect: the old connection won't carry the answer */
	if (seeder->lasts[ask.index])
		serve_fail(seeder->lasts[ask.index], -EAGAIN, "asked again");
	req->range.length = ask.most;
	seeder->lasts[ask.index] = req;
}

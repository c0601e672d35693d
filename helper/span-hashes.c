// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "list.h"
#include "span-hashes.h"

static void side_done(struct span_hashes *span, int error)
{
	if (error && !span->error)
		span->error = error;
	if (--span->waits)
		return;
	span->told = span->message.got / CHUNK_HASH;
	span->done(span, span->error);
}

static void theirs_came(struct link_req *req, int error)
{
	side_done(container_of(req, struct span_hashes, message), error);
}

static int hash_ours(struct loop_work *work)
{
	struct span_hashes *span = container_of(work, struct span_hashes, work);

	return chunk_hashes(span->buffer, span->length, span->chunk, span->ours);
}

static void ours_hashed(struct loop_work *work, int res)
{
	side_done(container_of(work, struct span_hashes, work), res);
}

static void ours_read(struct backend_req *req, int error)
{
	struct span_hashes *span = container_of(req, struct span_hashes, read);

	if (error) {
		side_done(span, error);
		return;
	}
	span->work.work = hash_ours;
	span->work.done = ours_hashed;
	loop_work(span->loop, &span->work);
}

static void ask_theirs(struct span_hashes *span, struct session *session)
{
	struct wire_extent extent = { .chunk = span->first, .count = (uint32_t)span->count };
	struct link_req *req = &span->message;

	memset(req, 0, sizeof(*req));
	req->type = WIRE_HASHES;
	req->data = span->body;
	req->data_len = (uint32_t)wire_encode(WIRE_S_EXTENT, &extent, span->body, sizeof(span->body));
	req->into = span->theirs;
	req->into_len = sizeof(span->theirs);
	req->done = theirs_came;
	session_urgent(session, req);
}

void span_hashes_ask(struct span_hashes *span, struct session *session, uint64_t first, uint64_t size, bool ours)
{
	uint64_t offset = first * span->chunk, left = size - offset, whole = (uint64_t)span->most * span->chunk;

	span->first = first;
	span->length = (uint32_t)(left < whole ? left : whole);
	span->count = (span->length + span->chunk - 1) / span->chunk;
	span->error = 0;
	span->waits = ours ? 2 : 1;
	span->read = (struct backend_req){
		.op = BACKEND_READ, .flags = BACKEND_BULK, .offset = offset, .length = span->length, .data = span->buffer, .loop = span->loop, .done = ours_read,
	};
	ask_theirs(span, session);
}

bool span_hashes_same(const struct span_hashes *span, uint64_t i)
{
	return i < span->told && !memcmp(span->ours + i * CHUNK_HASH, span->theirs + i * CHUNK_HASH, CHUNK_HASH);
}

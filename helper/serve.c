// SPDX-License-Identifier: GPL-2.0
/* serve: a peer's requests, from frame to reply. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "service.h"
#include "zero.h"

/* ---- beginning and end ---- */

struct serve_req *serve_new(struct service *service, const struct wire_head *head)
{
	struct serve_req *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	req->service = service;
	req->head = *head;
	service->nr_requests++;
	return req;
}

static void serve_free(struct serve_req *req)
{
	struct service *service = req->service;

	free(req->buffer);
	if (req->bytes)
		listener_give(service->listener, req->bytes);
	free(req);
	service_release(service);
}

static void reply_sent(struct conn_frame *frame, int error)
{
	serve_free(container_of(frame, struct serve_req, frame));
}

static void send_reply(struct serve_req *req, int error, uint8_t flags, const void *body, uint32_t len)
{
	struct service *service = req->service;
	struct wire_head head = {
		.length = WIRE_HEAD_SIZE + len, .type = req->head.type | WIRE_REPLY, .flags = flags,
		.error = (uint16_t)-error, .credit = req->credit, .id = req->head.id,
		.epoch = req->head.epoch,
	};

	if (!service->conn) {
		serve_free(req);
		return;
	}
	service->credit += req->credit;
	wire_head_encode(req->frame.head, &head);
	req->frame.head_len = WIRE_HEAD_SIZE;
	req->frame.data = body;
	req->frame.data_len = len;
	req->frame.sent = reply_sent;
	conn_send(service->conn, &req->frame);
}

/* A short body that is not in the request's buffer gets a copy there. */
static int keep_body(struct serve_req *req, const void *body, uint32_t len)
{
	if (!len || body == req->buffer)
		return 0;
	free(req->buffer);
	req->buffer = malloc(len);
	if (!req->buffer)
		return -ENOMEM;
	memcpy(req->buffer, body, len);
	return 0;
}

void serve_reply(struct serve_req *req, uint8_t flags, const void *body, uint32_t len)
{
	int ret = keep_body(req, body, len);

	if (ret)
		send_reply(req, ret, 0, NULL, 0);
	else
		send_reply(req, 0, flags, req->buffer, len);
}

void serve_shape(struct serve_req *req, enum wire_shape shape, const void *msg)
{
	uint8_t out[WIRE_UNAUTH_MAX];
	int n = wire_encode(shape, msg, out, sizeof(out));

	if (n < 0)
		serve_fail(req, n, "the answer could not be put into words");
	else
		serve_reply(req, 0, out, (uint32_t)n);
}

void serve_fail(struct serve_req *req, int error, const char *fmt, ...)
{
	struct wire_text text;
	uint8_t out[sizeof(text) + 8];
	va_list args;
	int n;

	memset(&text, 0, sizeof(text));
	va_start(args, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, args);
	va_end(args);
	n = wire_encode(WIRE_S_TEXT, &text, out, sizeof(out));
	if (n < 0 || keep_body(req, out, (uint32_t)n))
		n = 0;
	send_reply(req, error < -4095 || error >= 0 ? -EIO : error, 0, n ? req->buffer : NULL, (uint32_t)n);
}

/* ---- bytes ---- */

static void answer_published(struct serve_req *req)
{
	const struct backend_published *published = &req->backend.published;
	struct wire_published reply = {
		.offset = published->offset, .length = published->length, .size = published->size,
		.resized = published->resized,
	};

	serve_shape(req, WIRE_S_PUBLISHED, &reply);
}

static void answer_version(struct serve_req *req)
{
	struct wire_text reply = { .text = "" };

	memcpy(reply.text, req->buffer, BACKEND_VERSION_MAX - 1);
	serve_shape(req, WIRE_S_TEXT, &reply);
}

static void answer_bytes(struct serve_req *req, uint8_t flags, uint32_t len)
{
	struct export_session *session = req->session;
	uint8_t slot = req->slot;

	session->export->wire_bytes += len;
	serve_reply(req, flags, len ? req->buffer : NULL, len);
	/* Last: it may end the session. */
	export_idle(session, slot);
}

void serve_shrunk(struct serve_req *req, uint32_t len)
{
	answer_bytes(req, len ? WIRE_F_ZSTD : 0, len ? len : (uint32_t)req->backend.length);
}

static void answer_read(struct serve_req *req)
{
	const struct backend_req *backend = &req->backend;

	if (!backend->data || is_zero(backend->data, backend->length)) {
		answer_bytes(req, WIRE_F_ZERO, 0);
		return;
	}
	req->session->export->read_bytes += backend->length;
	if (!serve_shrink(req))
		answer_bytes(req, 0, (uint32_t)backend->length);
}

static void backend_answered(struct backend_req *backend, int error)
{
	struct serve_req *req = container_of(backend, struct serve_req, backend);
	struct export_session *session = req->session;
	uint8_t slot = req->slot;

	if (!error && backend->op == BACKEND_READ) {
		answer_read(req);
		return;
	}

	if (error) {
		serve_fail(req, error, "%s: %s", session->export->name, strerror(-error));
	} else if (backend->op == BACKEND_PUBLISH) {
		answer_published(req);
	} else if (backend->op == BACKEND_VERSION) {
		answer_version(req);
	} else {
		serve_reply(req, 0, NULL, 0);
	}
	/* Last: it may end the session. */
	export_idle(session, slot);
}

static const uint8_t zeroes[WIRE_DATA_BULK];

static bool is_staged(const struct serve_req *req)
{
	return req->head.flags & WIRE_F_STAGED;
}

static void serve_backend(struct serve_req *req, enum backend_op op)
{
	struct backend_req *backend = &req->backend;
	struct service *service = req->service;
	struct export *export = service->session->export;

	backend->op = op;
	backend->flags = req->head.flags & WIRE_F_DEMAND ? BACKEND_DEMAND : service->slot ? BACKEND_BULK : 0;
	if (op == BACKEND_READ)
		backend->flags |= BACKEND_ZERO_NULL | (service->session->export->seed ? BACKEND_PEER : 0);
	if (is_staged(req))
		backend->flags |= BACKEND_STAGED;
	backend->first = req->head.flags & WIRE_F_FIRST;
	backend->offset = req->range.offset;
	backend->length = req->range.length;
	/* a WRITE without bytes is one of zeroes */
	backend->data = op == BACKEND_WRITE && !req->buffer ? (void *)zeroes : req->buffer;
	backend->loop = service->listener->server->loop;
	backend->done = backend_answered;
	req->session = service->session;
	req->slot = service->slot;
	export_busy(req);
	if (op == BACKEND_READ && service->session->flags & WIRE_OPEN_FOLLOW && export->seed->read(export->seed_arg, service->session, backend))
		return;
	export->target->ops->submit(export->target, backend);
}

/* Memory for the request's bytes, within the listener's limit; without, the connection stands still until there is some. */
static int serve_buffer(struct serve_req *req, uint32_t bytes)
{
	struct service *service = req->service;

	bool urgent = !service->slot || req->head.flags & WIRE_F_DEMAND;

	if (!listener_take(service->listener, &service->hungry, bytes, urgent)) {
		service->stalled = req;
		if (service->conn)
			conn_pause(service->conn);
		return -EAGAIN;
	}
	req->buffer = malloc(bytes);
	req->bytes = bytes;
	return req->buffer ? 0 : -ENOMEM;
}

static void serve_read(struct serve_req *req)
{
	int ret = serve_buffer(req, (uint32_t)req->range.length);

	if (ret == -ENOMEM)
		serve_fail(req, ret, "out of memory");
	else if (!ret)
		serve_backend(req, BACKEND_READ);
}

static bool may_not_read(const struct serve_req *req)
{
	const struct export *export = req->service->session->export;

	return export->seed && !export->seed->reads(export->seed_arg);
}

void serve_stalled(struct serve_req *req)
{
	serve_read(req);
}

/* Takes the bytes off the client's credit; the reply gives them back. */
static int take_credit(struct serve_req *req, size_t len)
{
	if (len > req->service->credit)
		return -EPROTO;
	req->service->credit -= len;
	req->credit = (uint32_t)len;
	return 0;
}

/* As a hole, unless they make the region longer, which a hole doesn't. Whether a staged one does, nobody knows yet. */
static void serve_zeroes(struct serve_req *req)
{
	struct wire_info info;
	bool longer;

	export_info(req->service->session->export, &info);
	longer = is_staged(req) || req->range.offset + req->range.length > info.size;
	serve_backend(req, longer ? BACKEND_WRITE : BACKEND_DISCARD);
}

/* The bytes were paid for with credit, so there is memory for them: a WRITE never stalls. */
static int serve_write(struct serve_req *req, const uint8_t *data, size_t len)
{
	if (req->head.flags & WIRE_F_ZERO && !len) {
		serve_zeroes(req);
		return 0;
	}
	if (len != req->range.length || take_credit(req, len)) {
		serve_fail(req, -EPROTO, "a WRITE of another length than it says, or beyond its credit");
		return -EPROTO;
	}
	req->buffer = malloc(len);
	if (!req->buffer) {
		serve_fail(req, -ENOMEM, "out of memory");
		return 0;
	}
	memcpy(req->buffer, data, len);
	serve_backend(req, BACKEND_WRITE);
	return 0;
}

/* ---- frames ---- */

static int take_range(struct serve_req *req, const uint8_t *body, size_t len, bool data)
{
	uint32_t max = req->service->slot ? WIRE_DATA_BULK : WIRE_DATA_DEMAND;
	struct wire_range *range = &req->range;

	if (wire_decode(WIRE_S_RANGE, body, len, range) < 0)
		return -EPROTO;
	if (range->offset > INT64_MAX || range->length > INT64_MAX - range->offset || !range->length)
		return -EINVAL;
	return data && range->length > max ? -EINVAL : 0;
}

static bool may_be_staged(uint8_t type)
{
	return type == WIRE_WRITE || type == WIRE_DISCARD || type == WIRE_RESIZE;
}

static bool changes_bytes(uint8_t type)
{
	return may_be_staged(type) || type == WIRE_PUBLISH;
}

/* How many bytes stand before those of a WRITE. */
static size_t before_data(const struct serve_req *req)
{
	return WIRE_RANGE_SIZE + (is_staged(req) ? WIRE_BATCH_SIZE : 0);
}

/* Which batch, where it is of one; used: what comes before that. */
static int take_batch(struct serve_req *req, const uint8_t *body, size_t len, size_t used)
{
	struct wire_batch batch = { .batch = 0 };

	if (!is_staged(req) && req->head.type != WIRE_PUBLISH)
		return 0;
	if (len < used || wire_decode(WIRE_S_BATCH, body + used, len - used, &batch) < 0)
		return -EPROTO;
	req->backend.batch = batch.batch;
	return batch.batch ? 0 : -EINVAL;
}

/* A WRITE's bytes were paid for nevertheless. */
static int refuse_range(struct serve_req *req, int error, size_t len)
{
	size_t data = req->head.type == WIRE_WRITE && len > before_data(req) ? len - before_data(req) : 0;
	int ret = take_credit(req, data);

	serve_fail(req, error, "a range that cannot be");
	return error == -EPROTO ? error : ret;
}

static int take_bytes(struct serve_req *req, const uint8_t *body, size_t len)
{
	uint8_t type = req->head.type;
	int ret = take_range(req, body, len, type != WIRE_DISCARD);

	if (!ret)
		ret = take_batch(req, body, len, WIRE_RANGE_SIZE);
	if (ret)
		return refuse_range(req, ret, len);
	if (type == WIRE_WRITE)
		return serve_write(req, body + before_data(req), len - before_data(req));
	if (type == WIRE_READ && may_not_read(req))
		serve_fail(req, -ESTALE, "it was taken back by its operator");
	else if (type == WIRE_READ)
		serve_read(req);
	else
		serve_backend(req, BACKEND_DISCARD);
	return 0;
}

static int take_resize(struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_resize resize;

	if (wire_decode(WIRE_S_RESIZE, body, len, &resize) < 0 || resize.size > INT64_MAX ||
	    resize.low > resize.size || take_batch(req, body, len, WIRE_RANGE_SIZE)) {
		serve_fail(req, -EPROTO, "a size that cannot be");
		return -EPROTO;
	}
	req->range.length = resize.size;
	req->backend.arg = resize.low;
	serve_backend(req, BACKEND_RESIZE);
	return 0;
}

static int take_publish(struct serve_req *req, const uint8_t *body, size_t len)
{
	int ret = take_batch(req, body, len, 0);

	if (ret)
		serve_fail(req, ret, "a batch that cannot be");
	else
		serve_backend(req, BACKEND_PUBLISH);
	return ret == -EPROTO ? ret : 0;
}

static void take_info(struct serve_req *req)
{
	struct wire_info info;

	export_info(req->service->session->export, &info);
	serve_shape(req, WIRE_S_INFO, &info);
}

static void take_version(struct serve_req *req)
{
	struct service *service = req->service;

	if (!(service->hello.features & WIRE_FEAT_VERSION)) {
		serve_fail(req, -EOPNOTSUPP, "VERSION was not agreed on");
		return;
	}
	req->buffer = calloc(1, BACKEND_VERSION_MAX);
	if (!req->buffer)
		serve_fail(req, -ENOMEM, "out of memory");
	else
		serve_backend(req, BACKEND_VERSION);
}

static void take_close(struct serve_req *req)
{
	struct service *service = req->service;

	serve_reply(req, 0, NULL, 0);
	export_leave(service->session);
}

static void take_migration(struct serve_req *req, const uint8_t *body, size_t len)
{
	struct export *export = req->service->session->export;

	/* GROUP is asked before anybody leeches */
	if (!export->seed || !(req->service->session->flags & (WIRE_OPEN_SEED | WIRE_OPEN_FOLLOW) || req->head.type == WIRE_GROUP))
		serve_fail(req, -EOPNOTSUPP, "%s is not offered for migration", export->name);
	else
		export->seed->message(export->seed_arg, req, body, len);
}

static int refuse_change(struct serve_req *req, int error, size_t len)
{
	size_t data = req->head.type == WIRE_WRITE && len > before_data(req) ? len - before_data(req) : 0;
	int ret = take_credit(req, data);

	serve_fail(req, error, error == -ESTALE ? "a newer owner or helper writes this region" :
		   "this session may only read");
	return ret;
}

static bool is_agreed(const struct service *service, const struct wire_head *head)
{
	bool staged = head->flags & (WIRE_F_STAGED | WIRE_F_FIRST);
	bool shrunk = head->flags & WIRE_F_ZSTD;

	if (shrunk && (head->type != WIRE_READ || !(service->hello.features & WIRE_FEAT_ZSTD)))
		return false;

	if (staged && !may_be_staged(head->type))
		return false;
	return service->hello.features & WIRE_FEAT_PUBLISH || (!staged && head->type != WIRE_PUBLISH);
}

int serve_frame(struct service *service, const struct wire_head *head, const uint8_t *body,
		size_t len)
{
	struct serve_req *req = serve_new(service, head);
	int ret;

	if (!req)
		return -ENOMEM;
	if (!is_agreed(service, head)) {
		serve_fail(req, -EPROTO, "%s cannot be staged, or shrunk", wire_type_name(head->type));
		return -EPROTO;
	}
	ret = changes_bytes(head->type) ? export_fence(service->session, head) : 0;
	if (ret)
		return refuse_change(req, ret, len);
	switch (head->type) {
	case WIRE_READ:
	case WIRE_WRITE:
	case WIRE_DISCARD:
		return take_bytes(req, body, len);
	case WIRE_RESIZE:
		return take_resize(req, body, len);
	case WIRE_PUBLISH:
		return take_publish(req, body, len);
	case WIRE_SYNC:
		serve_backend(req, BACKEND_SYNC);
		return 0;
	case WIRE_INFO:
		take_info(req);
		return 0;
	case WIRE_GET_VERSION:
		take_version(req);
		return 0;
	case WIRE_CLOSE:
		take_close(req);
		return 0;
	}
	take_migration(req, body, len);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * serve: bytes of READs that are shrunk on their way, in the pool. A few of bulk are at a time, so that neither those that a program waits for nor
 * what else the pool has to do stand behind it. Those go at once: shrinking 64 KiB takes about as long as a link of 4 Gbit/s does
 * for them, and who asks for it has a slower one.
 */
#include "export.h"
#include "service.h"
#include "shrink.h"

/* Half of the pool. */
#define SHRINKS (LOOP_WORKERS / 2)
/* After so many in a row that did not shrink, one of so many is tried. */
#define STUBBORN 8u

static void shrink_next(struct server *server);

static bool is_demand(const struct serve_req *req)
{
	return req->head.flags & WIRE_F_DEMAND;
}

static int shrink_work(struct loop_work *work)
{
	struct serve_req *req = container_of(work, struct serve_req, shrinking);

	return (int)shrink_do(req->buffer, req->backend.length);
}

static void shrink_ended(struct loop_work *work, int res)
{
	struct serve_req *req = container_of(work, struct serve_req, shrinking);
	struct server *server = req->service->listener->server;

	req->service->stubborn = res > 0 ? 0 : req->service->stubborn + 1;
	server->nr_shrinking -= !is_demand(req);
	serve_shrunk(req, res > 0 ? (uint32_t)res : 0);
	shrink_next(server);
}

static void shrink_start(struct serve_req *req)
{
	struct server *server = req->service->listener->server;

	server->nr_shrinking += !is_demand(req);
	req->shrinking.work = shrink_work;
	req->shrinking.done = shrink_ended;
	loop_work(server->loop, &req->shrinking);
}

static void shrink_next(struct server *server)
{
	struct list *entry;

	while (server->nr_shrinking < SHRINKS && (entry = list_pop(&server->shrinks)))
		shrink_start(list_entry(entry, struct serve_req, shrink_list));
}

bool serve_shrink(struct serve_req *req)
{
	struct service *service = req->service;

	if (!(req->head.flags & WIRE_F_ZSTD) || req->backend.length < SHRINK_MIN || !service->conn)
		return false;
	if (service->stubborn >= STUBBORN && service->stubborn++ % STUBBORN)
		return false;
	if (is_demand(req)) {
		shrink_start(req);
		return true;
	}
	list_add(&service->listener->server->shrinks, &req->shrink_list);
	shrink_next(service->listener->server);
	return true;
}

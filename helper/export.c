// SPDX-License-Identifier: GPL-2.0
/* export: sessions of peers with a region, and which of them writes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"

static void export_settle(struct export *export);

static struct loop *export_loop(const struct export *export)
{
	return export->listener->server->loop;
}

/* Looks at everything that waits, out of the loop: whoever asks for it may be in the middle of something. */
static void settle_soon(struct export *export)
{
	if (export->settling)
		return;
	export->settling = true;
	loop_post(export_loop(export), &export->settle);
}

/* ---- sessions ---- */

static bool session_busy(const struct export_session *session)
{
	for (unsigned int i = 0; i < WIRE_SLOTS_MAX; i++)
		if (session->busy[i])
			return true;
	return false;
}

bool export_connected(const struct export_session *session)
{
	for (unsigned int i = 0; i < WIRE_SLOTS_MAX; i++)
		if (session->slots[i])
			return true;
	return false;
}

static void session_free(struct export_session *session)
{
	struct export *export = session->export;

	if (session->flags & (WIRE_OPEN_SEED | WIRE_OPEN_FOLLOW) && export->seed)
		export->seed->gone(export->seed_arg, session);
	if (export->writer == session) {
		export->writer = NULL;
		if (export->claimed)
			export->target->ops->release(export->target);
		export->claimed = false;
	}
	loop_timer_cancel(export_loop(export), &session->timer);
	list_del(&session->list);
	export->nr_sessions--;
	free(session);
}

/* Its client will not come back: it goes when nothing is under way. */
static void session_expire(struct export_session *session)
{
	session->fenced = true;
	for (unsigned int i = 0; i < WIRE_SLOTS_MAX; i++)
		if (session->slots[i])
			service_close(session->slots[i], -ESTALE);
	settle_soon(session->export);
}

static void session_grace(struct loop_timer *timer)
{
	struct export_session *session = container_of(timer, struct export_session, timer);

	if (!export_connected(session))
		session_expire(session);
}

static struct export_session *session_find(struct export *export, const uint8_t id[16])
{
	struct list *at;

	list_for_each(at, &export->sessions) {
		struct export_session *session = list_entry(at, struct export_session, list);

		/* who knows it may join it */
		if (tls_equal(session->id, id, 16))
			return session;
	}
	return NULL;
}

static struct export_session *session_new(struct export *export, struct service *service,
					  const struct serve_req *req, const struct wire_open *open)
{
	struct export_session *session;

	if (export->nr_sessions >= EXPORT_SESSIONS)
		return NULL;
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	session->export = export;
	memcpy(session->id, open->session, 16);
	memcpy(session->client, service->hello.client, 16);
	memcpy(session->name, service->hello.name, sizeof(session->name));
	session->flags = open->flags;
	session->generation = req->head.generation;
	session->epoch = req->head.epoch;
	session->timer.fire = session_grace;
	list_add(&export->sessions, &session->list);
	export->nr_sessions++;
	return session;
}

/* ---- who writes ---- */

/* Is (epoch, generation) older than the session's? */
static bool is_older(uint64_t epoch, uint32_t generation, const struct export_session *session)
{
	return epoch < session->epoch || (epoch == session->epoch && generation < session->generation);
}

int export_fence(struct export_session *session, const struct wire_head *head)
{
	if (!(session->flags & WIRE_OPEN_WRITE))
		return -EROFS;
	if (session->fenced || is_older(head->epoch, head->generation, session))
		return -ESTALE;
	/* A hand-over or a new attach on the same connection raises the bar for what is still on its way. */
	session->epoch = head->epoch;
	session->generation = head->generation;
	return 0;
}

/* May this client become the writer? Its own older helper gives way, nobody else does. */
static int writer_check(struct export *export, const struct service *service,
			const struct serve_req *req)
{
	struct export_session *writer = export->writer;

	if (!writer)
		return 0;
	if (memcmp(writer->client, service->hello.client, 16))
		return writer->fenced ? -EAGAIN : -EBUSY;
	return is_older(req->head.epoch, req->head.generation, writer) ? -ESTALE : 0;
}

/* Its OPEN is answered with a no, which it must get to read: the connection stays, and the client ends it. */
static void open_refuse(struct service *service, int error, const char *why)
{
	struct export_session *session = service->session;
	struct serve_req *req = service->opening;

	list_del(&service->waiting);
	service->opening = NULL;
	service->session = NULL;
	service->state = SERVICE_AUTHORIZED;
	if (session->slots[service->slot] == service)
		session->slots[service->slot] = NULL;
	serve_fail(req, error, "%s: %s", session->export->name, why);
}

static void claim_done(void *arg, int error, const char *why)
{
	struct export *export = arg;
	struct list *at, *next;

	export->claiming = false;
	export->claimed = !error;
	list_for_each_safe(at, next, &export->opening) {
		struct service *service = list_entry(at, struct service, waiting);

		if (error && service->session->flags & WIRE_OPEN_WRITE)
			open_refuse(service, error, why);
	}
	if (error && export->writer)
		session_expire(export->writer);
	settle_soon(export);
}

/* ---- OPEN ---- */

/* Requests of fenced sessions of the same client, or of the slot's old connection, have to end first. */
static bool must_wait(const struct export_session *session, const struct service *service)
{
	struct export *export = session->export;
	struct list *at;

	if (session->busy[service->slot] && export->seed)
		export->seed->drop(export->seed_arg, session, service->slot);
	if (session->busy[service->slot])
		return true;
	if (!(session->flags & WIRE_OPEN_WRITE))
		return false;
	list_for_each(at, &export->sessions) {
		struct export_session *other = list_entry(at, struct export_session, list);

		if (other != session && other->fenced && other->flags & WIRE_OPEN_WRITE &&
		    session_busy(other))
			return true;
	}
	/* Before anything of the new one. It may never stage a batch, which would drop the old one's. */
	if (export->replaced)
		export->target->ops->drop(export->target);
	export->replaced = false;
	if (!export->claimed && !export->claiming) {
		export->claiming = true;
		export->target->ops->claim(export->target, claim_done, export);
	}
	return !export->claimed;
}

/* The longest WRITE, or as much as a fast and long way holds. */
static uint32_t credit_grant(struct service *service)
{
	struct listener *listener = service->listener;
	bool ahead = service->slot && service->session->flags & WIRE_OPEN_WRITE;

	if (ahead && listener->credit + SERVICE_CREDIT_BULK <= LISTENER_CREDIT)
		service->granted = SERVICE_CREDIT_BULK;
	else
		service->granted = SERVICE_CREDIT_LEAST;
	listener->credit += service->granted;
	return service->granted;
}

static void open_now(struct service *service)
{
	struct export *export = service->session->export;
	struct serve_req *req = service->opening;
	struct wire_info info;

	list_del(&service->waiting);
	service->opening = NULL;
	service->state = SERVICE_OPEN;
	conn_limit(service->conn, service->slot ? WIRE_FRAME_BULK : WIRE_FRAME_DEMAND);
	if (service->slot)
		conn_bulk(service->conn);
	req->credit = credit_grant(service);
	export_info(export, &info);
	serve_shape(req, WIRE_S_INFO, &info);
}

static int open_check(struct export *export, const struct service *service,
		      const struct serve_req *req, const struct wire_open *open)
{
	if (open->flags & ~WIRE_OPEN_ALL || open->slot >= WIRE_SLOTS_MAX || export->closing)
		return -EINVAL;
	if (open->flags & (WIRE_OPEN_SEED | WIRE_OPEN_FOLLOW) && !export->seed)
		return -EOPNOTSUPP;
	if (!(open->flags & WIRE_OPEN_WRITE))
		return 0;
	if (export->read_only || export->seed)
		return -EROFS;
	return writer_check(export, service, req);
}

/*
 * A session that has ended, but waits for a request that hangs, is not its client's end: it may have another as soon as this one
 * is free, unless a newer helper of its has come.
 */
static int fenced_error(const struct export_session *session)
{
	struct list *at;

	list_for_each(at, &session->export->sessions) {
		struct export_session *other = list_entry(at, struct export_session, list);

		if (other != session && !other->fenced && other->flags & session->flags & WIRE_OPEN_WRITE &&
		    !memcmp(other->client, session->client, 16))
			return -ESTALE;
	}
	return -EAGAIN;
}

/*
 * The session for this OPEN: a new one, or the one that its other connections belong to. Only slot 0 makes one: what a client that has
 * closed its session sent on its other connections may be read after the session is gone, and must not bring it back.
 */
static int open_session(struct export *export, struct service *service, struct serve_req *req,
			const struct wire_open *open)
{
	struct export_session *session = session_find(export, open->session);
	int ret = export_allows(export, service, session ? session->flags : open->flags, export->why, sizeof(export->why));

	if (ret)
		return ret;
	if (session) {
		service->session = session;
		return session->fenced ? fenced_error(session) : 0;
	}
	ret = open_check(export, service, req, open);
	if (ret)
		return ret;
	if (open->slot) {
		snprintf(export->why, sizeof(export->why), "%s has no such session, slot 0 comes first", export->name);
		return -EAGAIN;
	}
	session = session_new(export, service, req, open);
	if (!session)
		return -EMFILE;
	if (open->flags & (WIRE_OPEN_SEED | WIRE_OPEN_FOLLOW)) {
		ret = export->seed->open(export->seed_arg, session, export->why, sizeof(export->why));
		if (ret) {
			session->flags = 0;
			session_expire(session);
			return ret;
		}
	}
	service->session = session;
	if (open->flags & WIRE_OPEN_WRITE) {
		if (export->writer)
			session_expire(export->writer);
		export->replaced = export->writer && export->claimed;
		export->writer = session;
	}
	return 0;
}

static void open_fail(struct export *export, struct service *service, struct serve_req *req, int error)
{
	service->opening = NULL;
	service->session = NULL;
	service->state = SERVICE_AUTHORIZED;
	if (*export->why)
		serve_fail(req, error, "%s", export->why);
	else if (error == -EAGAIN && !export->writer)
		serve_fail(req, error, "an earlier session with %s has not ended yet", export->name);
	else if (error == -EBUSY || error == -EAGAIN)
		serve_fail(req, error, "%s is written by %s", export->name, export->writer->name);
	else if (error == -ESTALE)
		serve_fail(req, error, "a newer owner or helper has %s", export->name);
	else if (error == -EROFS)
		serve_fail(req, error, "%s can only be read here", export->name);
	else if (error == -EOPNOTSUPP)
		serve_fail(req, error, "%s is not offered for migration here", export->name);
	else
		serve_fail(req, error, "%s: %s", export->name, strerror(-error));
}

void export_attach(struct export *export, struct service *service, struct serve_req *req,
		   const struct wire_open *open)
{
	struct export_session *session;
	int ret;

	*export->why = 0;
	ret = open_session(export, service, req, open);
	session = service->session;
	if (!ret && (open->slot >= WIRE_SLOTS_MAX || open->incarnation < session->incarnations[open->slot]))
		ret = -ESTALE;
	if (ret) {
		open_fail(export, service, req, ret);
		return;
	}
	if (session->slots[open->slot])
		service_close(session->slots[open->slot], -ESTALE);
	session->slots[open->slot] = service;
	session->incarnations[open->slot] = open->incarnation;
	loop_timer_cancel(export_loop(export), &session->timer);
	list_add(&export->opening, &service->waiting);
	settle_soon(export);
}

/* ---- leaving ---- */

void export_detach(struct service *service)
{
	struct export_session *session = service->session;
	struct serve_req *req = service->opening;

	service->opening = NULL;
	list_del(&service->waiting);
	if (req)
		serve_fail(req, -ECONNRESET, "the connection is gone");
	if (!session)
		return;
	if (session->slots[service->slot] == service)
		session->slots[service->slot] = NULL;
	service->session = NULL;
	if (export_connected(session))
		return;
	if (session->fenced)
		settle_soon(session->export);
	else
		loop_timer_set(export_loop(session->export), &session->timer, EXPORT_GRACE_MS);
}

void export_leave(struct export_session *session)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &session->export->opening) {
		struct service *service = list_entry(at, struct service, waiting);

		if (service->session == session)
			open_refuse(service, -EAGAIN, "its session has ended");
	}
	session->fenced = true;
	settle_soon(session->export);
}

/* ---- requests under way ---- */

void export_busy(struct serve_req *req)
{
	req->session->busy[req->slot]++;
}

void export_idle(struct export_session *session, uint8_t slot)
{
	session->busy[slot]--;
	if (!session->busy[slot] && (!list_empty(&session->export->opening) || session->fenced ||
				     session->export->closing))
		settle_soon(session->export);
}

void export_info(struct export *export, struct wire_info *info)
{
	memset(info, 0, sizeof(*info));
	export->target->ops->info(export->target, info);
	if (export->read_only)
		info->flags |= WIRE_INFO_READ_ONLY;
	if (export->seed)
		info->flags |= WIRE_INFO_SEEDING | WIRE_INFO_READ_ONLY;
	if (export->group)
		info->flags |= WIRE_INFO_GROUP;
}

/* ---- life ---- */

static void export_free(struct export *export)
{
	struct listener *listener = export->listener;
	void (*closed)(void *) = export->closed;
	void *arg = export->closed_arg;

	export->target->ops->close(export->target);
	access_free(&export->access);
	list_del(&export->list);
	listener_drop(listener);
	free(export->name);
	free(export);
	if (closed)
		closed(arg);
}

static void settle_sessions(struct export *export)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &export->sessions) {
		struct export_session *session = list_entry(at, struct export_session, list);

		if (session->fenced && !session_busy(session) && !export_connected(session) &&
		    !(export->claiming && export->writer == session))
			session_free(session);
	}
}

static void export_settle(struct export *export)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &export->opening) {
		struct service *service = list_entry(at, struct service, waiting);

		if (service->conn && !service->session->fenced && !must_wait(service->session, service))
			open_now(service);
	}
	settle_sessions(export);
	if (export->closing && list_empty(&export->sessions))
		export_free(export);
}

static void settle_task(struct loop_task *task)
{
	struct export *export = container_of(task, struct export, settle);

	export->settling = false;
	export_settle(export);
}

int export_open(struct export **result, struct listener *listener, const char *name,
		struct target *target, bool read_only)
{
	struct export *export = calloc(1, sizeof(*export));

	if (!export)
		return -ENOMEM;
	export->name = strdup(name);
	if (!export->name || listener_export(listener, name)) {
		int ret = export->name ? -EEXIST : -ENOMEM;

		free(export->name);
		free(export);
		return ret;
	}
	export->listener = listener;
	export->target = target;
	export->read_only = read_only;
	access_init(&export->access);
	list_init(&export->sessions);
	list_init(&export->opening);
	export->settle.run = settle_task;
	list_add(&listener->exports, &export->list);
	*result = export;
	return 0;
}

void export_close(struct export *export, void (*closed)(void *arg), void *arg)
{
	struct list *at, *next;

	export->closing = true;
	export->closed = closed;
	export->closed_arg = arg;
	list_for_each_safe(at, next, &export->sessions)
		session_expire(list_entry(at, struct export_session, list));
	settle_soon(export);
}

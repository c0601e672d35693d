// SPDX-License-Identifier: GPL-2.0
/*
 * remote: each request is a copy that is given to the backend, so that it can be given to the next one as well. A backend that has died
 * is closed when the last request has left it, and then another one is opened.
 *
 * users counts requests that are in the backend or on their way there, from any thread; a request is counted before
 * "up" is looked at, and up is cleared before users is, so that the backend is never closed under one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "remote.h"

#define RETRY_FIRST_MS	100u
#define RETRY_MOST_MS	5000u
#define TICK_MS		500u
/* Asked, and silent for so long: it is away. */
#define SILENT_NS	3000000000ULL

struct remote {
	struct backend_open open;	/* the circumstances; its uri is empty */
	struct backend_open opening;
	char *text;			/* the URI */
	struct backend *backend;	/* while it is open, up or not */
	struct backend_caps caps;
	void *arg;
	void (*changed)(void *arg, enum remote_state state, int error, const char *why);
	enum remote_state state;
	atomic_bool up;			/* requests may be given to the backend */
	atomic_uint users;
	_Atomic uint64_t answered_at;	/* loop_now_ns() */
	atomic_bool kicked;
	struct loop_task kick, first, tell;
	bool telling;
	struct loop_timer retry, tick;	/* retry: of opening */
	struct list waiting;		/* struct attempt: for a backend */
	struct list resting;		/* struct attempt: each for its timer, the backend is well */
	uint64_t away_since, asked_at;
	unsigned int tries;
	uint64_t opened;
	_Atomic uint64_t changes;
	void (*verify)(void *arg, const char *version);
	struct backend_req asking;	/* for the version, */
	char version[BACKEND_VERSION_MAX];
	bool verifying;			/* and until remote_verified() */
	bool is_opening, is_closing_backend, was_up, let_go, closing;
	bool held;			/* until remote_go() */
	bool refusing;			/* remote_read_only() */
	bool reopen;			/* the backend that is open, or being opened, is not what is wanted any more */
	int error;
	char why[256];
	void (*closed)(void *arg);
	void *closed_arg;
};

/* A request, as the backend gets it. */
struct attempt {
	struct list list;
	struct loop_task task;
	struct remote *remote;
	struct backend_req *outer;
	struct backend_req inner;
	struct loop_timer timer;
	unsigned int tries;
	int error;
};

static void remote_advance(struct remote *remote);
static void fail_waiting(struct remote *remote, int error);

static bool is_temporary(int error)
{
	return backend_is_temporary(error) || error == -ENOTCONN || error == -ESHUTDOWN;
}

/* Errors that speak of the way to the source, and not of one request. */
static bool is_far(int error)
{
	return is_temporary(error) && error != -EAGAIN && error != -EBUSY && error != -EINTR && error != -ENOMEM &&
	       error != -EMFILE && error != -ENFILE;
}

/* ---- states ---- */

/* Whoever hears of it may close the remote. Of several changes the last is told. */
static void tell(struct loop_task *task)
{
	struct remote *remote = container_of(task, struct remote, tell);
	char why[sizeof(remote->why)];

	remote->telling = false;
	if (remote->closing) {
		remote_advance(remote);
		return;
	}
	snprintf(why, sizeof(why), "%s", remote->why);
	remote->changed(remote->arg, remote->state, remote->error, why);
}

static void set_state(struct remote *remote, enum remote_state state, int error, const char *why)
{
	bool news = state != remote->state || error != remote->error || strcmp(why, remote->why);

	remote->state = state;
	remote->error = error;
	snprintf(remote->why, sizeof(remote->why), "%s", why);
	if (state != REMOTE_AWAY)
		remote->away_since = 0;
	else if (!remote->away_since)
		remote->away_since = loop_now_ns();
	if (!news || remote->closing || remote->telling)
		return;
	remote->telling = true;
	loop_post(remote->open.loop, &remote->tell);
}

static void kicked(struct loop_task *task)
{
	struct remote *remote = container_of(task, struct remote, kick);

	atomic_store(&remote->kicked, false);
	remote_advance(remote);
}

/* Any thread. */
static void kick(struct remote *remote)
{
	if (!atomic_exchange(&remote->kicked, true))
		loop_post(remote->open.loop, &remote->kick);
}

/* ---- requests ---- */

/* Is it one that the source is not to be asked any more? */
static bool is_refused(const struct remote *remote, const struct backend_req *req)
{
	return remote->refusing && req->op != BACKEND_READ && req->op != BACKEND_VERSION;
}

/* Any thread. The last one out has the home loop look, when there is something to do. */
static void leave(struct remote *remote)
{
	if (atomic_fetch_sub(&remote->users, 1) == 1 && !atomic_load(&remote->up))
		kick(remote);
}

static bool enter(struct remote *remote)
{
	atomic_fetch_add(&remote->users, 1);
	if (atomic_load(&remote->up))
		return true;
	leave(remote);
	return false;
}

static void attempt_end(struct attempt *attempt, int error)
{
	struct backend_req *outer = attempt->outer;

	outer->data = attempt->inner.data;
	free(attempt);
	backend_done(outer, error);
}

static uint64_t pause_ms(unsigned int tries)
{
	uint64_t ms = (uint64_t)RETRY_FIRST_MS << (tries < 6 ? tries : 6);

	return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

static void retry_now(struct loop_timer *timer)
{
	remote_advance(container_of(timer, struct remote, retry));
}

static void retry_later(struct remote *remote)
{
	remote->retry.fire = retry_now;
	loop_timer_set(remote->open.loop, &remote->retry, pause_ms(remote->tries++));
}

static void attempt_rested(struct loop_timer *timer)
{
	struct attempt *attempt = container_of(timer, struct attempt, timer);
	struct remote *remote = attempt->remote;

	list_del(&attempt->list);
	list_add(&remote->waiting, &attempt->list);
	remote_advance(remote);
}

/* The backend is well: nobody else waits for this one. */
static void attempt_rest(struct attempt *attempt)
{
	struct remote *remote = attempt->remote;
	char why[256];

	if (is_far(attempt->error)) {
		backend_why(remote->backend, why, sizeof(why));
		set_state(remote, REMOTE_AWAY, attempt->error, *why ? why : strerror(-attempt->error));
	}
	list_add(&remote->resting, &attempt->list);
	attempt->timer.fire = attempt_rested;
	loop_timer_set(remote->open.loop, &attempt->timer, pause_ms(attempt->tries++));
}

static void attempt_wait(struct attempt *attempt)
{
	struct remote *remote = attempt->remote;
	char why[256];

	if (remote->backend && !atomic_load(&remote->backend->dead)) {
		attempt_rest(attempt);
		return;
	}
	if (remote->backend) {
		backend_why(remote->backend, why, sizeof(why));
		set_state(remote, REMOTE_AWAY, attempt->error, *why ? why : strerror(-attempt->error));
	}
	list_add(&remote->waiting, &attempt->list);
	atomic_store(&remote->up, false);
	/* one that dies as soon as it is used is not opened without a pause */
	if (!remote->retry.slot)
		retry_later(remote);
}

/* On the home loop: it goes by itself, so the request waits for the next try. */
static void attempt_again(struct loop_task *task)
{
	struct attempt *attempt = container_of(task, struct attempt, task);
	struct remote *remote = attempt->remote;

	if (remote->closing || is_refused(remote, attempt->outer)) {
		leave(remote);
		attempt_end(attempt, -ESHUTDOWN);
		return;
	}
	attempt_wait(attempt);
	leave(remote);
	if (remote->let_go)
		fail_waiting(remote, -ESHUTDOWN);
}

static void attempt_done(struct backend_req *req, int error)
{
	struct attempt *attempt = container_of(req, struct attempt, inner);
	struct remote *remote = attempt->remote;
	bool dead = error && atomic_load(&req->backend->dead);

	if (!dead && !is_far(error))
		atomic_store_explicit(&remote->answered_at, loop_now_ns(), memory_order_relaxed);
	if (error && (is_temporary(error) || dead) && req->op != BACKEND_DESTROY) {
		attempt->error = error;
		attempt->task.run = attempt_again;
		loop_post(remote->open.loop, &attempt->task);
		return;
	}
	/* in this order: whoever waits for the request's end keeps the remote */
	leave(remote);
	attempt_end(attempt, error);
}

/* What is staged changes nothing by itself. */
static bool is_change(const struct backend_req *req)
{
	return req->op != BACKEND_READ && req->op != BACKEND_SYNC && req->op != BACKEND_VERSION && !(req->flags & BACKEND_STAGED);
}

/* In the thread of loop. */
static void attempt_start(struct attempt *attempt, struct loop *loop)
{
	attempt->inner = *attempt->outer;
	attempt->inner.loop = loop;
	attempt->inner.done = attempt_done;
	if (is_change(&attempt->inner))
		atomic_fetch_add(&attempt->remote->changes, 1);
	backend_submit(attempt->remote->backend, &attempt->inner);
}

static struct attempt *attempt_new(struct remote *remote, struct backend_req *req)
{
	struct attempt *attempt = malloc(sizeof(*attempt));

	if (!attempt)
		return NULL;
	attempt->remote = remote;
	attempt->outer = req;
	attempt->inner.data = req->data;
	attempt->timer = (struct loop_timer){ 0 };
	attempt->tries = 0;
	list_init(&attempt->list);
	return attempt;
}

bool remote_try(struct remote *remote, struct backend_req *req)
{
	struct attempt *attempt;

	if (!enter(remote))
		return false;
	attempt = attempt_new(remote, req);
	if (!attempt) {
		leave(remote);
		return false;
	}
	attempt_start(attempt, req->loop);
	return true;
}

/* Asks for the silence to be noticed. */
static void watch(struct remote *remote);

void remote_submit(struct remote *remote, struct backend_req *req)
{
	struct attempt *attempt;

	if (remote->closing || is_refused(remote, req) || (remote->let_go && req->op != BACKEND_DESTROY && !atomic_load(&remote->up))) {
		backend_done(req, -ESHUTDOWN);
		return;
	}
	if (req->op == BACKEND_DESTROY && remote->state == REMOTE_AWAY) {
		backend_done(req, remote->error);
		return;
	}
	watch(remote);
	if (list_empty(&remote->waiting) && remote_try(remote, req))
		return;
	attempt = attempt_new(remote, req);
	if (!attempt) {
		backend_done(req, -ENOMEM);
		return;
	}
	list_add(&remote->waiting, &attempt->list);
	if (atomic_load(&remote->up))
		kick(remote);
}

/* ---- silence ---- */

static void ticked(struct loop_timer *timer)
{
	struct remote *remote = container_of(timer, struct remote, tick);
	uint64_t now = loop_now_ns(), answered = atomic_load(&remote->answered_at);
	uint64_t since = answered > remote->asked_at ? answered : remote->asked_at;

	if (!atomic_load(&remote->users)) {
		if (remote->state == REMOTE_AWAY && atomic_load(&remote->up) && list_empty(&remote->waiting) &&
		    list_empty(&remote->resting))
			set_state(remote, REMOTE_UP, 0, "");
		return;
	}
	if (remote->state == REMOTE_UP && now - since > SILENT_NS) {
		set_state(remote, REMOTE_AWAY, -ETIMEDOUT, "it does not answer");
		remote->away_since = since;
	} else if (remote->state == REMOTE_AWAY && atomic_load(&remote->up) && now - since < SILENT_NS &&
		   answered > remote->away_since) {
		remote->tries = 0;
		set_state(remote, REMOTE_UP, 0, "");
	}
	loop_timer_set(remote->open.loop, &remote->tick, TICK_MS);
}

static void watch(struct remote *remote)
{
	if (remote->tick.slot)
		return;
	remote->asked_at = loop_now_ns();
	remote->tick.fire = ticked;
	loop_timer_set(remote->open.loop, &remote->tick, TICK_MS);
}

/* ---- opening and closing the backend ---- */

/* Whoever deletes does not wait for a source that is away. */
static void fail_destroys(struct remote *remote, int error)
{
	struct list *at, *next, list;

	list_init(&list);
	list_for_each_safe(at, next, &remote->waiting) {
		if (list_entry(at, struct attempt, list)->outer->op != BACKEND_DESTROY)
			continue;
		list_del(at);
		list_add(&list, at);
	}
	while ((at = list_pop(&list)))
		attempt_end(list_entry(at, struct attempt, list), error);
}

void remote_verified(struct remote *remote)
{
	remote->verifying = false;
	atomic_store(&remote->up, !remote->closing && !remote->reopen);
	set_state(remote, REMOTE_UP, 0, "");
	remote_advance(remote);
}

/* One that dies of the question is opened again. */
static void version_came(struct backend_req *req, int error)
{
	struct remote *remote = container_of(req, struct remote, asking);
	bool dead = error && atomic_load(&req->backend->dead);

	remote->verifying = !dead && !remote->closing;
	if (dead && !remote->closing) {
		set_state(remote, REMOTE_AWAY, error, strerror(-error));
		retry_later(remote);
	}
	leave(remote);
	if (remote->verifying)
		remote->verify(remote->arg, error ? NULL : remote->version);
}

static void ask_version(struct remote *remote)
{
	struct backend_req *req = &remote->asking;

	remote->verifying = true;
	if (!remote->backend->caps.version) {
		remote->verify(remote->arg, NULL);
		return;
	}
	*req = (struct backend_req){ .op = BACKEND_VERSION, .data = remote->version, .loop = remote->open.loop, .done = version_came };
	atomic_fetch_add(&remote->users, 1);
	backend_submit(remote->backend, req);
}

static void backend_is_open(struct backend_open *open, struct backend *backend, int error)
{
	struct remote *remote = container_of(open, struct remote, opening);

	remote->is_opening = false;
	if (error) {
		set_state(remote, REMOTE_AWAY, error, open->why);
		if (!remote->closing) {
			fail_destroys(remote, error);
			retry_later(remote);
		}
	} else {
		remote->backend = backend;
		remote->caps = backend->caps;
		remote->was_up = true;
		remote->opened++;
		remote->tries = 0;
		if (!remote->closing && !remote->reopen && remote->verify) {
			ask_version(remote);
			return;
		}
		remote_verified(remote);
		return;
	}
	remote_advance(remote);
}

static void start_open(struct remote *remote)
{
	struct backend_open *open = &remote->opening;
	int err;

	*open = remote->open;
	open->done = backend_is_open;
	open->read_only |= remote->refusing;
	remote->reopen = false;
	remote->is_opening = true;
	err = uri_parse(&open->uri, remote->text, open->why, sizeof(open->why));
	if (err)
		backend_is_open(open, NULL, err);
	else
		backend_open(open);
}

static void backend_is_closed(void *arg)
{
	struct remote *remote = arg;

	remote->is_closing_backend = false;
	remote_advance(remote);
}

static void start_close(struct remote *remote)
{
	struct backend *backend = remote->backend;

	remote->backend = NULL;
	remote->is_closing_backend = true;
	backend_close(backend, backend_is_closed, remote);
}

/* ---- the driver ---- */

static void fail_waiting(struct remote *remote, int error)
{
	struct list *entry;

	while ((entry = list_pop(&remote->resting))) {
		loop_timer_cancel(remote->open.loop, &list_entry(entry, struct attempt, list)->timer);
		list_add(&remote->waiting, entry);
	}
	while ((entry = list_pop(&remote->waiting)))
		attempt_end(list_entry(entry, struct attempt, list), error);
}

static void start_waiting(struct remote *remote)
{
	struct list list, *entry;

	list_init(&list);
	list_splice(&list, &remote->waiting);
	while ((entry = list_pop(&list))) {
		struct attempt *attempt = list_entry(entry, struct attempt, list);

		watch(remote);
		if (enter(remote))
			attempt_start(attempt, remote->open.loop);
		else
			list_add(&remote->waiting, &attempt->list);
	}
}

static void remote_free(struct remote *remote)
{
	void (*closed)(void *) = remote->closed;
	void *arg = remote->closed_arg;

	loop_timer_cancel(remote->open.loop, &remote->retry);
	loop_timer_cancel(remote->open.loop, &remote->tick);
	free(remote->text);
	free(remote);
	closed(arg);
}

static void advance_closing(struct remote *remote)
{
	fail_waiting(remote, -ESHUTDOWN);
	if (remote->is_opening || remote->is_closing_backend)
		return;
	if (remote->backend && (!atomic_load(&remote->users) || remote->backend->caps.abortable))
		start_close(remote);
	else if (!remote->backend && !atomic_load(&remote->users) && !atomic_load(&remote->kicked) && !remote->telling)
		remote_free(remote);
}

static void remote_advance(struct remote *remote)
{
	if (remote->closing) {
		advance_closing(remote);
		return;
	}
	if (remote->backend && atomic_load(&remote->backend->dead)) {
		atomic_store(&remote->up, false);
		if (!atomic_load(&remote->users))
			start_close(remote);
		return;
	}
	if (remote->backend && remote->reopen && !remote->verifying) {
		atomic_store(&remote->up, false);
		/* who verifies has a store, and asks from the home loop alone: nobody is on his way into the backend */
		if (!atomic_load(&remote->users) || (remote->backend->caps.abortable && remote->verify))
			start_close(remote);
		return;
	}
	if (remote->backend && !remote->verifying)
		start_waiting(remote);
	else if (!remote->backend && !remote->is_opening && !remote->is_closing_backend && !remote->retry.slot && !remote->held)
		start_open(remote);
}

/* ---- life ---- */

static void open_first(struct loop_task *task)
{
	struct remote *remote = container_of(task, struct remote, first);

	remote->is_opening = false;
	if (remote->held && !remote->closing)
		set_state(remote, REMOTE_AWAY, -EAGAIN, "it is another host's as yet");
	remote_advance(remote);
}

int remote_open(struct remote **result, const struct remote_options *options)
{
	struct remote *remote = calloc(1, sizeof(*remote));

	if (!remote)
		return -ENOMEM;
	remote->text = strdup(options->open->uri.text);
	if (!remote->text) {
		free(remote);
		return -ENOMEM;
	}
	remote->open = *options->open;
	memset(&remote->open.uri, 0, sizeof(remote->open.uri));
	*remote->open.why = '\0';
	uri_free(&options->open->uri);
	remote->arg = options->arg;
	remote->changed = options->changed;
	remote->verify = options->verify;
	remote->held = options->held;
	list_init(&remote->waiting);
	list_init(&remote->resting);
	remote->tell.run = tell;
	remote->kick.run = kicked;
	remote->first.run = open_first;
	remote->is_opening = true;	/* until then */
	loop_post(remote->open.loop, &remote->first);
	*result = remote;
	return 0;
}

void remote_close(struct remote *remote, void (*closed)(void *arg), void *arg)
{
	remote->closing = true;
	remote->closed = closed;
	remote->closed_arg = arg;
	atomic_store(&remote->up, false);
	loop_timer_cancel(remote->open.loop, &remote->retry);
	loop_timer_cancel(remote->open.loop, &remote->tick);
	kick(remote);
}

void remote_go(struct remote *remote)
{
	/* nobody has tried to open it yet */
	if (remote->held)
		set_state(remote, REMOTE_OPENING, 0, "");
	remote->held = false;
	remote_advance(remote);
}

static void refuse_list(struct remote *remote, struct list *from, struct list *refused)
{
	struct list *at, *next;

	list_for_each_safe(at, next, from) {
		struct attempt *attempt = list_entry(at, struct attempt, list);

		if (!is_refused(remote, attempt->outer))
			continue;
		loop_timer_cancel(remote->open.loop, &attempt->timer);
		list_del(at);
		list_add(refused, at);
	}
}

void remote_read_only(struct remote *remote, bool on)
{
	struct list refused, *entry;

	if (remote->refusing == on || remote->closing)
		return;
	remote->refusing = on;
	remote->reopen = !remote->open.read_only && (remote->backend || remote->is_opening);
	list_init(&refused);
	refuse_list(remote, &remote->waiting, &refused);
	refuse_list(remote, &remote->resting, &refused);
	while ((entry = list_pop(&refused)))
		attempt_end(list_entry(entry, struct attempt, list), -ESHUTDOWN);
	remote_advance(remote);
}

void remote_let_go(struct remote *remote)
{
	remote->let_go = true;
	fail_waiting(remote, -ESHUTDOWN);
}

enum remote_state remote_state(const struct remote *remote)
{
	return remote->state;
}

uint64_t remote_changes(const struct remote *remote)
{
	return atomic_load(&remote->changes);
}

uint64_t remote_opened(const struct remote *remote)
{
	return remote->opened;
}

const struct backend_caps *remote_caps(const struct remote *remote)
{
	if (!remote->was_up)
		return NULL;
	return remote->backend ? &remote->backend->caps : &remote->caps;
}

uint64_t remote_away_since(const struct remote *remote)
{
	return remote->away_since;
}

int remote_error(const struct remote *remote, char *why, size_t why_len)
{
	snprintf(why, why_len, "%s", remote->why);
	return remote->error;
}

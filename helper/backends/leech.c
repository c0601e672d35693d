// SPDX-License-Identifier: GPL-2.0
/*
 * leech: a region on its way here. leech:TOKEN?local=URI&from=URI, made by the command leech, not by hand.
 *
 * A request for chunks that are not here waits until they have been fetched; one that overwrites a whole chunk needs
 * not. Such a chunk counts as present from then on: if we die before it is written, the kernel asks the next helper
 * again, since it has no answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech-private.h"

static struct leech *to_leech(struct backend *backend)
{
	return container_of(backend, struct leech, backend);
}

/* ---- requests ---- */

struct span {
	uint64_t first, end;		/* chunks it touches */
	uint64_t whole_first, whole_end;	/* of these, those that it overwrites whole */
};

static struct span span_of(const struct leech *leech, const struct backend_req *req)
{
	uint32_t chunk = chunkmap_chunk(leech->map);
	uint64_t from = req->op == BACKEND_RESIZE ? req->arg : req->offset;
	uint64_t size = chunkmap_size(leech->map);
	uint64_t to = req->op == BACKEND_RESIZE ? size : req->offset + req->length;
	struct span span = { .first = from / chunk, .end = (to + chunk - 1) / chunk };
	uint64_t chunks = chunkmap_chunks(leech->map);

	span.end = span.end > chunks ? chunks : span.end;
	span.first = span.first > span.end ? span.end : span.first;
	span.whole_first = span.whole_end = span.end;
	if (req->op == BACKEND_READ)
		return span;
	span.whole_first = (from + chunk - 1) / chunk;
	span.whole_end = to >= size ? span.end : to / chunk;
	return span;
}

static bool is_whole(const struct span *span, uint64_t chunk)
{
	return chunk >= span->whole_first && chunk < span->whole_end;
}

/* May it go to the local store? If not, what it needs is on its way. */
static bool leech_ready(struct leech *leech, const struct backend_req *req)
{
	struct span span = span_of(leech, req);
	bool demand = req->op != BACKEND_READ || req->flags & BACKEND_DEMAND, ready = true;

	for (uint64_t i = span.first; i < span.end; i++) {
		bool busy = bitmap_get(leech->busy, i);

		if (chunkmap_present(leech->map, i) || (is_whole(&span, i) && !busy))
			continue;
		ready = false;
		if (!busy)
			leech_want(leech, i, span.end, demand);
	}
	if (ready && req->op != BACKEND_RESIZE)
		chunkmap_set(leech->map, span.whole_first, span.whole_end, true);
	return ready;
}

/* A RESIZE changes the map too, when it has been done. */
struct resizing {
	struct backend_req inner;
	struct backend_req *outer;
};

static void resize_done(struct backend_req *inner, int error)
{
	struct resizing *resizing = container_of(inner, struct resizing, inner);
	struct backend_req *outer = resizing->outer;
	struct leech *leech = to_leech(outer->backend);
	uint32_t chunk = chunkmap_chunk(leech->map);

	leech->keep_off = UINT64_MAX;
	if (!error)
		error = chunkmap_resize(leech->map, outer->length);
	if (!error)
		error = leech_fit_busy(leech);
	if (!error) {
		chunkmap_set(leech->map, (outer->arg + chunk - 1) / chunk, chunkmap_chunks(leech->map), true);
		__atomic_store_n(&leech->backend.caps.size, outer->length, __ATOMIC_RELAXED);
	}
	free(resizing);
	backend_done(outer, error);
	leech_pull_more(leech);
}

static void resize_start(struct leech *leech, struct backend_req *req)
{
	struct resizing *resizing = calloc(1, sizeof(*resizing));

	if (!resizing) {
		leech->keep_off = UINT64_MAX;
		backend_done(req, -ENOMEM);
		return;
	}
	resizing->outer = req;
	resizing->inner.op = BACKEND_RESIZE;
	resizing->inner.length = req->length;
	resizing->inner.arg = req->arg;
	resizing->inner.loop = leech->backend.loop;
	resizing->inner.done = resize_done;
	backend_submit(leech->local, &resizing->inner);
}

static void leech_start(struct backend_req *req)
{
	struct leech *leech = to_leech(req->backend);

	if (req->op == BACKEND_RESIZE)
		leech->keep_off = req->arg / chunkmap_chunk(leech->map) + 1;
	if (req->op != BACKEND_SYNC && req->op != BACKEND_DESTROY && !leech_ready(leech, req)) {
		list_add(&leech->blocked, &req->list);
		return;
	}
	if (req->op == BACKEND_RESIZE) {
		resize_start(leech, req);
		return;
	}
	if (req->op == BACKEND_DESTROY)
		chunkmap_unlink(leech->map_path);
	backend_submit(leech->local, req);
}

void leech_unblock(struct leech *leech)
{
	struct list list, *entry;

	if (leech->unblocking)
		return;
	leech->unblocking = true;
	list_init(&list);
	list_splice(&list, &leech->blocked);
	while ((entry = list_pop(&list)))
		leech_start(list_entry(entry, struct backend_req, list));
	leech->unblocking = false;
}

void leech_fail_blocked(struct leech *leech, uint64_t first, uint64_t end, int error)
{
	struct list failed, *at, *next;

	list_init(&failed);
	list_for_each_safe(at, next, &leech->blocked) {
		struct span span = span_of(leech, list_entry(at, struct backend_req, list));

		if (span.first >= end || span.end <= first)
			continue;
		list_del(at);
		list_add(&failed, at);
	}
	while ((at = list_pop(&failed))) {
		struct backend_req *req = list_entry(at, struct backend_req, list);

		if (req->op == BACKEND_RESIZE)
			leech->keep_off = UINT64_MAX;
		backend_done(req, error);
	}
}

static void leech_moved(struct loop_task *task)
{
	leech_start(container_of(task, struct backend_req, task));
}

static void leech_submit(struct backend *backend, struct backend_req *req)
{
	if (loop_current() == backend->loop) {
		leech_start(req);
		return;
	}
	req->task.run = leech_moved;
	loop_post(backend->loop, &req->task);
}

/* ---- opening ---- */

void leech_map_path(char *path, size_t len, const char *run_dir, const char *token)
{
	snprintf(path, len, "%s/leech-%s.map", run_dir, token);
}

static int leech_check(const struct uri *uri, char *why, size_t why_len)
{
	const char *local = uri_option(uri, "local"), *from = uri_option(uri, "from");
	int ret;

	if (!local || !from || !*uri->path || strchr(uri->path, '/')) {
		snprintf(why, why_len, "leech: sources are made by regionctl leech");
		return -EINVAL;
	}
	ret = backend_check(local, why, why_len);
	return ret ? ret : backend_check(from, why, why_len);
}

static void leech_free(struct leech *leech)
{
	loop_timer_cancel(leech->backend.loop, &leech->retry);
	chunkmap_close(leech->map);
	uri_free(&leech->opening.uri);
	free(leech->busy);
	free(leech->map_path);
}

static void open_failed_closed(void *arg)
{
	struct leech *leech = arg;

	leech_free(leech);
	backend_opened(&leech->backend, leech->error);
}

static void open_failed(struct leech *leech, int error, const char *why)
{
	leech->error = backend_error(&leech->backend, error, "%s", why);
	if (leech->local)
		backend_close(leech->local, open_failed_closed, leech);
	else
		open_failed_closed(leech);
}

static void leech_opened(struct leech *leech)
{
	struct backend_caps *caps = &leech->backend.caps;

	*caps = leech->local->caps;
	caps->local_fd = -1;	/* some of its bytes are not in that file yet */
	caps->size = chunkmap_size(leech->map);
	caps->chunk = chunkmap_chunk(leech->map);
	backend_opened(&leech->backend, 0);
	if (chunkmap_state(leech->map) == CHUNKMAP_OWNED)
		leech_tell_owned(leech);
}

/* The same circumstances, but for the URI. */
static int open_part(struct leech *leech, const char *source, void (*done)(struct backend_open *open,
		     struct backend *backend, int error))
{
	const struct backend_open *outer = leech->backend.open;
	struct backend_open *open = &leech->opening;
	int ret;

	uri_free(&open->uri);
	*open = *outer;
	memset(&open->uri, 0, sizeof(open->uri));
	*open->why = 0;
	open->size = chunkmap_size(leech->map);
	open->create = chunkmap_state(leech->map) == CHUNKMAP_PULLING;
	open->done = done;
	ret = uri_parse(&open->uri, source, open->why, sizeof(open->why));
	if (!ret)
		backend_open(open);
	return ret;
}

static void peer_is_open(struct backend_open *open, struct backend *backend, int error)
{
	struct leech *leech = container_of(open, struct leech, opening);

	leech->peer = backend;
	if (error)
		open_failed(leech, error, open->why);
	else
		leech_opened(leech);
}

static void local_is_open(struct backend_open *open, struct backend *backend, int error)
{
	struct leech *leech = container_of(open, struct leech, opening);
	const char *from = uri_option(&leech->backend.uri, "from");
	char source[4096];
	int ret;

	leech->local = backend;
	if (error) {
		open_failed(leech, error, open->why);
		return;
	}
	if (chunkmap_state(leech->map) == CHUNKMAP_COMPLETE) {
		leech_opened(leech);
		return;
	}
	snprintf(source, sizeof(source), "%s%cseed", from, strchr(from, '?') ? '&' : '?');
	ret = open_part(leech, source, peer_is_open);
	if (ret)
		open_failed(leech, ret, leech->opening.why);
}

static void leech_open(struct backend *backend)
{
	struct leech *leech = to_leech(backend);
	const struct backend_open *open = backend->open;
	char path[4096];
	int ret;

	list_init(&leech->blocked);
	list_init(&leech->fetches);
	leech->keep_off = UINT64_MAX;
	leech_map_path(path, sizeof(path), open->run_dir, backend->uri.path);
	leech->map_path = strdup(path);
	ret = leech->map_path ? chunkmap_open(&leech->map, path, open->instance_id) : -ENOMEM;
	if (!ret)
		ret = leech_fit_busy(leech);
	if (ret) {
		open_failed(leech, ret, "the map of what has come is gone, or of an earlier life of the instance");
		return;
	}
	ret = open_part(leech, uri_option(&backend->uri, "local"), local_is_open);
	if (ret)
		open_failed(leech, ret, leech->opening.why);
}

/* ---- closing: the peer first, which ends all fetches ---- */

static void local_closed(void *arg)
{
	struct leech *leech = arg;

	leech_free(leech);
	backend_closed(&leech->backend);
}

void leech_close_more(struct leech *leech)
{
	struct backend *local = leech->local;

	if (!leech->closing || !leech->peer_closed || leech->nr_fetches || leech->telling || !local)
		return;
	leech->local = NULL;
	backend_close(local, local_closed, leech);
}

static void peer_closed(void *arg)
{
	struct leech *leech = arg;

	leech->peer_closed = true;
	leech_close_more(leech);
}

static void leech_close(struct backend *backend)
{
	struct leech *leech = to_leech(backend);

	leech->closing = true;
	leech->pulling = false;
	leech->watch = NULL;
	if (leech->peer)
		backend_close(leech->peer, peer_closed, leech);
	else
		peer_closed(leech);
}

/* ---- for the leecher ---- */

extern const struct backend_ops leech_backend;

struct leech *leech_of(struct backend *backend)
{
	return backend && backend->ops == &leech_backend ? to_leech(backend) : NULL;
}

struct session *leech_session(struct leech *leech)
{
	return leech->peer ? peer_session(leech->peer) : NULL;
}

struct chunkmap *leech_map(struct leech *leech)
{
	return leech->map;
}

const struct leech_stats *leech_stats(const struct leech *leech)
{
	return &leech->stats;
}

void leech_set_watch(struct leech *leech, struct leech_watch *watch)
{
	leech->watch = watch;
}

const struct backend_ops leech_backend = {
	.scheme = "leech",
	.summary = "leech:...: a region that is on its way here; made by regionctl leech",
	.size = sizeof(struct leech),
	.check = leech_check,
	.open = leech_open,
	.close = leech_close,
	.submit = leech_submit,
};

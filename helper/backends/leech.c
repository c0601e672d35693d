// SPDX-License-Identifier: GPL-2.0
/*
 * leech: a region on its way here. leech:TOKEN?local=URI&from=URI, made by the command leech, not by hand. Opening it, closing
 * it; leech-request.c has its requests.
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
	caps->publish = false;
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
		leech->all_here = true;
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

	if (!leech->closing || !leech->peer_closed || leech->nr_fetches || leech->telling || leech->sized || !local)
		return;
	leech->local = NULL;
	backend_close(local, local_closed, leech);
}

static void peer_closed(void *arg)
{
	struct leech *leech = arg;

	leech->peer = NULL;
	leech->peer_closed = true;
	leech_close_more(leech);
}

void leech_part(struct leech *leech)
{
	if (leech->parting)
		return;
	leech->parting = true;
	leech->pulling = false;
	if (leech->peer)
		backend_close(leech->peer, peer_closed, leech);
	else
		peer_closed(leech);
}

static void leech_close(struct backend *backend)
{
	struct leech *leech = to_leech(backend);
	struct leech_watch *watch = leech->watch;

	leech->closing = true;
	leech->watch = NULL;
	if (watch)
		watch->gone(watch);
	if (leech->peer_closed)
		leech_close_more(leech);
	else
		leech_part(leech);
}

/* ---- for the leecher ---- */

extern const struct backend_ops leech_backend;

struct leech *leech_of(struct backend *backend)
{
	return backend && backend->ops == &leech_backend ? to_leech(backend) : NULL;
}

struct session *leech_session(struct leech *leech)
{
	return leech->peer && !leech->parting ? peer_session(leech->peer) : NULL;
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

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
#include "adopter.h"
#include "policy.h"
#include "region.h"

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
	const char *local = uri_option(uri, "local"), *from = uri_option(uri, "from"), *text = uri_option(uri, "policy");
	struct policy policy;
	int ret;

	if (!local || !from || !*uri->path || strchr(uri->path, '/')) {
		snprintf(why, why_len, "leech: sources are made by regionctl leech");
		return -EINVAL;
	}
	ret = text ? policy_parse(&policy, text, why, why_len) : 0;
	if (ret)
		return ret;
	if (text)
		policy_free(&policy);
	ret = backend_check(local, why, why_len);
	return ret ? ret : backend_check(from, why, why_len);
}

static bool is_removed(const struct leech *leech)
{
	return leech->outer.owner && leech->outer.owner->removing;
}

static void leech_free(struct leech *leech)
{
	loop_timer_cancel(leech->backend.loop, &leech->retry);
	loop_timer_cancel(leech->backend.loop, &leech->flush_timer);
	loop_timer_cancel(leech->backend.loop, &leech->redial);
	loop_timer_cancel(leech->backend.loop, &leech->drain.timer);
	loop_timer_cancel(leech->backend.loop, &leech->rest.timer);
	leech_drop_lasts(leech);
	leech_elsewhere_free(leech->elsewhere);
	chunkmap_close(leech->map);
	/* not before: who is killed while he removes it is followed by one who goes on with that */
	if (is_removed(leech) && leech->map_path)
		chunkmap_unlink(leech->map_path);
	leech_record_free(leech->record);
	uri_free(&leech->opening.uri);
	free(leech->busy);
	free(leech->map_path);
}

/* As long as the map has nothing, nothing counts in a store. */
static bool is_empty(const struct leech *leech)
{
	return chunkmap_state(leech->map) == CHUNKMAP_PULLING && chunkmap_missing(leech->map) == chunkmap_chunks(leech->map);
}

bool leech_is_ours(const struct leech *leech)
{
	uint32_t state = leech_record_head(leech->record)->state;

	return state == LEECH_RECORD_OWNED || state == LEECH_RECORD_COMPLETE || state == LEECH_RECORD_LOST;
}

/* The local part is about to be closed. */
static void leave_local(struct leech *leech)
{
	struct adopter_left left;

	if (!leech->local || !leech->adopts)
		return;
	left = (struct adopter_left){
		.kept = leech_is_ours(leech), .empty = is_empty(leech), .dropped = leech->rest.over,
		.missing = chunkmap_missing(leech->map) * chunkmap_chunk(leech->map),
	};
	leech->outer.adopter->leave(leech->local, &left);
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
	leave_local(leech);
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
	leech->served = true;
	leech_flush_behind(leech);
	backend_opened(&leech->backend, 0);	/* may close it again, and free it */
}

static void local_is_open(struct backend_open *open, struct backend *backend, int error);

/* Without all of it being here nothing is, but of one in memory, which is said before. */
static bool may_be_pushed(const struct leech *leech)
{
	const struct leech_record_head *head = leech_record_head(leech->record);

	if (chunkmap_state(leech->map) == CHUNKMAP_PULLING)
		return false;
	return head->state != LEECH_RECORD_OWNED || head->pushing || !chunkmap_missing(leech->map);
}

/* The same circumstances, but for the URI. A store in memory went with the host: it is made anew. */
static int open_part(struct leech *leech, const char *source, bool create, void (*done)(struct backend_open *open,
		     struct backend *backend, int error))
{
	struct backend_open *open = &leech->opening;
	int ret;

	uri_free(&open->uri);
	*open = leech->outer;
	memset(&open->uri, 0, sizeof(open->uri));
	*open->why = 0;
	open->size = chunkmap_size(leech->map);
	open->create = create;
	open->read_only = false;
	open->done = done;
	ret = uri_parse(&open->uri, source, open->why, sizeof(open->why));
	if (ret)
		return ret;
	leech->adopts = done == local_is_open ? open->adopter && uri_option(&leech->backend.uri, "policy") : leech->adopts;
	/* one of its own has had no other writer */
	open->fenced = leech->adopts && !uri_option(&leech->backend.uri, "unfenced") && !uri_option(&leech->backend.uri, "owned");
	if (done == local_is_open && leech->adopts)
		open->adopter->open(open, uri_option(&leech->backend.uri, "policy"), is_empty(leech),
				    chunkmap_state(leech->map) != CHUNKMAP_PULLING, may_be_pushed(leech));
	else
		backend_open(open);
	return 0;
}

/* ---- the other side; once the region is owned here, we are open without it ---- */

#define REDIAL_MS 1000u

static void redial(struct loop_timer *timer)
{
	leech_dial(container_of(timer, struct leech, redial));
}

static void peer_closed(void *arg);

static void peer_is_open(struct backend_open *open, struct backend *backend, int error)
{
	struct leech *leech = container_of(open, struct leech, opening);

	leech->dialling = false;
	leech->peer = backend;
	if (backend)
		leech_watch_peer(leech);
	if (leech->parting) {
		if (backend)
			backend_close(backend, peer_closed, leech);
		else
			peer_closed(leech);
	} else if (!leech->served) {
		if (error)
			open_failed(leech, error, open->why);
		else
			leech_opened(leech);
	} else if (error) {
		leech->redial.fire = redial;
		loop_timer_set(leech->backend.loop, &leech->redial, REDIAL_MS);
		leech_seek(leech);
	} else {
		leech_tell_owned(leech);
		leech_unblock(leech);
	}
}

void leech_dial(struct leech *leech)
{
	const char *from = uri_option(&leech->backend.uri, "from");
	char source[4096];
	int ret;

	/* the same client for the other side, whichever helper of ours it is */
	snprintf(source, sizeof(source), "%s%cseed&client=%s", from, strchr(from, '?') ? '&' : '?', leech->backend.uri.path);
	leech->dialling = true;
	ret = open_part(leech, source, false, peer_is_open);
	if (ret)
		peer_is_open(&leech->opening, NULL, ret);
}

/* What it had was in memory, and went with the host: the other side has it until it has heard COMPLETE. */
static void forget_lost(struct leech *leech)
{
	if (!leech->rebuilt || chunkmap_state(leech->map) != CHUNKMAP_OWNED || leech->local->caps.durability != DURABLE_NEVER)
		return;
	leech_forget(leech, 0, UINT64_MAX);
}

static void local_is_open(struct backend_open *open, struct backend *backend, int error)
{
	struct leech *leech = container_of(open, struct leech, opening);

	leech->local = backend;
	if (error) {
		open_failed(leech, error, open->why);
		return;
	}
	forget_lost(leech);
	if (leech_record_head(leech->record)->state == LEECH_RECORD_DIVERGED ||
	    leech_record_head(leech->record)->state == LEECH_RECORD_LOST) {
		leech_hold_diverged(leech);
		leech->parting = leech->peer_closed = true;	/* what is here is all there is */
		if (leech_record_head(leech->record)->state == LEECH_RECORD_LOST)
			leech_drop_rest(leech, NULL, NULL);
		leech_opened(leech);
	} else if (chunkmap_state(leech->map) == CHUNKMAP_COMPLETE) {
		leech->all_here = true;
		if (leech->adopts)
			leech->outer.adopter->push(leech->local);
		leech_opened(leech);
	} else if (chunkmap_state(leech->map) == CHUNKMAP_OWNED) {
		leech->served = true;
		leech_dial(leech);
		leech_opened(leech);
	} else if (is_removed(leech)) {
		open_failed(leech, -ECANCELED, "it is removed");	/* the other side has it */
	} else {
		leech_dial(leech);
	}
}

/* ---- what is here ---- */

/* The decision is the record's: a helper may have died between it and the map. */
static int take_decision(struct leech *leech)
{
	const struct leech_record_head *head = leech_record_head(leech->record);

	if (head->state == LEECH_RECORD_REFUSED)
		return -ECANCELED;
	if (head->state == LEECH_RECORD_PULLING || chunkmap_state(leech->map) != CHUNKMAP_PULLING)
		return 0;
	chunkmap_set_owner(leech->map, &head->owner);
	chunkmap_set_state(leech->map, head->state == LEECH_RECORD_COMPLETE ? CHUNKMAP_COMPLETE : CHUNKMAP_OWNED);
	return 0;
}

/*
 * The map went with the host, or the instance's earlier life. As long as the other side owns the region, all is pulled again, since nobody knows which
 * rounds went into what is here. After that it has what is durable here; what lies beyond the end that the record knows was made here.
 */
static int make_map(struct leech *leech)
{
	const struct leech_record_head *head = leech_record_head(leech->record);
	const struct backend_open *open = &leech->outer;
	bool decided = head->state != LEECH_RECORD_PULLING;
	uint32_t chunk = head->chunk ? head->chunk : LEECH_CHUNK;
	int ret = chunkmap_create(&leech->map, leech->map_path, open->instance_id, chunk, decided ? head->size : 0);
	uint64_t chunks;

	leech->rebuilt = true;
	if (ret || !decided)
		return ret;
	chunks = chunkmap_chunks(leech->map);
	for (uint64_t i = 0; i < chunks; i++)
		if (bitmap_get(leech_record_bits(leech->record), i))
			chunkmap_set(leech->map, i, i + 1, true);
	/* the kernel's size is newer, once it has been told */
	if (open->epoch >= head->owner.epoch && open->size != head->size)
		ret = chunkmap_resize(leech->map, open->size);
	if (!ret)
		chunkmap_set(leech->map, chunks, UINT64_MAX, true);
	return ret;
}

static bool is_in_memory(const struct leech *leech)
{
	return !strncmp(uri_option(&leech->backend.uri, "local"), "memory:", 7);
}

static void open_local(struct leech *leech)
{
	int ret = open_part(leech, uri_option(&leech->backend.uri, "local"),
			chunkmap_state(leech->map) == CHUNKMAP_PULLING || (leech->rebuilt && is_in_memory(leech)), local_is_open);
	if (ret)
		open_failed(leech, ret, leech->opening.why);
}

static void record_loaded(struct loop_work *work, int res)
{
	struct leech *leech = container_of(work, struct leech, loading);
	int ret = res;

	if (!ret)
		ret = chunkmap_open(&leech->map, leech->map_path, leech->outer.instance_id);
	if (!res && (ret == -ENOENT || ret == -ESTALE))
		ret = make_map(leech);
	if (!ret)
		ret = take_decision(leech);
	/* what was pulled again since is not known to it; before the decision nobody goes by the bits */
	if (!ret && chunkmap_state(leech->map) == CHUNKMAP_PULLING)
		leech_record_forget(leech->record, 0, UINT64_MAX);
	if (!ret)
		leech_record_head(leech->record)->chunk = chunkmap_chunk(leech->map);
	if (!ret)
		ret = leech_record_resize(leech->record, chunkmap_size(leech->map));
	if (!ret)
		ret = leech_fit_busy(leech);
	if (ret)
		open_failed(leech, ret, ret == -ECANCELED ? "it was given up" : "the record of what has come cannot be used");
	else
		open_local(leech);
}

static int load_record(struct loop_work *work)
{
	struct leech *leech = container_of(work, struct leech, loading);
	int ret = leech_record_load(leech->record);

	leech->elsewhere->ready = !ret && !hash_file_load(leech->elsewhere->file);
	return ret;
}

static void leech_open(struct backend *backend)
{
	struct leech *leech = to_leech(backend);
	const struct backend_open *open = backend->open;
	char path[4096];
	int ret;

	list_init(&leech->blocked);
	list_init(&leech->fetches);
	list_init(&leech->lasts);
	list_init(&leech->flushes);
	leech->keep_off = UINT64_MAX;
	leech->outer = *open;
	memset(&leech->outer.uri, 0, sizeof(leech->outer.uri));
	leech_map_path(path, sizeof(path), open->run_dir, backend->uri.path);
	leech->map_path = strdup(path);
	if (open->state_dir)
		leech_record_path(path, sizeof(path), open->state_dir, backend->uri.path);
	ret = leech->map_path ? leech_elsewhere_new(leech, open->state_dir ? open->state_dir : open->run_dir) : -ENOMEM;
	if (!ret)
		ret = leech_record_new(&leech->record, backend->loop, open->state_dir ? path : NULL);
	if (ret) {
		open_failed(leech, ret, "out of memory");
		return;
	}
	snprintf(leech_record_head(leech->record)->from, LEECH_RECORD_FROM, "%s", uri_option(&backend->uri, "from"));
	leech->loading.work = load_record;
	leech->loading.done = record_loaded;
	loop_work(backend->loop, &leech->loading);
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
	if (leech->nr_flushes || leech->nr_notes || leech->nr_orphans || leech_record_busy(leech->record) || !leech_elsewhere_ends(leech))
		return;
	if (leech_drop_last(leech))
		return;
	leave_local(leech);
	leech->local = NULL;
	backend_close(local, local_closed, leech);
}

uint64_t leech_wire_bytes(const struct leech *leech)
{
	return leech->stats.wire + (leech->peer && !leech->parting ? peer_session(leech->peer)->wire_bytes : 0);
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
	leech->stats.wire = leech_wire_bytes(leech);
	leech->parting = true;
	leech->pulling = false;
	loop_timer_cancel(leech->backend.loop, &leech->redial);
	/* what waits for it waits in vain */
	leech_unblock(leech);
	if (leech->peer)
		backend_close(leech->peer, peer_closed, leech);
	else if (!leech->dialling)
		peer_closed(leech);	/* may free it */
}

static void leech_close(struct backend *backend)
{
	struct leech *leech = to_leech(backend);
	struct leech_watch *watch = leech->watch;

	leech->closing = true;
	leech->watch = NULL;
	/* what waits for a chunk that somebody is at does not any more */
	leech_rest_more(leech);
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

struct backend *leech_local(struct leech *leech)
{
	return leech->local;
}

bool leech_is_diverged(struct leech *leech)
{
	return leech_record_head(leech->record)->state == LEECH_RECORD_DIVERGED;
}

bool leech_is_lost(struct leech *leech)
{
	return leech_record_head(leech->record)->state == LEECH_RECORD_LOST;
}

void leech_let_go_source(struct leech *leech)
{
	if (!leech->local || !leech->adopts)
		return;
	atomic_store(&leech->backend.dead, !leech->outer.owner->destroy);
	leech->outer.adopter->let_go(leech->local);
}

struct session *leech_session(const struct leech *leech)
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
	.finds_data = true,
};

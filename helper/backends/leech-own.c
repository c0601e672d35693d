// SPDX-License-Identifier: GPL-2.0
/* leech: the hand-over as this side's store sees it: the final size, OWNED, COMPLETE. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "adopter.h"
#include "backends/leech-private.h"
#include "log.h"

#define OWNED_AGAIN_MS 1000u

/* ---- the size that the other side has ---- */

static void size_done(struct leech *leech, int error)
{
	void (*sized)(void *, int) = leech->sized;

	leech->sized = NULL;
	sized(leech->sized_arg, error);
	leech_close_more(leech);	/* may free it */
}

static void resized(struct backend_req *req, int error)
{
	struct leech *leech = container_of(req, struct leech, resize);
	uint64_t old = chunkmap_size(leech->map);
	uint32_t chunk = chunkmap_chunk(leech->map);

	/* The last chunk was fetched as far as it was known to go; the other side may have more of it. */
	if (leech->new_size > old && old % chunk)
		chunkmap_set(leech->map, old / chunk, old / chunk + 1, false);
	if (!error)
		error = chunkmap_resize(leech->map, leech->new_size);
	if (!error)
		error = leech_record_resize(leech->record, leech->new_size);
	if (!error)
		error = leech_fit_busy(leech);
	if (!error)
		__atomic_store_n(&leech->backend.caps.size, leech->new_size, __ATOMIC_RELAXED);
	size_done(leech, error);
}

/* A fetch that is under way could write beyond a new end, so they end first. */
void leech_size_more(struct leech *leech)
{
	uint64_t old = uri_option(&leech->backend.uri, "reuse") ? backend_size(leech->local) : chunkmap_size(leech->map);
	struct backend_req *req = &leech->resize;

	if (!leech->sized || leech->nr_fetches || req->op == BACKEND_RESIZE)
		return;
	memset(req, 0, sizeof(*req));
	req->op = BACKEND_RESIZE;
	req->length = leech->new_size;
	req->arg = old < leech->new_size ? old : leech->new_size;
	req->loop = leech->backend.loop;
	req->done = resized;
	backend_submit(leech->local, req);
}

void leech_set_size(struct leech *leech, uint64_t size, void (*done)(void *arg, int error), void *arg)
{
	if (size == chunkmap_size(leech->map)) {
		done(arg, 0);
		return;
	}
	leech->pulling = false;
	leech->new_size = size;
	leech->sized = done;
	leech->sized_arg = arg;
	leech->resize.op = BACKEND_READ;	/* not submitted yet */
	leech_size_more(leech);
}

/* ---- messages ---- */

static void send_message(struct leech *leech, uint8_t type, uint32_t len,
			 void (*done)(struct link_req *req, int error))
{
	struct link_req *req = &leech->message;

	memset(req, 0, sizeof(*req));
	req->type = type;
	req->data = leech->body;
	req->data_len = len;
	req->done = done;
	leech->telling = true;
	session_urgent(peer_session(leech->peer), req);
}

static void owned_told(struct link_req *req, int error);

/* Its state directory may be full, say: it is asked until it has taken it. */
static void tell_again(struct loop_timer *timer)
{
	leech_tell_owned(container_of(timer, struct leech, redial));
}

static bool is_no(int error)
{
	return error == -ESTALE || error == -ESHUTDOWN;
}

static void owned_told(struct link_req *req, int error)
{
	struct leech *leech = container_of(req, struct leech, message);
	const char *why = link_why(req, error);

	leech->telling = false;
	if (error)
		log_warning("%s: the other side did not take that it is owned here: %s", leech->backend.uri.text, why);
	/* once heard, always: it may be told again after each connection */
	leech->owned_heard = !error || (leech->owned_heard && error != -ESTALE);
	if (error && !is_no(error) && !leech->parting) {
		leech->redial.fire = tell_again;
		loop_timer_set(leech->backend.loop, &leech->redial, OWNED_AGAIN_MS);
	}
	if (leech->watch)
		leech->watch->owned(leech->watch, error, error ? why : "");
	if (error != -ESTALE)
		leech_pull(leech, true);
	if (!error)
		leech_ask_hashes(leech);
	leech_close_more(leech);	/* may free it */
}

void leech_tell_owned(struct leech *leech)
{
	const struct chunkmap_owner *owner = chunkmap_owner(leech->map);
	struct wire_owned owned = { .epoch = owner->epoch };

	if (!leech->peer || leech->parting || leech->telling)
		return;
	memcpy(owned.nonce, owner->nonce, sizeof(owned.nonce));
	send_message(leech, WIRE_OWNED, (uint32_t)wire_encode(WIRE_S_OWNED, &owned, leech->body, sizeof(leech->body)),
		     owned_told);
}

/* ---- the decision ---- */

static void record_written(struct leech_record_waiter *waiter, int error)
{
	struct leech *leech = container_of(waiter, struct leech, decided);
	const struct leech_record_head *head = leech_record_head(leech->record);

	if (!error && head->state == LEECH_RECORD_OWNED && chunkmap_state(leech->map) == CHUNKMAP_PULLING) {
		chunkmap_set_owner(leech->map, &head->owner);
		chunkmap_set_state(leech->map, CHUNKMAP_OWNED);
		leech_share_path(leech);
		if (leech->adopts)
			leech->outer.adopter->adopt(leech->local);
		leech_tell_owned(leech);
	}
	if (!error && head->state == LEECH_RECORD_LOST)
		leech_drop_rest(leech, NULL, NULL);
	/* whatever the disk has got: nobody has been told, so the last word is not said yet */
	if (error && head->state == LEECH_RECORD_OWNED && chunkmap_state(leech->map) == CHUNKMAP_PULLING)
		leech_record_head(leech->record)->state = LEECH_RECORD_PULLING;
	leech->nr_notes--;
	leech->own_done(leech->own_arg, error);
	leech_close_more(leech);	/* may free it */
}

static void write_record(struct leech *leech, enum leech_record_state state, void (*done)(void *arg, int error), void *arg)
{
	leech_record_head(leech->record)->state = state;
	leech->own_done = done;
	leech->own_arg = arg;
	leech->decided.done = record_written;
	leech->nr_notes++;
	leech_record_save(leech->record, &leech->decided);
}

void leech_own(struct leech *leech, const struct chunkmap_owner *owner, void (*done)(void *arg, int error), void *arg)
{
	leech_drop_lasts(leech);
	leech_record_head(leech->record)->owner = *owner;
	write_record(leech, LEECH_RECORD_OWNED, done, arg);
}

void leech_hold_diverged(struct leech *leech)
{
	if (leech->local && leech->adopts && leech_is_diverged(leech))
		leech->outer.adopter->diverge(leech->local, true);
}

void leech_note_diverged(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	leech_record_head(leech->record)->state = LEECH_RECORD_DIVERGED;
	leech_hold_diverged(leech);
	write_record(leech, LEECH_RECORD_DIVERGED, done, arg);
}

bool leech_is_noting(const struct leech *leech)
{
	return leech->completing || leech->nr_notes;
}

void leech_lose(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	/* first: what waits for it goes on waiting where it may come from elsewhere */
	leech_record_head(leech->record)->state = LEECH_RECORD_LOST;
	leech_look_anew(leech);
	leech_retry_soon(leech);
	leech_part(leech);
	write_record(leech, LEECH_RECORD_LOST, done, arg);
}

/* It is pushed from here on. */
static void kept(void *arg, int error)
{
	struct leech *leech = arg;

	if (error)
		leech_record_head(leech->record)->state = LEECH_RECORD_DIVERGED;
	else if (leech->adopts && !leech->closing)
		leech->outer.adopter->diverge(leech->local, false);
	if (!error)
		leech_drain_lost(leech);
	leech->kept(leech->kept_arg, error);
}

/* In memory COMPLETE says that the source has all of it, and that is not so: it is LOST until it has, and what is missing stays so. */
static void keep(void *arg, int error)
{
	struct leech *leech = arg;

	if (error) {
		leech->kept(leech->kept_arg, error);
		return;
	}
	if (leech_is_volatile(leech)) {
		write_record(leech, LEECH_RECORD_LOST, kept, leech);
		return;
	}
	chunkmap_set_state(leech->map, CHUNKMAP_COMPLETE);
	leech->all_here = true;
	write_record(leech, LEECH_RECORD_COMPLETE, kept, leech);
}

void leech_keep(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	leech->kept = done;
	leech->kept_arg = arg;
	if (!leech_drop_rest(leech, keep, leech))
		keep(leech, 0);
}

bool leech_is_heard(const struct leech *leech)
{
	return leech->owned_heard;
}

static void gone_on(void *arg, int error)
{
	struct leech *leech = arg;

	leech->completing = false;
	if (error) {
		leech_record_head(leech->record)->state = leech->parting ? LEECH_RECORD_LOST : LEECH_RECORD_OWNED;
		leech_pull_later(leech);
	} else {
		chunkmap_set_state(leech->map, CHUNKMAP_COMPLETE);
		leech->all_here = true;
		leech_unblock(leech);
	}
	leech->gone_on(leech->gone_on_arg, error);
}

void leech_let_go(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	leech->gone_on = done;
	leech->gone_on_arg = arg;
	leech->completing = true;
	leech->pulling = false;
	write_record(leech, LEECH_RECORD_COMPLETE, gone_on, leech);
}

void leech_reserve(struct leech *leech, void (*done)(void *arg, int error), void *arg)
{
	write_record(leech, LEECH_RECORD_PULLING, done, arg);
}

/* ---- COMPLETE: the other side hears of it when nothing here needs it any more; notice.h ---- */

static void completed(void *arg, int error)
{
	struct leech *leech = arg;

	if (error) {
		log_error("%s: that it is complete could not be written down: %s", leech->backend.uri.text, strerror(-error));
		leech_record_head(leech->record)->state = leech->parting ? LEECH_RECORD_LOST : LEECH_RECORD_OWNED;
		leech->completing = false;
		leech_pull_later(leech);
		return;
	}
	chunkmap_set_state(leech->map, CHUNKMAP_COMPLETE);
	leech->all_here = true;
	if (leech->watch)
		leech->watch->complete(leech->watch);
}

/* Only what is durable here may be let go of there. */
static void all_durable(struct leech_flush *flush, int error)
{
	struct leech *leech = flush->leech;

	free(flush);
	if (!error && !leech->closing) {
		/* the record has all chunks: whatever happens, none is asked for again that the source has newer by then */
		if (leech->adopts)
			leech->outer.adopter->push(leech->local);
		write_record(leech, LEECH_RECORD_COMPLETE, completed, leech);
		return;
	}
	leech->completing = false;
	if (!error)
		return;
	log_error("%s: the local store cannot be synced, so the other side has to keep its copy: %s", leech->backend.uri.text,
		  strerror(-error));
	leech_pull_later(leech);
}

void leech_complete(struct leech *leech)
{
	bool lost = leech_record_head(leech->record)->state == LEECH_RECORD_LOST;

	if (leech->completing || !(lost || (leech->owned_heard && !leech->parting)) || leech_drains(leech))
		return;
	leech->completing = leech_flush_start(leech, NULL, all_durable) != NULL;
	if (!leech->completing)
		leech_pull_later(leech);
}

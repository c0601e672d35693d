// SPDX-License-Identifier: GPL-2.0
/*
 * follower: the machine. The other side tracks what changes. All is pulled once, as it comes; then, in rounds: STATUS has it write what is dirty,
 * DIRTY closes a round and lists it, the chunks are fetched as they were at that moment, and when all are here they are shown. Where the other side
 * could not keep them for so long, what is still needed goes into the next round: WANT.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/peer.h"
#include "bitmap.h"
#include "config.h"
#include "follower-private.h"
#include "log.h"
#include "regiond.h"

#define MS 1000000ULL
/* Before a round that could not be kept is asked for again. */
#define LOST_MS 50u
/* One that was taken back, or has gone, is looked for so often. */
#define AWAY_MS 3000u

static void meet(struct follower *follower);
static void rest(struct follower *follower);
static void next_round(struct follower *follower);

void follower_note_why(struct follower *follower, const char *why)
{
	if (*why && strcmp(why, follower->why))
		log_warning("following %s: %s", follower->path, why);
	snprintf(follower->why, sizeof(follower->why), "%s", why);
}

static void set_timer(struct follower *follower, void (*fire)(struct loop_timer *timer), uint64_t ms)
{
	follower->timer.fire = fire;
	loop_timer_set(follower->regiond->loop, &follower->timer, ms);
}

/* ---- the other side ---- */

bool follower_hears(const struct follower *follower)
{
	return follower->connected && peer_session(follower->peer)->links[0].state == LINK_UP;
}

static void call_again(struct loop_timer *timer)
{
	follower_dial(container_of(timer, struct follower, timer));
}

static void hung_up(void *arg)
{
	struct follower *follower = arg;

	follower->peer = NULL;
	follower->hanging_up = false;
	if (follower_leaves(follower))
		follower_check_leave(follower);
	else if (follower->state != FOLLOWER_SHOWING)
		set_timer(follower, call_again, FOLLOWER_AGAIN_MS);
}

void follower_hang_up(struct follower *follower, int error, const char *why)
{
	if (error && !follower->moved)
		follower_note_why(follower, *why ? why : strerror(-error));
	follower->connected = false;
	if (!follower_leaves(follower) && follower->state != FOLLOWER_SHOWING)
		follower->state = follower->shown ? FOLLOWER_IDLE : FOLLOWER_CONNECTING;
	if (!follower_leaves(follower) && follower->state != FOLLOWER_SHOWING)
		loop_timer_cancel(follower->regiond->loop, &follower->timer);
	if (follower->hanging_up || !follower->peer)
		return;
	follower->hanging_up = true;
	backend_close(follower->peer, hung_up, follower);
}

static void take_info(struct follower *follower, const struct wire_info *info)
{
	follower->epoch = info->epoch;
	follower->lineage = info->lineage;
	follower->mode = info->mode & 0777;
}

static void dialled(struct backend_open *open, struct backend *backend, int error)
{
	struct follower *follower = container_of(open, struct follower, open);

	follower->dialling = false;
	follower->peer = backend;
	if (follower_leaves(follower)) {
		follower->word_mute = backend;
		if (backend)
			follower_hang_up(follower, 0, "");
		follower_check_leave(follower);
		return;
	}
	if (error && follower->turning) {
		follower_answer(follower, error, open->why);
	} else if (error && !follower->ever) {
		follower_give_up(follower, error, error == -EINVAL ? "the regiond of the other side cannot be followed" : open->why);
		return;
	}
	if (error) {
		if (!follower->moved)
			follower_note_why(follower, open->why);
		set_timer(follower, call_again, follower->moved ? AWAY_MS : FOLLOWER_AGAIN_MS);
		return;
	}
	follower->connected = true;
	take_info(follower, &peer_session(backend)->info);
	meet(follower);
}

void follower_dial(struct follower *follower)
{
	if (follower_leaves(follower) || follower->dialling || follower->peer || follower->regiond->stopping)
		return;
	/* what comes late must not be taken for what is asked for next */
	if (follower->nr_fetches || follower->comparing) {
		set_timer(follower, call_again, FOLLOWER_AGAIN_MS);
		return;
	}
	follower_call(follower, dialled);
}

void follower_call(struct follower *follower, void (*done)(struct backend_open *open, struct backend *backend, int error))
{
	const struct config *config = follower->regiond->config;
	struct backend_open *open = &follower->open;
	char source[4096];
	int ret;

	uri_free(&open->uri);
	memset(open, 0, sizeof(*open));
	snprintf(source, sizeof(source), "%s%cfollow&client=%s", follower->from, strchr(follower->from, '?') ? '&' : '?', follower->token);
	open->loop = follower->regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->state_dir = config->state_dir;
	open->credentials = config->credentials;
	open->instance_id = follower->regiond->instance_id;
	open->attach_gen = follower->regiond->attach_gen;
	open->read_only = true;
	open->done = done;
	follower->dialling = true;
	ret = uri_parse(&open->uri, source, open->why, sizeof(open->why));
	if (ret)
		done(open, NULL, ret);
	else
		backend_open(open);
}

void follower_send(struct follower *follower, uint8_t type, uint32_t len, void (*done)(struct link_req *req, int error))
{
	struct link_req *req = &follower->message;

	memset(req, 0, sizeof(*req));
	req->type = type;
	req->data = follower->body;
	req->data_len = len;
	req->into = follower->reply;
	req->into_len = FOLLOWER_REPLY;
	req->done = done;
	follower->asking = true;
	follower->sent_at = loop_now_ns();
	session_urgent(peer_session(follower->peer), req);
}

/* ---- parting ---- */

/* Longer than a STATUS with FLUSH waits over there, and its way there and back. */
#define PART_MS 3000u

static void parted(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	follower->asking = false;
	if (!follower->word_over) {
		follower->word_error = error;
		snprintf(follower->word_why, sizeof(follower->word_why), "%s", error ? link_why(req, error) : "");
	}
	follower_hang_up(follower, 0, "");
	follower_check_leave(follower);
}

static void part(struct follower *follower)
{
	uint8_t word = follower->connected && !follower->hanging_up ? follower->word : 0;

	if (!follower->peer || (word && follower->asking))
		return;
	follower->word = 0;
	if (word)
		follower_send(follower, word, 0, parted);
	else
		follower_hang_up(follower, 0, "");
}

static void part_late(struct loop_timer *timer)
{
	struct follower *follower = container_of(timer, struct follower, timer);

	follower->word = 0;
	follower->word_over = true;
	follower->word_mute = follower_hears(follower);
	follower_hang_up(follower, 0, "");
	follower_check_leave(follower);
}

/* false: it is an end, or nothing is to be made of it, and that has been seen to. */
static bool came(struct follower *follower, const struct link_req *req, int error)
{
	follower->asking = false;
	if (follower_leaves(follower)) {
		part(follower);
		follower_check_leave(follower);
		return false;
	}
	if (follower->hanging_up)
		return false;
	if (error)
		follower_hang_up(follower, error, link_why(req, error));
	return !error;
}

/* ---- WANT ---- */

/* The next runs of what is needed; false: there are none. */
static bool fill_want(struct follower *follower, uint32_t *len)
{
	uint64_t at = follower->cursor, bits = follower->need_bits;
	struct wire_want want = { .count = 0 };
	uint32_t used = (uint32_t)wire_encode(WIRE_S_WANT, &want, follower->body, FOLLOWER_REPLY);

	while (want.count < WIRE_RANGES_MAX && (at = bitmap_next(follower->need, at, bits, true)) < bits) {
		uint64_t end = bitmap_next(follower->need, at, bits, false);
		struct wire_extent extent = { .chunk = at, .count = (uint32_t)(end - at) };

		used += (uint32_t)wire_encode(WIRE_S_EXTENT, &extent, follower->body + used, FOLLOWER_REPLY - used);
		want.count++;
		at = end;
	}
	wire_encode(WIRE_S_WANT, &want, follower->body, FOLLOWER_REPLY);
	follower->cursor = at;
	*len = used;
	return want.count;
}

static void close_round(struct follower *follower);

static void wanted(struct link_req *req, int error);

static void want(struct follower *follower)
{
	uint32_t len;

	if (!fill_want(follower, &len)) {
		follower->cursor = 0;
		close_round(follower);
		return;
	}
	follower_send(follower, WIRE_WANT, len, wanted);
}

static void wanted(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	if (came(follower, req, error))
		want(follower);
}

/* ---- DIRTY ---- */

static void dirty_came(struct link_req *req, int error);

static void ask_dirty(struct follower *follower, uint32_t round, uint64_t from)
{
	struct wire_dirty dirty = { .round = round, .from = from };
	int n = wire_encode(WIRE_S_DIRTY, &dirty, follower->body, FOLLOWER_REPLY);

	follower_send(follower, WIRE_DIRTY, (uint32_t)n, dirty_came);
}

static void close_round(struct follower *follower)
{
	follower->lost = false;
	follower->status.dirty = 0;	/* it is in the round */
	ask_dirty(follower, follower->round + 1, 0);
	/* what programs have written since, and the kernel there has not, is not in it */
	follower_head(&follower->record)->next_moment = follower->status_at;
}

static int take_list(struct follower *follower, const struct wire_dirty_reply *list, size_t used)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct wire_extent extent;
		int n = wire_decode(WIRE_S_EXTENT, follower->reply + used, follower->message.got - used, &extent);
		uint64_t chunks = follower->need_bits;

		if (n < 0)
			return n;
		used += (size_t)n;
		if (extent.chunk < chunks)
			follower_need(follower, extent.chunk, extent.count < chunks - extent.chunk ? extent.chunk + extent.count : chunks);
	}
	return 0;
}

/*
 * A region that has grown has all of it beyond its old end in the list, and the chunk that the end was in; if not, what made it grow was noted just before, and
 * not answered. What was fetched of these does not go as far as they do.
 */
static bool is_short(struct follower *follower, uint64_t before)
{
	uint64_t first = before / FOLLOWER_CHUNK, end = follower_chunks(follower->size);
	bool any = false;

	if (follower->size <= before)
		return false;
	for (uint64_t i = first; i < end; i++) {
		if (bitmap_get(follower->need, i))
			continue;
		follower_need(follower, i, i + 1);
		any = true;
	}
	return any;
}

/* The size is another moment's, for what is missing of the list: then the round is lost, and its chunks go into the next one. */
static void listed(struct follower *follower, const struct wire_dirty_reply *list)
{
	uint64_t before = follower->size;

	follower->round = list->round;
	if (list->size == UINT64_MAX) {
		follower->lost = true;
	} else {
		follower_note_size(follower, list->size);
		follower->lost |= is_short(follower, before);
	}
	if (!follower->shown && chunkmap_resize(follower->map, follower->size)) {
		follower_hang_up(follower, -ENOMEM, "out of memory");
		return;
	}
	follower->cursor = 0;
	follower->state = follower->shown ? FOLLOWER_FETCHING : FOLLOWER_PULLING;
	if (follower->lost)
		follower_fetched(follower);
	else
		follower_fetch(follower);
}

static void dirty_came(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);
	struct wire_dirty_reply list;
	int n;

	if (error == -EINVAL && !follower_leaves(follower) && !follower->hanging_up) {
		/* its helper is another one, and has not tracked */
		follower->asking = false;
		meet(follower);
		return;
	}
	if (!came(follower, req, error))
		return;
	n = wire_decode(WIRE_S_DIRTY_REPLY, follower->reply, req->got, &list);
	if (n >= 0 && list.size != UINT64_MAX && list.size > INT64_MAX)
		n = -EPROTO;
	if (n >= 0 && list.size != UINT64_MAX && follower_fit(follower, follower_chunks(list.size)))
		n = -ENOMEM;
	if (n >= 0)
		n = take_list(follower, &list, (size_t)n);
	if (n < 0)
		follower_hang_up(follower, n, n == -ENOMEM ? "out of memory" : "the list of changed chunks makes no sense");
	else if (req->reply_flags & WIRE_F_MORE)
		ask_dirty(follower, list.round, list.next);
	else
		listed(follower, &list);
}

/* ---- what has come ---- */

static void again(struct loop_timer *timer)
{
	next_round(container_of(timer, struct follower, timer));
}

static void here_told(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	/* whoever was to go on meanwhile could not ask */
	if (came(follower, req, error) && follower->state == FOLLOWER_IDLE && !follower->timer.slot)
		rest(follower);
}

/* Nothing needs to be kept there any more. */
static void tell_here(struct follower *follower)
{
	struct wire_status_ask ask = { .flags = WIRE_STATUS_HERE };
	int n = wire_encode(WIRE_S_STATUS_ASK, &ask, follower->body, FOLLOWER_REPLY);

	follower_send(follower, WIRE_STATUS, (uint32_t)n, here_told);
}

void follower_fetched(struct follower *follower)
{
	/* what is begun is brought to an end, and that not while we stop */
	if (follower_leaves(follower) || follower->hanging_up || !follower->connected || follower->regiond->stopping)
		return;
	if (follower->lost) {
		follower->lost_rounds++;
		set_timer(follower, again, LOST_MS);
		return;
	}
	if (!follower->round) {
		next_round(follower);	/* pulled once, as it came */
		return;
	}
	tell_here(follower);
	follower_apply(follower);
}

void follower_shown(struct follower *follower)
{
	if (follower_leaves(follower)) {
		follower_check_leave(follower);
		return;
	}
	follower->state = FOLLOWER_IDLE;
	follower_answer(follower, 0, "");
	if (follower->connected)
		rest(follower);
	else if (!follower->hanging_up)
		follower_dial(follower);
}

/* ---- STATUS: is there anything new? ---- */

static void now_shown(struct follower *follower)
{
	follower_head(&follower->record)->moment = follower->status_at;
	if (!follower->moved)
		follower_note_why(follower, "");
}

static bool is_up_to_date(const struct follower *follower)
{
	return follower->shown && !follower->status.dirty && !follower->nr_need && chunkmap_round(follower->map) == follower->round;
}

/* In half of the time the rest of the round has to come. */
static void rest(struct follower *follower)
{
	uint64_t age = (loop_now_ns() - follower_head(&follower->record)->moment) / MS, pause = follower->max_age / 2;

	follower->state = follower->shown ? FOLLOWER_IDLE : follower->state;
	set_timer(follower, again, age < pause ? pause - age : 1);
}

static void moved_noted(struct state_waiter *waiter, int error)
{
	struct follower *follower = container_of(waiter, struct follower, noted);

	follower->noting = false;
	if (error)
		log_warning("following %s: that its source has moved could not be written down", follower->path);
	follower_check_leave(follower);
}

/* There is an owner: the next helper has to know that even if nobody can be asked any more. */
static void note_moved(struct follower *follower)
{
	follower->moved = true;
	follower_set_again(follower, "moved", json_true());
	follower_note_again(follower);
	follower->noting = true;
	follower->noted.done = moved_noted;
	state_sync(follower->regiond->state, &follower->noted);
}

static void note_state(struct follower *follower)
{
	bool moved = follower->status.state == WIRE_SEED_MOVED;

	follower->turning = false;
	if (!moved || follower->moved)
		return;
	follower_note_why(follower, "its source has moved: 'regionctl leech' it again from its new owner, with --follow");
	note_moved(follower);
}

/* An operator has taken it back: what is there now is another one. */
static bool is_another(struct follower *follower)
{
	if (follower->status.state != WIRE_SEED_RESOLVED && follower->status.state != WIRE_SEED_DIVERGED)
		return false;
	follower_note_why(follower, "its source was taken back by its operator: 'regionctl leech' it again from whom it is to follow");
	set_timer(follower, again, AWAY_MS);
	return true;
}

static bool take_status(struct follower *follower, const struct link_req *req)
{
	follower->status_at = follower->sent_at;
	if (wire_decode(WIRE_S_STATUS, follower->reply, req->got, &follower->status) < 0) {
		follower_hang_up(follower, -EPROTO, "its answer makes no sense");
		return false;
	}
	note_state(follower);
	return !is_another(follower);
}

static void status_came(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	if (!came(follower, req, error) || !take_status(follower, req))
		return;
	if (follower->status.state == WIRE_SEED_SERVING || follower->status.round != follower->round) {
		meet(follower);
	} else if (is_up_to_date(follower)) {
		now_shown(follower);
		rest(follower);
	} else if (!follower_has_room(follower)) {
		/* nor is anything kept over there meanwhile */
		follower_note_why(follower, FOLLOWER_NO_ROOM);
		set_timer(follower, again, FOLLOWER_AGAIN_MS);
	} else {
		follower->cursor = 0;
		want(follower);
	}
}

static void next_round(struct follower *follower)
{
	struct wire_status_ask ask = { .flags = WIRE_STATUS_FLUSH };
	int n;

	if (follower_leaves(follower) || !follower->connected || follower->hanging_up || follower->asking || follower->state == FOLLOWER_SHOWING ||
	    follower->regiond->stopping)
		return;
	n = wire_encode(WIRE_S_STATUS_ASK, &ask, follower->body, FOLLOWER_REPLY);
	follower_send(follower, WIRE_STATUS, (uint32_t)n, status_came);
}

/* ---- TRACK ---- */

static void begin(struct follower *follower)
{
	follower->round = 0;
	follower->unknown = false;
	follower_record_clear(&follower->record);
	/* what is listed from here on is of another count */
	chunkmap_set_round(follower->map, UINT32_MAX);
	if (follower->compare || follower->shown) {
		follower->state = FOLLOWER_COMPARING;
		follower_compare(follower);
		return;
	}
	chunkmap_set(follower->map, 0, UINT64_MAX, false);
	follower_need(follower, 0, follower_chunks(follower->size));
	follower->state = FOLLOWER_PULLING;
	follower->compare = true;	/* if it has to begin anew */
	follower->cursor = 0;
	follower_fetch(follower);
}

/* What could be told apart is not needed; the rest is, and if something is shown, as it is in a round. */
void follower_compared(struct follower *follower, int error)
{
	if (follower_leaves(follower) || follower->hanging_up || !follower->connected)
		return;
	if (error) {
		follower_hang_up(follower, error, "what is here could not be compared with what is there");
		return;
	}
	follower->cursor = 0;
	if (follower->shown) {
		next_round(follower);
		return;
	}
	follower->state = FOLLOWER_PULLING;
	follower_fetch(follower);
}

static void tracked(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);
	struct wire_info info;

	if (!came(follower, req, error))
		return;
	if (wire_decode(WIRE_S_INFO, follower->reply, req->got, &info) < 0 || info.chunk != FOLLOWER_CHUNK || info.size > INT64_MAX) {
		follower_hang_up(follower, -EPROTO, "its answer makes no sense");
		return;
	}
	follower_need_none(follower);
	follower_note_size(follower, info.size);
	take_info(follower, &info);
	if (follower->ever)
		follower_tracked(follower);
	else
		follower_begun(follower);
}

void follower_tracked(struct follower *follower)
{
	if (follower->hanging_up || !follower->connected)
		return;
	if (follower_fit(follower, follower_chunks(follower->size)) || (!follower->shown && chunkmap_resize(follower->map, follower->size)))
		follower_hang_up(follower, -ENOMEM, "out of memory");
	else
		begin(follower);
}

static void track(struct follower *follower)
{
	struct wire_track track = { .chunk = FOLLOWER_CHUNK };
	int n = wire_encode(WIRE_S_TRACK, &track, follower->body, FOLLOWER_REPLY);

	follower_send(follower, WIRE_TRACK, (uint32_t)n, tracked);
}

/* ---- meeting ---- */

static void forgotten(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	if (came(follower, req, error))
		meet(follower);
}

/* It has closed rounds that went into what is here, and nobody knows which: all of it is compared. */
static void track_anew(struct follower *follower)
{
	follower_send(follower, WIRE_ABORT, 0, forgotten);
}

/*
 * It tracks for us, since an earlier connection. A round that we have not shown may be the last one it has closed: its list is had again, and covers those
 * before it, since what was needed of them went into it. Before the first one nothing is known of what has come meanwhile.
 */
static void go_on(struct follower *follower)
{
	uint32_t round = follower->status.round;

	if (follower->unknown && round) {
		track_anew(follower);
		return;
	}
	follower->lost = true;
	if (!follower->shown)
		follower_need_missing(follower);
	if (!round) {
		begin(follower);
	} else if (!follower->shown || chunkmap_round(follower->map) != round) {
		ask_dirty(follower, round, 0);
	} else {
		follower->round = round;
		next_round(follower);
	}
}

static void met(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	if (!came(follower, req, error) || !take_status(follower, req))
		return;
	if (follower->status.state == WIRE_SEED_SERVING)
		track(follower);
	else
		go_on(follower);
}

static void meet(struct follower *follower)
{
	follower_send(follower, WIRE_STATUS, 0, met);
}

/* ---- leaving ---- */

static bool is_under_way(const struct follower *follower)
{
	return follower->asking || follower->stepping || follower->noting || follower->nr_local || follower->nr_fetches || follower->dialling ||
	       follower->hanging_up || follower->peer || follower->comparing;
}

void follower_check_leave(struct follower *follower)
{
	void (*leave)(struct follower *) = follower->leave;

	if (!leave || is_under_way(follower))
		return;
	follower->leave = NULL;
	loop_timer_cancel(follower->regiond->loop, &follower->timer);
	leave(follower);
}

void follower_leave(struct follower *follower, uint8_t word, void (*leave)(struct follower *follower))
{
	follower->state = FOLLOWER_LEAVING;
	follower->leave = leave;
	follower->word = word;
	follower->word_error = -ETIMEDOUT;
	follower->word_over = follower->word_mute = false;
	*follower->word_why = 0;
	set_timer(follower, part_late, PART_MS);
	part(follower);
	follower_check_leave(follower);
}

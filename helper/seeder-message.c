// SPDX-License-Identifier: GPL-2.0
/* seeder: what the leecher asks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech.h"
#include "chunk-hash.h"
#include "leecher.h"
#include "log.h"
#include "managed-mark.h"
#include "regiond.h"
#include "seeder-private.h"

/* ---- lists of dirty chunks ---- */

/* Head of a message, then as many runs as fit; the frame stays below what a demand connection takes. */
void seeder_reply_list(struct tracker *tracker, struct serve_req *req, enum wire_shape shape, void *msg,
		       struct wire_dirty_reply *dirty, uint64_t from)
{
	size_t room = 256 + WIRE_RANGES_MAX * 12, used;
	struct wire_extent *extents = calloc(WIRE_RANGES_MAX, sizeof(*extents));
	uint8_t *out = malloc(room);

	if (!extents || !out) {
		serve_fail(req, -ENOMEM, "out of memory");
	} else {
		dirty->round = tracker_round(tracker);
		dirty->total = tracker_closed(tracker);
		dirty->count = tracker_list(tracker, from, extents, WIRE_RANGES_MAX, &dirty->next);
		used = (size_t)wire_encode(shape, msg, out, room);
		for (uint32_t i = 0; i < dirty->count; i++)
			used += (size_t)wire_encode(WIRE_S_EXTENT, &extents[i], out + used, room - used);
		serve_reply(req, dirty->next ? WIRE_F_MORE : 0, out, (uint32_t)used);
	}
	free(extents);
	free(out);
}

void seeder_reply_final(struct seeder *seeder, struct serve_req *req)
{
	struct region *region = seeder->handover.region;
	struct wire_finalize_reply reply;

	memset(&reply, 0, sizeof(reply));
	reply.epoch = seeder->epoch;
	reply.lineage = region->info.lineage;
	reply.mode = region->info.mode;
	reply.uid = region->info.uid;
	reply.gid = region->info.gid;
	memcpy(reply.nonce, seeder->nonce, sizeof(reply.nonce));
	reply.suspend_ms = (uint32_t)((seeder->stopped - seeder->asked) / 1000000);
	reply.freeze_ms = (uint32_t)((seeder->froze - seeder->stopped) / 1000000);
	reply.dirty.size = seeder->size;
	seeder_reply_list(seeder->tracker, req, WIRE_S_FINALIZE_REPLY, &reply, &reply.dirty, 0);
}

/* ---- messages ---- */

static void take_track(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct region *region = seeder->handover.region;
	struct wire_track track;
	struct wire_info info;
	bool fresh;
	int ret = 0;

	if (wire_decode(WIRE_S_TRACK, body, len, &track) < 0 || !chunk_hash_is_size(track.chunk)) {
		serve_fail(req, -EINVAL, "a chunk size that cannot be");
		return;
	}
	if (seeder->state != WIRE_SEED_SERVING && seeder->state != WIRE_SEED_TRACKING) {
		serve_fail(req, -EBUSY, "it is %s already", wire_seed_state_name(seeder->state));
		return;
	}
	fresh = !tracker_is_for(seeder->tracker, seeder->session->client) || tracker_chunk(seeder->tracker) != track.chunk;
	if (fresh)
		ret = tracker_start(seeder->tracker, track.chunk, atomic_load(&region->size), seeder->session->client);
	if (ret) {
		serve_fail(req, ret, "out of memory");
		return;
	}
	if (fresh) {
		seeder->chunk = track.chunk;
		seeder->round = 0;
		seeder->began = loop_now_ns();
	}
	seeder->state = WIRE_SEED_TRACKING;
	export_info(seeder->export, &info);
	info.chunk = seeder->chunk;
	serve_shape(req, WIRE_S_INFO, &info);
}

/* What was noted for one client means nothing to another. */
bool seeder_is_tracked(const struct seeder *seeder)
{
	return seeder->session && tracker_is_for(seeder->tracker, seeder->session->client);
}

/* A round that was closed is listed again when asked for again; the next number closes the running one. */
static void take_dirty(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_dirty_reply reply = { .round = 0 };
	struct wire_dirty dirty;

	if (wire_decode(WIRE_S_DIRTY, body, len, &dirty) < 0) {
		serve_fail(req, -EPROTO, "not a DIRTY");
		return;
	}
	if (!seeder_is_tracked(seeder)) {
		serve_fail(req, -EINVAL, "nothing is tracked for it");
		return;
	}
	if (dirty.round == seeder->round + 1 && seeder->state == WIRE_SEED_TRACKING) {
		tracker_close_round(seeder->tracker);
		seeder_round_closed(seeder);
		seeder->round = tracker_round(seeder->tracker);
	}
	if (dirty.round != seeder->round || !dirty.round) {
		serve_fail(req, -EINVAL, "round %u is not to be had", dirty.round);
		return;
	}
	reply.size = seeder->state >= WIRE_SEED_HANDED_OFF ? seeder->size : atomic_load(&seeder->handover.region->size);
	seeder_reply_list(seeder->tracker, req, WIRE_S_DIRTY_REPLY, &reply, &reply, dirty.from);
}

static bool is_adopted(const uint8_t *body, size_t len)
{
	struct wire_finalize_flags more;
	struct wire_finalize ask;
	int n = wire_decode(WIRE_S_FINALIZE, body, len, &ask);

	return n >= 0 && wire_decode(WIRE_S_FINALIZE_FLAGS, body + n, len - (size_t)n, &more) >= 0 && more.flags & WIRE_FINALIZE_ADOPT;
}

static void take_finalize(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	switch (seeder->state) {
	case WIRE_SEED_TRACKING:
		if (seeder->stepping || seeder->handover.region->regiond->stopping || !seeder_is_tracked(seeder))
			break;
		if (seeder->finalizing)
			serve_fail(seeder->finalizing, -EAGAIN, "asked again");
		seeder->finalizing = req;
		seeder->adopted = is_adopted(body, len);
		memcpy(seeder->client, seeder->session->client, sizeof(seeder->client));
		seeder_asked(seeder, body, len);
		return;
	case WIRE_SEED_FROZEN:
		/* Asked again after a reconnect: the old connection won't carry the answer. */
		if (seeder->finalizing)
			serve_fail(seeder->finalizing, -EAGAIN, "asked again");
		seeder->finalizing = req;
		return;
	case WIRE_SEED_HANDED_OFF:
		if (seeder_take_list(seeder))
			break;
		seeder_reply_final(seeder, req);
		return;
	default:
		break;
	}
	serve_fail(req, -EINVAL, "it is %s", wire_seed_state_name(seeder->state));
}

static bool is_resolved(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_RESOLVED || seeder->state == WIRE_SEED_DIVERGED;
}

static void take_owned(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_owned owned;

	if (wire_decode(WIRE_S_OWNED, body, len, &owned) < 0 || owned.epoch != seeder->epoch ||
	    !tls_equal(owned.nonce, seeder->nonce, sizeof(owned.nonce)))
		serve_fail(req, -ESTALE, "not the owner that it was handed to");
	else if (seeder->state == WIRE_SEED_MOVED)
		serve_reply(req, 0, NULL, 0);
	else if (seeder->state == WIRE_SEED_HANDED_OFF && seeder_group_any(seeder, is_resolved))
		/* the operator's word is about all of them, but could not be written down for this one */
		serve_fail(req, -EAGAIN, "%s: others of its group were taken back by their operator", seeder_name(seeder));
	else if (seeder->state == WIRE_SEED_HANDED_OFF)
		seeder_moved(seeder, req);
	else if (seeder->state == WIRE_SEED_RESOLVED || seeder->state == WIRE_SEED_DIVERGED)
		seeder_diverge(seeder, req);
	else
		serve_fail(req, -EINVAL, "it is %s", wire_seed_state_name(seeder->state));
}

/* The other side forgets us when it is answered: by then no reboot brings the region back. */
static void over_noted(struct state_waiter *waiter, int error)
{
	struct seeder *seeder = container_of(waiter, struct seeder, written);
	struct serve_req *req = seeder->finalizing;

	seeder->stepping = false;
	seeder->finalizing = NULL;
	if (error) {
		serve_fail(req, -EAGAIN, "the state directory could not be written");
		return;
	}
	serve_reply(req, 0, NULL, 0);
	seeder->complete = true;
	seeder_unfreeze(seeder);
	seeder_end(seeder);
}

/* Whoever finds its store here later is not to push it, so that it is another host's is beside it before the record says that all of this is over. */
static void marked(void *arg, int error)
{
	struct seeder *seeder = arg;
	struct serve_req *req = seeder->finalizing;

	if (error) {
		seeder->stepping = false;
		seeder->finalizing = NULL;
		log_warning("seeding %s: its local store could not be marked as one that is another host's: %s", seeder_name(seeder), strerror(-error));
		serve_fail(req, -EAGAIN, "the local store could not be marked: %s", strerror(-error));
		return;
	}
	seeder->handover.region->info.flags |= REGIONFS_REGION_MOVED;
	seeder_note_over(seeder->handover.region);
	seeder->written.done = over_noted;
	state_sync(seeder->handover.region->regiond->state, &seeder->written);
}

/* Where the region came from nobody needs its bytes any more, either. */
static void let_go(void *arg, int error)
{
	struct seeder *seeder = arg;
	struct serve_req *req = seeder->finalizing;

	if (error) {
		seeder->stepping = false;
		seeder->finalizing = NULL;
		serve_fail(req, -EAGAIN, "it is just changing its state");
		return;
	}
	managed_mark_region(seeder->handover.region, marked, seeder);
}

static void take_complete(struct seeder *seeder, struct serve_req *req)
{
	if (seeder->state != WIRE_SEED_MOVED) {
		serve_fail(req, -EINVAL, "it is %s", wire_seed_state_name(seeder->state));
		return;
	}
	if (seeder->complete) {
		serve_reply(req, 0, NULL, 0);
		return;
	}
	if (seeder->stepping) {
		serve_fail(req, -EAGAIN, "it is just being moved");
		return;
	}
	seeder->finalizing = req;
	seeder->stepping = true;
	leecher_let_go(seeder->handover.region, let_go, seeder);
}

static void take_abort(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_text text;
	char why[WIRE_NAME_MAX + WIRE_TEXT_MAX + 64];

	if (wire_decode(WIRE_S_TEXT, body, len, &text) < 0)
		*text.text = 0;
	/* of a group, one of which has: who owns one owns all */
	if (seeder_group_has_moved(seeder)) {
		serve_fail(req, -EINVAL, "it has moved");
		return;
	}
	seeder_unthrottle(seeder);
	snprintf(why, sizeof(why), "%s gave up: %s", seeder->peer, *text.text ? text.text : "no reason given");
	if (seeder->state == WIRE_SEED_FROZEN || seeder->state == WIRE_SEED_HANDED_OFF) {
		/* who gives up forgets it when that is answered */
		if (seeder->giving_back)
			serve_fail(seeder->giving_back, -EAGAIN, "asked again");
		seeder->giving_back = req;
		seeder->forget = true;
		if (!seeder->give_up)
			seeder_back(seeder, why);
		return;
	}
	serve_reply(req, 0, NULL, 0);
	seeder_fail_lasts(seeder);
	seeder_ungate(seeder, why);
	if (seeder->state == WIRE_SEED_TRACKING) {
		tracker_stop(seeder->tracker);
		seeder->state = WIRE_SEED_SERVING;
	}
}

/* What is in service here since is not what was handed over: a mixture of both is nobody's. */
static bool seeder_reads(void *arg)
{
	const struct seeder *seeder = arg;

	return seeder->state != WIRE_SEED_RESOLVED && seeder->state != WIRE_SEED_DIVERGED;
}

static void seeder_message(void *arg, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct seeder *seeder = arg;

	if (!seeder->handover.region) {
		serve_fail(req, -ESHUTDOWN, "seeding has ended");
		return;
	}
	if (req->head.type == WIRE_GROUP) {
		seeder_take_group(seeder, req, body, len);
		return;
	}
	if (seeder->resolving) {
		serve_fail(req, -EAGAIN, "%s is just being resolved", seeder_name(seeder));
		return;
	}
	if ((!seeder_reads(arg) && req->head.type != WIRE_OWNED && req->head.type != WIRE_STATUS)) {
		serve_fail(req, -ESTALE, "%s was taken back by its operator", seeder_name(seeder));
		return;
	}
	if (req->service->session->flags & WIRE_OPEN_FOLLOW) {
		seeder_follow_message(seeder, req, body, len);
		return;
	}
	if (req->service->session != seeder->session || seeder->state == WIRE_SEED_ABORTED) {
		serve_fail(req, -ECANCELED, "the seeder has given up: %s", seeder->why);
		return;
	}
	switch (req->head.type) {
	case WIRE_TRACK:
		take_track(seeder, req, body, len);
		return;
	case WIRE_DIRTY:
		take_dirty(seeder, req, body, len);
		return;
	case WIRE_FINALIZE:
		take_finalize(seeder, req, body, len);
		return;
	case WIRE_OWNED:
		take_owned(seeder, req, body, len);
		return;
	case WIRE_COMPLETE:
		take_complete(seeder, req);
		return;
	case WIRE_ABORT:
		take_abort(seeder, req, body, len);
		return;
	case WIRE_STATUS:
		seeder_status(seeder, req, body, len);
		return;
	case WIRE_THROTTLE:
		seeder_take_throttle(seeder, req, body, len);
		return;
	case WIRE_LAST:
		seeder_take_last(seeder, req, body, len);
		return;
	case WIRE_HASHES:
		seeder_take_hashes(seeder, req, body, len);
		return;
	}
	serve_fail(req, -EOPNOTSUPP, "an unknown request");
}

/* ---- sessions ---- */

static bool is_client(const struct export_session *session, const uint8_t client[16])
{
	return !memcmp(session->client, client, sizeof(session->client));
}

/* Another one could only guess what has become of the hand-over, and whatever it says would be taken as the first one's word. */
static bool is_promised(const struct seeder *seeder, const struct export_session *session)
{
	return seeder->state >= WIRE_SEED_FROZEN && seeder->state != WIRE_SEED_ABORTED &&
	       !is_client(session, seeder->client);
}

/* A leecher's next helper does not wait until the session of the one before is forgotten. */
static int seeder_open(void *arg, struct export_session *session, char *why, size_t why_len)
{
	struct seeder *seeder = arg;

	if (seeder->state == WIRE_SEED_ABORTED) {
		snprintf(why, why_len, "the seeder has given up");
		return -ECANCELED;
	}
	if (session->flags & WIRE_OPEN_FOLLOW)
		return seeder_follow_open(seeder, session);
	if (is_promised(seeder, session) || (seeder->session && !is_client(session, seeder->session->client))) {
		snprintf(why, why_len, "%s is being leeched by %s", seeder->export->name, seeder->peer);
		return -EBUSY;
	}
	if (seeder_follow_promises(seeder, session)) {
		snprintf(why, why_len, "a follower of %s is being promoted", seeder->export->name);
		return -EBUSY;
	}
	/* a next helper has asked for nothing yet */
	seeder_unthrottle(seeder);
	seeder_fail_lasts(seeder);
	if (seeder->state == WIRE_SEED_TRACKING && seeder->finalizing)
		seeder_ungate(seeder, "the leecher has begun again");
	seeder->session = session;
	seeder_follow_promote(seeder, session);
	snprintf(seeder->peer, sizeof(seeder->peer), "%s", session->name);
	return 0;
}

/*
 * Tracking goes on: it costs little, and who comes back after a long outage need not get everything again. Before the hand-over, the program here goes on. After it nobody here may decide that the other side does not own the region,
 * so it stays frozen until that comes back, or somebody who knows says so (abort with force).
 */
static void seeder_gone(void *arg, struct export_session *session)
{
	struct seeder *seeder = arg;

	if (session->flags & WIRE_OPEN_FOLLOW)
		seeder_follow_gone(seeder, session);
	if (seeder->session != session)
		return;
	seeder->session = NULL;
	seeder_unthrottle(seeder);
	seeder_fail_lasts(seeder);
	seeder_ungate(seeder, "the leecher is gone");
	if (seeder->state == WIRE_SEED_FROZEN)
		seeder_back(seeder, "the leecher is gone");
}

/* What the host before has, which may be away. */
struct drop {
	const struct export_session *session;
	unsigned int slot;
};

static bool is_dropped(const struct backend_req *req, const void *arg)
{
	const struct serve_req *serve = container_of(req, struct serve_req, backend);
	const struct drop *drop = arg;

	return serve->session->export->seed && (!drop->session || (serve->session == drop->session && serve->slot == drop->slot));
}

void seeder_drop_reads(struct region *region, const struct export_session *session, unsigned int slot)
{
	const struct drop drop = { session, slot };
	bool gone = atomic_load(&region->state) == REGION_GONE;
	struct leech *leech = gone ? NULL : leech_of(region->backend);

	if (leech)
		leech_drop(leech, is_dropped, &drop);
}

static void seeder_drop(void *arg, const struct export_session *session, unsigned int slot)
{
	const struct seeder *seeder = arg;

	if (seeder->handover.region)
		seeder_drop_reads(seeder->handover.region, session, slot);
}

const struct export_seed_ops seeder_ops = {
	.open = seeder_open,
	.reads = seeder_reads,
	.read = seeder_follow_read,
	.message = seeder_message,
	.drop = seeder_drop,
	.gone = seeder_gone,
};

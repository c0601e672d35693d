// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: those that follow the region: they read it as it was at a moment, and then what has changed since, again and again, and never own it. What
 * they ask is independent of the hand-over's state, except that a region that was taken back is another one, which they have to be
 * told to follow.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk-hash.h"
#include "log.h"
#include "regiond.h"
#include "seeder-private.h"

/* More than so many that have gone away are not waited for. */
#define AWAY_MOST	64u
/* What may be copied for one of them, at least. */
#define COPIES_LEAST	(64ULL << 20)
/* The kernel is given so long to write what is dirty. */
#define FLUSH_MS	1000u
#define PROMOTING_NS	(10 * 1000000000ULL)

int seeder_follow_args(struct seeder *seeder, struct control_call *call)
{
	return control_has(call, "follow_copies") ? control_u64(call, "follow_copies", &seeder->follow_limit) : 0;
}

static uint64_t limit_of(const struct seeder *seeder)
{
	uint64_t part = atomic_load(&seeder->handover.region->size) / 4;

	if (seeder->follow_limit)
		return seeder->follow_limit;
	return part > COPIES_LEAST ? part : COPIES_LEAST;
}

static struct follow *follow_of(const struct seeder *seeder, const struct export_session *session)
{
	return followed_find(seeder->handover.region, session->client);
}

/* ---- sessions ---- */

struct away {
	unsigned int nr;
	struct follow *longest;
};

static void look_away(struct follow *follow, void *arg)
{
	struct away *away = arg;

	if (follow->session)
		return;
	away->nr++;
	if (!away->longest || follow->away_at < away->longest->away_at)
		away->longest = follow;
}

/* Who stays away for good must not fill the memory. */
static void make_room(struct region *region)
{
	struct away away = { .nr = 0 };

	followed_each(region, look_away, &away);
	if (away.nr >= AWAY_MOST)
		followed_drop(region, away.longest);
}

int seeder_follow_open(struct seeder *seeder, struct export_session *session)
{
	struct region *region = seeder->handover.region;
	struct follow *follow;

	if (!region)
		return -ESHUTDOWN;
	follow = follow_of(seeder, session);
	if (!follow) {
		make_room(region);
		follow = followed_add(region, session->client);
	}
	if (!follow)
		return -ENOMEM;
	follow->session = session;
	follow->heard = false;
	/* it is not to be promoted any more */
	if (!memcmp(seeder->promoting, session->client, sizeof(session->client)))
		seeder->promoting_at = 0;
	return 0;
}

void seeder_follow_gone(struct seeder *seeder, struct export_session *session)
{
	struct region *region = seeder->handover.region;
	struct follow *follow = region ? follow_of(seeder, session) : NULL;

	if (!follow || follow->session != session)
		return;
	follow->session = NULL;
	follow->away_at = loop_now_ns();
	follow_end_round(region, follow);
	if (!tracker_active(follow->tracker))
		followed_drop(region, follow);
}

/* Until it is frozen, or back in service, no moment is kept: who waited for its copies would prolong the time in which no program runs. */
static bool is_freezing(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_FROZEN && !seeder->frozen;
}

static void end_round(struct follow *follow, void *arg)
{
	follow_end_round(arg, follow);
}

void seeder_follow_freeze(struct seeder *seeder)
{
	followed_each(seeder->handover.region, end_round, seeder->handover.region);
}

void seeder_follow_promote(struct seeder *seeder, const struct export_session *session)
{
	struct region *region = seeder->handover.region;
	struct follow *follow = follow_of(seeder, session);

	if (!follow || !tracker_active(follow->tracker) || seeder->state > WIRE_SEED_TRACKING || seeder->stepping)
		return;
	followed_promote(region, follow);
	seeder->tracker = atomic_load(&region->tracker);
	seeder->chunk = tracker_chunk(seeder->tracker);
	seeder->round = tracker_round(seeder->tracker);
	seeder->began = loop_now_ns();
	seeder->state = WIRE_SEED_TRACKING;
	log_info("%s follows %s no longer, but leeches it", session->name, seeder_name(seeder));
}

/* ---- messages ---- */

static void take_track(struct seeder *seeder, struct follow *follow, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct region *region = seeder->handover.region;
	struct wire_track track;
	struct wire_info info;
	int ret = 0;

	if (wire_decode(WIRE_S_TRACK, body, len, &track) < 0 || !chunk_hash_is_size(track.chunk)) {
		serve_fail(req, -EINVAL, "a chunk size that cannot be");
		return;
	}
	if (!tracker_active(follow->tracker) || tracker_chunk(follow->tracker) != track.chunk) {
		follow_end_round(region, follow);
		ret = tracker_start(follow->tracker, track.chunk, atomic_load(&region->size), follow->client);
	}
	if (ret) {
		serve_fail(req, ret, "out of memory");
		return;
	}
	export_info(seeder->export, &info);
	info.chunk = track.chunk;
	serve_shape(req, WIRE_S_INFO, &info);
}

/* A round that was closed is listed again when asked for again; what it was then may be lost by now, which READ tells. */
static void take_dirty(struct seeder *seeder, struct follow *follow, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct region *region = seeder->handover.region;
	struct wire_dirty_reply reply = { .round = 0 };
	struct wire_dirty dirty;
	int ret;

	if (wire_decode(WIRE_S_DIRTY, body, len, &dirty) < 0) {
		serve_fail(req, -EPROTO, "not a DIRTY");
		return;
	}
	if (dirty.round == tracker_round(follow->tracker) + 1 && is_freezing(seeder)) {
		follow_end_round(region, follow);
		tracker_close_round(follow->tracker);
	} else if (dirty.round == tracker_round(follow->tracker) + 1) {
		ret = follow_close_round(region, follow, limit_of(seeder), &follow->size);
		if (ret) {
			serve_fail(req, -EAGAIN, "there is no file for what is changed meanwhile: %s", strerror(-ret));
			return;
		}
	}
	if (dirty.round != tracker_round(follow->tracker) || !dirty.round) {
		serve_fail(req, -EINVAL, "round %u is not to be had", dirty.round);
		return;
	}
	/* asked again of another helper, say: what there was then is not to be had, but what it was can be wanted again */
	reply.size = follow->snapshot && !snapshot_is_lost(follow->snapshot) ? follow->size : UINT64_MAX;
	seeder_reply_list(follow->tracker, req, WIRE_S_DIRTY_REPLY, &reply, &reply, dirty.from);
}

/* What it has not got, of whatever round, is in the next one. */
static void take_want(struct seeder *seeder, struct follow *follow, struct serve_req *req, const uint8_t *body, size_t len)
{
	uint64_t chunk = tracker_chunk(follow->tracker), size = atomic_load(&seeder->handover.region->size);
	uint64_t chunks = (size + chunk - 1) / chunk, end = tracker_end(follow->tracker), total = 0;
	struct wire_want want;
	int used = wire_decode(WIRE_S_WANT, body, len, &want);

	/* what was cut off may come back */
	chunks = chunks > end ? chunks : end;

	for (uint32_t i = 0; used >= 0 && i < want.count; i++) {
		struct wire_extent extent;
		int n = wire_decode(WIRE_S_EXTENT, body + used, len - (size_t)used, &extent);

		used = n < 0 ? n : used + n;
		if (n < 0 || extent.chunk >= chunks)
			continue;
		if (extent.count > chunks - extent.chunk)
			extent.count = (uint32_t)(chunks - extent.chunk);
		/* each once is all that can be wanted */
		total += extent.count;
		if (total > chunks) {
			used = -EPROTO;
			break;
		}
		tracker_note_range(follow->tracker, extent.chunk * chunk, extent.count * chunk);
	}
	if (used < 0)
		serve_fail(req, -EPROTO, "not a WANT");
	else
		serve_reply(req, 0, NULL, 0);
}

/* ---- STATUS: what is dirty is written first, for all that ask at the time ---- */

/* One write of what is dirty. Who comes while it is under way waits for the next. */
struct seeder_flush {
	struct seeder *seeder;		/* NULL: freed meanwhile */
	struct region *region;		/* a reference */
	struct list now, next;		/* struct flush_wait */
	struct loop_timer limit;
};

struct flush_wait {
	struct list list;
	struct serve_req *req;
	uint8_t client[16];
};

static void answer_status(struct seeder *seeder, const uint8_t client[16], struct serve_req *req)
{
	const struct region *region = seeder->handover.region;
	struct follow *follow = region ? followed_find(region, client) : NULL;
	bool tracks = follow && tracker_active(follow->tracker);
	struct wire_status status = { .state = (uint8_t)seeder->state };

	if (!region) {
		serve_fail(req, -ESHUTDOWN, "seeding has ended");
		return;
	}
	/* of what it is to others, SERVING tells that nothing is tracked for this one */
	if (seeder->state <= WIRE_SEED_TRACKING || !tracks)
		status.state = tracks ? WIRE_SEED_TRACKING : WIRE_SEED_SERVING;
	if (tracks) {
		status.round = tracker_round(follow->tracker);
		status.dirty = tracker_dirty(follow->tracker);
		/* and has the last of it */
		follow->heard |= seeder->state == WIRE_SEED_MOVED && !status.dirty && !follow->snapshot;
	}
	status.epoch = region->info.epoch;
	status.unflushed = seeder->gauge.unflushed;
	serve_shape(req, WIRE_S_STATUS, &status);
}

static void answer_waiting(struct seeder_flush *flush, struct list *waiting)
{
	struct list *entry;

	while ((entry = list_pop(waiting))) {
		struct flush_wait *wait = list_entry(entry, struct flush_wait, list);

		if (flush->seeder)
			answer_status(flush->seeder, wait->client, wait->req);
		else
			serve_fail(wait->req, -ESHUTDOWN, "seeding has ended");
		free(wait);
	}
}

static void flush_start(struct seeder_flush *flush);

static void flushed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct seeder_flush *flush = arg;

	loop_timer_cancel(flush->region->regiond->loop, &flush->limit);
	answer_waiting(flush, &flush->now);
	if (flush->seeder && !list_empty(&flush->next)) {
		flush_start(flush);
		return;
	}
	answer_waiting(flush, &flush->next);
	if (flush->seeder)
		flush->seeder->flush = NULL;
	region_put(flush->region);
	free(flush);
}

/* The kernel may be kept from even beginning to write: any moment will do. */
static void too_long(struct loop_timer *timer)
{
	struct seeder_flush *flush = container_of(timer, struct seeder_flush, limit);

	answer_waiting(flush, &flush->now);
	answer_waiting(flush, &flush->next);
	/* who comes while the kernel is still at it */
	loop_timer_set(flush->region->regiond->loop, timer, FLUSH_MS + FLUSH_MS / 2);
}

static void flush_start(struct seeder_flush *flush)
{
	struct handover_ask *ask = handover_ask_new(flush->region, REGIONFS_CMD_WRITEBACK, flushed, flush);

	list_splice(&flush->now, &flush->next);
	if (!ask) {
		flushed(flush, -ENOMEM, "", NULL);
		return;
	}
	flush->limit.fire = too_long;
	loop_timer_set(flush->region->regiond->loop, &flush->limit, FLUSH_MS + FLUSH_MS / 2);
	netlink_set(&ask->call.attrs, DEADLINE, deadline, FLUSH_MS);
	handover_ask(ask, flush->region);
}

static struct seeder_flush *flush_new(struct seeder *seeder)
{
	struct seeder_flush *flush = calloc(1, sizeof(*flush));

	if (!flush)
		return NULL;
	flush->seeder = seeder;
	flush->region = region_get(seeder->handover.region);
	list_init(&flush->now);
	list_init(&flush->next);
	return flush;
}

static void take_status(struct seeder *seeder, struct follow *follow, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_status_ask ask = { .flags = 0 };
	struct flush_wait *wait = NULL;
	bool first = !seeder->flush;

	if (wire_decode(WIRE_S_STATUS_ASK, body, len, &ask) >= 0 && ask.flags & WIRE_STATUS_HERE)
		follow_end_round(seeder->handover.region, follow);
	if (ask.flags & WIRE_STATUS_FLUSH && seeder->state <= WIRE_SEED_TRACKING)
		wait = calloc(1, sizeof(*wait));
	if (wait && first)
		seeder->flush = flush_new(seeder);
	if (!wait || !seeder->flush) {
		free(wait);
		answer_status(seeder, follow->client, req);
		return;
	}
	wait->req = req;
	memcpy(wait->client, follow->client, sizeof(wait->client));
	list_add(&seeder->flush->next, &wait->list);
	if (first)
		flush_start(seeder->flush);
}

void seeder_follow_forget(struct seeder *seeder)
{
	if (seeder->flush)
		seeder->flush->seeder = NULL;
	seeder->flush = NULL;
}

/* ---- it was promoted, by its operator's word, and we are back ---- */

/* Whatever state that is in: what it has is not what is here. */
static void take_owned(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_owned owned;

	if (wire_decode(WIRE_S_OWNED, body, len, &owned) < 0) {
		serve_fail(req, -EPROTO, "not an OWNED");
	} else if (seeder->stepping || seeder->resolving || seeder->state == WIRE_SEED_FROZEN || seeder->state == WIRE_SEED_HANDED_OFF) {
		serve_fail(req, -EAGAIN, "%s is being handed to another host", seeder_name(seeder));
	} else if (seeder->state == WIRE_SEED_MOVED) {
		serve_fail(req, -ESTALE, "%s has moved to another host, %s", seeder_name(seeder), seeder->peer);
	} else if (seeder->state == WIRE_SEED_DIVERGED) {
		seeder_diverge(seeder, req);
	} else {
		memcpy(seeder->client, req->service->session->client, sizeof(seeder->client));
		memcpy(seeder->nonce, owned.nonce, sizeof(seeder->nonce));
		snprintf(seeder->peer, sizeof(seeder->peer), "%s", req->service->session->name);
		seeder->epoch = owned.epoch;
		seeder->lineage = seeder->handover.region->info.lineage;
		seeder_diverge(seeder, req);
	}
}

bool seeder_follow_promises(const struct seeder *seeder, const struct export_session *session)
{
	return seeder->promoting_at && loop_now_ns() - seeder->promoting_at < PROMOTING_NS &&
	       memcmp(seeder->promoting, session->client, sizeof(session->client));
}

/* Who wants to be promoted asks first: programs there wait from then on. Then it has a while to come as a leecher. */
static void take_finalize(struct seeder *seeder, struct serve_req *req)
{
	const struct export_session *session = req->service->session;
	bool other = seeder->session && memcmp(seeder->session->client, session->client, sizeof(session->client));

	if (seeder_follow_promises(seeder, session)) {
		serve_fail(req, -EBUSY, "another follower of %s is being promoted", seeder_name(seeder));
		return;
	}
	if (other || seeder->state > WIRE_SEED_TRACKING || seeder->stepping) {
		serve_fail(req, -EBUSY, "%s is being leeched by %s", seeder_name(seeder), seeder->peer);
		return;
	}
	if (seeder->handover.group) {
		serve_fail(req, -EBUSY, "%s moves with its group only: 'regionctl leech' that, or have it seeded by itself", seeder_name(seeder));
		return;
	}
	memcpy(seeder->promoting, session->client, sizeof(seeder->promoting));
	seeder->promoting_at = loop_now_ns();
	serve_reply(req, 0, NULL, 0);
}

/* ---- all of them ---- */

static void tracked_message(struct seeder *seeder, struct follow *follow, struct serve_req *req, const uint8_t *body, size_t len)
{
	if (!tracker_active(follow->tracker)) {
		serve_fail(req, -EINVAL, "nothing is tracked for it");
		return;
	}
	if (req->head.type == WIRE_DIRTY)
		take_dirty(seeder, follow, req, body, len);
	else if (req->head.type == WIRE_WANT)
		take_want(seeder, follow, req, body, len);
	else
		seeder_hash(seeder, tracker_chunk(follow->tracker), req, body, len);
}

/* Who may follow alone does not get the region by that, nor stops it here by saying that it has. */
static bool may_own(struct seeder *seeder, struct serve_req *req)
{
	char why[256];
	int ret = 0;

	if (req->head.type == WIRE_FINALIZE || req->head.type == WIRE_OWNED)
		ret = export_allows(seeder->export, req->service, WIRE_OPEN_SEED, why, sizeof(why));
	if (ret && req->head.type == WIRE_OWNED)
		log_warning("%s: %s says that it was promoted there, by its operator's word: if so, both hosts have it in service", seeder_name(seeder),
			    req->service->session->name);
	if (ret)
		serve_fail(req, ret, "%s", why);
	return !ret;
}

void seeder_follow_message(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct follow *follow = follow_of(seeder, req->service->session);

	if (!follow || follow->session != req->service->session || seeder->state == WIRE_SEED_ABORTED) {
		serve_fail(req, -ECANCELED, "it is not followed any more");
		return;
	}
	if (!may_own(seeder, req))
		return;
	switch (req->head.type) {
	case WIRE_FINALIZE:
		take_finalize(seeder, req);
		return;
	case WIRE_OWNED:
		take_owned(seeder, req, body, len);
		return;
	case WIRE_TRACK:
		take_track(seeder, follow, req, body, len);
		return;
	case WIRE_STATUS:
		take_status(seeder, follow, req, body, len);
		return;
	case WIRE_DIRTY:
	case WIRE_WANT:
	case WIRE_HASHES:
		tracked_message(seeder, follow, req, body, len);
		return;
	case WIRE_ABORT:
		follow_end_round(seeder->handover.region, follow);
		tracker_stop(follow->tracker);
		serve_reply(req, 0, NULL, 0);
		return;
	}
	serve_fail(req, -EPERM, "who follows %s may not ask for that", seeder_name(seeder));
}

/* Before the first round it reads what it can get, and what has changed since is in that. */
bool seeder_follow_read(void *arg, struct export_session *session, struct backend_req *req)
{
	struct seeder *seeder = arg;
	struct follow *follow = seeder->handover.region ? follow_of(seeder, session) : NULL;

	if (!follow || follow->session != session) {
		req->done(req, -ECANCELED);
		return true;
	}
	if (follow->snapshot) {
		snapshot_read(follow->snapshot, req);
		return true;
	}
	/* nor is one answered whose tracking has gone: what it asked for was of a moment that nobody knows any more */
	if (tracker_active(follow->tracker) && !tracker_round(follow->tracker))
		return false;
	req->done(req, -ESTALE);
	return true;
}

/* ---- for people ---- */

struct owing {
	bool any;
};

static void look_owing(struct follow *follow, void *arg)
{
	struct owing *owing = arg;

	owing->any |= follow->session && export_connected(follow->session) && !follow->heard;
}

bool seeder_follow_owes(const struct seeder *seeder)
{
	struct owing owing = { .any = false };

	followed_each(seeder->handover.region, look_owing, &owing);
	return owing.any;
}

static void show_one(struct follow *follow, void *arg)
{
	json_t *show = json_pack("{s:b, s:I, s:I}", "connected", follow->session && export_connected(follow->session),
				 "rounds", (json_int_t)tracker_round(follow->tracker),
				 "copied_bytes", (json_int_t)(follow->snapshot ? snapshot_copied(follow->snapshot) : 0));

	if (follow->session)
		json_object_set_new(show, "peer", control_text(follow->session->name));
	json_array_append_new(arg, show);
}

void seeder_follow_show(const struct seeder *seeder, json_t *show)
{
	json_t *followers;

	if (!seeder->handover.region || !followed_count(seeder->handover.region))
		return;
	followers = json_array();
	followed_each(seeder->handover.region, show_one, followers);
	json_object_set_new(show, "nr_followers", json_integer((json_int_t)json_array_size(followers)));
	json_object_set_new(show, "followers", followers);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * follower: it becomes this host's. With its owner there, it becomes a leecher, which has almost all of it already, and asks for the hand-over: nothing of what
 * was written is lost, and at no time there are two owners. Without, by its operator's word: it has what is shown, in a new epoch and lineage; what was
 * written later is where it was. The owner of before can't know: it is told as soon as it is there again. Then there are two of it, both freeze, and
 * the operators say which one is kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backends/leech.h"
#include "backends/peer.h"
#include "bitmap.h"
#include "config.h"
#include "follower-private.h"
#include "key16.h"
#include "leecher.h"
#include "log.h"
#include "moved.h"
#include "regiond.h"

#define MS		1000000ULL
#define LOCK_MS		5000u
#define PAUSE_MS	500u
#define PAUSE_MOST_MS	30000u
#define FREEZE_MS	30000u

static unsigned long long age_ms(const struct follower *follower)
{
	return (loop_now_ns() - follower_head(&follower->record)->moment) / MS;
}

/* It follows again, as if nothing had been asked. */
static void stay(struct follower *follower, int error, const char *why)
{
	struct control_call *call = follower->leaving;

	follower->leaving = NULL;
	control_fail(call, error, "%s", why);
	if (follower->removed) {
		follower_leave(follower, 0, follower_remove);
		return;
	}
	/* what had been fetched of a round, or not, may have been taken for a leecher's: it is asked for again */
	chunkmap_set(follower->map, 0, UINT64_MAX, true);
	chunkmap_set_round(follower->map, UINT32_MAX);
	follower->state = FOLLOWER_IDLE;
	if (follower_head(&follower->record)->phase == FOLLOWER_APPLYING || follower->handover.region->info.flags & REGIONFS_REGION_LOCKED)
		follower_apply_again(follower);
	else
		follower_dial(follower);
}

/* Whatever was not brought to an end here. */
static bool is_whole(struct follower *follower)
{
	if (follower_head(&follower->record)->phase == FOLLOWER_WHOLE)
		return true;
	stay(follower, -EAGAIN, "a new state of it could not be brought to the local store: see 'regionctl stat'");
	return false;
}

/* ---- with its owner: a migration ---- */

/* What the leecher, and the next helper, go by. */
static char *leecher_text(struct follower *follower)
{
	json_t *args = json_loads(follower->again, 0, NULL);
	json_t *said = follower->leaving->args;
	const char *key;
	json_t *value;
	char *text;

	json_object_foreach(said, key, value)
		json_object_set(args, key, value);
	json_object_set_new(args, "role", json_string("leecher"));
	/* if that comes to nothing */
	json_object_set_new(args, "followed", json_string(follower->again));
	json_object_del(args, "follow");
	json_object_del(args, "max_age");
	text = json_dumps(args, JSON_COMPACT);
	json_decref(args);
	return text;
}

/* The chunks that are known to be newer there have not come, as far as a leecher is concerned. */
static void settle_map(struct follower *follower)
{
	const uint64_t *staged = follower_staged(&follower->record);
	uint64_t chunks = chunkmap_chunks(follower->map);

	for (uint64_t i = 0; i < chunks && i < follower->need_bits; i++)
		if (bitmap_get(follower->need, i) || bitmap_get(staged, i))
			chunkmap_set(follower->map, i, i + 1, false);
	/* nor what was cut off there, which a later list has only where it was written to since */
	chunkmap_set(follower->map, follower_chunks(follower_least(follower)), UINT64_MAX, false);
	chunkmap_set_round(follower->map, follower->round);
}

static char *leech_source(const struct follower *follower)
{
	char *local = uri_encode(follower->local), *from = uri_encode(follower->from), *source = NULL;

	if (!local || !from || asprintf(&source, "leech:%s?local=%s&from=%s%s", follower->token, local, from,
					backend_owned(follower->local) ? "&owned" : "") < 0)
		source = NULL;
	free(local);
	free(from);
	return source;
}

/* The kernel has the leech as its source; whatever dies from here on, it is one. */
static void sourced(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;
	struct region *region = follower->handover.region;
	struct control_call *call = follower->leaving;
	char *source = follower->source, *text = follower->text;

	follower->stepping = false;
	follower->source = follower->text = NULL;
	if (error) {
		free(source);
		free(text);
		stay(follower, error, why);
		return;
	}
	region_get(region);
	region->info.flags &= ~REGIONFS_REGION_READ_ONLY;
	follower->leaving = NULL;
	follower_end(follower, true);
	region_set_handover(region, text);
	if (region_set_source(region, source) || !leecher_adopt(region))
		control_fail(call, -ENOMEM, "out of memory");
	else
		leecher_finalize(call, region);
	free(source);
	region_put(region);
}

static void locked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;
	struct region *region = follower->handover.region;
	struct handover_ask *ask = NULL;

	follower->stepping = false;
	if (error) {
		stay(follower, error, why);
		return;
	}
	region->info.flags |= REGIONFS_REGION_LOCKED;
	settle_map(follower);
	/* once the kernel has it there is no way back */
	follower->source = leech_source(follower);
	follower->text = leecher_text(follower);
	if (follower->source && follower->text)
		ask = handover_ask_new(region, REGIONFS_CMD_REGION_SET, sourced, follower);
	follower->stepping = true;
	if (!ask) {
		sourced(follower, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, SOURCE, source, follower->source);
	netlink_set(&ask->call.attrs, FLAGS, flags, 0);
	netlink_set(&ask->call.attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_READ_ONLY);
	handover_ask(ask, region);
}

/* What its owner says to that. */
static bool has_answered(struct follower *follower)
{
	if (!follower->word_error)
		return true;
	stay(follower, follower->word_error == -ETIMEDOUT ? -ENOTCONN : follower->word_error, *follower->word_why ? follower->word_why :
	     "its owner does not answer: if it is gone for good, --source-lost makes it this host's as it is");
	return false;
}

static void promote_now(struct follower *follower)
{
	struct handover_ask *ask;

	if (!has_answered(follower) || !is_whole(follower))
		return;
	ask = handover_ask_new(follower->handover.region, REGIONFS_CMD_LOCK, locked, follower);
	follower->stepping = true;
	if (!ask) {
		locked(follower, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, DEADLINE, deadline, LOCK_MS);
	handover_ask(ask, follower->handover.region);
}

/* ---- without: by the operator's word ---- */

static void call_owner(struct loop_timer *timer);

static void look_later(struct follower *follower)
{
	follower->timer.fire = call_owner;
	loop_timer_set(follower->regiond->loop, &follower->timer, follower->pause_ms);
	follower->pause_ms = follower->pause_ms * 2 < PAUSE_MOST_MS ? follower->pause_ms * 2 : PAUSE_MOST_MS;
}

static void froze(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;

	follower->stepping = false;
	if (error)
		log_error("%s has two owners, and could not be frozen: %s", follower->path, why);
	else
		follower->handover.region->info.flags |= REGIONFS_REGION_FROZEN;
}

static void diverged_noted(struct state_waiter *waiter, int error)
{
	struct follower *follower = container_of(waiter, struct follower, noted);
	struct handover_ask *ask = handover_ask_new(follower->handover.region, REGIONFS_CMD_FREEZE, froze, follower);

	if (error)
		log_error("that %s has two owners could not be written down", follower->path);
	if (!ask) {
		froze(follower, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, DEADLINE, deadline, FREEZE_MS);
	handover_ask(ask, follower->handover.region);
}

static void diverge(struct follower *follower, const char *why)
{
	snprintf(follower->why, sizeof(follower->why), "its owner of before is back, and has it in service: %s", why);
	log_error("%s: %s", follower->path, follower->why);
	follower->state = FOLLOWER_DIVERGED;
	follower_set_again(follower, "diverged", json_true());
	follower_note_again(follower);
	follower->stepping = true;
	follower->noted.done = diverged_noted;
	state_sync(follower->regiond->state, &follower->noted);
}

static void owner_let_go(void *arg)
{
	struct follower *follower = arg;

	follower->peer = NULL;
	follower->hanging_up = false;
	if (follower->state == FOLLOWER_PROMOTED)
		look_later(follower);
	follower_check_leave(follower);
}

static void owned_told(struct link_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, message);

	follower->asking = false;
	/* -EACCES: it lives, and does not take that from us, who may only follow */
	if ((error == -ESTALE || error == -EACCES) && follower->state == FOLLOWER_PROMOTED)
		diverge(follower, link_why(req, error));
	follower->hanging_up = true;
	backend_close(follower->peer, owner_let_go, follower);
}

static void owner_called(struct backend_open *open, struct backend *backend, int error)
{
	struct follower *follower = container_of(open, struct follower, open);
	struct wire_owned owned = { .epoch = follower->promoted };
	int n;

	follower->dialling = false;
	follower->peer = backend;
	if (!backend) {
		owner_let_go(follower);
		return;
	}
	memcpy(owned.nonce, follower->nonce, sizeof(owned.nonce));
	n = wire_encode(WIRE_S_OWNED, &owned, follower->body, FOLLOWER_REPLY);
	follower_send(follower, WIRE_OWNED, (uint32_t)n, owned_told);
}

static void call_owner(struct loop_timer *timer)
{
	struct follower *follower = container_of(timer, struct follower, timer);

	if (follower->state == FOLLOWER_PROMOTED && !follower->regiond->stopping && !follower->peer && !follower->dialling)
		follower_call(follower, owner_called);
}

/* ---- the way there: the bytes, the word, the kernel ---- */

static void promoted(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;
	struct region *region = follower->handover.region;
	struct control_call *call = follower->leaving;

	follower->stepping = false;
	follower->leaving = NULL;
	if (error)
		log_error("%s is this host's, but the kernel did not take that: %s", follower->path, why);
	else
		region->info.flags &= ~REGIONFS_REGION_READ_ONLY;
	/* nothing of it comes from elsewhere any more */
	follower->handover.over = true;
	follower->pause_ms = PAUSE_MS;
	snprintf(follower->why, sizeof(follower->why), "%s", error ? why : "");
	if (call && error)
		control_fail(call, error, "%s", why);
	else if (call)
		control_ok(call, follower_show(&follower->handover));
	if (follower->state == FOLLOWER_PROMOTED)
		look_later(follower);
}

static void tell_kernel(struct follower *follower)
{
	struct region *region = follower->handover.region;
	struct handover_ask *ask = handover_ask_new(region, REGIONFS_CMD_REGION_SET, promoted, follower);

	follower->stepping = true;
	if (!ask) {
		promoted(follower, -ENOMEM, "out of memory", NULL);
		return;
	}
	if (region->info.epoch < follower->promoted)
		netlink_set(&ask->call.attrs, EPOCH, epoch, follower->promoted);
	netlink_set(&ask->call.attrs, LINEAGE, lineage, follower->lineage);
	netlink_set(&ask->call.attrs, FLAGS, flags, 0);
	netlink_set(&ask->call.attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_READ_ONLY);
	handover_ask(ask, region);
}

static void word_noted(struct state_waiter *waiter, int error)
{
	struct follower *follower = container_of(waiter, struct follower, noted);

	follower->stepping = false;
	if (error) {
		follower->promoted = 0;
		follower_set_again(follower, "promoted", NULL);
		follower_note_again(follower);
		stay(follower, error, "it could not be written down");
		return;
	}
	follower->state = FOLLOWER_PROMOTED;
	moved_forget(follower->regiond->config, follower->handover.region->info.path);
	log_warning("%s is this host's, as its operator says, in epoch %llu", follower->path, (unsigned long long)follower->promoted);
	tell_kernel(follower);
}

static void note_word(struct follower *follower)
{
	char nonce[2 * KEY16 + 1];

	key16_text(nonce, follower->nonce);
	follower_set_again(follower, "promoted", json_pack("{s:I,s:I,s:s}", "epoch", (json_int_t)follower->promoted,
							   "lineage", (json_int_t)follower->lineage, "nonce", nonce));
	follower_note_again(follower);
	follower->stepping = true;
	follower->noted.done = word_noted;
	state_sync(follower->regiond->state, &follower->noted);
}

static void synced(struct backend_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, sync);
	uint64_t epoch = follower->handover.region->info.epoch;

	follower->nr_local--;
	if (!error && (getrandom(follower->nonce, sizeof(follower->nonce), 0) != sizeof(follower->nonce) ||
		       getrandom(&follower->lineage, sizeof(follower->lineage), 0) != sizeof(follower->lineage)))
		error = -EIO;
	if (error) {
		stay(follower, error, "the local store could not be synced");
		return;
	}
	follower->lineage = (follower->lineage & INT64_MAX) | 1;
	/* beyond what it could have been handed over in */
	follower->promoted = (epoch > follower->epoch ? epoch : follower->epoch) + 2;
	note_word(follower);
}

static bool is_there(struct follower *follower)
{
	/* who has moved it is not its owner */
	if ((follower->word_error && !follower->word_mute) || follower->moved)
		return false;
	stay(follower, -EBUSY, "its owner is there: without --source-lost nothing of it is lost");
	return true;
}

static void lose_owner(struct follower *follower)
{
	struct region *region = follower->handover.region;
	struct backend_req *req = &follower->sync;

	if (is_there(follower) || !is_whole(follower))
		return;
	memset(req, 0, sizeof(*req));
	req->op = BACKEND_SYNC;
	req->attach_gen = follower->regiond->attach_gen;
	req->loop = follower->regiond->loop;
	req->done = synced;
	follower->nr_local++;
	region_submit(follower->regiond->regions, region->info.id, req);
}

void follower_promoted_again(struct follower *follower, const json_t *args)
{
	const json_t *said = json_object_get(args, "promoted");
	struct region *region = follower->handover.region;

	follower->promoted = (uint64_t)json_integer_value(json_object_get(said, "epoch"));
	follower->lineage = (uint64_t)json_integer_value(json_object_get(said, "lineage"));
	key16_take(json_string_value(json_object_get(said, "nonce")) ?: "", follower->nonce);
	follower->state = FOLLOWER_PROMOTED;
	follower->handover.over = true;
	follower->pause_ms = PAUSE_MS;
	if (json_is_true(json_object_get(args, "diverged"))) {
		follower->state = FOLLOWER_DIVERGED;
		snprintf(follower->why, sizeof(follower->why), "its owner of before is back, and has it in service");
		follower->stepping = true;
		if (region->info.flags & REGIONFS_REGION_FROZEN)
			froze(follower, 0, "", NULL);
		else
			diverged_noted(&follower->noted, 0);
	} else {
		tell_kernel(follower);
	}
}

/* ---- which one is kept ---- */

static void resolved(struct follower *follower, int error, const char *why)
{
	struct control_call *call = follower->resolving;

	follower->resolving = NULL;
	if (error) {
		control_fail(call, error, "%s", why);
		return;
	}
	follower_end(follower, false);
	control_ok(call, NULL);
}

static void thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;

	follower->stepping = false;
	resolved(follower, error, why);
}

static void keep(struct follower *follower)
{
	struct handover_ask *ask = handover_ask_new(follower->handover.region, REGIONFS_CMD_THAW, thawed, follower);

	follower->stepping = true;
	if (ask)
		handover_ask(ask, follower->handover.region);
	else
		thawed(follower, -ENOMEM, "out of memory", NULL);
}

static void discarded(void *arg, int error, const char *why)
{
	resolved(arg, error, why);
}

static void discard(struct follower *follower)
{
	handover_remove(follower->handover.region, discarded, follower);
}

/* Once nothing is under way with the owner of before. */
static void leave_promoted(struct follower *follower, void (*leave)(struct follower *follower))
{
	loop_timer_cancel(follower->regiond->loop, &follower->timer);
	follower->state = FOLLOWER_DIVERGED;
	follower->leave = leave;
	follower_check_leave(follower);
}

void follower_resolve(struct control_call *call, struct region *region, enum resolution resolution)
{
	struct follower *follower = follower_of(region);

	if (follower->state != FOLLOWER_PROMOTED && follower->state != FOLLOWER_DIVERGED) {
		control_fail(call, -EINVAL, "%s follows its source: if that is lost, 'regionctl promote --source-lost' makes it this host's",
			     follower->path);
	} else if (follower->stepping || follower->resolving) {
		control_fail(call, -EBUSY, "%s is changing its state just now", follower->path);
	} else if (resolution == RESOLVE_KEEP || (resolution == RESOLVE_DISCARD && follower->state == FOLLOWER_DIVERGED)) {
		follower->resolving = call;
		leave_promoted(follower, resolution == RESOLVE_KEEP ? keep : discard);
	} else {
		control_fail(call, -EINVAL, "%s was promoted: --keep says that its owner of before is not to be looked for any more%s",
			     follower->path, follower->state == FOLLOWER_DIVERGED ? ", --discard gives up what is here" : "");
	}
}

/* ---- the command ---- */

/* false: it has been refused. */
static bool may_migrate(struct control_call *call, struct follower *follower)
{
	if (follower->moved)
		control_fail(call, -ESTALE, "the source of %s has moved: 'regionctl leech' it from its new owner, with --follow, first", follower->path);
	else if (!follower_hears(follower))
		control_fail(call, -ENOTCONN, "%s is not there: what %s shows here is %llu ms old, and when it was heard last, %llu bytes were newer there; "
			     "what was written since then is not known. If it is gone for good, --source-lost makes it this host's as it is",
			     follower->from, follower->path, age_ms(follower),
			     (unsigned long long)(follower->nr_need + follower->status.dirty) * FOLLOWER_CHUNK + follower->status.unflushed);
	else if (follower->status.state != WIRE_SEED_TRACKING || chunkmap_round(follower->map) == UINT32_MAX)
		control_fail(call, -EAGAIN, "%s is %s there, and not to be had just now", follower->path,
			     follower->status.state == WIRE_SEED_TRACKING ? "being compared with what is" :
			     wire_seed_state_name(follower->status.state));
	else
		return true;
	return false;
}

/* false: it has been refused. What was heard of its owner says that there is one. */
static bool may_lose(struct control_call *call, struct follower *follower, bool force)
{
	if (follower_hears(follower) && !follower->moved)
		control_fail(call, -EBUSY, "the owner of %s is there, as far as is known here: without --source-lost nothing of it is lost", follower->path);
	else if (follower->moved && !force)
		control_fail(call, -ESTALE, "%s has moved, so it has an owner: 'regionctl leech' it from there, with --follow, and promote it then; if that "
			     "one is lost as well, say --force, too", follower->path);
	else if (follower->status.state == WIRE_SEED_HANDED_OFF && !force)
		control_fail(call, -ESTALE, "%s was just being handed to another host when it was heard of last, and may have an owner there: if that is lost "
			     "as well, say --force, too", follower->path);
	else
		return true;
	return false;
}

void follower_promote(struct control_call *call, struct region *region)
{
	struct follower *follower = follower_of(region);
	bool lost = false, force = false;

	if (control_bool(call, "source_lost", &lost) || control_bool(call, "force", &force))
		return;
	if (force && !lost) {
		control_fail(call, -EINVAL, "--force is of --source-lost: say that as well");
		return;
	}
	if (follower->state == FOLLOWER_PROMOTED || follower->state == FOLLOWER_DIVERGED) {
		control_fail(call, -EALREADY, "%s is this host's", follower->path);
		return;
	}
	if (follower_leaves(follower)) {
		control_fail(call, -EBUSY, "%s is changing its state just now", follower->path);
		return;
	}
	if (!follower->shown) {
		control_fail(call, -EAGAIN, "no state of %s is whole here yet", follower->path);
		return;
	}
	if (lost ? !may_lose(call, follower, force) : !may_migrate(call, follower))
		return;
	follower->leaving = call;
	follower_leave(follower, lost ? WIRE_STATUS : WIRE_FINALIZE, lost ? lose_owner : promote_now);
}

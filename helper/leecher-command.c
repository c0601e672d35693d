// SPDX-License-Identifier: GPL-2.0
/* leecher: how it begins, what it shows, how it ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "follower.h"
#include "hash-file.h"
#include "leecher-private.h"
#include "log.h"
#include "notice.h"
#include "places.h"
#include "regiond.h"

#define PROGRESS_MS	250u
/* To reach the other side at first. */
#define CONNECT_MS	15000u

/* ---- what it looks like ---- */

static const char *state_text(const struct leecher *leecher)
{
	static const char *const names[] = {
		[LEECHER_CONNECTING] = "connecting", [LEECHER_PULLING] = "pulling",
		[LEECHER_FINALIZING] = "finalizing", [LEECHER_OWNED] = "owned",
		[LEECHER_DIVERGED] = "diverged", [LEECHER_COMPLETE] = "complete", [LEECHER_FAILED] = "aborted",
	};

	return names[leecher->state];
}

static json_t *leecher_show(const struct handover *handover)
{
	const struct leecher *leecher = container_of(handover, struct leecher, handover);
	json_t *show = json_pack("{s:o, s:s, s:s}", "region", control_text(leecher->path), "role", "leecher",
				 "state", state_text(leecher));

	json_object_set_new(show, "source", control_text(leecher->from));
	if (leecher->state < LEECHER_COMPLETE)
		leecher_show_adoption(leecher, show);
	if (leecher->leech && leecher->state < LEECHER_FAILED) {
		if (leech_session(leecher->leech))
			json_object_set_new(show, "peer", control_text(leech_session(leecher->leech)->server));
		leecher_show_bytes(leecher, show);
	}
	if (leecher->state == LEECHER_OWNED || leecher->state == LEECHER_COMPLETE)
		json_object_set_new(show, "epoch", json_integer((json_int_t)leecher->final.epoch));
	if (leecher->state == LEECHER_OWNED || leecher->state == LEECHER_COMPLETE)
		leecher_show_end(leecher, show);
	leecher_show_also(leecher, show);
	if (*leecher->why)
		json_object_set_new(show, "error", control_text(leecher->why));
	return show;
}

static void leecher_tick(struct loop_timer *timer)
{
	struct leecher *leecher = container_of(timer, struct leecher, timer);
	const struct chunkmap *map;
	char what[128];
	uint64_t missing;

	loop_timer_set(leecher->regiond->loop, timer, PROGRESS_MS);
	leecher_look_followed(leecher);
	if (!leecher->leech)
		return;
	map = leech_map(leecher->leech);
	missing = chunkmap_missing(map) * chunkmap_chunk(map);
	group_progress(&leecher->handover);
	if (leecher->call)
		control_progress(leecher->call, chunkmap_size(map) > missing ? chunkmap_size(map) - missing : 0,
				 chunkmap_size(map), "bytes", leecher_what(leecher, what, sizeof(what)));
	leecher_look(leecher);
}

/* ---- the end ---- */

static void leecher_free(struct leecher *leecher)
{
	loop_timer_cancel(leecher->regiond->loop, &leecher->timer);
	loop_timer_cancel(leecher->regiond->loop, &leecher->limit);
	loop_timer_cancel(leecher->regiond->loop, &leecher->pass.limit);
	free(leecher->path);
	free(leecher->local);
	free(leecher->from);
	free(leecher->source);
	free(leecher->policy);
	if (leecher->left)
		region_put(leecher->left);
	suspend_free(&leecher->suspend);
	json_decref(leecher->reuse_from);
	places_put(leecher->places);
	free(leecher->again);
	free(leecher->reply);
	free(leecher->ranges);
	free(leecher);
}

/* Of a group the first one's resume hook is the last thing. */
static struct control_call *take_finalizing(struct leecher *leecher, int error)
{
	struct group *group = leecher->handover.group;
	struct control_call **from = group ? &group->finalizing : &leecher->finalizing, *call = *from;

	if (group && !error && !group_leads(&leecher->handover))
		return NULL;
	*from = NULL;
	return call;
}

void leecher_answer_finalize(struct leecher *leecher, int error)
{
	struct control_call *call = take_finalizing(leecher, error);

	if (!call)
		return;
	if (error)
		control_fail(call, error, "%s", leecher->why);
	else
		control_ok(call, leecher->handover.group ? group_show(leecher->handover.group) : leecher_show(&leecher->handover));
}

/* Who wants to leave hears that it has begun, or why it could not. */
void leecher_begun(struct leecher *leecher)
{
	leecher_group_begun(leecher);
	if (!leecher->detach || !leecher->call)
		return;
	control_ok(leecher->call, leecher_show(&leecher->handover));
	leecher->call = NULL;
}

/* The record is the notice's. */
static void unlink_files(const struct leecher *leecher)
{
	const struct config *config = leecher->regiond->config;
	char path[4096];

	if (!leecher->closing && (!leecher->follows || !leecher_is_unspoilt(leecher))) {
		leech_map_path(path, sizeof(path), config->run_dir, leecher->token);
		chunkmap_unlink(path);
		leecher_spoil(leecher);
	}
	hash_file_path(path, sizeof(path), config->state_dir ? config->state_dir : config->run_dir, leecher->token);
	leech_record_unlink(leecher->regiond->loop, path);
}

/* ---- what the next helper is to know ---- */

static char *again_text(const struct leecher *leecher)
{
	json_t *args = json_loads(leecher->again, 0, NULL);
	char *text;

	json_object_set_new(args, "resumed", json_boolean(leecher->resumed));
	text = json_dumps(args, JSON_COMPACT);
	json_decref(args);
	return text;
}

void leecher_note_again(struct leecher *leecher)
{
	handover_note(&leecher->handover, again_text(leecher));
}

void leecher_note_resumed(struct leecher *leecher)
{
	if (leecher->resumed)
		return;
	leecher->resumed = true;
	leecher_note_again(leecher);
}

/* The calls are answered last: who waits for them finds all done. */
struct farewell {
	struct control_call *call, *aborting;
	struct group *group;		/* whose commands wait for it */
	int error;
	json_t *show;
	char why[WIRE_TEXT_MAX + 128];
};

static void answer_all(void *arg)
{
	struct farewell *farewell = arg;

	if (farewell->call && farewell->error)
		control_fail(farewell->call, farewell->error, "%s", farewell->why);
	else if (farewell->call)
		control_ok(farewell->call, json_incref(farewell->show));
	if (farewell->aborting)
		control_ok(farewell->aborting, NULL);
	if (farewell->group)
		group_farewell_end(farewell->group);
	json_decref(farewell->show);
	free(farewell);
}

static struct farewell *farewell_new(struct leecher *leecher, int error)
{
	struct farewell *farewell = calloc(1, sizeof(*farewell));

	if (!farewell)
		return NULL;
	farewell->call = leecher->call;
	farewell->aborting = leecher->aborting;
	farewell->error = error;
	farewell->show = leecher_show(&leecher->handover);
	memcpy(farewell->why, leecher->why, sizeof(farewell->why));
	return farewell;
}

/* What the other side has to hear, now that nothing here tells it any more. */
static bool has_words(const struct leecher *leecher, int error, struct notice_words *words)
{
	if (leecher->state == LEECHER_FAILED) {
		words->kind = NOTICE_REFUSED;
		return leecher->asked_ever && error != -ESTALE;
	}
	/* all is here; or it was removed here, and nothing more of it is wanted */
	words->kind = NOTICE_COMPLETE;
	words->owner = leecher->owner;
	if (leecher->lost)
		return false;
	return leecher->moved_in || leecher->state == LEECHER_OWNED;
}

static void opened_local(struct region *region, int error, void *arg)
{
	if (error)
		log_warning("%s: %s", region->info.path ? region->info.path : "a region", *region->why ? region->why : strerror(-error));
}

static void finish(struct leecher *leecher, int error)
{
	struct region *region = leecher->handover.region ? region_get(leecher->handover.region) : NULL;
	struct notice_words words = { .token = leecher->token, .from = leecher->from };
	bool tell = has_words(leecher, error, &words);
	struct farewell *farewell = farewell_new(leecher, error);
	struct group *group = leecher->handover.group ? group_get(leecher->handover.group) : NULL;
	bool leads = group && group_leads(&leecher->handover);

	leecher_answer_finalize(leecher, error);
	if (leecher->leech)
		leech_set_watch(leecher->leech, NULL);
	if (region)
		handover_note(&leecher->handover, NULL);
	if (region)
		handover_end(&leecher->handover);
	if (group && farewell && tell && error) {
		farewell->group = group;
		group_farewell(group);
	}
	group_leave(&leecher->handover, error, leecher->why);
	/* The leech backend goes with this, so it comes after everything that looks at it. */
	if (region && leecher->moved_in && region_set_source(region, leecher->local))
		log_warning("%s keeps its way here as its source until the next start", leecher->path);
	leecher_leave_chain(leecher, error);
	/* who comes from the next host is told what there is */
	if (region && region->handover)
		region_open(region, opened_local, NULL);
	/* what it has to push waits for no program */
	if (region && leecher->moved_in)
		region_open_managed(region);
	if (region)
		region_put(region);
	if (error || leecher->moved_in)
		unlink_files(leecher);
	if (!farewell)
		log_error("leeching %s: out of memory", leecher->path);
	if (!tell)
		words.kind = NOTICE_NOTHING;
	/* what is not to be told need not be waited for */
	if (leads && tell && error) {
		words.noted = leecher_group_refused;
		words.noted_arg = group_get(group);
	} else if (leads) {
		leecher_group_refused(group_get(group));
	}
	if (error || leecher->moved_in)
		notice_start(leecher->regiond, &words, farewell && tell && error ? answer_all : NULL, farewell);
	if (farewell && !(tell && error))
		answer_all(farewell);
	group_put(group);
	leecher_free(leecher);
}

/* ---- failure ---- */

struct ending {
	struct leecher *leecher;
	int error;
};

static void deleted(void *arg, int error, const char *why)
{
	struct ending *ending = arg;

	if (error)
		log_warning("leeching %s: what was made of it could not be removed: %s", ending->leecher->path, why);
	finish(ending->leecher, ending->error);
	free(ending);
}

/* It was a follower before, and is one again. */
static void kept(void *arg, int error, const char *why)
{
	struct ending *ending = arg;
	struct region *region = ending->leecher->handover.region;
	struct leecher_was was;

	if (error) {
		handover_remove(region, deleted, ending);
		return;
	}
	region_get(region);
	was = leecher_was(ending->leecher);
	ending->leecher->follows = true;
	finish(ending->leecher, ending->error);
	leecher_follow(region, &was);
	region_put(region);
	free(ending);
}

static bool is_removed(const struct region *region);

static void aborted(void *arg)
{
	struct ending *ending = arg;
	struct region *region = ending->leecher->handover.region;

	if (!is_removed(region) && leecher_may_follow(ending->leecher))
		leecher_return(ending->leecher, kept, ending);
	else
		handover_remove(region, deleted, ending);
}

/* error: what the command says. Nothing of the region stays here. */
void leecher_ended(struct leecher *leecher, int error)
{
	struct region *region = leecher->handover.region;
	struct ending *ending;

	if (leecher_group_holds(leecher))
		return;
	ending = calloc(1, sizeof(*ending));
	if (leecher->state == LEECHER_FAILED) {
		free(ending);
		return;
	}
	leecher->state = LEECHER_FAILED;
	/* The backend goes with the region, at a moment of its own. */
	if (leecher->leech)
		leech_set_watch(leecher->leech, NULL);
	leecher->leech = NULL;
	if (!*leecher->why)
		snprintf(leecher->why, sizeof(leecher->why), "%s", strerror(-error));
	if (!region || !ending) {
		free(ending);
		finish(leecher, error);
		return;
	}
	ending->leecher = leecher;
	ending->error = error;
	suspend_abort(&leecher->suspend, region, leecher->why, aborted, ending);
}

/* ---- success ---- */

static bool is_removed(const struct region *region)
{
	return region->unlinked || region->destroy || atomic_load(&region->forgotten);
}

static void source_set(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;

	/* a kernel that has no such region any more asks for no source: only who is seeded from here does */
	if (error && is_removed(leecher->handover.region))
		error = 0;
	if (error)
		log_warning("%s keeps its way here as its source: %s", leecher->path, why);
	leecher->stepping = false;
	leecher->moved_in = !error;
	leecher->done = loop_now_ns();
	log_info("%s is complete here", leecher->path);
	finish(leecher, 0);
}

/* Whoever finds the source in the kernel finds the policy in the state directory: by itself the source has not all of it. */
static void policy_noted(struct state_waiter *waiter, int error)
{
	struct leecher *leecher = container_of(waiter, struct leecher, noted);
	struct handover_ask *ask;

	if (error) {
		source_set(leecher, error, "the state directory could not be written", NULL);
		return;
	}
	ask = handover_ask_new(leecher->handover.region, REGIONFS_CMD_REGION_SET, source_set, leecher);
	if (!ask) {
		source_set(leecher, -ENOMEM, "out of memory", NULL);
		return;
	}
	netlink_set(&ask->call.attrs, SOURCE, source, leecher->local);
	handover_ask(ask, leecher->handover.region);
}

static void move_in(struct leecher *leecher)
{
	leecher->state = LEECHER_COMPLETE;
	leecher->stepping = true;
	leecher_note_policy(leecher, policy_noted);
}

static void complete(struct leech_watch *watch)
{
	struct leecher *leecher = container_of(watch, struct leecher, watch);

	leecher->all_here = true;
	if (!leecher->stepping)
		move_in(leecher);
}

void leecher_stepped(struct leecher *leecher)
{
	leecher->stepping = false;
	if (leecher->giving_up)
		finish(leecher, leecher->error);
	else if (leecher->state == LEECHER_DIVERGED && !leecher->diverged)
		leecher_diverge_now(leecher);
	else if (leecher->all_here)
		move_in(leecher);
	else
		leecher_seed_now(leecher);
}

/* Somebody has removed the region; or its backend is opened anew; or we are stopping, and the next helper goes on. */
static void gone(struct leech_watch *watch)
{
	struct leecher *leecher = container_of(watch, struct leecher, watch);

	leecher->leech = NULL;
	if (leecher->regiond->stopping || leecher->state >= LEECHER_COMPLETE)
		return;
	if (leecher->state >= LEECHER_OWNED && !is_removed(leecher->handover.region)) {
		leecher_open_again(leecher);
		return;
	}
	if (leecher->state < LEECHER_OWNED) {
		leecher_fail(leecher, -ECANCELED, "it was removed here");
		return;
	}
	leecher->giving_up = leecher->closing = true;
	leecher->error = -ECANCELED;
	snprintf(leecher->why, sizeof(leecher->why), "it was removed here");
	if (!leecher->stepping)
		leecher_stepped(leecher);
}

static void owned(struct leech_watch *watch, int error, const char *why)
{
	struct leecher *leecher = container_of(watch, struct leecher, watch);

	if (error == -ESTALE)
		leecher_diverge(leecher, why);
	else if (error)
		snprintf(leecher->why, sizeof(leecher->why), "the other side did not take the hand-over: %s", why);
	else
		leecher_heard(leecher, 0, "");
}

static void not_settled(struct leech_watch *watch)
{
}

/* ---- the beginning ---- */

static void late(struct loop_timer *timer)
{
	struct leecher *leecher = container_of(timer, struct leecher, limit);
	struct region *region = leecher->handover.region;

	if (leecher->state == LEECHER_CONNECTING && !leecher->leech)
		leecher_fail(leecher, -ETIMEDOUT, *region->why ? region->why : "the other side is not there");
}

static void opened(struct region *region, int error, void *arg)
{
	struct leecher *leecher = region->handover ? container_of(handover_of(region), struct leecher, handover) : NULL;

	/* It may have been given up meanwhile, and another begun. */
	if (leecher != arg || leecher->state != LEECHER_CONNECTING)
		return;
	if (error) {
		leecher_fail(leecher, error, *region->why ? region->why : strerror(-error));
		return;
	}
	leecher->leech = leech_of(region->backend);
	leecher_use_also(leecher);
	if (leecher->leech)
		leecher_meet(leecher);
	else
		leecher_fail(leecher, -EINVAL, "its source was changed");
}

/* The kernel has no region for it. */
static void never_there(struct leecher *leecher, int error, const char *why)
{
	snprintf(leecher->why, sizeof(leecher->why), "%s", why);
	leecher->giving_up = true;
	leecher_group_fail(leecher, error, leecher->why);
	leecher_ended(leecher, error);
}

static void added(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct leecher *leecher = arg;
	struct netlink_attrs attrs = *got;
	struct region *region = NULL;

	leecher->stepping = false;
	if (!error) {
		/* The answer holds the id alone. */
		netlink_set(&attrs, PATH, path, leecher->path);
		netlink_set(&attrs, SOURCE, source, leecher->source);
		region_update(leecher->regiond->regions, &attrs);
		region = region_find(leecher->regiond->regions, attrs.region);
	}
	if (!region) {
		never_there(leecher, error ? error : -ENOMEM, error ? why : "out of memory");
		return;
	}
	/* until it is whole here, the leech brings its bytes, whatever is usual in this instance */
	region_set_policy(region, NULL, false);
	leecher->handover.region = region;
	handover_begin(&leecher->handover);
	handover_note(&leecher->handover, again_text(leecher));
	loop_timer_set(leecher->regiond->loop, &leecher->timer, PROGRESS_MS);
	if (leecher->giving_up) {
		leecher_fail_later(leecher, leecher->error, "");
		return;
	}
	loop_timer_set(leecher->regiond->loop, &leecher->limit, CONNECT_MS);
	region_open(region, opened, leecher);
}

/* Made locked and empty: its size and mode come with TRACK. */
static int add_region(struct leecher *leecher)
{
	struct region nobody = { .regiond = leecher->regiond };
	struct handover_ask *ask;
	int ret = leecher->source ? 0 : leecher_make_source(leecher);

	if (ret)
		return ret;
	ask = handover_ask_new(&nobody, REGIONFS_CMD_REGION_ADD, added, leecher);
	if (!ask)
		return -ENOMEM;
	ask->call.attrs.have = 0;
	netlink_set(&ask->call.attrs, PATH, path, leecher->path);
	netlink_set(&ask->call.attrs, SOURCE, source, leecher->source);
	netlink_set(&ask->call.attrs, MODE, mode, 0600);
	netlink_set(&ask->call.attrs, FLAGS, flags, REGIONFS_REGION_LOCKED);
	netlink_set(&ask->call.attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_LOCKED);
	leecher->stepping = true;
	handover_ask(ask, &nobody);
	return 0;
}

/* ---- the command ---- */

static void leecher_init(struct leecher *leecher, struct regiond *regiond, struct region *region)
{
	leecher->regiond = regiond;
	leecher->handover = (struct handover){ .role = HANDOVER_LEECHER, .region = region, .show = leecher_show };
	leecher->watch = (struct leech_watch){ not_settled, owned, complete, leecher_nowhere, gone };
	leecher->timer.fire = leecher_tick;
	leecher->limit.fire = late;
	leecher->began = loop_now_ns();
}

static void has_room(struct leecher *leecher, int error, const char *why)
{
	if (!error) {
		error = add_region(leecher);
		why = strerror(-error);
	}
	if (!error)
		return;
	control_fail(leecher->call, error, "%s: %s", leecher->path, *why ? why : strerror(-error));
	leecher_free(leecher);
}

static struct leecher *leecher_new(struct control_call *call)
{
	struct leecher *leecher = calloc(1, sizeof(*leecher));
	int ret;

	if (!leecher) {
		control_fail(call, -ENOMEM, "out of memory");
		return NULL;
	}
	leecher_init(leecher, call->regiond, NULL);
	ret = leecher_make_token(leecher);
	if (ret)
		control_fail(call, ret, "no random numbers");
	else
		ret = control_bool(call, "detach", &leecher->detach);
	if (!ret)
		ret = leecher_take_args(call, leecher);
	if (!ret)
		return leecher;
	leecher_free(leecher);
	return NULL;
}

/* Of a group, where another one may have failed meanwhile. */
static void has_room_too(struct leecher *leecher, int error, const char *why)
{
	char first[sizeof(leecher->why)];

	leecher->stepping = false;
	if (leecher->giving_up) {
		memcpy(first, leecher->why, sizeof(first));
		never_there(leecher, leecher->error, first);
		return;
	}
	if (!error) {
		error = add_region(leecher);
		why = "";
	}
	if (error)
		never_there(leecher, error, *why ? why : strerror(-error));
}

void leecher_start(struct control_call *call, struct group *group, unsigned int nth)
{
	struct leecher *leecher = leecher_new(call);
	int ret;

	if (!leecher)
		return;
	leecher->again = control_again_text(call, "leecher");
	ret = leecher->again ? leecher_make_source(leecher) : -ENOMEM;
	if (ret) {
		control_fail(call, ret, "%s: %s", leecher->path, strerror(-ret));
		leecher_free(leecher);
		return;
	}
	leecher->left = call->region ? region_get(call->region) : NULL;
	group_join(group, &leecher->handover, nth);
	leecher->stepping = true;	/* until it has set off */
	control_ok(call, NULL);
}

void leecher_set_off(struct leecher *leecher)
{
	struct region *left = leecher->left;

	leecher->left = NULL;
	if (left && !leecher->giving_up)
		leecher_replace(leecher, left, has_room_too);
	else
		has_room_too(leecher, 0, "");
	if (left)
		region_put(left);
}

static void looked(struct leecher *leecher, int error, const char *why)
{
	struct control_call *call = leecher->call;
	char text[1024];

	if (!error && !leecher->again) {
		error = -ENOMEM;
		why = "out of memory";
	}
	/* it may be in use by now */
	if (!error && call->region) {
		error = leecher_may_replace(call->region, text, sizeof(text));
		why = text;
	}
	if (error) {
		control_fail(call, error, "%s", why);
		leecher_free(leecher);
	} else if (call->region) {
		leecher_replace(leecher, call->region, has_room);
	} else {
		has_room(leecher, 0, "");
	}
}

/* As leecher_start(), of one that is in no group, and may have to make room first. */
static void start_alone(struct control_call *call)
{
	struct leecher *leecher = leecher_new(call);

	if (!leecher)
		return;
	leecher->again = control_again_text(call, "leecher");
	leecher->call = call;
	leecher_look_at_source(leecher, looked);
}

void leecher_run(struct control_call *call)
{
	bool follow = false;
	char why[1024];
	int ret;

	if (control_bool(call, "follow", &follow))
		return;
	if (follow && (control_has(call, "managed") || control_has(call, "local")))
		control_fail(call, -EINVAL, "what follows is a plain copy: leave out --managed and its options, or --follow");
	else if (follow)
		follower_run(call);
	else if (control_has(call, "max_age"))
		control_fail(call, -EINVAL, "--max-age is of what follows: say --follow as well");
	else if (control_has(call, "group"))
		leecher_group_run(call);
	else if (call->region && (ret = leecher_may_replace(call->region, why, sizeof(why))))
		control_fail(call, ret, "%s", why);
	else
		start_alone(call);
}

/* ---- in the next helper ---- */

struct leecher *leecher_again(struct region *region, const struct uri *uri, const struct leech_record_head *head)
{
	struct leecher *leecher = calloc(1, sizeof(*leecher));

	if (!leecher)
		return NULL;
	leecher_init(leecher, region->regiond, NULL);
	if (!leecher_recall(leecher, region, uri)) {
		leecher_free(leecher);
		return NULL;
	}
	/* who was a follower does not ask before he has met its owner */
	leecher->asked_ever = !leecher_is_unspoilt(leecher);
	leecher->state = head->state == LEECH_RECORD_PULLING ? LEECHER_CONNECTING :
			 head->state == LEECH_RECORD_DIVERGED ? LEECHER_DIVERGED : LEECHER_OWNED;
	leecher->diverged = leecher->state == LEECHER_DIVERGED;
	leecher->lost = head->state == LEECH_RECORD_LOST;
	if (leecher->state != LEECHER_CONNECTING)
		leecher->owner = head->owner;
	leecher->final.epoch = head->owner.epoch;
	leecher->final.lineage = head->owner.lineage;
	leecher->final.dirty.size = head->size;
	leecher->asked = leecher->handed = leecher->began;
	leecher->handover.region = region_get(region);
	handover_begin(&leecher->handover);
	leecher_join_again(leecher);
	loop_timer_set(leecher->regiond->loop, &leecher->timer, PROGRESS_MS);
	return leecher;
}

void leecher_opened_again(struct leecher *leecher)
{
	leech_set_watch(leecher->leech, &leecher->watch);
	leecher_use_also(leecher);
	leecher_group_opened(leecher);
	if (leecher->state == LEECHER_CONNECTING)
		leecher_meet(leecher);
	else if (leecher->lost)
		leech_pull(leecher->leech, false);
	else if (leecher->state == LEECHER_OWNED && chunkmap_state(leech_map(leecher->leech)) == CHUNKMAP_COMPLETE)
		complete(&leecher->watch);
}

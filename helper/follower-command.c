// SPDX-License-Identifier: GPL-2.0
/* follower: how it begins, what it shows, how it ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backends/leech.h"
#include "backends/peer.h"
#include "config.h"
#include "follower-private.h"
#include "key16.h"
#include "leecher.h"
#include "log.h"
#include "probe.h"
#include "regiond.h"

#define MS		1000000ULL
#define MAX_AGE_MS	1000u
#define MAX_AGE_LEAST	50u
#define PROGRESS_MS	250u

/* ---- what it looks like ---- */

static const char *state_text(const struct follower *follower)
{
	static const char *const names[] = {
		[FOLLOWER_CONNECTING] = "connecting", [FOLLOWER_COMPARING] = "comparing", [FOLLOWER_PULLING] = "pulling",
		[FOLLOWER_IDLE] = "pulling", [FOLLOWER_FETCHING] = "pulling", [FOLLOWER_SHOWING] = "pulling",
		[FOLLOWER_LEAVING] = "leaving", [FOLLOWER_PROMOTED] = "promoted", [FOLLOWER_DIVERGED] = "diverged",
		[FOLLOWER_ENDED] = "aborted",
	};

	return follower->shown && follower->state < FOLLOWER_LEAVING ? "following" : names[follower->state];
}

static void set(json_t *show, const char *key, uint64_t value)
{
	json_object_set_new(show, key, json_integer((json_int_t)value));
}

/* Bytes that are known to be newer there. */
static uint64_t behind(const struct follower *follower)
{
	return (follower->nr_need + follower->status.dirty) * FOLLOWER_CHUNK;
}

static void show_shown(const struct follower *follower, json_t *show)
{
	const struct follower_head *head = follower_head(&follower->record);

	if (!follower->shown || !head)
		return;
	set(show, "age_ms", head->moment ? (loop_now_ns() - head->moment) / MS : 0);
	set(show, "lock_ms", follower->lock_ms);
	set(show, "lock_most_ms", follower->lock_most_ms);
	set(show, "states", follower->nr_shown);
}

json_t *follower_show(const struct handover *handover)
{
	const struct follower *follower = container_of(handover, struct follower, handover);
	json_t *show = json_pack("{s:o, s:s, s:s}", "region", control_text(follower->path), "role", "follower", "state", state_text(follower));
	uint64_t missing = follower->map ? chunkmap_missing(follower->map) * FOLLOWER_CHUNK : follower->size;

	json_object_set_new(show, "source", control_text(follower->from));
	if (follower->connected)
		json_object_set_new(show, "peer", control_text(peer_session(follower->peer)->server));
	json_object_set_new(show, "connected", json_boolean(follower_hears(follower)));
	json_object_set_new(show, "moved", json_boolean(follower->moved));
	set(show, "done", missing < follower->size ? follower->size - missing : 0);
	set(show, "total", follower->size);
	set(show, "bytes", follower->fetched);
	set(show, "rounds", follower->round);
	set(show, "max_age", follower->max_age);
	set(show, "remaining", behind(follower));
	set(show, "lost_rounds", follower->lost_rounds);
	if (follower->reused)
		set(show, "reused_bytes", follower->reused);
	if (follower->epoch)
		set(show, "epoch", follower->epoch);
	show_shown(follower, show);
	if (*follower->why)
		json_object_set_new(show, "error", control_text(follower->why));
	return show;
}

static void progress(struct loop_timer *timer)
{
	struct follower *follower = container_of(timer, struct follower, progress);
	uint64_t missing = follower->map ? chunkmap_missing(follower->map) * FOLLOWER_CHUNK : 0;

	if (!follower->call)
		return;
	control_progress(follower->call, follower->size > missing ? follower->size - missing : 0, follower->size, "bytes", state_text(follower));
	loop_timer_set(follower->regiond->loop, timer, PROGRESS_MS);
}

void follower_answer(struct follower *follower, int error, const char *why)
{
	struct control_call *call = follower->call;

	follower->call = NULL;
	if (call && error)
		control_fail(call, error, "%s", why);
	else if (call)
		control_ok(call, follower_show(&follower->handover));
}

bool follower_shows(const struct region *region)
{
	return region->handover && handover_of(region)->role == HANDOVER_FOLLOWER && !strcmp(state_text(follower_of(region)), "following");
}

/* ---- life ---- */

void follower_free(struct follower *follower)
{
	loop_timer_cancel(follower->regiond->loop, &follower->timer);
	loop_timer_cancel(follower->regiond->loop, &follower->progress);
	if (follower->record.file.addr)
		follower_record_close(&follower->record);
	chunkmap_close(follower->map);
	uri_free(&follower->open.uri);
	free(follower->path);
	free(follower->local);
	free(follower->from);
	free(follower->again);
	free(follower->source);
	free(follower->text);
	free(follower->body);
	free(follower->reply);
	free(follower->need);
	free(follower);
}

static char *string_of(const json_t *args, const char *key)
{
	const char *value = json_string_value(json_object_get(args, key));

	return value ? strdup(value) : NULL;
}

static void removed(struct loop_task *task);

/* Somebody has removed the region here: nothing holds it, but we have to end first. */
static bool follower_keeps(struct handover *handover)
{
	struct follower *follower = container_of(handover, struct follower, handover);

	if (follower->removed)
		return true;
	follower->removed = true;
	follower->removal.run = removed;
	loop_post(follower->regiond->loop, &follower->removal);
	return true;
}

struct follower *follower_new(struct regiond *regiond, char *again)
{
	struct follower *follower = calloc(1, sizeof(*follower));
	json_t *args = again ? json_loads(again, 0, NULL) : NULL;

	if (!follower || !args) {
		free(follower);
		free(again);
		json_decref(args);
		return NULL;
	}
	follower->regiond = regiond;
	follower->again = again;
	follower->handover = (struct handover){ .role = HANDOVER_FOLLOWER, .show = follower_show, .keeps = follower_keeps };
	follower->path = string_of(args, "region");
	follower->local = string_of(args, "local");
	follower->from = string_of(args, "from");
	snprintf(follower->token, sizeof(follower->token), "%s", json_string_value(json_object_get(args, "token")) ?: "");
	follower->max_age = (uint32_t)json_integer_value(json_object_get(args, "max_age"));
	follower->max_age = follower->max_age >= MAX_AGE_LEAST ? follower->max_age : MAX_AGE_LEAST;
	follower->reuse = json_is_true(json_object_get(args, "reuse"));
	follower->moved = json_is_true(json_object_get(args, "moved"));
	follower->body = malloc(FOLLOWER_REPLY);
	follower->reply = malloc(FOLLOWER_REPLY);
	follower->record.fd = follower->record.file.fd = -1;
	follower->began = loop_now_ns();
	follower->progress.fire = progress;
	json_decref(args);
	if (follower->path && follower->local && follower->from && strlen(follower->token) == 2 * KEY16 && follower->body && follower->reply)
		return follower;
	follower_free(follower);
	return NULL;
}

void follower_set_again(struct follower *follower, const char *key, json_t *value)
{
	json_t *args = json_loads(follower->again, 0, NULL);
	char *text;

	if (value)
		json_object_set_new(args, key, value);
	else
		json_object_del(args, key);
	text = json_dumps(args, JSON_COMPACT);
	json_decref(args);
	if (!text)
		return;
	free(follower->again);
	follower->again = text;
}

void follower_note_again(struct follower *follower)
{
	region_set_handover(follower->handover.region, strdup(follower->again));
}

static int open_map(struct follower *follower)
{
	char path[4096];
	int ret;

	leech_map_path(path, sizeof(path), follower->regiond->config->run_dir, follower->token);
	ret = chunkmap_open(&follower->map, path, follower->regiond->instance_id);
	follower->unknown = ret == -ENOENT || ret == -ESTALE;
	if (follower->unknown)
		ret = chunkmap_create(&follower->map, path, follower->regiond->instance_id, FOLLOWER_CHUNK, 0);
	return ret;
}

int follower_take_region(struct follower *follower, struct region *region)
{
	bool unsure;
	int ret = follower_record_open(&follower->record, follower->regiond->config, follower->regiond->instance_id, follower->token, &unsure);

	if (!ret)
		ret = open_map(follower);
	follower->unknown |= unsure;
	if (!ret)
		ret = follower_fit(follower, chunkmap_chunks(follower->map));
	if (ret)
		return ret;
	follower->size = follower_least(follower);
	follower->epoch = follower_head(&follower->record)->epoch;
	follower->lineage = follower_head(&follower->record)->lineage;
	follower->handover.region = region_get(region);
	region->handover = &follower->handover;
	return 0;
}

/* ---- the end ---- */

void follower_end(struct follower *follower, bool keep_map)
{
	struct region *region = follower->handover.region;
	char path[4096];

	if (follower->state < FOLLOWER_LEAVING)
		follower->state = FOLLOWER_ENDED;
	if (region && !keep_map)
		region_set_handover(region, NULL);
	if (region)
		handover_end(&follower->handover);
	leech_map_path(path, sizeof(path), follower->regiond->config->run_dir, follower->token);
	if (!keep_map) {
		chunkmap_unlink(path);
		follower_record_unlink(follower->regiond->config, follower->token);
	}
	follower_free(follower);
}

static void ended(struct follower *follower, int error, const char *why)
{
	struct control_call *leaving = follower->leaving;

	follower->leaving = NULL;
	follower->state = FOLLOWER_ENDED;
	follower_answer(follower, -ECANCELED, *follower->why ? follower->why : "it was ended");
	if (leaving && error)
		control_fail(leaving, error, "%s", why);
	follower_end(follower, false);
	if (leaving && !error)
		control_ok(leaving, NULL);
}

static void deleted(void *arg, int error, const char *why)
{
	ended(arg, error, why);
}

void follower_remove(struct follower *follower)
{
	if (follower->handover.region && !follower->removed)
		handover_remove(follower->handover.region, deleted, follower);
	else
		ended(follower, 0, "");
}

static void removed(struct loop_task *task)
{
	struct follower *follower = container_of(task, struct follower, removal);

	if (follower->state != FOLLOWER_ENDED && !follower->leave)
		follower_leave(follower, WIRE_ABORT, follower_remove);
}

void follower_give_up(struct follower *follower, int error, const char *why)
{
	snprintf(follower->why, sizeof(follower->why), "%s", why);
	if (follower->call)
		control_fail(follower->call, error, "%s", why);
	follower->call = NULL;
	follower_leave(follower, 0, follower_remove);
}

void follower_abort(struct control_call *call, struct region *region)
{
	struct follower *follower = follower_of(region);

	if (follower->state == FOLLOWER_PROMOTED || follower->state == FOLLOWER_DIVERGED) {
		control_fail(call, -EBUSY, "%s is this host's: to give it back, seed it", follower->path);
	} else if (follower_leaves(follower)) {
		control_fail(call, -EALREADY, "%s is changing its state just now", follower->path);
	} else {
		snprintf(follower->why, sizeof(follower->why), "aborted by the user");
		follower->leaving = call;
		follower_leave(follower, WIRE_ABORT, follower_remove);
	}
}

/* ---- the beginning ---- */

static void begun_noted(struct state_waiter *waiter, int error)
{
	struct follower *follower = container_of(waiter, struct follower, noted);

	follower->stepping = false;
	if (follower_leaves(follower)) {
		follower_check_leave(follower);
	} else if (error && !follower->shown) {
		follower_give_up(follower, error, "the state directory could not be written");
	} else {
		if (error)
			log_warning("following %s: the state directory could not be written", follower->path);
		if (follower->detach)
			follower_answer(follower, 0, "");
		follower_tracked(follower);
	}
}

void follower_begun(struct follower *follower)
{
	follower->ever = true;
	follower->turning = false;
	follower_set_again(follower, "ever", json_true());
	follower_note_again(follower);
	follower->stepping = true;
	follower->noted.done = begun_noted;
	state_sync(follower->regiond->state, &follower->noted);
}

static void opened(struct region *region, int error, void *arg)
{
	struct follower *follower = arg;

	if (region->handover != &follower->handover || follower_leaves(follower))
		return;
	if (error && !follower->ever)
		follower_give_up(follower, error, *region->why ? region->why : strerror(-error));
	else if (follower->shown && region->info.flags & REGIONFS_REGION_LOCKED)
		follower_apply_again(follower);
	else
		follower_dial(follower);
}

void follower_open(struct follower *follower)
{
	region_open_writable(follower->handover.region, opened, follower);
}

static void added(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;
	struct netlink_attrs attrs = *got;
	struct region *region = NULL;

	if (!error) {
		/* the answer holds the id alone */
		netlink_set(&attrs, PATH, path, follower->path);
		netlink_set(&attrs, SOURCE, source, follower->local);
		netlink_set(&attrs, FLAGS, flags, REGIONFS_REGION_LOCKED | REGIONFS_REGION_READ_ONLY);
		region_update(follower->regiond->regions, &attrs);
		region = region_find(follower->regiond->regions, attrs.region);
	}
	if (!error)
		error = region ? follower_take_region(follower, region) : -ENOMEM;
	if (region)
		region_put(region);
	if (error) {
		probe_undo(follower->regiond, follower->local);
		follower_answer(follower, error, *why ? why : strerror(-error));
		follower_end(follower, false);
		return;
	}
	region_set_policy(region, NULL, false);
	follower_note_again(follower);
	loop_timer_set(follower->regiond->loop, &follower->progress, PROGRESS_MS);
	follower_open(follower);
}

static void probed(struct probe *probe, void *arg, int error, const char *why)
{
	struct region nobody = { .regiond = ((struct follower *)arg)->regiond };
	struct follower *follower = arg;
	struct handover_ask *ask;

	if (error) {
		follower_answer(follower, error, why);
		probe_free(probe);
		follower_end(follower, false);
		return;
	}
	probe_free(probe);
	ask = handover_ask_new(&nobody, REGIONFS_CMD_REGION_ADD, added, follower);
	if (!ask) {
		follower_answer(follower, -ENOMEM, "out of memory");
		follower_end(follower, false);
		return;
	}
	ask->call.attrs.have = 0;
	netlink_set(&ask->call.attrs, PATH, path, follower->path);
	netlink_set(&ask->call.attrs, SOURCE, source, follower->local);
	netlink_set(&ask->call.attrs, MODE, mode, 0600);
	netlink_set(&ask->call.attrs, FLAGS, flags, REGIONFS_REGION_LOCKED | REGIONFS_REGION_READ_ONLY);
	netlink_set(&ask->call.attrs, FLAGS_MASK, flags_mask, REGIONFS_REGION_LOCKED | REGIONFS_REGION_READ_ONLY);
	handover_ask(ask, &nobody);
}

/* ---- another owner ---- */

/* What is shown stays; what is there is compared with it. */
static void turn(struct follower *follower)
{
	struct control_call *call = follower->leaving;

	follower->leaving = NULL;
	follower->state = FOLLOWER_IDLE;
	follower->moved = false;
	follower->round = 0;
	follower_note_why(follower, "");
	chunkmap_set_round(follower->map, UINT32_MAX);
	follower_need_none(follower);
	follower_set_again(follower, "moved", NULL);
	follower_note_again(follower);
	follower->call = call;
	follower->detach = true;	/* answered when the new owner tracks for us */
	follower->ever = false;
	follower->turning = true;
	follower_dial(follower);
}

static void follow_another(struct control_call *call, struct follower *follower)
{
	char *from = NULL;
	uint32_t max_age = follower->max_age;

	if (control_has(call, "local_source")) {
		control_fail(call, -EEXIST, "%s follows already, and its bytes stay where they are: leave out --local-source", follower->path);
		return;
	}
	if (leecher_take_places(call, NULL, &from, NULL) || (control_has(call, "max_age") && control_u32(call, "max_age", &max_age))) {
		free(from);
		return;
	}
	if (follower_leaves(follower) || !follower->shown) {
		free(from);
		control_fail(call, -EBUSY, "%s is %s just now", follower->path, state_text(follower));
		return;
	}
	free(follower->from);
	follower->from = from;
	follower->max_age = max_age;
	follower_set_again(follower, "from", control_text(from));
	follower_set_again(follower, "max_age", json_integer(max_age));
	follower->leaving = call;
	follower_leave(follower, WIRE_ABORT, turn);
}

/* ---- the command ---- */

static char *again_of(struct control_call *call)
{
	uint8_t random[KEY16];
	char token[2 * KEY16 + 1], *from = NULL, *local = NULL, *text = NULL;
	uint32_t max_age = MAX_AGE_MS;
	json_t *args;

	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		control_fail(call, -EIO, "no random numbers");
		return NULL;
	}
	key16_text(token, random);
	if ((control_has(call, "max_age") && control_u32(call, "max_age", &max_age)) || leecher_take_places(call, token, &from, &local)) {
		free(from);
		free(local);
		return NULL;
	}
	args = json_deep_copy(call->args);
	json_object_set_new(args, "role", json_string("follower"));
	json_object_set_new(args, "token", json_string(token));
	json_object_set_new(args, "from", control_text(from));
	json_object_set_new(args, "local", control_text(local));
	json_object_set_new(args, "max_age", json_integer(max_age));
	text = json_dumps(args, JSON_COMPACT);
	json_decref(args);
	free(from);
	free(local);
	if (!text)
		control_fail(call, -ENOMEM, "out of memory");
	return text;
}

/* Says what means nothing to one that follows; what is for after its promotion is kept until then. */
static bool contradicts(struct control_call *call)
{
	static const struct {
		const char *arg, *why;
	} others[] = {
		{ "finalize", "what follows is not handed over: leave out --finalize" },
		{ "max_downtime", "what follows is not handed over: leave out --max-downtime" },
		{ "on_stall", "what follows is not handed over: leave out --on-stall" },
		{ "handover", "what follows is not handed over: leave out --handover" },
		{ "reuse_from", "what follows is compared with what is in its own store: --reuse, not --reuse-from" },
		{ "group", "each region of a group is followed by itself: name one, and leave out --group" },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (control_has(call, others[i].arg)) {
			control_fail(call, -EINVAL, "%s", others[i].why);
			return true;
		}
	return false;
}

void follower_run(struct control_call *call)
{
	struct follower *follower;
	char *again;

	if (contradicts(call))
		return;
	if (call->region && call->region->handover && handover_of(call->region)->role == HANDOVER_FOLLOWER) {
		follow_another(call, follower_of(call->region));
		return;
	}
	if (call->region) {
		control_fail(call, -EEXIST, "there is a region %s here already", call->region->info.path);
		return;
	}
	again = again_of(call);
	if (!again)
		return;
	follower = follower_new(call->regiond, again);
	if (!follower) {
		control_fail(call, -EINVAL, "which region?");
		return;
	}
	follower->detach = json_is_true(json_object_get(call->args, "detach"));
	follower->compare = follower->reuse;
	follower->call = call;
	probe_start(call->regiond, follower->local, 0, 0, probed, follower);
}

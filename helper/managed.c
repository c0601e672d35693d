// SPDX-License-Identifier: GPL-2.0
/*
 * managed: opening and closing. In this order: the command of before-open, the store, the source. Where the store has been there before, the region is
 * open when the source has said whether it is still as it was (managed-version.c), or is away, or takes its time: then what is here is good
 * enough. The puller begins with the source's first answer, whether or not anybody has opened the region's file.
 *
 * Closing: nothing of the region's is under way any more. The puller, the pusher and the source end side by side, which ends the fetches;
 * the store is the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "barrier.h"
#include "config.h"
#include "log.h"
#include "managed-event.h"
#include "managed-mark.h"
#include "managed-private.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder.h"

#define MAX_REQUEST	(16u << 20)
#define DRAIN_MS	60000u
#define SOURCE_MS	2000u

static void managed_free(struct managed *managed)
{
	loop_timer_cancel(managed_loop(managed), &managed->deadline);
	loop_timer_cancel(managed_loop(managed), &managed->last_timer);
	loop_timer_cancel(managed_loop(managed), &managed->opening_timer);
	profile_free(managed->profile);
	pages_free(managed->pulled);
	policy_free(&managed->policy);
	uri_free(&managed->opening.uri);
	region_put(managed->region);
}

/* ---- what the source tells ---- */

static void pulled_hook_done(struct policy_command *hook, int error, const char *why)
{
	struct managed *managed = container_of(hook, struct managed, pull_hook);

	if (error)
		log_warning("region %s: the command of after-pull: %s", managed->region->info.path, why);
	managed->pull_hooking = false;
	managed->nr_busy--;
	managed_idle(managed);
}

void managed_hook(struct managed *managed, struct policy_command *hook, enum policy_hook which, const char *state,
		  void (*done)(struct policy_command *hook, int error, const char *why))
{
	struct store_stats stats = { 0 };

	if (managed->store)
		store_stats(managed->store, &stats);
	policy_hook_run(hook, managed->region, &managed->policy, which, state, stats.unpushed, done);
}

void managed_pull_complete(struct managed *managed)
{
	atomic_store(&managed->pulling, false);
	managed_event(managed->region, "pull-complete", NULL);
	if (managed->pull_hooking || !managed->policy.hook[HOOK_AFTER_PULL])
		return;
	managed->pull_hooking = true;
	managed->nr_busy++;
	managed_hook(managed, &managed->pull_hook, HOOK_AFTER_PULL, "pulled", pulled_hook_done);
}

/* Bytes that are on this host and not kept apart are near already: the kernel's own readahead does as well. */
static bool is_near(const struct managed *managed)
{
	return !managed->store && backend_local(managed->backend.uri.text) && managed->policy.pull == PULL_SEQUENTIAL;
}

bool managed_is_pulled(const struct managed *managed)
{
	return managed->policy.pull != PULL_NONE && !is_near(managed);
}

static void start_puller(struct managed *managed)
{
	char why[256];

	if (managed->closing || managed->pusher_closing || managed->puller || !managed_is_pulled(managed) || managed->adopting.on)
		return;
	if (!managed->store && !managed->region->regiond->device)
		return;
	if (!managed->store && !managed->pulled)
		managed->pulled = pages_new(managed_size(managed));
	if ((!managed->store && !managed->pulled) || managed_puller_open(managed, why, sizeof(why))) {
		log_warning("region %s is not pulled: %s", managed->region->info.path,
			    managed->store || managed->pulled ? why : "out of memory");
		return;
	}
	atomic_store(&managed->pulling, true);
	puller_start(managed->puller);
}

/* What the region takes from its source's capabilities. */
static void take_caps(struct managed *managed)
{
	const struct backend_caps *from = remote_caps(managed->remote);
	struct backend_caps *caps = &managed->backend.caps;

	if (!from)
		return;
	caps->fence = from->fence;
	/* what comes from the other host is not to fail because of the source */
	if (managed->adopting.on)
		return;
	caps->chunk = from->chunk;
	caps->fixed_size = from->fixed_size;
	caps->read_only = from->read_only && !managed->handed;
	if (!managed->store) {
		caps->max_request = from->max_request;
		caps->local_fd = from->local_fd;
		caps->local_map = from->local_map;
		caps->durability = from->durability;
		caps->version = from->version;
	}
}

/* The last thing that is done: whoever hears of it may close it, and it is freed. */
static void managed_opened(struct managed *managed)
{
	if (managed->is_open)
		return;
	managed->is_open = true;
	loop_timer_cancel(managed_loop(managed), &managed->opening_timer);
	take_caps(managed);
	if (managed->store && !atomic_load(&managed->missing_bytes))
		managed->backend.caps.local_fd = store_local_fd(managed->store, &managed->backend.caps.local_map);
	backend_opened(&managed->backend, 0);
}

static bool uses_barriers(const struct managed *managed)
{
	const struct policy *policy = &managed->policy;

	return !managed->adopting.on && !managed->adopting.undrained && !managed->handed && policy->local != LOCAL_CACHE && policy->durability == DURABILITY_LOCAL && policy->push_order == PUSH_BARRIER;
}

/* ---- failing ---- */

static void open_failed_closed(void *arg)
{
	struct managed *managed = arg;
	int error = managed->error;

	managed->remote = NULL;
	if (managed->store) {
		struct store *store = managed->store;

		managed->store = NULL;
		store_close(store, open_failed_closed, managed);
		return;
	}
	managed_free(managed);
	backend_opened(&managed->backend, error);
}

static void pusher_gone(void *arg)
{
	struct managed *managed = arg;

	managed->pusher = NULL;
	managed->remote_closing = true;
	if (managed->remote)
		remote_close(managed->remote, open_failed_closed, managed);
	else
		open_failed_closed(managed);
}

void managed_open_failed(struct managed *managed, int error, const char *why)
{
	managed->error = backend_error(&managed->backend, error, "%s", why);
	managed->closing = true;
	/* nobody knows what it has: the others wait for it */
	if (!managed->store && uses_barriers(managed))
		barriers_missing(managed->region->regiond->barriers, managed->region->info.id);
	region_store_known(managed->region);
	if (managed->pusher)
		pusher_close(managed->pusher, pusher_gone, managed);
	else
		pusher_gone(managed);
}

/* ---- the source ---- */

static void tell_away(struct managed *managed, enum remote_state state, const char *why)
{
	if (managed_adopt_waits(managed))
		return;
	if (state == REMOTE_AWAY && !managed->away_told) {
		managed->away_told = true;
		managed_event(managed->region, "source-away", why);
	} else if (state == REMOTE_UP && managed->away_told) {
		managed->away_told = false;
		managed_event(managed->region, "source-back", NULL);
	}
}

static void give_up_draining(struct managed *managed, int error);

/* One that nobody has opened before, since it was another host's, may still be that for a moment. */
static bool is_away(const struct managed *managed)
{
	char why[256];
	int error = remote_error(managed->remote, why, sizeof(why));
	bool soon = managed->adopting.pushing && !remote_opened(managed->remote) && (error == -EBUSY || backend_is_temporary(error));

	return remote_state(managed->remote) == REMOTE_AWAY && !soon;
}

static void source_changed(void *arg, enum remote_state state, int error, const char *why)
{
	struct managed *managed = arg;

	if (managed->closing)
		return;
	if (state == REMOTE_AWAY && !managed->is_open && !(managed->store && store_was_there(managed->store))) {
		managed_open_failed(managed, error, why);
		return;
	}
	tell_away(managed, state, why);
	if (managed->leaving && !managed->draining)
		managed_let_go(managed);
	if (state == REMOTE_AWAY && !managed->is_open) {
		managed_opened(managed);
		return;
	}
	if (managed->draining && is_away(managed)) {
		give_up_draining(managed, error);
		return;
	}
	if (state != REMOTE_UP)
		return;
	take_caps(managed);
	start_puller(managed);
	if (managed->puller)
		puller_kick(managed->puller);
	if (managed->pusher)
		pusher_kick(managed->pusher);
	managed_opened(managed);
}

static void open_source(struct managed *managed)
{
	struct remote_options options = { .open = &managed->opening, .arg = managed, .changed = source_changed,
					  .verify = managed->store ? managed_verify : NULL, .held = managed_adopt_waits(managed) };
	int err = remote_open(&managed->remote, &options);

	if (err)
		managed_open_failed(managed, err, strerror(-err));
	else if (managed->handed)
		remote_read_only(managed->remote, true);
}

/* ---- the store and the pusher ---- */

static void limit_writers(void *arg, uint64_t bytes_per_second)
{
	struct managed *managed = arg;

	/* what is pushed then is the region, and not what programs have written */
	if (managed->adopting.on)
		return;
	managed->limited = bytes_per_second != 0;
	managed_limit_writers(managed, bytes_per_second);
}

static void pushed(void *arg, int error, const char *why)
{
	struct managed *managed = arg;

	if (error)
		managed_event(managed->region, "push-error", why);
	if (managed->closing)
		return;
	if (!error) {
		managed_note_version(managed);
		managed_room_came(managed);
		managed_adopt_pushed(managed);
	}
}

static int open_pusher(struct managed *managed)
{
	struct regiond *regiond = managed->region->regiond;
	struct pusher_options options = {
		.loop = managed_loop(managed), .store = managed->store, .remote = managed->remote,
		.policy = &managed->policy, .barriers = uses_barriers(managed) ? regiond->barriers : NULL,
		.region = managed->region->info.id, .attach_gen = regiond->attach_gen, .epoch = managed->region->info.epoch,
		.arg = managed, .limit = limit_writers, .pushed = pushed, .owes = managed->adopting.on || managed->adopting.undrained,
	};

	int err = pusher_open(&managed->pusher, &options);

	if (!err && managed_is_held(managed))
		pusher_hold(managed->pusher, true);
	return err;
}

/* ---- the size ---- */

static void sized_mark(const struct managed *managed, char *path, size_t len)
{
	snprintf(path, len, "%s/sized-%016" PRIx64 "-%" PRIu64, managed->opening.run_dir, managed->region->regiond->instance_id,
		 managed->region->info.id);
}

/*
 * The store may be longer than the region: after a power cut, when the region's last size had not got into the state directory, or when the region was
 * removed with changes in its store, and is added again. Then what is in the store is what programs have written, and the kernel hears of it
 * (region_tell_grown()). But in the life of an instance the kernel knows better from the first opening on: a truncation may be on its way here,
 * for this helper to be told as the last one wasn't (managed-change.c). A mark in the run directory, which goes with that life, says which it is.
 */
static void take_size(struct managed *managed)
{
	bool fixed = managed->region->info.flags & REGIONFS_REGION_FIXED_SIZE;
	char path[4096];
	int fd;

	if (!managed->opening.run_dir)
		return;
	sized_mark(managed, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	close(fd);
	/* the leech knows */
	if (managed->adopting.on)
		return;
	managed->grown = store_gen_oldest(managed->store) && store_size(managed->store) > managed_size(managed) && !fixed;
	if (managed->grown)
		backend_set_size(&managed->backend, store_size(managed->store));
}

bool managed_has_grown(const struct managed *managed)
{
	return managed->grown;
}

static void source_late(struct loop_timer *timer)
{
	managed_opened(container_of(timer, struct managed, opening_timer));
}

static void store_is_open(void *arg, struct store *store, int error, const char *why)
{
	struct managed *managed = arg;

	if (error) {
		managed_open_failed(managed, error, why);
		return;
	}
	managed->store = store;
	managed_adopt_look(managed);
}

void managed_store_ready(struct managed *managed)
{
	struct store *store = managed->store;
	int error;

	managed_adopt_missing(managed);
	managed_version_found(managed);
	managed->budget = managed_store_budget(managed);
	take_size(managed);
	barriers_recovered(managed->region->regiond->barriers, store_recovered(store));
	/* what it has must be pushed, whatever the region's mode is now */
	if (store_gen_oldest(store))
		managed->opening.read_only = false;
	open_source(managed);
	if (managed->closing)
		return;
	error = open_pusher(managed);
	if (error) {
		managed_open_failed(managed, error, strerror(-error));
		return;
	}
	managed_adopt_pushed(managed);
	region_store_known(managed->region);
	/* whoever only wants to remove the region doesn't wait for the source */
	if (managed->region->destroy || managed->adopting.on || (store_was_there(store) && !store_version(store))) {
		managed_opened(managed);
	} else if (store_was_there(store)) {
		managed->opening_timer.fire = source_late;
		loop_timer_set(managed_loop(managed), &managed->opening_timer, SOURCE_MS);
	}
}

void managed_store_dir(const struct managed *managed, char *dir, size_t len)
{
	if (managed->policy.local == LOCAL_FILE)
		managed_mark_dir(managed->policy.local_path, managed->backend.uri.text, dir, len);
	else
		snprintf(dir, len, "%s/memory/store-%016" PRIx64, managed->opening.run_dir, managed->region->info.id);
}

void managed_left_dir(const struct managed *managed, char *dir, size_t len)
{
	snprintf(dir, len, "%s/memory/left-%016" PRIx64, managed->opening.run_dir, managed_mark_hash(managed->backend.uri.text));
}

static void take_left(const struct managed *managed, const char *dir)
{
	char left[4096];

	managed_left_dir(managed, left, sizeof(left));
	if (managed->policy.local == LOCAL_MEMORY && !managed->adopting.on && access(dir, F_OK) && !rename(left, dir))
		log_info("%s: what was not pushed when its region was removed is taken up again", managed->backend.uri.text);
}

static void store_has_room(void *arg)
{
	struct managed *managed = arg;

	if (!managed->closing && !list_empty(&managed->no_room))
		managed_room_came(managed);
}

void managed_open_store(struct managed *managed)
{
	const struct backend_open *open = &managed->opening;
	char dir[4096];
	struct store_options options = {
		.loop = open->loop, .kind = managed->policy.local, .dir = dir, .run_dir = open->run_dir,
		.instance = open->instance_id, .identity = managed->backend.uri.text, .size = open->size,
		.budget = managed_store_budget(managed), .arg = managed, .opened = store_is_open,
		.room = store_has_room,
	};
	int err;

	managed_store_dir(managed, dir, sizeof(dir));
	take_left(managed, dir);
	err = store_open(&options);
	if (err)
		managed_open_failed(managed, err, strerror(-err));
}

/* ---- opening ---- */

static void may_open(struct policy_command *hook, int error, const char *why)
{
	struct managed *managed = container_of(hook, struct managed, hook);
	char text[320];

	if (error) {
		snprintf(text, sizeof(text), "the command of before-open: %s", why);
		managed_open_failed(managed, error, text);
	} else if (managed->policy.local == LOCAL_CACHE) {
		open_source(managed);
	} else {
		managed_open_store(managed);
	}
}

static struct managed *managed_new(struct backend_open *open, const struct policy *policy, struct region *region)
{
	struct managed *managed = calloc(1, sizeof(*managed));

	if (!managed)
		return NULL;
	managed->region = region_get(region);
	list_init(&managed->fetches);
	list_init(&managed->changes);
	list_init(&managed->blocked);
	list_init(&managed->no_room);
	list_init(&managed->reads);
	list_init(&managed->adopting.syncs);
	managed->backend.ops = &managed_backend;
	managed->backend.loop = open->loop;
	managed->backend.caps = (struct backend_caps){
		.size = open->size, .chunk = PROFILE_CHUNK, .align = 1, .max_request = MAX_REQUEST,
		.local_fd = -1, .local_map = -1, .fence = FENCE_PROCESS, .durability = DURABLE_SYNC,
	};
	if (policy_copy(&managed->policy, policy) || profile_new(&managed->profile, open->size) ||
	    uri_parse(&managed->backend.uri, open->uri.text, NULL, 0)) {
		managed_free(managed);
		uri_free(&managed->backend.uri);
		free(managed);
		return NULL;
	}
	return managed;
}

static void begin(struct backend_open *open, const struct policy *policy, struct region *region, const struct managed_adoption *adoption)
{
	struct managed *managed = managed_new(open, policy, region);

	if (!managed) {
		uri_free(&open->uri);
		open->done(open, NULL, -ENOMEM);
		return;
	}
	managed->opening = *open;
	memset(&open->uri, 0, sizeof(open->uri));
	managed->backend.open = open;
	managed->handed = region_is_handed(region);
	if (adoption) {
		managed->adopting.on = true;
		managed->adopting.fresh = adoption->fresh;
		managed->adopting.owned = adoption->owned;
		managed->adopting.pushed = adoption->pushed;
		managed->opening.create = backend_owned(managed->backend.uri.text);
		if (policy->local == LOCAL_MEMORY)
			managed->backend.caps.durability = DURABLE_NEVER;
	}
	managed_hook(managed, &managed->hook, HOOK_BEFORE_OPEN, "opening", may_open);
}

void managed_open(struct backend_open *open, const struct policy *policy, struct region *region)
{
	begin(open, policy, region, NULL);
}

void managed_adopt_open(struct backend_open *open, const struct policy *policy, struct region *region, const struct managed_adoption *adoption)
{
	begin(open, policy, region, adoption);
}

/* ---- closing ---- */

static void store_is_closed(void *arg)
{
	struct managed *managed = arg;
	char dir[4096], left[4096];

	if (managed->gone) {
		barriers_forget(managed->region->regiond->barriers, managed->region->info.id);
		sized_mark(managed, dir, sizeof(dir));
		unlink(dir);
	}
	if (managed->kept && managed->policy.local == LOCAL_MEMORY) {
		managed_store_dir(managed, dir, sizeof(dir));
		managed_left_dir(managed, left, sizeof(left));
		if (rename(dir, left))
			log_error("%s: can't be kept as %s: %s", dir, left, strerror(errno));
	}
	if (managed->forgotten)
		managed_adopt_forget(managed);
	managed_free(managed);
	backend_closed(&managed->backend);
}

/* A clean copy of an instance that is no more is of no use to anybody. */
static bool is_litter(const struct managed *managed)
{
	return managed->policy.local == LOCAL_MEMORY && managed->region->regiond->instance_ending &&
	       !store_gen_oldest(managed->store);
}

static void close_store(struct managed *managed)
{
	struct store *store = managed->store;

	managed->store_closing = true;
	if (!store) {
		store_is_closed(managed);
	} else if (managed->forgotten || is_litter(managed)) {
		store_remove(store, store_is_closed, managed);
	} else {
		managed_version_leave(managed);
		store_close(store, store_is_closed, managed);
	}
}

void managed_idle(struct managed *managed)
{
	if (!managed->closing || !managed->is_open || managed->nr_busy || managed->store_closing)
		return;
	if (managed->puller_closed && managed->pusher_closed && managed->remote_closed)
		close_store(managed);
}

static void parts_closed(struct managed *managed)
{
	void (*then)(struct managed *managed) = managed->parts_closed;

	if (managed->puller_closed && managed->pusher_closed && then) {
		managed->parts_closed = NULL;
		then(managed);
	} else {
		managed_version_end(managed);
		managed_idle(managed);
	}
}

static void puller_is_closed(void *arg)
{
	struct managed *managed = arg;

	managed->puller = NULL;
	managed->puller_closed = true;
	parts_closed(managed);
}

static void pusher_is_closed(void *arg)
{
	struct managed *managed = arg;

	managed->pusher = NULL;
	managed->pusher_closed = true;
	parts_closed(managed);
}

static void remote_is_closed(void *arg)
{
	struct managed *managed = arg;

	managed->remote_closed = true;
	managed_idle(managed);
}

void managed_close_remote(struct managed *managed)
{
	managed->remote_closing = true;
	remote_close(managed->remote, remote_is_closed, managed);
}

void managed_close_parts(struct managed *managed)
{
	if (managed->pusher_closing) {
		parts_closed(managed);
		return;
	}
	managed->nr_busy++;
	managed->pusher_closing = true;
	/* the kernel keeps the region, and would slow its writers for ever */
	if (managed->limited)
		managed_limit_writers(managed, 0);
	managed->limited = false;
	managed->puller_closed = !managed->puller;
	managed->pusher_closed = !managed->pusher;
	if (managed->puller)
		puller_close(managed->puller, puller_is_closed, managed);
	if (managed->pusher)
		pusher_close(managed->pusher, pusher_is_closed, managed);
	managed->nr_busy--;
	parts_closed(managed);
}

static void close_parts(struct managed *managed)
{
	managed->closing = true;
	managed->nr_busy++;
	loop_timer_cancel(managed_loop(managed), &managed->deadline);
	managed_close_parts(managed);
	if (!managed_version_last(managed))
		managed_close_remote(managed);
	managed->nr_busy--;
	managed_idle(managed);
}

/* Nobody else knows of these bytes any more. */
static void tell_kept(const struct managed *managed, int error)
{
	bool memory = managed->policy.local == LOCAL_MEMORY;
	struct store_stats stats;
	char dir[4096];

	store_stats(managed->store, &stats);
	if (memory)
		managed_left_dir(managed, dir, sizeof(dir));
	else
		managed_store_dir(managed, dir, sizeof(dir));
	log_error("region %s (#%" PRIu64 ") is gone, but its source %s has not got %" PRIu64 " bytes (%s): they stay in %s, and can be pushed by "
		  "adding it again with the same source and store%s", managed->region->info.path ? managed->region->info.path : "?",
		  managed->region->info.id, managed->backend.uri.text, stats.unpushed, strerror(-error), dir,
		  memory ? ", as long as the instance is there" : "");
}

static void drained(struct pusher_wait *wait, int error)
{
	struct managed *managed = container_of(wait, struct managed, last);

	managed->draining = false;
	loop_timer_cancel(managed_loop(managed), &managed->last_timer);
	if (error) {
		tell_kept(managed, error);
		managed->forgotten = false;
		managed->kept = true;
	}
	close_parts(managed);
}

static void give_up_draining(struct managed *managed, int error)
{
	pusher_unwait(&managed->last);
	drained(&managed->last, error);
}

static void drained_late(struct loop_timer *timer)
{
	struct managed *managed = container_of(timer, struct managed, last_timer);
	uint64_t pushed = pusher_stats(managed->pusher)->pushed;

	/* all of such a region is pushed: that takes as long as it takes */
	if (managed->adopting.on && !managed->region->info.timeout && pushed > managed->last_pushed) {
		managed->last_pushed = pushed;
		loop_timer_set(managed_loop(managed), timer, DRAIN_MS);
		return;
	}
	give_up_draining(managed, -ETIMEDOUT);
}

static void drain(struct managed *managed)
{
	char why[256];
	int error = remote_error(managed->remote, why, sizeof(why));

	managed->last.done = drained;
	if (managed->handed || managed->diverged || is_away(managed) || !managed->pusher) {
		drained(&managed->last, error ? error : -ETIMEDOUT);
		return;
	}
	managed->draining = true;
	managed->last_pushed = pusher_stats(managed->pusher)->pushed;
	managed->last_timer.fire = drained_late;
	loop_timer_set(managed_loop(managed), &managed->last_timer,
		       managed->region->info.timeout ? managed->region->info.timeout : DRAIN_MS);
	pusher_flush(managed->pusher, &managed->last);
}

/*
 * The region was removed, its bytes are not to be: what the source has not got yet goes there first. The kernel waits for an answer, so that has an
 * end: what does not go there now stays in the store.
 */
static void managed_close(struct backend *backend)
{
	struct managed *managed = to_managed(backend);

	/* where it is another host's, that one has what was not pushed, or gets it from here */
	if ((managed->handed || managed->diverged) && managed->forgotten && !seeder_is_left(&managed->region->info))
		managed->deleted = true;
	if (managed->forgotten && !managed->deleted && managed->store && store_gen_oldest(managed->store))
		drain(managed);
	else
		close_parts(managed);
}

const struct backend_ops managed_backend = {
	.scheme = "managed",
	.summary = "a local store in front of a source",
	.size = sizeof(struct managed),
	.close = managed_close,
	.submit = managed_submit,
	.finds_data = true,
};

struct managed *managed_of(struct backend *backend)
{
	return backend && backend->ops == &managed_backend ? to_managed(backend) : NULL;
}

void managed_forget(struct managed *managed, bool discard)
{
	managed->gone = true;
	managed->forgotten = true;
	managed->deleted |= discard;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * region: the regions of the instance by id, and the way of a request to its backend.
 *
 * A request is counted in the region before its state is looked at, and closing changes the state before it looks
 * at the count, so that a backend is never closed under a request. region-open.c brings a backend there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "followed.h"
#include "managed.h"
#include "region-private.h"
#include "region.h"
#include "regiond.h"
#include "state.h"
#include "tracker.h"

#define BUCKETS_MIN 256

/* ---- the table ---- */

static struct list *bucket_of(struct regions *regions, uint64_t id)
{
	return &regions->bucket[(id * 0x9e3779b97f4a7c15ULL >> 20) & (regions->nr_buckets - 1)];
}

static struct list *buckets_new(size_t n)
{
	struct list *bucket = malloc(n * sizeof(*bucket));

	for (size_t i = 0; bucket && i < n; i++)
		list_init(&bucket[i]);
	return bucket;
}

/* Under the write lock. Where memory is short the table stays as it is, and gets slower. */
static void table_grow(struct regions *regions)
{
	size_t old_n = regions->nr_buckets;
	struct list *old = regions->bucket, *bucket, *entry;

	if (regions->nr_regions < old_n)
		return;
	bucket = buckets_new(old_n * 2);
	if (!bucket)
		return;
	regions->bucket = bucket;
	regions->nr_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++)
		while ((entry = list_pop(&old[i])))
			list_add(bucket_of(regions, list_entry(entry, struct region, hash)->info.id), entry);
	free(old);
}

/* Under the lock, of either kind. */
static struct region *table_find(struct regions *regions, uint64_t id)
{
	struct list *bucket = bucket_of(regions, id), *entry;

	list_for_each(entry, bucket) {
		struct region *region = list_entry(entry, struct region, hash);

		if (region->info.id == id)
			return region_get(region);
	}
	return NULL;
}

struct region *region_find(struct regions *regions, uint64_t id)
{
	struct region *region;

	pthread_rwlock_rdlock(&regions->lock);
	region = table_find(regions, id);
	pthread_rwlock_unlock(&regions->lock);
	return region;
}

static struct region *region_new(struct regions *regions, uint64_t id)
{
	struct region *region = calloc(1, sizeof(*region));

	if (!region)
		return NULL;
	region->info.id = id;
	region->regiond = regions->regiond;
	atomic_store(&region->users, 2);	/* the table and the caller */
	pthread_mutex_init(&region->lock, NULL);
	list_init(&region->waiting);
	list_init(&region->openers);
	list_init(&region->open);
	region->kick.run = region_kicked;
	return region;
}

struct region *region_know(struct regions *regions, uint64_t id)
{
	struct region *region = region_find(regions, id), *other;

	if (region)
		return region;
	region = region_new(regions, id);
	if (!region)
		return NULL;
	pthread_rwlock_wrlock(&regions->lock);
	other = table_find(regions, id);
	if (!other) {
		table_grow(regions);
		list_add(bucket_of(regions, id), &region->hash);
		regions->nr_regions++;
	}
	pthread_rwlock_unlock(&regions->lock);
	if (!other)
		return region;
	pthread_mutex_destroy(&region->lock);
	free(region);
	return other;
}

struct region *region_get(struct region *region)
{
	atomic_fetch_add(&region->users, 1);
	return region;
}

void region_put(struct region *region)
{
	if (atomic_fetch_sub(&region->users, 1) != 1)
		return;
	followed_free(atomic_load(&region->followed));
	tracker_free(atomic_load(&region->tracker));
	json_decref(region->last_handover);
	json_decref(region->last_behind);
	free(region->info.path);
	free(region->info.source);
	free(region->info.seed);
	free(region->info.resume);
	free(region->info.handover);
	free(region->info.behind);
	free(region->info.policy);
	pthread_mutex_destroy(&region->lock);
	free(region);
}

int region_each(struct regions *regions, int (*fn)(struct region *region, void *arg), void *arg)
{
	int res = 0;

	/* only the main loop adds and removes what it knows of; a queue may add an unknown id, so hold the lock */
	pthread_rwlock_rdlock(&regions->lock);
	for (size_t i = 0; i < regions->nr_buckets && !res; i++) {
		struct list *entry, *next;

		list_for_each_safe(entry, next, &regions->bucket[i]) {
			res = fn(list_entry(entry, struct region, hash), arg);
			if (res)
				break;
		}
	}
	pthread_rwlock_unlock(&regions->lock);
	return res;
}

struct by_path {
	const char *path;
	struct region *found;
};

static int match_path(struct region *region, void *arg)
{
	struct by_path *by = arg;

	if (!region->info.path || strcmp(region->info.path, by->path))
		return 0;
	by->found = region_get(region);
	return 1;
}

struct region *region_find_path(struct regions *regions, const char *path)
{
	struct by_path by = { .path = path };

	region_each(regions, match_path, &by);
	return by.found;
}

/* ---- requests ---- */

static void request_start(struct region *region, struct backend_req *req);

/*
 * The backend is closed and another one opened, who gets the request; once, so that an error of that one's is the answer. But a managed one is
 * dead only since another one is wanted.
 */
static bool request_again_elsewhere(struct region *region, struct backend_req *req)
{
	bool once = !managed_of(region->backend);

	if (!atomic_load(&region->backend->dead))
		return false;
	atomic_store(&region->broken, true);
	if ((once && req->flags & BACKEND_AGAIN) || (req->op == BACKEND_SYNC && atomic_load(&region->backend->lost)))
		return false;
	if (once)
		req->flags |= BACKEND_AGAIN;
	region_leave(region);
	request_start(region, req);
	return true;
}

static void request_done(struct backend_req *req, int error)
{
	struct region *region = req->region;
	struct tracker *tracker;

	/* in this order: a follower's may become the region's */
	followed_note(region, req);
	tracker = atomic_load(&region->tracker);
	if (tracker)
		tracker_note(tracker, req);
	if (!error)
		region_size_note(region, req);
	req->done = req->then;
	if (error && request_again_elsewhere(region, req))
		return;
	region_leave(region);
	req->done(req, error);
	region_put(region);
}

/* What a SYNC needs once the backend is done with it. */
struct sync {
	struct state_waiter waiter;
	int error;
};

static void sync_written(struct state_waiter *waiter, int error)
{
	struct sync *sync = container_of(waiter, struct sync, waiter);
	struct backend_req *req = backend_req_of(sync);

	req->done = request_done;
	backend_done(req, error);
}

static void sync_there(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);
	struct sync *sync = backend_private(req, struct sync);

	sync->waiter.done = sync_written;
	region_mirror_size(req->region);
	state_sync(req->region->regiond->state, &sync->waiter);
}

/* Bytes of a file whose name a reboot would lose are not durable: the state directory must be up to date too. */
static void sync_done(struct backend_req *req, int error)
{
	/* in this order: see region-size.c */
	if (error || (region_size_mirrored(req->region) && state_clean(req->region->regiond->state))) {
		request_done(req, error);
		return;
	}
	req->task.run = sync_there;
	loop_post(req->region->regiond->loop, &req->task);
}

/* What it has changed is durable, so what is known of it has to be. */
static void publish_done(struct backend_req *req, int error)
{
	if (!error)
		region_size_note(req->region, req);
	sync_done(req, error);
}

/* What the backend's answer goes through. */
static void (*answer_of(const struct backend_req *req))(struct backend_req *, int)
{
	return req->op == BACKEND_SYNC ? sync_done : req->op == BACKEND_PUBLISH ? publish_done : request_done;
}

void region_leave(struct region *region)
{
	/* the last one out lets the main loop go on with closing */
	if (atomic_fetch_sub(&region->in_flight, 1) == 1 && atomic_load(&region->state) == REGION_CLOSING)
		region_kick(region);
}

static bool is_change(const struct backend_req *req)
{
	return req->op == BACKEND_WRITE || req->op == BACKEND_DISCARD || req->op == BACKEND_RESIZE ||
	       req->op == BACKEND_PUBLISH;
}

/*
 * Is there a backend for it? One that was opened while the region was read-only takes no changes; they come nevertheless: when it
 * is not read-only any more, from a peer, or for bytes that were dirty before. Then, or when it is dead, another is opened.
 */
static bool is_ready(struct region *region, const struct backend_req *req)
{
	return atomic_load(&region->state) == REGION_READY && !atomic_load(&region->broken) &&
	       !(is_change(req) && atomic_load(&region->opened_read_only));
}

static bool request_enter(struct region *region, const struct backend_req *req)
{
	atomic_fetch_add(&region->in_flight, 1);
	if (is_ready(region, req))
		return true;
	region_leave(region);
	return false;
}

/* The request waits for the backend; false: that came meanwhile. */
static bool request_wait(struct region *region, struct backend_req *req)
{
	bool wait;

	if (is_change(req))
		atomic_store(&region->write_wanted, true);
	pthread_mutex_lock(&region->lock);
	wait = !is_ready(region, req);
	if (wait)
		list_add(&region->waiting, &req->list);
	pthread_mutex_unlock(&region->lock);
	if (wait)
		region_kick(region);
	return wait;
}

/* Has a reference, for as long as the request is under way. */
static void request_start(struct region *region, struct backend_req *req)
{
	req->region = region;
	if (is_change(req) && followed_hold(region, req))
		return;
	while (!request_enter(region, req))
		if (request_wait(region, req))
			return;
	if (!atomic_load_explicit(&region->used, memory_order_relaxed))
		atomic_store_explicit(&region->used, true, memory_order_relaxed);
	req->then = req->done;
	req->done = answer_of(req);
	backend_submit(region->backend, req);
}

static void destroy_there(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	req->region->destroy = req;
	region_advance(req->region);
}

/* Ends the region, which is the main loop's work; keeps the reference until it is answered. */
static void destroy_start(struct region *region, struct backend_req *req)
{
	req->region = region;
	req->task.run = destroy_there;
	loop_post(region->regiond->loop, &req->task);
}

void region_submit(struct regions *regions, uint64_t id, struct backend_req *req)
{
	struct region *region = region_know(regions, id);

	if (!region)
		backend_done(req, -ENOMEM);
	else if (req->op == BACKEND_DESTROY)
		destroy_start(region, req);
	else
		request_start(region, req);
}

/* In the request's own thread. */
static void request_again(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	request_start(req->region, req);
}

void region_start_again(struct backend_req *req)
{
	req->task.run = request_again;
	loop_post(req->loop, &req->task);
}

static void request_fail(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);
	struct region *region = req->region;

	req->done(req, req->error);
	region_put(region);
}

void region_release_waiting(struct region *region, int error)
{
	struct list waiting, *entry;

	list_init(&waiting);
	pthread_mutex_lock(&region->lock);
	list_splice(&waiting, &region->waiting);
	pthread_mutex_unlock(&region->lock);
	while ((entry = list_pop(&waiting))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		req->error = error;
		req->task.run = error ? request_fail : request_again;
		loop_post(req->loop, &req->task);
	}
}

bool region_has_waiting(struct region *region)
{
	bool any;

	pthread_mutex_lock(&region->lock);
	any = !list_empty(&region->waiting);
	pthread_mutex_unlock(&region->lock);
	return any;
}

/* Any thread: have the main loop look at the region. */
void region_kick(struct region *region)
{
	if (atomic_exchange(&region->kicked, true))
		return;
	region_get(region);
	loop_post(region->regiond->loop, &region->kick);
}

void region_kicked(struct loop_task *task)
{
	struct region *region = container_of(task, struct region, kick);

	atomic_store(&region->kicked, false);
	region_mirror_size_later(region);
	region_advance(region);
	region_put(region);
}

/* ---- the registry ---- */

int regions_open(struct regions **out, struct regiond *regiond)
{
	struct regions *regions = calloc(1, sizeof(*regions));

	if (!regions)
		return -ENOMEM;
	regions->nr_buckets = BUCKETS_MIN;
	regions->bucket = buckets_new(regions->nr_buckets);
	if (!regions->bucket) {
		free(regions);
		return -ENOMEM;
	}
	regions->regiond = regiond;
	list_init(&regions->open);
	pthread_rwlock_init(&regions->lock, NULL);
	*out = regions;
	return 0;
}

/* At the end of the process, when no request is under way. */
void regions_close(struct regions *regions)
{
	struct list *entry;

	for (size_t i = 0; i < regions->nr_buckets; i++)
		while ((entry = list_pop(&regions->bucket[i])))
			region_put(list_entry(entry, struct region, hash));
	free(regions->bucket);
	pthread_rwlock_destroy(&regions->lock);
	free(regions);
}

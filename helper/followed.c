// SPDX-License-Identifier: GPL-2.0
/* followed: see followed.h. The set of a region's followers; the lock is held by who notes for as long as he looks at it. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "followed.h"
#include "key16.h"
#include "region.h"
#include "regiond.h"

struct followed {
	pthread_rwlock_t lock;		/* of the list, and of each one's snapshot */
	struct list list;
	atomic_uint nr;			/* 0: there is nothing to be noted */
	struct list old;		/* struct retired: the region's own of before, which somebody may still look at */
};

struct retired {
	struct list list;
	struct tracker *tracker;
};

static struct followed *followed_of(const struct region *region)
{
	return atomic_load_explicit(&((struct region *)region)->followed, memory_order_acquire);
}

static struct followed *followed_make(struct region *region)
{
	struct followed *followed = followed_of(region);

	if (followed)
		return followed;
	followed = calloc(1, sizeof(*followed));
	if (!followed)
		return NULL;
	pthread_rwlock_init(&followed->lock, NULL);
	list_init(&followed->list);
	list_init(&followed->old);
	atomic_store(&region->followed, followed);
	return followed;
}

static void follow_free(struct follow *follow)
{
	tracker_free(follow->tracker);
	free(follow);
}

void followed_free(struct followed *followed)
{
	struct list *entry;

	if (!followed)
		return;
	while ((entry = list_pop(&followed->list)))
		follow_free(list_entry(entry, struct follow, list));
	while ((entry = list_pop(&followed->old))) {
		struct retired *retired = list_entry(entry, struct retired, list);

		tracker_free(retired->tracker);
		free(retired);
	}
	pthread_rwlock_destroy(&followed->lock);
	free(followed);
}

/* ---- who they are ---- */

/* Of the files of a follower's tracker; client as text. */
static void path_of(const struct region *region, const char *client, char *path, size_t len)
{
	region_tracker_path(region, path, len);
	snprintf(path + strlen(path), len - strlen(path), "-f-%s", client);
}

struct follow *followed_find(const struct region *region, const uint8_t client[16])
{
	struct followed *followed = followed_of(region);
	struct list *at;

	if (!followed)
		return NULL;
	list_for_each(at, &followed->list) {
		struct follow *follow = list_entry(at, struct follow, list);

		if (!memcmp(follow->client, client, sizeof(follow->client)))
			return follow;
	}
	return NULL;
}

static struct follow *put(struct region *region, const uint8_t client[16], struct tracker *tracker)
{
	struct followed *followed = followed_make(region);
	struct follow *follow = followed ? calloc(1, sizeof(*follow)) : NULL;

	if (!follow)
		return NULL;
	memcpy(follow->client, client, sizeof(follow->client));
	follow->tracker = tracker;
	follow->away_at = loop_now_ns();
	pthread_rwlock_wrlock(&followed->lock);
	list_add(&followed->list, &follow->list);
	pthread_rwlock_unlock(&followed->lock);
	atomic_fetch_add(&followed->nr, 1);
	return follow;
}

struct follow *followed_add(struct region *region, const uint8_t client[16])
{
	char text[2 * KEY16 + 1], path[4096];
	struct tracker *tracker;
	struct follow *follow;

	key16_text(text, client);
	path_of(region, text, path, sizeof(path));
	if (tracker_new(&tracker, path))
		return NULL;
	follow = put(region, client, tracker);
	if (!follow)
		tracker_free(tracker);
	return follow;
}

/* Nobody looks at it any more when this returns. */
static void take_out(struct followed *followed, struct follow *follow)
{
	pthread_rwlock_wrlock(&followed->lock);
	list_del(&follow->list);
	pthread_rwlock_unlock(&followed->lock);
	atomic_fetch_sub(&followed->nr, 1);
}

void followed_drop(struct region *region, struct follow *follow)
{
	follow_end_round(region, follow);
	take_out(followed_of(region), follow);
	tracker_stop(follow->tracker);
	follow_free(follow);
}

void followed_drop_all(struct region *region)
{
	struct followed *followed = followed_of(region);

	while (followed && !list_empty(&followed->list))
		followed_drop(region, list_entry(followed->list.next, struct follow, list));
}

void followed_each(const struct region *region, void (*fn)(struct follow *follow, void *arg), void *arg)
{
	struct followed *followed = followed_of(region);
	struct list *at, *next;

	if (!followed)
		return;
	list_for_each_safe(at, next, &followed->list)
		fn(list_entry(at, struct follow, list), arg);
}

unsigned int followed_count(const struct region *region)
{
	struct followed *followed = followed_of(region);

	return followed ? atomic_load(&followed->nr) : 0;
}

/* ---- in the next helper ---- */

static void adopt(struct region *region, const char *client_text)
{
	struct tracker *tracker = NULL;
	uint8_t client[KEY16];
	char path[4096];

	if (!key16_take(client_text, client) || followed_find(region, client))
		return;
	path_of(region, client_text, path, sizeof(path));
	if (!tracker_adopt(&tracker, path) && !put(region, client, tracker))
		tracker_free(tracker);
}

/* A file of the first map is "PREFIX-f-CLIENT.0". */
void followed_recall(struct region *region)
{
	char path[4096], client[2 * KEY16 + 1];
	const char *prefix;
	DIR *dir = opendir(region->regiond->config->run_dir);
	struct dirent *entry;
	size_t len;

	path_of(region, "", path, sizeof(path));
	prefix = strrchr(path, '/') + 1;
	len = strlen(prefix);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, len) || strlen(entry->d_name) != len + 2 * KEY16 + 2 ||
		    strcmp(entry->d_name + len + 2 * KEY16, ".0"))
			continue;
		snprintf(client, sizeof(client), "%s", entry->d_name + len);
		adopt(region, client);
	}
	if (dir)
		closedir(dir);
}

/* ---- promotion ---- */

/* Who notes looks at the set first, and then at the region's own. */
void followed_promote(struct region *region, struct follow *follow)
{
	struct followed *followed = followed_of(region);
	struct retired *retired = calloc(1, sizeof(*retired));
	struct tracker *old = atomic_load(&region->tracker);
	char path[4096];

	follow_end_round(region, follow);
	if (old)
		tracker_stop(old);
	region_tracker_path(region, path, sizeof(path));
	tracker_move(follow->tracker, path);
	atomic_store(&region->tracker, follow->tracker);
	take_out(followed, follow);
	follow->tracker = NULL;
	follow_free(follow);
	/* without memory it is lost, and a note to it harmless */
	if (retired) {
		retired->tracker = old;
		list_add(&followed->old, &retired->list);
	}
}

/* ---- rounds ---- */

static void set_snapshot(struct followed *followed, struct follow *follow, struct snapshot *snapshot)
{
	pthread_rwlock_wrlock(&followed->lock);
	follow->snapshot = snapshot;
	pthread_rwlock_unlock(&followed->lock);
}

/* What comes from now on waits; what is under way has begun before this moment, and may be in the round or not, as after a power cut. */
int follow_close_round(struct region *region, struct follow *follow, uint64_t limit, uint64_t *size)
{
	struct snapshot *snapshot;
	int ret;

	follow_end_round(region, follow);
	ret = snapshot_new(&snapshot, region, tracker_chunk(follow->tracker), limit);
	if (ret)
		return ret;
	snapshot_bar(snapshot);
	set_snapshot(followed_of(region), follow, snapshot);
	tracker_close_round(follow->tracker);
	/* not before: what has been noted by then has its size noted, or was not answered */
	*size = atomic_load(&region->size);
	snapshot_begin(snapshot, follow->tracker, *size);
	return 0;
}

void follow_end_round(struct region *region, struct follow *follow)
{
	struct snapshot *snapshot = follow->snapshot;

	if (!snapshot)
		return;
	set_snapshot(followed_of(region), follow, NULL);
	snapshot_end(snapshot);
}

/* ---- any thread ---- */

void followed_note(struct region *region, const struct backend_req *req)
{
	struct followed *followed = followed_of(region);
	struct list *at;

	if (!followed || !atomic_load(&followed->nr) || req->op == BACKEND_READ || req->op == BACKEND_SYNC)
		return;
	pthread_rwlock_rdlock(&followed->lock);
	list_for_each(at, &followed->list)
		tracker_note(list_entry(at, struct follow, list)->tracker, req);
	pthread_rwlock_unlock(&followed->lock);
}

bool followed_hold(struct region *region, struct backend_req *req)
{
	struct followed *followed = followed_of(region);
	struct list *at;
	bool held = false;

	if (!followed || !atomic_load(&followed->nr))
		return false;
	pthread_rwlock_rdlock(&followed->lock);
	list_for_each(at, &followed->list) {
		struct follow *follow = list_entry(at, struct follow, list);

		held = follow->snapshot && snapshot_hold(follow->snapshot, req);
		if (held)
			break;
	}
	pthread_rwlock_unlock(&followed->lock);
	return held;
}

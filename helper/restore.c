// SPDX-License-Identifier: GPL-2.0
/* restore: see restore.h. One region after the other, in a chain of netlink calls. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "follower.h"
#include "leech-record.h"
#include "leecher.h"
#include "log.h"
#include "managed-mark.h"
#include "moved.h"
#include "probe.h"
#include "region.h"
#include "regiond.h"
#include "restore.h"
#include "seeder.h"
#include "state.h"

struct todo {
	struct list list;
	struct region_info info;
	bool declared;
	uint64_t id;			/* the kernel's, for this life */
};

struct restore {
	struct regiond *regiond;
	void (*done)(struct regiond *regiond, int error);
	struct netlink_call call;
	struct list todo;
	struct list added;
	struct todo *now;
	unsigned int restored;
	bool incomplete;		/* a mirrored region could not be added: the older log is kept for it */
	char **unnoted;			/* paths of those that have moved, which could not be written down */
	size_t nr_unnoted;
	bool unsure;			/* which have moved is not known */
	bool last_phase;
};

static void todo_free(struct todo *todo)
{
	free(todo->info.path);
	free(todo->info.source);
	free(todo->info.policy);
	free(todo->info.seed);
	free(todo->info.resume);
	free(todo->info.handover);
	free(todo->info.behind);
	free(todo);
}

static char *copy(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

static struct todo *todo_add(struct restore *restore, const struct region_info *info, bool declared)
{
	struct todo *todo = calloc(1, sizeof(*todo));
	bool failed = false;

	if (!todo)
		return NULL;
	todo->info = *info;
	todo->declared = declared;
	todo->info.path = copy(info->path, &failed);
	todo->info.source = copy(info->source, &failed);
	todo->info.policy = copy(info->policy, &failed);
	todo->info.seed = copy(info->seed, &failed);
	todo->info.resume = copy(info->resume, &failed);
	todo->info.handover = copy(info->handover, &failed);
	todo->info.behind = copy(info->behind, &failed);
	if (failed) {
		todo_free(todo);
		return NULL;
	}
	list_add(&restore->todo, &todo->list);
	return todo;
}

/* memory: does not outlive a reboot, and a file full of zeroes in its place would be worse than none. */
static bool is_lost_memory(const struct restore *restore, const char *source)
{
	struct uri uri;
	const char *name;
	char path[4096];
	bool lost = false;

	if (!source || uri_parse(&uri, source, NULL, 0))
		return false;
	name = uri_option(&uri, "name");
	if (!strcmp(uri.scheme, "memory") && name) {
		snprintf(path, sizeof(path), "%s/memory/%s", restore->regiond->config->run_dir, name);
		lost = access(path, F_OK) != 0;
	}
	uri_free(&uri);
	return lost;
}

static bool is_lost_local(const struct restore *restore, const struct region_info *info)
{
	struct uri uri;
	bool lost;

	if (uri_parse(&uri, info->source, NULL, 0))
		return false;
	lost = is_lost_memory(restore, uri_option(&uri, "local"));
	uri_free(&uri);
	return lost;
}

/* Its source moves with it, and its store was in the memory of an instance that is gone. */
static bool is_lost_store(const struct region_info *info)
{
	struct policy policy;
	const char *text;
	bool lost = false;
	struct uri uri;

	if (uri_parse(&uri, info->source, NULL, 0))
		return false;
	text = uri_option(&uri, "policy");
	if (text && !policy_parse(&policy, text, NULL, 0)) {
		lost = policy.local == LOCAL_MEMORY;
		policy_free(&policy);
	}
	uri_free(&uri);
	return lost;
}

/*
 * It was handed on, and what was written here is gone. What the host before has is older than what was handed on, and is not to pass for that. The next host
 * is told that it is lost, instead of being left waiting.
 */
static bool is_lost_on_way(const struct restore *restore, const struct region_info *info)
{
	int ret = leecher_lose_left(restore->regiond, info->source);

	if (ret)
		log_error("%s: that its bytes are lost could not be written down: %s", info->path, strerror(-ret));
	else
		log_error("region %s was in memory, which a reboot loses, when it was handed on: what the next host has not got of it is lost", info->path);
	return ret;
}

/*
 * What was handed over is had again from the other side. But not for whom it was handed on to, nor when a part of what was here is at the source by now: that
 * and what was handed over are two states. What was complete is at the source.
 */
static bool is_lost_adopted(const struct restore *restore, const struct region_info *info, const struct leech_record_head *head)
{
	if (head->state == LEECH_RECORD_COMPLETE)
		return false;
	if (seeder_is_left(info) && (head->state == LEECH_RECORD_OWNED || head->state == LEECH_RECORD_LOST))
		return is_lost_on_way(restore, info);
	if (head->state != LEECH_RECORD_OWNED || !head->pushing)
		return head->state != LEECH_RECORD_OWNED;
	log_error("region %s was in memory, which a reboot loses, when it was being pushed to its source: that has a part of it, and what was here is lost",
		  info->path);
	return leecher_lose_left(restore->regiond, info->source) != 0;
}

static bool is_lost(const struct restore *restore, const struct region_info *info)
{
	struct leech_record_head head;

	/* it comes again */
	if (follower_is(info))
		return false;
	if (leecher_left(restore->regiond, info->source, &head))
		return is_lost_memory(restore, info->source);
	if (head.state == LEECH_RECORD_PULLING)
		return false;
	if (is_lost_store(info))
		return is_lost_adopted(restore, info, &head);
	if (!is_lost_local(restore, info))
		return false;
	if (seeder_is_left(info) && (head.state == LEECH_RECORD_OWNED || head.state == LEECH_RECORD_LOST))
		return is_lost_on_way(restore, info);
	/* as long as the other side has not heard COMPLETE, it has all that it handed over */
	return head.state != LEECH_RECORD_OWNED;
}

/* At least this regiond knows. */
static void keep_unnoted(struct restore *restore, const char *path)
{
	char **paths = realloc(restore->unnoted, (restore->nr_unnoted + 1) * sizeof(*paths));
	bool failed = !paths;

	restore->unnoted = paths ? paths : restore->unnoted;
	if (paths)
		paths[restore->nr_unnoted] = copy(path, &failed);
	restore->nr_unnoted += !failed;
	restore->unsure |= failed;
}

/* Its record goes with the last instance's; if that says it alone, it is kept for people. */
static void note_moved(struct restore *restore, const struct region_info *info)
{
	int ret = moved_note(restore->regiond->config, info->path);

	if (!ret)
		return;
	restore->incomplete = true;
	keep_unnoted(restore, info->path);
	log_error("that region %s has moved could not be written down: should it be declared, it is not made now, but by the next regiond: %s",
		  info->path, strerror(-ret));
}

static bool has_moved_away(const struct region_info *info, bool unlinked)
{
	return !unlinked && info->path && info->flags & REGIONFS_REGION_MOVED && !seeder_is_left(info);
}

/* Has one of those that are restored this store? */
static bool is_in_use(struct restore *restore, const char *store)
{
	char dir[3900];
	struct list *at;

	for (at = restore->todo.next; at != &restore->todo; at = at->next) {
		const struct region_info *info = &list_entry(at, struct todo, list)->info;

		managed_mark_store(info->source, info->policy, dir, sizeof(dir));
		if (!strcmp(dir, store))
			return true;
	}
	return false;
}

/* Whoever finds its store without its region; but the source may have come back here, as another one. */
static int mark_moved(const struct region_info *info, bool unlinked, void *arg)
{
	struct restore *restore = arg;
	char dir[3900];

	if (!has_moved_away(info, unlinked) || !(info->given & REGION_GIVEN_SOURCE))
		return 0;
	managed_mark_store(info->source, info->policy, dir, sizeof(dir));
	if (!is_in_use(restore, dir) && managed_mark_forgone(info->source, info->policy))
		log_error("the local store of region %s, which has moved, could not be marked: what is in it is not to be pushed", info->path);
	return 0;
}

static int mirrored(const struct region_info *info, bool unlinked, void *arg)
{
	struct restore *restore = arg;

	if (unlinked || !info->path)
		return 0;
	/* Nobody waits for its bytes here, and who has it is another host. */
	if (has_moved_away(info, unlinked)) {
		log_warning("region %s has moved to another host, and is not restored: %s", info->path,
			    info->source ? info->source : "");
		note_moved(restore, info);
		return 0;
	}
	if (is_lost(restore, info)) {
		log_warning("region %s was in memory, which a reboot loses: it is forgotten", info->path);
		return 0;
	}
	return todo_add(restore, info, false) ? 0 : -ENOMEM;
}

static bool is_known(struct restore *restore, const char *path)
{
	struct region *region = region_find_path(restore->regiond->regions, path);

	if (region)
		region_put(region);
	return region != NULL;
}

static int add_one_declared(struct restore *restore, const struct config_region *region)
{
	struct region_info info = {
		.path = region->path, .source = region->source, .size = region->size, .mode = region->mode,
		.uid = region->uid, .gid = region->gid, .timeout = region->timeout, .chunk = region->chunk,
	};
	struct todo *todo = NULL;

	info.flags |= region->read_only ? REGIONFS_REGION_READ_ONLY : 0;
	info.flags |= region->fixed_size ? REGIONFS_REGION_FIXED_SIZE : 0;
	info.policy = region->managed == MANAGED_YES ? policy_text(&region->policy) : NULL;
	if (info.policy || region->managed != MANAGED_YES)
		todo = todo_add(restore, &info, true);
	free(info.policy);
	return todo ? 0 : -ENOMEM;
}

/* What is declared was this host's; its source may be the other one's by now. */
static bool has_moved(const struct restore *restore, const char *path)
{
	char file[4096];
	bool moved = moved_is(restore->regiond->config, path, file, sizeof(file));

	if (moved)
		log_warning("declared region %s has moved to another host, and is not made here again: add it, or remove %s", path, file);
	for (size_t i = 0; i < restore->nr_unnoted; i++)
		moved |= !strcmp(restore->unnoted[i], path);
	return moved || restore->unsure;
}

static int add_declared(struct restore *restore)
{
	const struct config_region *region;
	int err = 0;

	for (region = restore->regiond->config->regions; region && !err; region = region->next)
		if (!is_known(restore, region->path) && !has_moved(restore, region->path))
			err = add_one_declared(restore, region);
	return err;
}

/* ---- the phases: what was mirrored, what the kernel has, what is declared ---- */

static void add_next(struct restore *restore);

/* One that was there already has an id that only the dump told. */
static struct region *find_added(struct restore *restore, const struct todo *todo)
{
	struct regions *regions = restore->regiond->regions;

	return todo->id ? region_find(regions, todo->id) : region_find_path(regions, todo->info.path);
}

/* A migration that was under way goes on: seeder_restart(), leecher_restart(). */
static void keep_handover(struct region *region, struct region_info *info)
{
	free(region->info.seed);
	free(region->info.resume);
	region->info.seed = info->seed;
	region->info.resume = info->resume;
	region->info.given = info->given;
	free(region->info.behind);
	region->info.behind = info->behind;
	info->seed = info->resume = info->behind = NULL;
	if (info->handover || region->info.behind || region->info.seed)
		region_set_handover(region, info->handover);
	info->handover = NULL;
}

/* What the kernel doesn't keep. */
static void keep_rest(struct restore *restore)
{
	struct list *entry;

	while ((entry = list_pop(&restore->added))) {
		struct todo *todo = list_entry(entry, struct todo, list);
		struct region *region = find_added(restore, todo);

		if (region) {
			if (todo->info.chunk)
				region_set_chunk(region, todo->info.chunk);
			keep_handover(region, &todo->info);
			if (region_set_policy(region, todo->info.policy, true))
				log_error("out of memory: region %s keeps no policy", todo->info.path);
			region_put(region);
		}
		todo_free(todo);
	}
}

static void restore_free(struct restore *restore)
{
	while (restore->nr_unnoted)
		free(restore->unnoted[--restore->nr_unnoted]);
	free(restore->unnoted);
	free(restore);
}

static void dumped(void *arg, int error)
{
	struct restore *restore = arg;

	keep_rest(restore);
	if (!error)
		state_complete(restore->regiond->state);
	if (restore->last_phase || error || add_declared(restore) || list_empty(&restore->todo)) {
		restore->done(restore->regiond, error);
		restore_free(restore);
		return;
	}
	restore->last_phase = true;
	add_next(restore);
}

static void all_added(struct restore *restore)
{
	struct regiond *regiond = restore->regiond;

	if (restore->incomplete && !restore->last_phase)
		log_error("%s/regions.log.unrestored has the regions that could not be restored", regiond->config->state_dir);
	if (restore->restored && !restore->last_phase)
		log_info("%u regions were restored from %s", restore->restored, regiond->config->state_dir);
	if (state_instance(regiond->state) != regiond->instance_id)
		state_reset(regiond->state, regiond->instance_id, restore->incomplete);
	regiond->mirror_ready = true;
	regions_dump(regiond->regions, dumped, restore);
}

/* ---- each ---- */

static void add_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct restore *restore = container_of(call, struct restore, call);

	if (netlink_has(attrs, REGION))
		restore->now->id = attrs->region;
}

static void add_answered(struct netlink_call *call, int error, const char *why)
{
	struct restore *restore = container_of(call, struct restore, call);
	struct todo *todo = restore->now;

	/* there already: restored by a helper that was killed on the way, or declared and kept */
	if (error && error != -EEXIST)
		log_error("region %s could not be %s: %s", todo->info.path, todo->declared ? "added" : "restored",
			  *why ? why : strerror(-error));
	else if (!error)
		restore->restored += !todo->declared;
	restore->incomplete |= error && error != -EEXIST && !todo->declared;
	if (!error || error == -EEXIST)
		list_add(&restore->added, &todo->list);
	else
		todo_free(todo);
	add_next(restore);
}

/*
 * Nobody gets at the bytes of what another host may have by now, or has still: one that was handed over and one that is on its way here, until the
 * decision has been told to the kernel.
 */
static bool is_locked(const struct regiond *regiond, const struct region_info *info)
{
	struct leech_record_head head;

	if (seeder_is_left(info) || follower_is(info))
		return true;
	if (leecher_left(regiond, info->source, &head))
		return false;
	return head.state == LEECH_RECORD_PULLING || head.state == LEECH_RECORD_REFUSED || head.state == LEECH_RECORD_DIVERGED ||
	       info->epoch < head.owner.epoch;
}

/* Read-only because a peer wrote it: that ended with the instance. */
static uint32_t restored_flags(const struct restore *restore, const struct region_info *info)
{
	uint32_t flags = info->flags & ((info->claimed ? 0 : REGIONFS_REGION_READ_ONLY) | REGIONFS_REGION_FIXED_SIZE);

	return flags | (is_locked(restore->regiond, info) ? REGIONFS_REGION_LOCKED : 0);
}

static void add_now(struct restore *restore)
{
	const struct region_info *info = &restore->now->info;
	struct netlink_attrs *attrs = &restore->call.attrs;

	memset(&restore->call, 0, sizeof(restore->call));
	restore->call.cmd = REGIONFS_CMD_REGION_ADD;
	netlink_set(attrs, PATH, path, info->path);
	if (info->source)
		netlink_set(attrs, SOURCE, source, info->source);
	netlink_set(attrs, SIZE, size, info->size);
	netlink_set(attrs, MODE, mode, info->mode & 07777);
	netlink_set(attrs, UID, uid, info->uid);
	netlink_set(attrs, GID, gid, info->gid);
	/* MOVED is told again, with an epoch that must be news */
	netlink_set(attrs, EPOCH, epoch, info->epoch - (info->flags & REGIONFS_REGION_MOVED && info->epoch ? 1 : 0));
	netlink_set(attrs, LINEAGE, lineage, info->lineage);
	netlink_set(attrs, FLAGS, flags, restored_flags(restore, info));
	netlink_set(attrs, FLAGS_MASK, flags_mask,
		    REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_FIXED_SIZE | REGIONFS_REGION_LOCKED);
	netlink_set(attrs, TIMEOUT, timeout, info->timeout);
	restore->call.item = add_item;
	restore->call.done = add_answered;
	netlink_call(restore->regiond->netlink, &restore->call);
}

/* ---- a declared region's size is its source's, unless it was given: the source is opened to ask ---- */

static void probed(struct probe *probe, void *arg, int error, const char *why)
{
	struct restore *restore = arg;
	struct region_info *info = &restore->now->info;

	if (error) {
		log_error("region %s: %s", info->path, why);
		todo_free(restore->now);
		probe_free(probe);
		add_next(restore);
		return;
	}
	info->size = info->size ? info->size : probe->size;
	free(info->source);
	info->source = probe->source;
	probe->source = NULL;
	probe_free(probe);
	add_now(restore);
}

/*
 * ---- a mirrored region may have been written behind the size that was written down last: what nobody has synced, but the source
 * has, is not to be hidden, since the next append would stand in its place ----
 */

static void looked(struct probe *probe, void *arg, int error, const char *why)
{
	struct restore *restore = arg;
	struct region_info *info = &restore->now->info;

	if (error)
		log_debug("region %s: its source does not tell its size: %s", info->path, why);
	else if (!probe->fixed_size && probe->size > info->size)
		info->size = probe->size;
	probe_free(probe);
	add_now(restore);
}

static bool wants_look(const struct todo *todo)
{
	return !todo->declared && todo->info.source && !(todo->info.flags & REGIONFS_REGION_FIXED_SIZE) &&
	       backend_local(todo->info.source);
}

static void add_next(struct restore *restore)
{
	struct list *entry = list_pop(&restore->todo);
	const struct region_info *info;

	if (!entry) {
		all_added(restore);
		return;
	}
	restore->now = list_entry(entry, struct todo, list);
	info = &restore->now->info;
	if (restore->now->declared && info->source)
		probe_start(restore->regiond, info->source, info->size, info->chunk, probed, restore);
	else if (wants_look(restore->now))
		probe_look(restore->regiond, info->source, looked, restore);
	else
		add_now(restore);
}

void restore_start(struct regiond *regiond, void (*done)(struct regiond *regiond, int error))
{
	struct restore *restore = calloc(1, sizeof(*restore));
	int err = restore ? 0 : -ENOMEM;

	if (err) {
		done(regiond, err);
		return;
	}
	restore->regiond = regiond;
	restore->done = done;
	list_init(&restore->todo);
	list_init(&restore->added);
	if (state_instance(regiond->state) != regiond->instance_id)
		err = state_each(regiond->state, mirrored, restore) ?: state_each(regiond->state, mark_moved, restore);
	if (err)
		log_error("the regions could not be restored, and no declared one is made: %s", strerror(-err));
	restore->incomplete |= err != 0;
	restore->unsure |= err != 0;
	add_next(restore);
}

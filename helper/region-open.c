// SPDX-License-Identifier: GPL-2.0
/* region-open: bringing a region's backend there. All on the main loop. Its end is in region-close.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adopter.h"
#include "config.h"
#include "instance.h"
#include "log.h"
#include "managed.h"
#include "region-private.h"
#include "regiond.h"
#include "state.h"

#define RETRY_FIRST_MS	100
#define RETRY_MOST_MS	5000
#define FAILED_PAUSE_NS	1000000000ULL
#define MANAGED_FIRST_MS	1000u
#define MANAGED_MOST_MS		60000u
#ifndef OPEN_MAX	/* tests build with a few */
#define OPEN_MAX	4096
#endif
#define CLOSE_TRIES	64

struct region_job {
	struct region *region;
	struct netlink_call call;
	struct backend_open open;
	struct backend *backend;
	char *source;			/* resolved just now, to be told to the kernel; else NULL */
};

struct opener {
	struct list list;
	void (*ready)(struct region *region, int error, void *arg);
	void *arg;
};

static void job_free(struct region_job *job)
{
	struct region *region = job->region;

	region->job = NULL;
	uri_free(&job->open.uri);
	free(job->source);
	free(job);
	region_put(region);
}

void region_tell_openers(struct region *region, int error)
{
	struct list openers, *entry;

	list_init(&openers);
	list_splice(&openers, &region->openers);
	while ((entry = list_pop(&openers))) {
		struct opener *opener = list_entry(entry, struct opener, list);

		opener->ready(region, error, opener->arg);
		free(opener);
	}
}

/* ---- failing ---- */

static void note_failure(struct region *region, int error, const char *why)
{
	bool news = error != region->error || strcmp(region->why, why);

	region->error = error;
	snprintf(region->why, sizeof(region->why), "%s", why);
	if (news && error != -ECANCELED)
		log_warning("region %s (#%" PRIu64 "): %s", region->info.path ? region->info.path : "?", region->info.id, why);
}

static void open_failed(struct region *region, int error)
{
	region->give_up_at = 0;
	region->retry_at = loop_now_ns() + FAILED_PAUSE_NS;
	region->tries = 0;
	atomic_store(&region->state, REGION_FAILED);
	region_tell_openers(region, error);
	region_release_waiting(region, error);
	if (region->destroy && !region_is_kept(region))
		region_destroyed(region);
}

/* ---- a managed one: what is to be pulled or pushed waits for no program's request ---- */

static void managed_again(struct loop_timer *timer)
{
	struct region *region = container_of(timer, struct region, managed_retry);

	if (atomic_load(&region->state) == REGION_FAILED && !region->regiond->stopping) {
		region->retry_at = 0;
		region_open_managed(region);
	}
	region_put(region);
}

void region_retry_managed(struct region *region)
{
	uint64_t ms = MANAGED_FIRST_MS << (region->managed_tries < 6 ? region->managed_tries : 6);

	if (!region->info.policy || region->unlinked || region->destroy || region->managed_retry.slot || region->regiond->stopping)
		return;
	region->managed_tries++;
	region->managed_retry.fire = managed_again;
	region_get(region);
	loop_timer_set(region->regiond->loop, &region->managed_retry, ms < MANAGED_MOST_MS ? ms : MANAGED_MOST_MS);
}

void region_stop_retrying(struct region *region)
{
	region->managed_tries = 0;
	if (!region->managed_retry.slot)
		return;
	loop_timer_cancel(region->regiond->loop, &region->managed_retry);
	region_put(region);
}

static void retry_now(struct loop_timer *timer)
{
	struct region *region = container_of(timer, struct region, retry);

	atomic_store(&region->state, REGION_NEW);
	region_advance(region);
	region_put(region);
}

static void retry_later(struct region *region)
{
	uint64_t ms = RETRY_FIRST_MS << (region->tries < 6 ? region->tries : 6);

	region->tries++;
	region->retry.fire = retry_now;
	region_get(region);
	loop_timer_set(region->regiond->loop, &region->retry, ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
}

/* Who wants it open wants the source that it has by now. */
static void open_other(struct region_job *job)
{
	struct region *region = region_get(job->region);

	job_free(job);
	region->stale_source = false;
	atomic_store(&region->state, REGION_NEW);
	region_advance(region);
	region_put(region);
}

static void job_failed(struct region_job *job, int error, const char *why)
{
	struct region *region = region_get(job->region);

	if (region->stale_source && !region->destroy) {
		region_put(region);
		open_other(job);
		return;
	}
	note_failure(region, error, why);
	job_free(job);
	if (!region->give_up_at && region->info.timeout)
		region->give_up_at = loop_now_ns() + region->info.timeout * 1000000ULL;
	region_tell_openers(region, error);
	if (backend_is_temporary(error) && region_has_waiting(region) && (!region->destroy || region_is_kept(region)) &&
	    (!region->give_up_at || loop_now_ns() < region->give_up_at))
		retry_later(region);
	else
		open_failed(region, error);
	if (atomic_load(&region->state) == REGION_FAILED)
		region_retry_managed(region);
	region_put(region);
}

/* ---- opening ---- */

/*
 * Open backends are bounded: past that, the one that was opened longest ago and has not been used since it was looked
 * at last is closed. Those that peers use stay, and managed ones.
 */
static void close_one(struct regions *regions)
{
	for (int i = 0; i < CLOSE_TRIES && !list_empty(&regions->open); i++) {
		struct region *region = list_entry(regions->open.next, struct region, open);
		bool idle = !atomic_load(&region->in_flight) && !region->export && !region->handover && !region->info.policy;

		list_del(&region->open);
		list_add(&regions->open, &region->open);
		if (atomic_exchange(&region->used, false) || !idle || atomic_load(&region->state) != REGION_READY)
			continue;
		atomic_store(&region->state, REGION_CLOSING);
		region_advance(region);
		return;
	}
}

static void note_open(struct region *region)
{
	struct regions *regions = region->regiond->regions;

	list_add(&regions->open, &region->open);
	if (++regions->nr_open > OPEN_MAX)
		close_one(regions);
}

/* Is the one that is open not what is wanted any more? */
static bool wants_another(const struct region *region)
{
	return region->stale_source || atomic_load(&region->broken) ||
	       (atomic_load(&region->opened_read_only) && atomic_load(&region->write_wanted));
}

static void job_ready(struct region_job *job)
{
	struct region *region = region_get(job->region);
	uint64_t opened = job->open.size;

	region->backend = job->backend;
	atomic_store(&region->opened_read_only, job->open.read_only);
	atomic_store(&region->broken, false);
	region->error = 0;
	region->why[0] = '\0';
	region->tries = 0;
	region->give_up_at = 0;
	region_stop_retrying(region);
	job_free(job);
	note_open(region);
	region_tell_local(region);
	region_tell_writable(region);
	pthread_mutex_lock(&region->lock);
	atomic_store(&region->state, REGION_READY);
	pthread_mutex_unlock(&region->lock);
	region_tell_replayed(region);
	region_tell_grown(region, opened);
	if (!wants_another(region))
		region_tell_openers(region, 0);
	region_advance(region);
	region_put(region);
}

static void source_told(struct netlink_call *call, int error, const char *why)
{
	struct region_job *job = container_of(call, struct region_job, call);

	if (error)
		log_warning("region #%" PRIu64 ": the kernel did not take the source %s: %s", job->region->info.id,
			    job->source, *why ? why : strerror(-error));
	job_ready(job);
}

static void backend_is_open(struct backend_open *open, struct backend *backend, int error)
{
	struct region_job *job = container_of(open, struct region_job, open);
	struct region *region = job->region;

	if (error) {
		job_failed(job, error, open->why);
		return;
	}
	job->backend = backend;
	if (!job->source) {
		job_ready(job);
		return;
	}
	/* the kernel is the registry: the next helper finds the bytes by what stands there */
	free(region->info.source);
	region->info.source = strdup(job->source);
	region_mirror(region);
	memset(&job->call, 0, sizeof(job->call));
	job->call.cmd = REGIONFS_CMD_REGION_SET;
	netlink_set(&job->call.attrs, REGION, region, region->info.id);
	netlink_set(&job->call.attrs, SOURCE, source, job->source);
	job->call.done = source_told;
	netlink_call(region->regiond->netlink, &job->call);
}

/* A region made through the mount, or one whose source says where but not what, gets bytes of its own. */
static int job_resolve(struct region_job *job)
{
	const struct region *region = job->region;
	const char *base = region->info.source;
	char name[64];

	if (base && !backend_generic(base))
		return 0;
	snprintf(name, sizeof(name), "%016" PRIx64 "-%" PRIu64, region->regiond->instance_id, region->info.id);
	job->source = backend_child(base ? base : region->regiond->config->source, name);
	return job->source ? 0 : -ENOMEM;
}

static void open_managed(struct region_job *job)
{
	struct policy policy;
	int err;

	err = policy_parse(&policy, job->region->info.policy, job->open.why, sizeof(job->open.why));
	if (err) {
		job_failed(job, err, job->open.why);
		return;
	}
	managed_open(&job->open, &policy, job->region);
	policy_free(&policy);
}

/* On its way here: what it will be managed by, the leech knows. */
static bool is_leech(const struct region *region)
{
	return region->info.source && !strncmp(region->info.source, "leech:", 6);
}

static void job_open(struct region_job *job)
{
	struct region *region = job->region;
	const struct config *config = region->regiond->config;
	struct backend_open *open = &job->open;
	int err = job_resolve(job);

	if (!err)
		err = uri_parse(&open->uri, job->source ? job->source : region->info.source, open->why, sizeof(open->why));
	if (err) {
		job_failed(job, err, *open->why ? open->why : "out of memory");
		return;
	}
	open->loop = region->regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->state_dir = config->state_dir;
	open->credentials = config->credentials;
	open->instance_id = region->regiond->instance_id;
	open->region = region->info.id;
	open->attach_gen = region->regiond->attach_gen;
	open->epoch = region->info.epoch;
	open->size = atomic_load(&region->size);
	open->chunk = region->info.chunk ? region->info.chunk : config->chunk;
	open->create = job->source != NULL;
	/* one that is on its way here is written by what comes */
	open->read_only = !atomic_exchange(&region->write_wanted, false) && region->info.flags & REGIONFS_REGION_READ_ONLY &&
			  !is_leech(region);
	/* only one host may have it open for writing */
	open->read_only |= !region->info.policy && region_is_handed(region) && region->info.source && !backend_local(region->info.source);
	open->owner = region;
	open->adopter = &managed_adopter;
	open->done = backend_is_open;
	region->stale_source = false;
	if (region->info.policy && !is_leech(region))
		open_managed(job);
	else
		backend_open(open);
}

static void region_asked(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct region_job *job = container_of(call, struct region_job, call);

	region_update(job->region->regiond->regions, attrs);
}

static void region_answered(struct netlink_call *call, int error, const char *why)
{
	struct region_job *job = container_of(call, struct region_job, call);

	instance_suspect(job->region->regiond, error);
	if (error)
		job_failed(job, error, *why ? why : "the kernel doesn't know this region");
	else
		job_open(job);
}

/* Nobody has told of it yet: the event that does is on its way, or was lost. */
static void job_ask(struct region_job *job)
{
	job->call.cmd = REGIONFS_CMD_REGION_GET;
	netlink_set(&job->call.attrs, REGION, region, job->region->info.id);
	job->call.item = region_asked;
	job->call.done = region_answered;
	netlink_call(job->region->regiond->netlink, &job->call);
}

void region_start_open(struct region *region)
{
	struct region_job *job = calloc(1, sizeof(*job));

	atomic_store(&region->state, REGION_OPENING);
	if (!job) {
		open_failed(region, -ENOMEM);
		return;
	}
	job->region = region_get(region);
	region->job = job;
	/* the source is changed by us alone; and a region that is to be destroyed is unknown to the kernel */
	if (region->destroy || region->mirrored)
		job_open(job);
	else
		job_ask(job);
}

/* ---- the driver ---- */

static bool is_wanted(struct region *region)
{
	return region_has_waiting(region) || !list_empty(&region->openers);
}

static void close_for_another(struct region *region)
{
	atomic_store(&region->state, REGION_CLOSING);
	region_advance_closing(region);
}

void region_advance(struct region *region)
{
	enum region_state state = atomic_load(&region->state);

	/* what another host still has from here goes on as if it were there */
	if (region->destroy && (state == REGION_NEW || state == REGION_READY || state == REGION_FAILED) && !region_is_kept(region)) {
		region->removing = true;
		region_advance_destroy(region, state);
		return;
	}
	switch (state) {
	case REGION_FAILED:
		if (loop_now_ns() < region->retry_at && is_wanted(region))
			open_failed(region, region->error);
		else if (is_wanted(region))
			region_start_open(region);
		break;
	case REGION_NEW:
		if (is_wanted(region))
			region_start_open(region);
		break;
	case REGION_READY:
		if (wants_another(region))
			close_for_another(region);
		else
			region_release_waiting(region, 0);
		break;
	case REGION_CLOSING:
		region_advance_closing(region);
		break;
	case REGION_GONE:
		if (atomic_load(&region->forgotten))
			region_release_waiting(region, -ENOENT);
		break;
	default:
		break;
	}
}

void region_open(struct region *region, void (*ready)(struct region *region, int error, void *arg), void *arg)
{
	struct opener *opener;

	if (atomic_load(&region->state) == REGION_READY || atomic_load(&region->state) == REGION_GONE) {
		ready(region, atomic_load(&region->state) == REGION_READY ? 0 : -ENOENT, arg);
		return;
	}
	opener = malloc(sizeof(*opener));
	if (!opener) {
		ready(region, -ENOMEM, arg);
		return;
	}
	opener->ready = ready;
	opener->arg = arg;
	list_add(&region->openers, &opener->list);
	region_advance(region);
}

bool region_open_cancel(struct region *region, void (*ready)(struct region *region, int error, void *arg), void *arg)
{
	struct list *at;

	list_for_each(at, &region->openers) {
		struct opener *opener = list_entry(at, struct opener, list);

		if (opener->ready != ready || opener->arg != arg)
			continue;
		list_del(at);
		free(opener);
		return true;
	}
	return false;
}

void region_open_writable(struct region *region, void (*ready)(struct region *region, int error, void *arg), void *arg)
{
	atomic_store(&region->write_wanted, true);
	if (atomic_load(&region->state) == REGION_READY && wants_another(region))
		close_for_another(region);
	region_open(region, ready, arg);
}

void region_open_another(struct region *region)
{
	enum region_state state = atomic_load(&region->state);

	if (state == REGION_OPENING)
		region->stale_source = true;
	region->retry_at = 0;
	if (state != REGION_READY)
		return;
	atomic_store(&region->state, REGION_CLOSING);
	region_advance(region);
}

int region_set_source(struct region *region, const char *source)
{
	char *copy = strdup(source);

	if (!copy)
		return -ENOMEM;
	free(region->info.source);
	region->info.source = copy;
	region_mirror(region);
	region_open_another(region);
	return 0;
}

void region_set_chunk(struct region *region, uint32_t chunk)
{
	region->info.chunk = chunk;
	region_mirror(region);
}

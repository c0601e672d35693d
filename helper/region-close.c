// SPDX-License-Identifier: GPL-2.0
/* region-close: closing a region's backend, and the end of a region. All on the main loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/leech.h"
#include "barrier.h"
#include "handover.h"
#include "log.h"
#include "managed.h"
#include "region-private.h"
#include "regiond.h"
#include "state.h"

static struct backend *take_backend(struct region *region)
{
	struct backend *backend = region->backend;

	region->backend = NULL;
	list_del(&region->open);
	region->regiond->regions->nr_open--;
	return backend;
}

/* ---- the end of a region ---- */

void region_destroyed(struct region *region)
{
	struct backend_req *req = region->destroy;

	region->destroy = NULL;
	atomic_store(&region->state, REGION_GONE);
	region_stop_retrying(region);
	region_tell_openers(region, -ENOENT);
	region_release_waiting(region, -ENOENT);
	/* nobody waits for what it has not pushed */
	if (region->regiond->barriers)
		barriers_forget(region->regiond->barriers, region->info.id);
	region_store_known(region);
	if (req) {
		backend_done(req, 0);
		region_put(region);
	}
	region_forget(region);
}

static bool wants_deletion(const struct region *region)
{
	return region->info.source && (region->info.purge || backend_owned(region->info.source));
}

struct destroy {
	struct backend_req req;
	struct region *region;
	struct backend *backend;
};

static void destroy_closed(void *arg)
{
	struct region *region = arg;

	atomic_store(&region->state, REGION_GONE);
	region_destroyed(region);
	region_put(region);
}

static void destroy_done(struct backend_req *req, int error)
{
	struct destroy *destroy = container_of(req, struct destroy, req);
	struct region *region = destroy->region;
	struct backend *backend = destroy->backend;

	if (error)
		log_warning("%s could not be deleted: %s", region->info.source, strerror(-error));
	free(destroy);
	backend_close(backend, destroy_closed, region);
}

/* No request is in the backend any more, and the region has let go of it. */
static void destroy_bytes(struct region *region, struct backend *backend)
{
	struct destroy *destroy = wants_deletion(region) ? calloc(1, sizeof(*destroy)) : NULL;

	region_get(region);
	if (managed_of(backend))
		managed_forget(managed_of(backend), region->info.discard);
	if (!destroy) {
		backend_close(backend, destroy_closed, region);
		return;
	}
	destroy->region = region;
	destroy->backend = backend;
	destroy->req.op = BACKEND_DESTROY;
	destroy->req.loop = region->regiond->loop;
	destroy->req.done = destroy_done;
	backend_submit(backend, &destroy->req);
}

/* An earlier helper may have been the one who knew it. */
static void recall_source(struct region *region)
{
	const struct region_info *info = state_find(region->regiond->state, region->info.id);

	if (region->info.source || !info || !info->source)
		return;
	region->info.source = strdup(info->source);
	region->info.purge = info->purge;
	region->info.discard |= info->discard;
}

bool region_is_kept(struct region *region)
{
	struct handover *handover = handover_of(region);

	return handover && handover->keeps && handover->keeps(handover);
}

/* A local one, which may have what the source has not: of a managed region, or of one that is to be. */
static bool has_store(const struct region *region)
{
	const char *source = region->info.source;

	return region->info.policy || (source && !strncmp(source, "leech:", 6) && strstr(source, "policy="));
}

void region_advance_destroy(struct region *region, enum region_state state)
{
	recall_source(region);
	if (state == REGION_READY) {
		atomic_store(&region->state, REGION_CLOSING);
		region_advance(region);
	} else if (wants_deletion(region) || has_store(region)) {
		region_start_open(region);
	} else {
		region_destroyed(region);
	}
}

/* ---- closing ---- */

static void backend_is_closed(void *arg)
{
	struct region *region = arg;

	region->stale_source = false;
	atomic_store(&region->state, REGION_NEW);
	region_advance(region);
	region_put(region);
}

void region_advance_closing(struct region *region)
{
	struct backend *backend;

	/* once: a kick in the meantime finds no backend to close */
	if (!region->backend)
		return;
	if (atomic_load(&region->in_flight)) {
		/* what waits for a source that is away would keep the region for as long */
		if (managed_of(region->backend))
			managed_let_go(managed_of(region->backend));
		if (leech_of(region->backend))
			leech_let_go_source(leech_of(region->backend));
		return;
	}
	backend = take_backend(region);
	/* one that is kept is closed for another backend */
	region->removing |= region->destroy && !region_is_kept(region);
	if (region->removing)
		destroy_bytes(region, backend);
	else
		backend_close(backend, backend_is_closed, region_get(region));
}

/* ---- the end of the process ---- */

struct shutdown {
	struct region *region;
	void (*closed)(struct region *region, void *arg);
	void *arg;
};

static void shutdown_closed(void *arg)
{
	struct shutdown *shutdown = arg;

	shutdown->closed(shutdown->region, shutdown->arg);
	free(shutdown);
}

void region_shutdown(struct region *region, void (*closed)(struct region *region, void *arg), void *arg)
{
	struct shutdown *shutdown = malloc(sizeof(*shutdown));

	if (!shutdown || atomic_load(&region->state) != REGION_READY || atomic_load(&region->in_flight)) {
		free(shutdown);
		closed(region, arg);
		return;
	}
	*shutdown = (struct shutdown){ region, closed, arg };
	atomic_store(&region->state, REGION_GONE);
	backend_close(take_backend(region), shutdown_closed, shutdown);
}

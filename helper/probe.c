// SPDX-License-Identifier: GPL-2.0
/* probe: see probe.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "config.h"
#include "probe.h"
#include "regiond.h"

/* somebody waits for the answer */
#define PATIENCE_MS 3000

void probe_free(struct probe *probe)
{
	if (!probe)
		return;
	uri_free(&probe->open.uri);
	free(probe->source);
	free(probe);
}

static void probe_closed(void *arg)
{
	struct probe *probe = arg;

	probe->done(probe, probe->arg, 0, "");
}

static void probe_opened(struct backend_open *open, struct backend *backend, int error)
{
	struct probe *probe = container_of(open, struct probe, open);

	if (error) {
		probe->done(probe, probe->arg, error, open->why);
		return;
	}
	probe->size = backend->caps.size;
	probe->read_only = backend->caps.read_only;
	probe->fixed_size = backend->caps.fixed_size;
	probe->fence = backend->caps.fence;
	backend_close(backend, probe_closed, probe);
}

/* "memory:64M" names no bytes: it gets a name that nobody else has. */
static char *resolve(const char *source)
{
	uint64_t number;
	char name[32];

	if (!backend_generic(source))
		return strdup(source);
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return NULL;
	snprintf(name, sizeof(name), "%016" PRIx64, number);
	return backend_child(source, name);
}

static void open_fill(struct backend_open *open, const struct regiond *regiond)
{
	const struct config *config = regiond->config;

	open->loop = regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->state_dir = config->state_dir;
	open->credentials = config->credentials;
	open->instance_id = regiond->instance_id;
	open->attach_gen = regiond->attach_gen;
	open->patience_ms = PATIENCE_MS;
}

static struct probe *probe_new(struct regiond *regiond,
			       void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe) {
		done(NULL, arg, -ENOMEM, "out of memory");
		return NULL;
	}
	probe->arg = arg;
	probe->done = done;
	open_fill(&probe->open, regiond);
	probe->open.done = probe_opened;
	return probe;
}

/* Takes source. */
static void probe_open(struct probe *probe, char *source)
{
	struct backend_open *open = &probe->open;
	int err = source ? uri_parse(&open->uri, source, open->why, sizeof(open->why)) : -ENOMEM;

	probe->source = source;
	if (err)
		probe->done(probe, probe->arg, err, *open->why ? open->why : "out of memory");
	else
		backend_open(open);
}

void probe_start(struct regiond *regiond, const char *source, uint64_t size, uint32_t chunk,
		 void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg)
{
	struct probe *probe = probe_new(regiond, done, arg);

	if (!probe)
		return;
	probe->open.size = size;
	probe->open.chunk = chunk ? chunk : regiond->config->chunk;
	probe->open.create = true;
	probe_open(probe, resolve(source));
}

void probe_look(struct regiond *regiond, const char *source,
		void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg)
{
	struct probe *probe = probe_new(regiond, done, arg);

	if (!probe)
		return;
	probe->open.read_only = true;
	probe_open(probe, strdup(source));
}

void probe_moving(struct regiond *regiond, const char *source,
		  void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg)
{
	struct probe *probe = probe_new(regiond, done, arg);

	if (!probe)
		return;
	probe->open.read_only = probe->open.fenced = true;
	probe_open(probe, strdup(source));
}

/* ---- undoing ---- */

struct undo {
	struct backend_open open;
	struct backend_req req;
	struct backend *backend;
};

static void undo_closed(void *arg)
{
	free(arg);
}

static void undo_destroyed(struct backend_req *req, int error)
{
	struct undo *undo = container_of(req, struct undo, req);

	backend_close(undo->backend, undo_closed, undo);
}

static void undo_opened(struct backend_open *open, struct backend *backend, int error)
{
	struct undo *undo = container_of(open, struct undo, open);

	if (error) {
		free(undo);
		return;
	}
	undo->backend = backend;
	undo->req.op = BACKEND_DESTROY;
	undo->req.loop = open->loop;
	undo->req.done = undo_destroyed;
	backend_submit(backend, &undo->req);
}

void probe_undo(struct regiond *regiond, const char *source)
{
	struct undo *undo = backend_owned(source) ? calloc(1, sizeof(*undo)) : NULL;

	if (!undo)
		return;
	open_fill(&undo->open, regiond);
	undo->open.done = undo_opened;
	if (uri_parse(&undo->open.uri, source, NULL, 0))
		free(undo);
	else
		backend_open(&undo->open);
}

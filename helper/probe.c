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

static void probe_fill(struct probe *probe, const struct regiond *regiond, uint64_t size, uint32_t chunk)
{
	const struct config *config = regiond->config;
	struct backend_open *open = &probe->open;

	open->loop = regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->credentials = config->credentials;
	open->instance_id = regiond->instance_id;
	open->attach_gen = regiond->attach_gen;
	open->size = size;
	open->chunk = chunk ? chunk : config->chunk;
	open->create = true;
	open->patience_ms = PATIENCE_MS;
	open->done = probe_opened;
}

void probe_start(struct regiond *regiond, const char *source, uint64_t size, uint32_t chunk,
		 void (*done)(struct probe *probe, void *arg, int error, const char *why), void *arg)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	int err;

	if (!probe) {
		done(NULL, arg, -ENOMEM, "out of memory");
		return;
	}
	probe->arg = arg;
	probe->done = done;
	probe_fill(probe, regiond, size, chunk);
	probe->source = resolve(source);
	err = probe->source ? uri_parse(&probe->open.uri, probe->source, probe->open.why, sizeof(probe->open.why)) : -ENOMEM;
	if (err)
		done(probe, arg, err, *probe->open.why ? probe->open.why : "out of memory");
	else
		backend_open(&probe->open);
}

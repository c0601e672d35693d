// SPDX-License-Identifier: GPL-2.0
/* target: a backend that no region of this instance uses, so that there is nobody to agree with. */
#include <errno.h>
#include <stdlib.h>

#include "target.h"

struct source {
	struct target target;
	struct backend *backend;
	struct backend_req drop;
	bool dropping, closing;
};

static void source_submit(struct target *target, struct backend_req *req)
{
	backend_submit(container_of(target, struct source, target)->backend, req);
}

static void source_info(struct target *target, struct wire_info *info)
{
	const struct backend_caps *caps = &container_of(target, struct source, target)->backend->caps;

	info->size = __atomic_load_n(&caps->size, __ATOMIC_RELAXED);
	info->chunk = caps->chunk;
	info->mode = 0600;
	info->flags = WIRE_INFO_DISCARD | (caps->fixed_size ? 0 : WIRE_INFO_RESIZE) |
		      (caps->read_only ? WIRE_INFO_READ_ONLY : 0) | (caps->publish ? WIRE_INFO_PUBLISH : 0) |
		      (caps->version ? WIRE_INFO_VERSION : 0);
}

static void source_claim(struct target *target, void (*done)(void *arg, int error, const char *why),
			 void *arg)
{
	struct source *source = container_of(target, struct source, target);

	if (source->backend->caps.read_only)
		done(arg, -EROFS, "the source can only be read");
	else
		done(arg, 0, "");
}

static void source_free(struct source *source)
{
	backend_close(source->backend, NULL, NULL);
	free(source);
}

static void source_dropped(struct backend_req *req, int error)
{
	struct source *source = container_of(req, struct source, drop);

	source->dropping = false;
	if (source->closing)
		source_free(source);
}

/* What its writer has staged, and not published, takes room. */
static void source_drop(struct target *target)
{
	struct source *source = container_of(target, struct source, target);

	if (!source->backend->caps.publish || source->dropping)
		return;
	source->dropping = true;
	source->drop = (struct backend_req){ .op = BACKEND_DROP, .loop = source->backend->loop, .done = source_dropped };
	backend_submit(source->backend, &source->drop);
}

static void source_close(struct target *target)
{
	struct source *source = container_of(target, struct source, target);

	source->closing = true;
	if (!source->dropping)
		source_free(source);
}

static const struct target_ops source_ops = {
	.submit = source_submit,
	.info = source_info,
	.claim = source_claim,
	.drop = source_drop,
	.release = source_drop,
	.close = source_close,
};

int target_source(struct target **target, struct backend *backend)
{
	struct source *source = calloc(1, sizeof(*source));

	if (!source)
		return -ENOMEM;
	source->target.ops = &source_ops;
	source->backend = backend;
	*target = &source->target;
	return 0;
}

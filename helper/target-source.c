// SPDX-License-Identifier: GPL-2.0
/* target: a backend that no region of this instance uses, so that there is nobody to agree with. */
#include <errno.h>
#include <stdlib.h>

#include "target.h"

struct source {
	struct target target;
	struct backend *backend;
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
		      (caps->read_only ? WIRE_INFO_READ_ONLY : 0);
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

static void source_release(struct target *target)
{
}

static void source_close(struct target *target)
{
	struct source *source = container_of(target, struct source, target);

	backend_close(source->backend, NULL, NULL);
	free(source);
}

static const struct target_ops source_ops = {
	.submit = source_submit,
	.info = source_info,
	.claim = source_claim,
	.release = source_release,
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

// SPDX-License-Identifier: GPL-2.0
/*
 * region-local: telling the kernel that a region's bytes are in a file of this host, all or those that a map names, which it then reads itself
 * (REGIONFS_IO_LOCAL). Nothing depends on it: where the kernel doesn't take it, it asks as before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <linux/regionfs.h>

#include "config.h"
#include "device.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"

struct told {
	struct loop_op op;
	struct regionfs_local local;
	struct region *region;
};

static void told_done(struct loop_op *op, int res)
{
	struct told *told = container_of(op, struct told, op);
	struct region *region = told->region;

	if (res < 0)
		log_debug("region #%" PRIu64 ": the kernel does not read its file itself: %s", region->info.id,
			  strerror(-res));
	free(told);
	region_leave(region);
	region_put(region);
}

/* The backend stays open until the kernel has looked at the descriptor. -ENOMEM: it is as it was. */
static int tell(struct region *region, int fd, int map)
{
	struct told *told = calloc(1, sizeof(*told));
	struct regionfs_io_cmd cmd;

	if (!told)
		return -ENOMEM;
	told->local = (struct regionfs_local){ .region = region->info.id, .epoch = region->info.epoch, .fd = fd };
	if (map >= 0) {
		told->local.flags = REGIONFS_LOCAL_MAP;
		told->local.map_fd = map;
	}
	told->region = region_get(region);
	told->op.done = told_done;
	cmd = (struct regionfs_io_cmd){ .addr = (uintptr_t)&told->local };
	atomic_fetch_add(&region->in_flight, 1);
	if (device_command(region->regiond->device, region->regiond->loop, &told->op, REGIONFS_IO_LOCAL, &cmd))
		told_done(&told->op, -ENODEV);
	return 0;
}

/*
 * One that the kernel does not take leaves the one before in force, so that is taken back first. Without memory for it this is tried again when the
 * backend is opened the next time; the bytes there are those of the same source until then.
 */
void region_tell_local(struct region *region)
{
	const struct regiond *regiond = region->regiond;
	int fd = regiond->config->local_read ? region->backend->caps.local_fd : -1, map = region->backend->caps.local_map;

	if (!regiond->device || !(device_features(regiond->device) & REGIONFS_F_LOCAL_STORE))
		return;
	if (region->local_told)
		region->local_told = tell(region, -1, -1);
	if (fd >= 0 && map >= 0 && !(device_features(regiond->device) & REGIONFS_F_LOCAL_MAP))
		return;
	if (fd >= 0 && !region->local_told)
		region->local_told = !tell(region, fd, map);
}

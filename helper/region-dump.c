// SPDX-License-Identifier: GPL-2.0
/* region-dump: all regions that the kernel has, after a gap in the events, or at start. Main loop only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "instance.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"

struct dump {
	struct netlink_call call;
	struct regions *regions;
	void (*done)(void *arg, int error);
	void *arg;
};

static void dump_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	region_update(container_of(call, struct dump, call)->regions, attrs);
}

static void dump_done(struct netlink_call *call, int error, const char *why)
{
	struct dump *dump = container_of(call, struct dump, call);

	if (error)
		log_warning("the kernel's regions could not be listed: %s", *why ? why : strerror(-error));
	instance_suspect(dump->regions->regiond, error);
	if (dump->done)
		dump->done(dump->arg, error);
	free(dump);
}

void regions_dump(struct regions *regions, void (*done)(void *arg, int error), void *arg)
{
	struct dump *dump = calloc(1, sizeof(*dump));

	if (!dump) {
		if (done)
			done(arg, -ENOMEM);
		return;
	}
	dump->regions = regions;
	dump->done = done;
	dump->arg = arg;
	dump->call.cmd = REGIONFS_CMD_REGION_GET;
	dump->call.dump = true;
	dump->call.item = dump_item;
	dump->call.done = dump_done;
	netlink_call(regions->regiond->netlink, &dump->call);
}

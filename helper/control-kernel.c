// SPDX-License-Identifier: GPL-2.0
/* control-kernel: see control-kernel.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control-kernel.h"
#include "instance.h"
#include "region.h"
#include "regiond.h"

struct control_ask *control_ask_new(struct control_call *call, uint8_t cmd)
{
	struct control_ask *ask = calloc(1, sizeof(*ask));

	if (!ask) {
		control_fail(call, -ENOMEM, "out of memory");
		return NULL;
	}
	ask->control = call;
	ask->call.cmd = cmd;
	if (call->region)
		netlink_set(&ask->call.attrs, REGION, region, call->region->info.id);
	return ask;
}

void control_ask_free(struct control_ask *ask)
{
	if (ask->free_arg)
		ask->free_arg(ask->arg);
	free(ask);
}

static void ask_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct control_ask *ask = container_of(call, struct control_ask, call);

	ask->got = *attrs;
	ask->got.instance = ask->got.path = ask->got.source = ask->got.message = NULL;
}

static void ask_done(struct netlink_call *call, int error, const char *why)
{
	struct control_ask *ask = container_of(call, struct control_ask, call);

	if (error && ask->undo)
		ask->undo(ask);
	instance_suspect(ask->control->regiond, error);
	if (error)
		control_fail(ask->control, error, "%s", *why ? why : strerror(-error));
	else if (ask->then)
		ask->then(ask);
	else
		control_ok(ask->control, NULL);
	control_ask_free(ask);
}

void control_ask(struct control_ask *ask)
{
	ask->call.item = ask_item;
	ask->call.done = ask_done;
	netlink_call(ask->control->regiond->netlink, &ask->call);
}

/* ---- counting ---- */

struct count {
	struct netlink_call call;
	struct control_call *control;
	void (*then)(struct control_call *call, const struct netlink_attrs *instance, uint64_t dirty);
	uint64_t dirty;
};

static void count_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	container_of(call, struct count, call)->dirty += attrs->stats[REGIONFS_STAT_DIRTY_BYTES];
}

static void count_instance(struct control_ask *ask)
{
	struct count *count = ask->arg;

	count->then(ask->control, &ask->got, count->dirty);
}

static void count_done(struct netlink_call *call, int error, const char *why)
{
	struct count *count = container_of(call, struct count, call);
	struct control_ask *ask = NULL;

	if (error)
		control_fail(count->control, error, "%s", *why ? why : strerror(-error));
	else
		ask = control_ask_new(count->control, REGIONFS_CMD_INSTANCE_GET);
	if (!ask) {
		free(count);
		return;
	}
	ask->then = count_instance;
	ask->arg = count;
	ask->free_arg = free;
	control_ask(ask);
}

void control_count(struct control_call *call,
		   void (*then)(struct control_call *call, const struct netlink_attrs *instance, uint64_t dirty))
{
	struct count *count = calloc(1, sizeof(*count));

	if (!count) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	count->control = call;
	count->then = then;
	count->call.cmd = REGIONFS_CMD_REGION_GET;
	count->call.dump = true;
	count->call.item = count_item;
	count->call.done = count_done;
	netlink_call(call->regiond->netlink, &count->call);
}

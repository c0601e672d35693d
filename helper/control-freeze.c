// SPDX-License-Identifier: GPL-2.0
/* control-freeze: freeze, thaw, lock, unlock, events: thin over the kernel's own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control-json.h"
#include "control-kernel.h"
#include "events.h"
#include "handover.h"
#include "region.h"

/* Asks for cmd on the call's region, with a deadline if the client named one. */
static void ask_region(struct control_call *call, uint8_t cmd)
{
	struct region *region = control_region(call);
	struct control_ask *ask;
	bool force = false;

	if (!region)
		return;
	region_put(region);
	ask = control_ask_new(call, cmd);
	if (!ask)
		return;
	if (control_u32(call, "timeout", &ask->call.attrs.deadline) || control_bool(call, "force", &force)) {
		control_ask_free(ask);
		return;
	}
	if (control_has(call, "timeout"))
		ask->call.attrs.have |= NETLINK_BIT(REGIONFS_A_DEADLINE);
	if (force)
		netlink_flag(&ask->call.attrs, FORCE);
	control_ask(ask);
}

static void run_freeze(struct control_call *call)
{
	ask_region(call, REGIONFS_CMD_FREEZE);
}

/* A migration's own freeze or lock is what keeps two hosts from having it. */
static bool is_held(struct control_call *call)
{
	struct region *region = call->region;

	if (!region || !handover_holds(region))
		return false;
	control_fail(call, -EBUSY, "%s is being migrated: see 'regionctl abort' and 'regionctl resolve'", region->info.path);
	return true;
}

static void run_thaw(struct control_call *call)
{
	if (!is_held(call))
		ask_region(call, REGIONFS_CMD_THAW);
}

static void run_lock(struct control_call *call)
{
	ask_region(call, REGIONFS_CMD_LOCK);
}

/* What changes a region is locked for is done. */
static void run_unlock(struct control_call *call)
{
	struct region *region;

	if (is_held(call))
		return;
	region = control_region(call);
	if (!region)
		return;
	region_source_changed(region, 0, UINT64_MAX);
	region_put(region);
	ask_region(call, REGIONFS_CMD_UNLOCK);
}

/* ---- events ---- */

struct stream {
	struct events_watch watch;
	struct control_call *call;
};

static void stream_event(struct events_watch *watch, const struct netlink_attrs *attrs)
{
	struct stream *stream = container_of(watch, struct stream, watch);

	control_event(stream->call, attrs ? json_event(attrs) : json_pack("{s:s}", "event", "gap"));
}

static void stream_own(struct events_watch *watch, const struct events_own *own)
{
	struct stream *stream = container_of(watch, struct stream, watch);

	control_event(stream->call, json_event_own(own));
}

static void stream_gone(struct control_call *call)
{
	struct stream *stream = call->arg;

	events_unwatch(&stream->watch);
	free(stream);
	control_ok(call, NULL);
}

static void run_events(struct control_call *call)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	stream->call = call;
	stream->watch.event = stream_event;
	stream->watch.own = stream_own;
	call->arg = stream;
	call->gone = stream_gone;
	events_watch(&stream->watch);
}

extern const struct control_cmd control_freeze_cmds[];

const struct control_cmd control_freeze_cmds[] = {
	{ "freeze", 0, "region timeout force", run_freeze },
	{ "thaw", 0, "region", run_thaw },
	{ "lock", 0, "region timeout", run_lock },
	{ "unlock", 0, "region", run_unlock },
	{ "events", CONTROL_READ_ONLY, "", run_events },
	{ NULL, 0, NULL, NULL },
};

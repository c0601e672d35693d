// SPDX-License-Identifier: GPL-2.0
/* instance: see instance.h. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "instance.h"
#include "netlink.h"
#include "regiond.h"

#define ASK_FIRST_MS	250	/* after a doubt: the instance may be on its way out, and found still */
#define ASK_MOST_MS	30000
#define BROKEN_TRIES	2

static struct {
	struct netlink_call call;
	struct loop_timer timer;
	struct regiond *regiond;
	void (*there)(struct regiond *regiond);
	bool asking;
	bool found;
	uint64_t pause_ms;
	int broken;		/* why the channel can't be used any more, or 0 */
	unsigned int tries;	/* left, when it is broken */
} watch;

static void ask(void);

static void ask_again(struct loop_timer *timer)
{
	ask();
}

static void ask_later(void)
{
	watch.pause_ms = watch.pause_ms * 2 < ASK_MOST_MS ? watch.pause_ms * 2 : ASK_MOST_MS;
	watch.timer.fire = ask_again;
	loop_timer_set(watch.regiond->loop, &watch.timer, watch.pause_ms);
}

/* Another life of the same name is another instance. */
static void answer_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	watch.found = netlink_has(attrs, INSTANCE_ID) && attrs->instance_id == watch.regiond->instance_id;
}

static void is_there(int error)
{
	void (*there)(struct regiond *regiond) = watch.there;

	if (there && !error) {
		watch.there = NULL;
		there(watch.regiond);
	}
	if (watch.broken && !watch.tries--)
		regiond_broken(watch.regiond, watch.broken);
	else
		ask_later();
}

/*
 * Where the kernel could not answer at all, nothing is known, and it is asked again. -EPERM: there is one, that we are not attached to; where the channel
 * has not broken, another life of the same name.
 */
static void answered(struct netlink_call *call, int error, const char *why)
{
	watch.asking = false;
	if (watch.regiond->stopping || watch.regiond->instance_ending)
		return;
	if (error == -ENOENT || (error == -EPERM && !watch.broken) || (!error && !watch.found))
		regiond_gone(watch.regiond);
	else
		is_there(error);
}

static void ask(void)
{
	struct regiond *regiond = watch.regiond;

	if (watch.asking || regiond->stopping)
		return;
	watch.asking = true;
	watch.found = false;
	memset(&watch.call, 0, sizeof(watch.call));
	watch.call.cmd = REGIONFS_CMD_INSTANCE_GET;
	watch.call.item = answer_item;
	watch.call.done = answered;
	netlink_call(regiond->netlink, &watch.call);
}

void instance_watch(struct regiond *regiond)
{
	watch.regiond = regiond;
	watch.pause_ms = ASK_MOST_MS;
	ask_later();
}

void instance_event(struct regiond *regiond, const struct netlink_attrs *attrs)
{
	if (attrs->event != REGIONFS_EVENT_INSTANCE_GONE || !netlink_has(attrs, INSTANCE_ID))
		return;
	/* when it is stopped through us, the answer to that comes next, and ends us */
	if (watch.regiond && attrs->instance_id == regiond->instance_id && !regiond->stopping && !regiond->instance_ending)
		regiond_gone(regiond);
}

void instance_check(struct regiond *regiond, void (*there)(struct regiond *regiond))
{
	if (!watch.regiond)
		return;
	if (there)
		watch.there = there;
	watch.pause_ms = ASK_FIRST_MS;
	ask();
}

void instance_suspect(struct regiond *regiond, int error)
{
	if (error == -ENOENT || error == -ENODEV)
		instance_check(regiond, NULL);
}

void instance_broken(struct regiond *regiond, int error)
{
	if (watch.broken)
		return;
	watch.broken = error;
	watch.tries = BROKEN_TRIES;
	instance_check(regiond, NULL);
}

// SPDX-License-Identifier: GPL-2.0
/* The end of an instance is noticed, by its event or without, and no other instance's is mistaken for it. */
#include <errno.h>

#include "tap.h"
#include "../instance.c"

#define ID 0x1234567812345678ULL

static struct regiond regiond;
static struct netlink_call *asked;
static struct loop *loop;
static unsigned int gone, broken, listed;

void netlink_call(struct netlink *nl, struct netlink_call *call)
{
	asked = call;
}

void regiond_gone(struct regiond *self)
{
	gone++;
}

void regiond_broken(struct regiond *self, int error)
{
	broken++;
}

static void list_again(struct regiond *self)
{
	listed++;
}

/* The kernel's answer; id 0: none. */
static void answer(int error, uint64_t id)
{
	struct netlink_attrs attrs = { .have = 0 };
	struct netlink_call *call = asked;

	asked = NULL;
	netlink_set(&attrs, INSTANCE_ID, instance_id, id);
	if (id)
		call->item(call, &attrs);
	call->done(call, error, "");
}

static unsigned int gone_by(int error, uint64_t id)
{
	unsigned int before = gone;

	instance_check(&regiond, NULL);
	answer(error, id);
	return gone - before;
}

static unsigned int gone_by_event(uint32_t event, uint64_t id)
{
	struct netlink_attrs attrs = { .have = 0 };
	unsigned int before = gone;

	netlink_set(&attrs, EVENT, event, event);
	netlink_set(&attrs, INSTANCE_ID, instance_id, id);
	instance_event(&regiond, &attrs);
	return gone - before;
}

static void check_events(void)
{
	tap_number(gone_by_event(REGIONFS_EVENT_INSTANCE_GONE, ID), 1, "the event ends it");
	tap_number(gone_by_event(REGIONFS_EVENT_INSTANCE_GONE, ID + 1), 0, "another instance's does not");
	tap_number(gone_by_event(REGIONFS_EVENT_LOST, ID), 0, "nor another event");
	regiond.instance_ending = true;
	tap_number(gone_by_event(REGIONFS_EVENT_INSTANCE_GONE, ID), 0, "nor one that was asked for");
	regiond.instance_ending = false;
}

static void check_answers(void)
{
	tap_number(gone_by(0, ID), 0, "an instance that is there is not gone");
	tap_number(gone_by(-ENOENT, 0), 1, "one that the kernel does not know is");
	tap_number(gone_by(0, ID + 1), 1, "another one of its name is not it");
	tap_number(gone_by(-ENOBUFS, 0), 0, "an answer that was lost says nothing");
	tap_ok(watch.timer.slot, "it is asked again");
}

static void check_gap(void)
{
	instance_check(&regiond, list_again);
	tap_number(listed, 0, "after a gap nothing is listed before the answer");
	answer(-ENOBUFS, 0);
	tap_number(listed, 0, "nor after one that was lost");
	ask();
	answer(0, ID);
	tap_number(listed, 1, "but after the next");
	instance_check(&regiond, list_again);
	answer(0, ID + 1);
	tap_number(listed, 1, "another instance's regions are not listed");
}

static void check_suspicion(void)
{
	instance_suspect(&regiond, 0);
	instance_suspect(&regiond, -EBUSY);
	tap_ok(!asked, "most errors are no reason to ask");
	instance_suspect(&regiond, -ENODEV);
	tap_ok(asked != NULL, "that there is no instance is one");
	answer(0, ID);
}

static void check_broken(void)
{
	instance_broken(&regiond, -ENODEV);
	for (int i = 0; i < BROKEN_TRIES; i++) {
		answer(0, ID);
		tap_number(broken, 0, "a channel that broke may be the end of the instance");
		ask();
	}
	answer(0, ID);
	tap_number(broken, 1, "where it is not, the helper can't go on");
}

int main(void)
{
	if (loop_open(&loop, 0))
		return 99;
	regiond.loop = loop;
	regiond.instance_id = ID;
	instance_check(&regiond, NULL);
	tap_ok(!asked, "nothing is asked before it is attached");
	instance_watch(&regiond);
	check_events();
	check_answers();
	check_gap();
	check_suspicion();
	check_broken();
	loop_close(loop);
	return tap_end();
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A kernel for unit tests, of one region: it takes the place of netlink.c, answers out of the loop, and writes down what it was
 * asked, in order. A command whose bit is in hold is answered when fake_release() lets it.
 */
#ifndef REGIONFS_TESTS_FAKE_KERNEL_H
#define REGIONFS_TESTS_FAKE_KERNEL_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../netlink.h"

#define FAKE_REGION 7

static struct {
	struct loop *loop;
	uint64_t size;
	uint32_t flags, writers;
	const char *source;
	bool last_page_dirty;		/* until the next WRITEBACK */
	uint32_t hold;			/* bits of REGIONFS_CMD_* */
	int error[REGIONFS_CMD_MAX + 1];	/* what such a command is answered with */
	struct list calls;
	bool posted;
	struct loop_task task;
	char log[512];			/* " get", " size=N", " read-only", " read-write", " writeback[+sync]", " invalidate" */
} fake;

static inline void fake_log(const char *what)
{
	size_t used = strlen(fake.log);

	snprintf(fake.log + used, sizeof(fake.log) - used, " %s", what);
}

static inline int fake_set(const struct netlink_attrs *attrs)
{
	char text[32];

	if (netlink_has(attrs, SIZE)) {
		snprintf(text, sizeof(text), "size=%llu", (unsigned long long)attrs->size);
		fake_log(text);
		if (fake.last_page_dirty && attrs->size > fake.size)
			return -EBUSY;
		fake.size = attrs->size;
	}
	if (netlink_has(attrs, FLAGS)) {
		fake_log(attrs->flags & REGIONFS_REGION_READ_ONLY ? "read-only" : "read-write");
		fake.flags = (fake.flags & ~attrs->flags_mask) | (attrs->flags & attrs->flags_mask);
	}
	return 0;
}

static inline void fake_get(struct netlink_call *call, struct netlink_attrs *attrs)
{
	fake_log("get");
	netlink_set(attrs, PATH, path, "db");
	netlink_set(attrs, SIZE, size, fake.size);
	netlink_set(attrs, FLAGS, flags, fake.flags);
	netlink_set(attrs, WRITERS, writers, fake.writers);
	if (fake.source)
		netlink_set(attrs, SOURCE, source, fake.source);
}

static inline void fake_answer(struct netlink_call *call)
{
	struct netlink_attrs attrs = { .asked_ns = call->asked_ns };
	int error = fake.error[call->cmd];

	netlink_set(&attrs, REGION, region, FAKE_REGION);
	if (!error && call->cmd == REGIONFS_CMD_REGION_GET)
		fake_get(call, &attrs);
	else if (!error && call->cmd == REGIONFS_CMD_REGION_SET)
		error = fake_set(&call->attrs);
	else if (call->cmd == REGIONFS_CMD_INVALIDATE)
		fake_log("invalidate");
	if (call->cmd == REGIONFS_CMD_WRITEBACK) {
		fake_log(netlink_has(&call->attrs, SYNC) ? "writeback+sync" : "writeback");
		fake.last_page_dirty &= error != 0;
	}
	if (!error && call->item)
		call->item(call, &attrs);
	call->done(call, error, "");
}

static inline void fake_answers(struct loop_task *task)
{
	struct list calls, *entry;

	fake.posted = false;
	list_init(&calls);
	list_splice(&calls, &fake.calls);
	while ((entry = list_pop(&calls))) {
		struct netlink_call *call = list_entry(entry, struct netlink_call, list);

		if (fake.hold & 1u << call->cmd)
			list_add(&fake.calls, entry);
		else
			fake_answer(call);
	}
}

static inline void fake_post(void)
{
	if (fake.posted)
		return;
	fake.posted = true;
	fake.task.run = fake_answers;
	loop_post(fake.loop, &fake.task);
}

void netlink_call(struct netlink *nl, struct netlink_call *call)
{
	call->asked_ns = loop_now_ns();
	list_init(&call->list);
	list_add(&fake.calls, &call->list);
	fake_post();
}

/* What was held is answered, out of the loop. */
static inline void fake_release(void)
{
	fake.hold = 0;
	fake_post();
}

static inline void fake_open(struct loop *loop)
{
	memset(&fake, 0, sizeof(fake));
	fake.loop = loop;
	list_init(&fake.calls);
}

#endif

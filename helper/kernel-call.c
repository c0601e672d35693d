// SPDX-License-Identifier: GPL-2.0
/* One netlink command and its answer, for programs without a loop of their own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernel-call.h"
#include "loop.h"

struct one_call {
	struct netlink_call netlink;
	struct kernel_call *call;
	struct loop *loop;
	int error;
};

static struct one_call *one_of(struct netlink_call *netlink)
{
	return container_of(netlink, struct one_call, netlink);
}

static void take_item(struct netlink_call *netlink, const struct netlink_attrs *attrs)
{
	struct kernel_call *call = one_of(netlink)->call;

	if (call->item)
		call->item(call->context, attrs);
}

static void take_end(struct netlink_call *netlink, int error, const char *why)
{
	struct one_call *one = one_of(netlink);

	one->error = error;
	snprintf(one->call->why, sizeof(one->call->why), "%s",
		 !error ? "" : *why ? why : strerror(-error));
	loop_stop(one->loop);
}

/* Other people's events come with the socket; nobody here asked for them. */
static void ignore_event(void *arg, const struct netlink_attrs *attrs)
{
}

static void ignore_gap(void *arg)
{
}

static int fail_open(struct kernel_call *call, int err)
{
	if (err == -ENOENT)
		snprintf(call->why, sizeof(call->why),
			 "the kernel module is not loaded: run 'modprobe regionfs'");
	else if (err == -EPERM || err == -EACCES)
		snprintf(call->why, sizeof(call->why), "only root may do this");
	else
		snprintf(call->why, sizeof(call->why), "cannot talk to the kernel module: %s",
			 strerror(-err));
	return err;
}

static int run_call(struct one_call *one)
{
	struct kernel_call *call = one->call;
	struct netlink *netlink;
	int err;

	err = netlink_open(&netlink, one->loop, call->instance, ignore_event, ignore_gap, NULL);
	if (err)
		return fail_open(call, err);
	one->netlink.cmd = call->cmd;
	one->netlink.dump = call->dump;
	one->netlink.attrs = call->attrs;
	one->netlink.item = take_item;
	one->netlink.done = take_end;
	netlink_call(netlink, &one->netlink);
	err = loop_run(one->loop);
	netlink_close(netlink);
	return err ? fail_open(call, err) : one->error;
}

int kernel_call(struct kernel_call *call)
{
	struct one_call one = { .call = call };
	int err = loop_open(&one.loop, 8);

	if (err)
		return fail_open(call, err);
	err = run_call(&one);
	loop_close(one.loop);
	return err;
}

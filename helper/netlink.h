/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netlink: the control plane (uapi/linux/regionfs.h) on a loop. netlink.c is the only user of libnl.
 *
 * A call is embedded by its caller, like a loop_op: fill in cmd and the attributes that are wanted, set done,
 * start it with netlink_call(). done comes out of the loop, never from within netlink_call(). Long commands
 * (L in the uapi) end with their DONE message, others with their answer; the caller sees no difference.
 */
#ifndef REGIONFS_NETLINK_H
#define REGIONFS_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/regionfs.h>

#include "loop.h"

struct netlink;
struct netlink_call;

/* Attributes that came, or that shall be sent: bit REGIONFS_A_x of have says which. */
struct netlink_attrs {
	uint64_t have;
	uint64_t asked_ns;	/* of an answer: loop_now_ns() when it was asked for, so that it is no older than that */
	const char *instance;	/* of what came: valid during the callback only */
	const char *path;
	const char *source;
	const char *message;
	uint64_t instance_id, region, size, epoch, lineage, offset, length, count, regions;
	uint32_t mode, uid, gid, flags, flags_mask, timeout, takeback, dirty_ratio, deadline, event;
	uint32_t attached, pid, opens, writers, generation, mounts, nlink;
	int64_t mtime;
	int32_t error;
	const struct regionfs_range *ranges;
	unsigned int nr_ranges;
	uint64_t write_rate;
	uint64_t stats[REGIONFS_STAT_MAX + 1];	/* with REGIONFS_A_STATS */
	uint64_t waits[REGIONFS_WAITS_BUCKETS];	/* with REGIONFS_A_WAITS */
};

#define NETLINK_BIT(attr) (1ULL << (attr))

/* netlink_set(&attrs, SIZE, size, 4096): sets the field and its bit */
#define netlink_set(attrs, ATTR, field, value) \
	((attrs)->field = (value), (attrs)->have |= NETLINK_BIT(REGIONFS_A_##ATTR))
/* for DISCARD, FORCE, SYNC */
#define netlink_flag(attrs, ATTR) ((attrs)->have |= NETLINK_BIT(REGIONFS_A_##ATTR))
#define netlink_has(attrs, ATTR) (((attrs)->have & NETLINK_BIT(REGIONFS_A_##ATTR)) != 0)

struct netlink_call {
	/* the caller's; A_INSTANCE is added when it is not among attrs */
	uint8_t cmd;
	bool dump;
	struct netlink_attrs attrs;
	/* each message of a dump, and the one answer (of a long command: its DONE) */
	void (*item)(struct netlink_call *call, const struct netlink_attrs *attrs);	/* optional */
	/* error: 0 or negative errno; why: the kernel's sentence or "", valid during the callback */
	void (*done)(struct netlink_call *call, int error, const char *why);
	/* netlink.c's */
	struct list list;
	uint32_t seq;
	uint64_t asked_ns;
	int error;
	bool answered, long_running;
	uint8_t lost;
	char why[256];
};

/*
 * The family is resolved and events are subscribed to. instance is the default A_INSTANCE (NULL: none).
 * event: each multicast message (which may be of any instance of the network namespace).
 * gap: messages were lost (ENOBUFS), dump again. -ENOENT: the module isn't loaded. -EPERM.
 */
int netlink_open(struct netlink **nl, struct loop *loop, const char *instance,
		 void (*event)(void *arg, const struct netlink_attrs *attrs), void (*gap)(void *arg), void *arg);
/* Calls that are under way end with -ECANCELED. */
void netlink_close(struct netlink *nl);
void netlink_call(struct netlink *nl, struct netlink_call *call);
/* The name of an event, "created" and so on; NULL for an unknown one. */
const char *netlink_event_name(uint32_t event);

#endif

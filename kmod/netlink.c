// SPDX-License-Identifier: GPL-2.0
/*
 * The control plane: the generic netlink family, who may use it, and what every command begins with. Commands run in
 * parallel, and none waits for the helper: the long ones go to op.c.
 */
#include <linux/module.h>
#include <net/sock.h>
#include "netlink.h"

static const struct nla_policy regionfs_policy[REGIONFS_A_MAX + 1] = {
	[REGIONFS_A_INSTANCE]		= { .type = NLA_NUL_STRING, .len = REGIONFS_NAME_MAX },
	[REGIONFS_A_REGION]		= { .type = NLA_U64 },
	[REGIONFS_A_PATH]		= { .type = NLA_NUL_STRING, .len = REGIONFS_PATH_MAX },
	[REGIONFS_A_SOURCE]		= { .type = NLA_NUL_STRING, .len = REGIONFS_SOURCE_MAX },
	[REGIONFS_A_SIZE]		= { .type = NLA_U64 },
	[REGIONFS_A_MODE]		= NLA_POLICY_MAX(NLA_U32, 07777),
	[REGIONFS_A_UID]		= { .type = NLA_U32 },
	[REGIONFS_A_GID]		= { .type = NLA_U32 },
	[REGIONFS_A_EPOCH]		= { .type = NLA_U64 },
	[REGIONFS_A_LINEAGE]		= { .type = NLA_U64 },
	[REGIONFS_A_FLAGS]		= { .type = NLA_U32 },
	[REGIONFS_A_FLAGS_MASK]		= { .type = NLA_U32 },
	[REGIONFS_A_TIMEOUT]		= { .type = NLA_U32 },
	[REGIONFS_A_TAKEBACK]		= NLA_POLICY_MIN(NLA_U32, 100),
	[REGIONFS_A_DIRTY_RATIO]	= NLA_POLICY_RANGE(NLA_U32, 1, 100),
	[REGIONFS_A_OFFSET]		= { .type = NLA_U64 },
	[REGIONFS_A_LENGTH]		= { .type = NLA_U64 },
	[REGIONFS_A_RANGES]		= { .type = NLA_BINARY },
	[REGIONFS_A_DEADLINE]		= NLA_POLICY_MIN(NLA_U32, 1),
	[REGIONFS_A_DISCARD]		= { .type = NLA_FLAG },
	[REGIONFS_A_FORCE]		= { .type = NLA_FLAG },
	[REGIONFS_A_SYNC]		= { .type = NLA_FLAG },
	[REGIONFS_A_WRITE_RATE]		= { .type = NLA_U64 },
};

/* Was the socket opened by someone who might use it? Who may not, gets no further, and learns no names. */
static bool regionfs_nl_opened_with_right(struct sk_buff *skb)
{
	return file_ns_capable(NETLINK_CB(skb).sk->sk_socket->file, &init_user_ns, CAP_SYS_ADMIN);
}

/*
 * GENL_ADMIN_PERM would ask for CAP_NET_ADMIN. Of @inst (or NULL) the attached helper needs no capability: it had it when it opened the device, and
 * the socket. That is looked at once, as with an open file: a command that has begun is not undone when the helper detaches at the same time. A
 * dump goes on in whoever reads the socket, so each part of it asks again.
 */
int regionfs_nl_permitted(struct sk_buff *skb, struct regionfs_instance *inst, struct netlink_ext_ack *extack)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	if (inst && regionfs_nl_opened_with_right(skb) && regionfs_channel_is_caller(inst))
		return 0;
	NL_SET_ERR_MSG(extack, "regionfs is controlled with CAP_SYS_ADMIN in the initial user namespace");
	return -EPERM;
}

/*
 * Counted; NULL where none is named, or the caller may not know; -ENOENT, which tells a helper that its instance has ended while it was not listening.
 */
struct regionfs_instance *regionfs_nl_instance(struct sk_buff *skb, struct net *net, const struct nlattr *name)
{
	if (!name || !regionfs_nl_opened_with_right(skb))
		return NULL;
	return regionfs_instance_find(net, nla_data(name)) ?: ERR_PTR(-ENOENT);
}

/* @why is constant. */
int regionfs_nl_refuse(struct genl_info *info, int err, const char *why)
{
	if (info->extack)
		info->extack->_msg = why;
	return err;
}

/* By id, or by path. */
static int regionfs_nl_find_region(struct regionfs_nl *nl)
{
	struct nlattr *id = nl->info->attrs[REGIONFS_A_REGION];
	struct nlattr *path = nl->info->attrs[REGIONFS_A_PATH];

	if (!id && !path)
		return regionfs_nl_refuse(nl->info, -EINVAL, "name the region by its id or path");
	if (id)
		nl->region = regionfs_region_find(nl->inst, nla_get_u64(id));
	else
		nl->region = regionfs_dir_find(nl->sb, nla_data(path));
	if (nl->region)
		return 0;
	return regionfs_nl_refuse(nl->info, -ENOENT, id ? "there is no region with this id in the instance" :
							  "there is no region of this path in the instance");
}

/* Checks the caller and finds what the command is about. On 0, regionfs_nl_end() is due. */
int regionfs_nl_begin(struct regionfs_nl *nl, struct sk_buff *skb, struct genl_info *info, int need)
{
	struct regionfs_instance *inst = regionfs_nl_instance(skb, genl_info_net(info), info->attrs[REGIONFS_A_INSTANCE]);
	int err;

	if (IS_ERR(inst))
		return regionfs_nl_refuse(info, -ENOENT, "there is no instance of this name in this network namespace");
	*nl = (struct regionfs_nl){ .info = info, .inst = inst };
	err = regionfs_nl_permitted(skb, inst, info->extack);
	if (!err && !inst)
		err = regionfs_nl_refuse(info, -EINVAL, "name the instance");
	if (!err && need >= REGIONFS_NL_SUPER) {
		nl->sb = regionfs_instance_pin(nl->inst);
		if (!nl->sb)
			err = regionfs_nl_refuse(info, -ENODEV, "the instance is ending");
	}
	if (!err && need >= REGIONFS_NL_REGION)
		err = regionfs_nl_find_region(nl);
	if (err)
		regionfs_nl_end(nl);
	return err;
}

void regionfs_nl_end(struct regionfs_nl *nl)
{
	if (nl->region)
		regionfs_region_put(nl->region);
	if (nl->sb)
		regionfs_instance_unpin(nl->inst);
	if (nl->inst)
		regionfs_instance_put(nl->inst);
}

static int regionfs_nl_later(struct sk_buff *skb, struct genl_info *info)
{
	return regionfs_nl_refuse(info, -EOPNOTSUPP, "this command belongs to live migration and is not offered by this module");
}

static const struct genl_ops regionfs_ops[] = {
	{ .cmd = REGIONFS_CMD_INSTANCE_NEW, .doit = regionfs_nl_instance_new },
	{ .cmd = REGIONFS_CMD_INSTANCE_GET, .doit = regionfs_nl_instance_get, .dumpit = regionfs_nl_instance_dump },
	{ .cmd = REGIONFS_CMD_INSTANCE_SET, .doit = regionfs_nl_instance_set },
	{ .cmd = REGIONFS_CMD_INSTANCE_STOP, .doit = regionfs_nl_op },
	{ .cmd = REGIONFS_CMD_REGION_ADD, .doit = regionfs_nl_region_add },
	{ .cmd = REGIONFS_CMD_REGION_DEL, .doit = regionfs_nl_region_del },
	{ .cmd = REGIONFS_CMD_REGION_GET, .doit = regionfs_nl_region_get, .start = regionfs_nl_region_dump_start,
	  .dumpit = regionfs_nl_region_dump },
	{ .cmd = REGIONFS_CMD_REGION_SET, .doit = regionfs_nl_region_set },
	{ .cmd = REGIONFS_CMD_FREEZE, .doit = regionfs_nl_op },
	{ .cmd = REGIONFS_CMD_THAW, .doit = regionfs_nl_thaw },
	{ .cmd = REGIONFS_CMD_LOCK, .doit = regionfs_nl_op },
	{ .cmd = REGIONFS_CMD_UNLOCK, .doit = regionfs_nl_unlock },
	{ .cmd = REGIONFS_CMD_INVALIDATE, .doit = regionfs_nl_op },
	{ .cmd = REGIONFS_CMD_WRITEBACK, .doit = regionfs_nl_op },
	{ .cmd = REGIONFS_CMD_MOVED, .doit = regionfs_nl_op },
	{ .cmd = REGIONFS_CMD_TRACK, .doit = regionfs_nl_later },
	{ .cmd = REGIONFS_CMD_WRITE_RATE, .doit = regionfs_nl_write_rate },
};

static const struct genl_multicast_group regionfs_groups[] = {
	{ .name = REGIONFS_GENL_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

struct genl_family regionfs_family = {
	.name		= REGIONFS_GENL_NAME,
	.version	= REGIONFS_GENL_VERSION,
	.maxattr	= REGIONFS_A_MAX,
	.policy		= regionfs_policy,
	.module		= THIS_MODULE,
	.netnsok	= true,
	.parallel_ops	= true,
	.ops		= regionfs_ops,
	.n_ops		= ARRAY_SIZE(regionfs_ops),
	.mcgrps		= regionfs_groups,
	.n_mcgrps	= ARRAY_SIZE(regionfs_groups),
};

int __init regionfs_netlink_init(void)
{
	return genl_register_family(&regionfs_family);
}

void regionfs_netlink_exit(void)
{
	genl_unregister_family(&regionfs_family);
}

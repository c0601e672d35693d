// SPDX-License-Identifier: GPL-2.0
/* Netlink: instances. */
#include <net/sock.h>
#include "netlink.h"

/* sync(2) and unmount wait for as long as the take-back limit, at least. */
static int regionfs_nl_settings_check(struct genl_info *info)
{
	struct nlattr *takeback = info->attrs[REGIONFS_A_TAKEBACK];

	if (takeback && nla_get_u32(takeback) > REGIONFS_TAKEBACK_MAX_MS)
		return regionfs_nl_refuse(info, -ERANGE, "the take-back limit is an hour at most");
	return 0;
}

static int regionfs_nl_settings(struct regionfs_instance *inst, struct genl_info *info)
{
	int err = 0;

	if (info->attrs[REGIONFS_A_TAKEBACK])
		WRITE_ONCE(inst->takeback_ms, nla_get_u32(info->attrs[REGIONFS_A_TAKEBACK]));
	if (info->attrs[REGIONFS_A_DIRTY_RATIO])
		err = regionfs_instance_set_ratio(inst, nla_get_u32(info->attrs[REGIONFS_A_DIRTY_RATIO]));
	return err ? regionfs_nl_refuse(info, err, "the dirty ratio was not accepted") : 0;
}

int regionfs_nl_instance_new(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_instance *inst;
	int err = regionfs_nl_permitted(skb, NULL, info->extack);

	if (err)
		return err;
	if (!info->attrs[REGIONFS_A_INSTANCE])
		return regionfs_nl_refuse(info, -EINVAL, "name the instance");
	err = regionfs_nl_settings_check(info);
	if (err)
		return err;
	inst = regionfs_instance_open(genl_info_net(info), nla_data(info->attrs[REGIONFS_A_INSTANCE]), true, true);
	if (IS_ERR(inst))
		return regionfs_nl_refuse(info, PTR_ERR(inst), PTR_ERR(inst) == -EEXIST ?
					  "there is an instance of this name already" : "the instance could not be made");
	err = regionfs_nl_settings(inst, info);
	regionfs_instance_put(inst);
	return err;
}

int regionfs_nl_instance_set(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_SUPER);

	if (err)
		return err;
	err = regionfs_nl_settings_check(info);
	if (!err)
		err = regionfs_nl_settings(nl.inst, info);
	regionfs_nl_end(&nl);
	return err;
}

int regionfs_nl_instance_get(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	struct sk_buff *msg;
	void *head;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_INSTANCE);

	if (err)
		return err;
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	head = msg ? genlmsg_put_reply(msg, info, &regionfs_family, 0, REGIONFS_CMD_INSTANCE_GET) : NULL;
	err = head ? regionfs_put_instance(msg, nl.inst) : -ENOMEM;
	regionfs_nl_end(&nl);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

/* cb->args[0]: the last instance's id. */
int regionfs_nl_instance_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct regionfs_instance *inst;
	int err = regionfs_nl_permitted(cb->skb, NULL, cb->extack);
	void *head;

	if (err)
		return err;
	while ((inst = regionfs_instance_next(sock_net(cb->skb->sk), cb->args[0]))) {
		head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &regionfs_family, NLM_F_MULTI,
				   REGIONFS_CMD_INSTANCE_GET);
		if (!head || regionfs_put_instance(skb, inst)) {
			if (head)
				genlmsg_cancel(skb, head);
			regionfs_instance_put(inst);
			break;
		}
		genlmsg_end(skb, head);
		cb->args[0] = inst->id;
		regionfs_instance_put(inst);
	}
	return skb->len;
}

// SPDX-License-Identifier: GPL-2.0
/* Events: hints to whoever listens in the instance's network namespace. Any context; none is sent without memory. */
#include <linux/slab.h>
#include "netlink.h"

static int regionfs_event_fill(struct sk_buff *skb, struct regionfs_instance *inst, struct regionfs_region *region,
			       enum regionfs_event event)
{
	void *head = genlmsg_put(skb, 0, 0, &regionfs_family, 0, REGIONFS_CMD_EVENT);

	if (!head || nla_put_u32(skb, REGIONFS_A_EVENT, event) || nla_put_string(skb, REGIONFS_A_INSTANCE, inst->name) ||
	    nla_put_u64_64bit(skb, REGIONFS_A_INSTANCE_ID, inst->id, REGIONFS_A_PAD))
		return -EMSGSIZE;
	if (region && (nla_put_u64_64bit(skb, REGIONFS_A_REGION, region->id, REGIONFS_A_PAD) ||
		       nla_put_u32(skb, REGIONFS_A_FLAGS, READ_ONCE(region->flags) & 0xffff)))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

void regionfs_event(struct regionfs_instance *inst, struct regionfs_region *region, enum regionfs_event event)
{
	struct net *net;
	struct sk_buff *skb;

	rcu_read_lock();
	net = READ_ONCE(inst->net);
	if (!maybe_get_net(net))
		net = NULL;
	rcu_read_unlock();
	if (!net)
		return;
	if (!genl_has_listeners(&regionfs_family, net, 0))
		goto put;
	skb = genlmsg_new(256, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb)
		goto put;
	if (regionfs_event_fill(skb, inst, region, event))
		nlmsg_free(skb);
	else
		genlmsg_multicast_netns(&regionfs_family, net, skb, 0, 0, GFP_ATOMIC | __GFP_NOWARN);
put:
	put_net(net);
}

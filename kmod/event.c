// SPDX-License-Identifier: GPL-2.0
/*
 * Events: hints to whoever listens in the instance's network namespace. Any context. Where there is no memory to send one, the listeners
 * are told that they have missed something, as when they had read too slowly.
 */
#include <linux/slab.h>
#include "netlink.h"

/* What changed, as far as it can be told without sleeping. */
static int regionfs_event_region(struct sk_buff *skb, struct regionfs_region *region)
{
	struct inode *inode = regionfs_region_inode(region);
	int err;

	err = nla_put_u64_64bit(skb, REGIONFS_A_REGION, region->id, REGIONFS_A_PAD) ||
	      nla_put_u32(skb, REGIONFS_A_FLAGS, READ_ONCE(region->flags) & 0xffff) ||
	      nla_put_u32(skb, REGIONFS_A_OPENS, atomic_read(&region->opens)) ||
	      nla_put_u32(skb, REGIONFS_A_WRITERS, atomic_read(&region->open_writers)) ||
	      (inode && (nla_put_u64_64bit(skb, REGIONFS_A_SIZE, i_size_read(inode), REGIONFS_A_PAD) ||
			 nla_put_u32(skb, REGIONFS_A_MODE, inode->i_mode & 07777)));
	regionfs_region_iput(region, inode);
	return err ? -EMSGSIZE : 0;
}

static int regionfs_event_fill(struct sk_buff *skb, struct regionfs_instance *inst, struct regionfs_region *region,
			       enum regionfs_event event, const char *path)
{
	void *head = genlmsg_put(skb, 0, 0, &regionfs_family, 0, REGIONFS_CMD_EVENT);

	if (!head || nla_put_u32(skb, REGIONFS_A_EVENT, event) || nla_put_string(skb, REGIONFS_A_INSTANCE, inst->name) ||
	    nla_put_u64_64bit(skb, REGIONFS_A_INSTANCE_ID, inst->id, REGIONFS_A_PAD))
		return -EMSGSIZE;
	if (region && regionfs_event_region(skb, region))
		return -EMSGSIZE;
	if (path && nla_put_string(skb, REGIONFS_A_PATH, path))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

static void regionfs_event_send(struct net *net, struct regionfs_instance *inst, struct regionfs_region *region,
				enum regionfs_event event, const char *path)
{
	struct sk_buff *skb = genlmsg_new(512 + (path ? strlen(path) : 0), GFP_ATOMIC | __GFP_NOWARN);

	if (skb && !regionfs_event_fill(skb, inst, region, event, path)) {
		genlmsg_multicast_netns(&regionfs_family, net, skb, 0, 0, GFP_ATOMIC | __GFP_NOWARN);
		return;
	}
	nlmsg_free(skb);
	genl_set_err(&regionfs_family, net, 0, 0, -ENOBUFS);
}

static const char *regionfs_event_path(struct regionfs_region *region, struct dentry *dentry, char *buf)
{
	char *path;

	if (!buf)
		return NULL;
	if (!dentry)
		return region ? regionfs_region_path(region, buf, PATH_MAX) : NULL;
	path = dentry_path_raw(dentry, buf, PATH_MAX);
	return IS_ERR(path) ? NULL : path + 1;
}

/* With the name of @dentry, where the region's own is not yet true. */
void regionfs_event_named(struct regionfs_instance *inst, struct regionfs_region *region, enum regionfs_event event,
			  struct dentry *dentry)
{
	struct net *net;
	char *buf;

	rcu_read_lock();
	net = maybe_get_net(READ_ONCE(inst->net));
	rcu_read_unlock();
	if (!net)
		return;
	if (genl_has_listeners(&regionfs_family, net, 0)) {
		buf = kmalloc(PATH_MAX, GFP_ATOMIC | __GFP_NOWARN);
		regionfs_event_send(net, inst, region, event, regionfs_event_path(region, dentry, buf));
		kfree(buf);
	}
	put_net(net);
}

void regionfs_event(struct regionfs_instance *inst, struct regionfs_region *region, enum regionfs_event event)
{
	regionfs_event_named(inst, region, event, NULL);
}

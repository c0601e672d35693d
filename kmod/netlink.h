/* SPDX-License-Identifier: GPL-2.0 */
#ifndef REGIONFS_NETLINK_H
#define REGIONFS_NETLINK_H

#include "request.h"

extern struct genl_family regionfs_family;

/* What a doit works on; see regionfs_nl_begin(). */
struct regionfs_nl {
	struct genl_info *info;
	struct regionfs_instance *inst;	/* counted */
	struct super_block *sb;		/* pinned, or NULL when not asked for */
	struct regionfs_region *region;	/* counted, or NULL when not asked for */
};

#define REGIONFS_NL_INSTANCE	0
#define REGIONFS_NL_SUPER	1
#define REGIONFS_NL_REGION	2

int regionfs_nl_begin(struct regionfs_nl *nl, struct sk_buff *skb, struct genl_info *info, int need);
void regionfs_nl_end(struct regionfs_nl *nl);
int regionfs_nl_permitted(struct sk_buff *skb, struct regionfs_instance *inst, struct netlink_ext_ack *extack);
struct regionfs_instance *regionfs_nl_instance(struct sk_buff *skb, struct net *net, const struct nlattr *name);
int regionfs_nl_refuse(struct genl_info *info, int err, const char *why);

/* nl-put.c: objects as attributes. -EMSGSIZE. */
#define REGIONFS_PATH_ROOM	(REGIONFS_PATH_MAX + 2)	/* of the longest, as dentry_path_raw() gives it: with the leading '/', and its end */
int regionfs_put_instance(struct sk_buff *skb, struct regionfs_instance *inst);
int regionfs_put_region(struct sk_buff *skb, struct regionfs_region *region);
char *regionfs_region_path(struct regionfs_region *region, char *buf, int len);

/* nl-instance.c, nl-region.c, nl-state.c */
int regionfs_nl_instance_new(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_instance_get(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_instance_dump(struct sk_buff *skb, struct netlink_callback *cb);
int regionfs_nl_instance_set(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_region_add(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_region_del(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_region_get(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_region_dump_start(struct netlink_callback *cb);
int regionfs_nl_region_dump(struct sk_buff *skb, struct netlink_callback *cb);
int regionfs_nl_region_set(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_thaw(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_unlock(struct sk_buff *skb, struct genl_info *info);
int regionfs_nl_write_rate(struct sk_buff *skb, struct genl_info *info);

/* op.c: the long commands. */
int regionfs_nl_op(struct sk_buff *skb, struct genl_info *info);

#endif /* REGIONFS_NETLINK_H */

// SPDX-License-Identifier: GPL-2.0
/* Netlink: regions. */
#include <linux/dcache.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <net/sock.h>
#include "netlink.h"

#define REGIONFS_NL_ADD_FLAGS	(REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_FIXED_SIZE | REGIONFS_REGION_LOCKED)
#define REGIONFS_NL_SET_FLAGS	(REGIONFS_REGION_READ_ONLY | REGIONFS_REGION_FIXED_SIZE)
#define REGIONFS_NL_REGION_SIZE	(REGIONFS_PATH_MAX + REGIONFS_SOURCE_MAX + 2048)	/* all that is told of one */

static u32 regionfs_nl_u32(struct genl_info *info, int attr, u32 otherwise)
{
	return info->attrs[attr] ? nla_get_u32(info->attrs[attr]) : otherwise;
}

static u64 regionfs_nl_u64(struct genl_info *info, int attr, u64 otherwise)
{
	return info->attrs[attr] ? nla_get_u64(info->attrs[attr]) : otherwise;
}

/* Flags without a mask set what they name. */
static int regionfs_nl_flags(struct genl_info *info, u32 allowed, u32 *flags, u32 *mask)
{
	*flags = regionfs_nl_u32(info, REGIONFS_A_FLAGS, 0);
	*mask = regionfs_nl_u32(info, REGIONFS_A_FLAGS_MASK, *flags);
	if ((*flags | *mask) & ~allowed)
		return regionfs_nl_refuse(info, -EOPNOTSUPP, "a flag is unknown, or cannot be set this way");
	return 0;
}

/* (u32)-1 is no one's. */
static int regionfs_nl_owner(struct genl_info *info)
{
	if (regionfs_nl_u32(info, REGIONFS_A_UID, 0) == U32_MAX || regionfs_nl_u32(info, REGIONFS_A_GID, 0) == U32_MAX)
		return regionfs_nl_refuse(info, -EINVAL, "4294967295 is not a user or group");
	return 0;
}

/* lookup_one_len() checks the parts; here, that there are parts. */
static int regionfs_nl_path(struct genl_info *info, const char **path)
{
	struct nlattr *attr = info->attrs[REGIONFS_A_PATH];

	if (!attr || !nla_len(attr) || !*(char *)nla_data(attr))
		return regionfs_nl_refuse(info, -EINVAL, "name the region's path");
	*path = nla_data(attr);
	if (**path == '/' || (*path)[strlen(*path) - 1] == '/' || strstr(*path, "//"))
		return regionfs_nl_refuse(info, -EINVAL,
					  "a region's path has no leading, trailing or doubled slash");
	return 0;
}

static void regionfs_nl_init(struct regionfs_region *region, struct genl_info *info, u32 flags)
{
	region->epoch = regionfs_nl_u64(info, REGIONFS_A_EPOCH, 0);
	region->lineage = regionfs_nl_u64(info, REGIONFS_A_LINEAGE, 0);
	region->timeout_ms = regionfs_nl_u32(info, REGIONFS_A_TIMEOUT, 0);
	region->flags |= flags;
}

static const char *regionfs_nl_why(int err)
{
	switch (err) {
	case -EEXIST:
		return "there is a file or directory of this name already";
	case -ENOTDIR:
		return "a part of the path is a region, not a directory";
	case -EACCES:
		return "a part of the path is not a name";
	case -ENAMETOOLONG:
		return "a part of the path is longer than 255 bytes";
	default:
		return "the region could not be made";
	}
}

/* NULL: no memory. */
static struct sk_buff *regionfs_nl_add_reply(struct genl_info *info, struct regionfs_region *region)
{
	struct sk_buff *msg = genlmsg_new(64, GFP_KERNEL);
	void *head = msg ? genlmsg_put_reply(msg, info, &regionfs_family, 0, REGIONFS_CMD_REGION_ADD) : NULL;

	if (!head || nla_put_u64_64bit(msg, REGIONFS_A_REGION, region->id, REGIONFS_A_PAD)) {
		nlmsg_free(msg);
		return NULL;
	}
	genlmsg_end(msg, head);
	return msg;
}

/* The region's size is set before anyone can see it; no RESIZE is sent. The reply is there before the region: one that is refused has not been made. */
static int regionfs_nl_add(struct regionfs_nl *nl, const char *path, u64 size, u32 flags)
{
	struct genl_info *info = nl->info;
	const char *source = info->attrs[REGIONFS_A_SOURCE] ? nla_data(info->attrs[REGIONFS_A_SOURCE]) : "";
	struct regionfs_region *region = regionfs_region_alloc(nl->inst, source);
	struct dentry *dentry = ERR_PTR(-ENOMEM);
	struct sk_buff *reply;
	int err;

	if (IS_ERR(region))
		return PTR_ERR(region);
	regionfs_nl_init(region, info, flags);
	region->new_size = size;
	reply = regionfs_nl_add_reply(info, region);
	if (reply)
		dentry = regionfs_dir_make(nl->sb, path, regionfs_nl_u32(info, REGIONFS_A_MODE, 0600),
					   make_kuid(&init_user_ns, regionfs_nl_u32(info, REGIONFS_A_UID, 0)),
					   make_kgid(&init_user_ns, regionfs_nl_u32(info, REGIONFS_A_GID, 0)), region);
	if (IS_ERR(dentry)) {
		nlmsg_free(reply);
		regionfs_region_put(region);
		err = PTR_ERR(dentry);
		return regionfs_nl_refuse(info, err == -EACCES ? -EINVAL : err, regionfs_nl_why(err));
	}
	regionfs_event(nl->inst, region, REGIONFS_EVENT_CREATED);
	err = genlmsg_reply(reply, info);
	dput(dentry);
	return err;
}

int regionfs_nl_region_add(struct sk_buff *skb, struct genl_info *info)
{
	u64 size = regionfs_nl_u64(info, REGIONFS_A_SIZE, 0);
	struct regionfs_nl nl;
	const char *path;
	u32 flags, mask;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_SUPER);

	if (err)
		return err;
	err = regionfs_nl_path(info, &path);
	if (!err)
		err = regionfs_nl_owner(info);
	if (!err)
		err = regionfs_nl_flags(info, REGIONFS_NL_ADD_FLAGS, &flags, &mask);
	if (!err && size > nl.sb->s_maxbytes)
		err = regionfs_nl_refuse(info, -EFBIG, "the size is larger than a file can be");
	if (!err)
		err = regionfs_nl_add(&nl, path, size, flags);
	regionfs_nl_end(&nl);
	return err;
}

int regionfs_nl_region_del(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_REGION);

	if (err)
		return err;
	if (!info->attrs[REGIONFS_A_DISCARD] && regionfs_dirty_bytes(nl.region))
		err = regionfs_nl_refuse(info, -EBUSY, "the region has dirty bytes: sync it first, or discard them");
	if (!err)
		err = regionfs_dir_unlink(nl.region);
	if (err == -ENOENT)
		regionfs_nl_refuse(info, err, "the region has been unlinked already");
	regionfs_nl_end(&nl);
	return err;
}

int regionfs_nl_region_get(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	struct sk_buff *msg;
	void *head;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_REGION);

	if (err)
		return err;
	msg = genlmsg_new(REGIONFS_NL_REGION_SIZE, GFP_KERNEL);
	head = msg ? genlmsg_put_reply(msg, info, &regionfs_family, 0, REGIONFS_CMD_REGION_GET) : NULL;
	err = head ? regionfs_put_region(msg, nl.region) : -ENOMEM;
	regionfs_nl_end(&nl);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

static int regionfs_nl_dump_one(struct sk_buff *skb, struct netlink_callback *cb, struct regionfs_region *region)
{
	void *head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &regionfs_family, NLM_F_MULTI,
				 REGIONFS_CMD_REGION_GET);
	int err = head ? regionfs_put_region(skb, region) : -EMSGSIZE;

	if (!err)
		genlmsg_end(skb, head);
	else if (head)
		genlmsg_cancel(skb, head);
	return err;
}

/* The longest that one region may come to; else what the caller has read before, which may be nothing, says how much there is room for. */
int regionfs_nl_region_dump_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = REGIONFS_NL_REGION_SIZE;
	return 0;
}

/* cb->args[0]: the next region's id. A region that goes away in the middle is passed over. */
int regionfs_nl_region_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr *name = regionfs_dump_attrs(cb)[REGIONFS_A_INSTANCE];
	unsigned long id = cb->args[0];
	struct regionfs_instance *inst;
	struct regionfs_region *region;
	int err;

	inst = regionfs_nl_instance(cb->skb, sock_net(cb->skb->sk), name);
	if (IS_ERR(inst)) {
		NL_SET_ERR_MSG(cb->extack, "there is no instance of this name in this network namespace");
		return PTR_ERR(inst);
	}
	err = regionfs_nl_permitted(cb->skb, inst, cb->extack);
	if (!err && !inst) {
		NL_SET_ERR_MSG(cb->extack, "name the instance");
		err = -EINVAL;
	}
	if (err)
		goto put;
	for (; (region = regionfs_region_next(inst, &id)); id++) {
		err = regionfs_nl_dump_one(skb, cb, region);
		regionfs_region_put(region);
		if (err && err != -ENOENT)
			break;
	}
	cb->args[0] = id;
	err = skb->len ?: (err == -ENOENT ? 0 : err);
put:
	if (inst)
		regionfs_instance_put(inst);
	return err;
}

static int regionfs_nl_set_owner(struct regionfs_region *region, struct genl_info *info)
{
	u64 epoch = regionfs_nl_u64(info, REGIONFS_A_EPOCH, 0);
	int err = 0;

	spin_lock(&region->meta_lock);
	if (info->attrs[REGIONFS_A_EPOCH] && epoch < region->epoch)
		err = -EINVAL;
	if (!err && info->attrs[REGIONFS_A_EPOCH] && epoch != region->epoch) {
		region->epoch = epoch;
		regionfs_changed_all(region);
	}
	if (!err && info->attrs[REGIONFS_A_LINEAGE])
		region->lineage = nla_get_u64(info->attrs[REGIONFS_A_LINEAGE]);
	spin_unlock(&region->meta_lock);
	return err ? regionfs_nl_refuse(info, err, "a region's epoch never goes down") : 0;
}

static int regionfs_nl_set_size(struct regionfs_nl *nl, struct inode *inode, u64 size)
{
	int err;

	if (size > inode->i_sb->s_maxbytes)
		return regionfs_nl_refuse(nl->info, -EFBIG, "the size is larger than a file can be");
	err = regionfs_set_size(nl->region, inode, size);
	return err ? regionfs_nl_refuse(nl->info, err, "the region's last page is dirty, or a truncation is on its way to the source: write it back first") : 0;
}

/* Mode and owner. */
static void regionfs_nl_set_perm(struct genl_info *info, struct inode *inode)
{
	inode_lock(inode);
	if (info->attrs[REGIONFS_A_MODE])
		inode->i_mode = S_IFREG | nla_get_u32(info->attrs[REGIONFS_A_MODE]);
	if (info->attrs[REGIONFS_A_UID])
		inode->i_uid = make_kuid(&init_user_ns, nla_get_u32(info->attrs[REGIONFS_A_UID]));
	if (info->attrs[REGIONFS_A_GID])
		inode->i_gid = make_kgid(&init_user_ns, nla_get_u32(info->attrs[REGIONFS_A_GID]));
	inode_unlock(inode);
}

static int regionfs_nl_set_inode(struct regionfs_nl *nl)
{
	struct genl_info *info = nl->info;
	struct inode *inode = regionfs_region_inode(nl->region);
	int err = 0;

	if (!inode)
		return -ENOENT;
	if (info->attrs[REGIONFS_A_SIZE])
		err = regionfs_nl_set_size(nl, inode, nla_get_u64(info->attrs[REGIONFS_A_SIZE]));
	if (!err)
		regionfs_nl_set_perm(info, inode);
	regionfs_region_iput(nl->region, inode);
	return err;
}

static int regionfs_nl_set(struct regionfs_nl *nl, u32 flags, u32 mask)
{
	struct genl_info *info = nl->info;
	struct regionfs_region *region = nl->region;
	int err = 0;

	if (info->attrs[REGIONFS_A_SOURCE])
		err = regionfs_region_set_source(region, nla_data(info->attrs[REGIONFS_A_SOURCE]));
	if (!err)
		err = regionfs_nl_set_owner(region, info);
	if (!err)
		err = regionfs_nl_set_inode(nl);
	if (err)
		return err;
	if (info->attrs[REGIONFS_A_TIMEOUT])
		WRITE_ONCE(region->timeout_ms, nla_get_u32(info->attrs[REGIONFS_A_TIMEOUT]));
	if (mask & REGIONFS_REGION_FIXED_SIZE)
		assign_bit(REGIONFS_R_FIXED_SIZE, &region->flags, flags & REGIONFS_REGION_FIXED_SIZE);
	regionfs_event(nl->inst, region, REGIONFS_EVENT_CHANGED);
	return 0;
}

int regionfs_nl_region_set(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	u32 flags, mask;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_REGION);

	if (err)
		return err;
	err = regionfs_nl_owner(info);
	if (!err)
		err = regionfs_nl_flags(info, REGIONFS_NL_SET_FLAGS, &flags, &mask);
	if (!err)
		err = regionfs_nl_set(&nl, flags, mask);
	/* Draining is the caller's: WRITEBACK, when it wants to know. */
	if (!err && mask & REGIONFS_REGION_READ_ONLY)
		err = regionfs_region_set_read_only(nl.region, flags & REGIONFS_REGION_READ_ONLY);
	regionfs_nl_end(&nl);
	return err;
}

int regionfs_nl_thaw(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_REGION);

	if (err)
		return err;
	regionfs_region_thaw(nl.region);
	regionfs_nl_end(&nl);
	return 0;
}

int regionfs_nl_write_rate(struct sk_buff *skb, struct genl_info *info)
{
	struct regionfs_nl nl;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_REGION);

	if (err)
		return err;
	if (!info->attrs[REGIONFS_A_WRITE_RATE])
		err = regionfs_nl_refuse(info, -EINVAL, "name the rate");
	else if (regionfs_rate_set(nl.region, nla_get_u64(info->attrs[REGIONFS_A_WRITE_RATE])))
		err = regionfs_nl_refuse(info, -ENOTCONN, "the limit would be the helper's, and no helper is attached");
	regionfs_nl_end(&nl);
	return err;
}

int regionfs_nl_unlock(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *ranges = info->attrs[REGIONFS_A_RANGES];
	struct regionfs_nl nl;
	int err = regionfs_nl_begin(&nl, skb, info, REGIONFS_NL_REGION);

	if (err)
		return err;
	if (ranges && nla_len(ranges) % sizeof(struct regionfs_range))
		err = regionfs_nl_refuse(info, -EINVAL, "the list of ranges is torn");
	if (!err)
		err = regionfs_region_unlock(nl.region, ranges ? nla_data(ranges) : NULL,
					     ranges ? nla_len(ranges) / sizeof(struct regionfs_range) : 0);
	if (err == -EINVAL && info->extack && !info->extack->_msg)
		regionfs_nl_refuse(info, err, "a range does not lie within a file");
	regionfs_nl_end(&nl);
	return err;
}

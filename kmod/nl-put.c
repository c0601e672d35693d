// SPDX-License-Identifier: GPL-2.0
/* Instances and regions as netlink attributes. */
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "netlink.h"

static int regionfs_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, REGIONFS_A_PAD);
}

static int regionfs_put_stats(struct sk_buff *skb, atomic64_t *stats, u64 outstanding, u64 cached, u64 dirty)
{
	struct nlattr *nest = nla_nest_start(skb, REGIONFS_A_STATS);
	int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = REGIONFS_STAT_READS; i <= REGIONFS_STAT_MAX; i++) {
		u64 value = atomic64_read(&stats[i]);

		if (i == REGIONFS_STAT_OUTSTANDING)
			value = outstanding;
		else if (i == REGIONFS_STAT_CACHED_PAGES)
			value = cached;
		else if (i == REGIONFS_STAT_DIRTY_BYTES)
			value = dirty;
		if (nla_put_u64_64bit(skb, i, value, REGIONFS_STAT_PAD))
			return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static int regionfs_put_waits(struct sk_buff *skb, atomic64_t *waits)
{
	struct nlattr *attr = nla_reserve(skb, REGIONFS_A_WAITS, REGIONFS_WAITS_BUCKETS * sizeof(u64));
	u64 value;
	int i;

	if (!attr)
		return -EMSGSIZE;
	for (i = 0; i < REGIONFS_WAITS_BUCKETS; i++) {
		value = atomic64_read(&waits[i]);
		memcpy(nla_data(attr) + i * sizeof(value), &value, sizeof(value));
	}
	return 0;
}

int regionfs_put_instance(struct sk_buff *skb, struct regionfs_instance *inst)
{
	u32 gen, pid = regionfs_channel_pid(inst, &gen);

	if (nla_put_string(skb, REGIONFS_A_INSTANCE, inst->name) ||
	    regionfs_put_u64(skb, REGIONFS_A_INSTANCE_ID, inst->id) ||
	    regionfs_put_u64(skb, REGIONFS_A_REGIONS, atomic64_read(&inst->nr_regions)) ||
	    nla_put_u32(skb, REGIONFS_A_MOUNTS, regionfs_instance_mounts(inst)) ||
	    nla_put_u32(skb, REGIONFS_A_ATTACHED, gen) ||
	    nla_put_u32(skb, REGIONFS_A_PID, pid) ||
	    nla_put_u32(skb, REGIONFS_A_TAKEBACK, READ_ONCE(inst->takeback_ms)) ||
	    nla_put_u32(skb, REGIONFS_A_DIRTY_RATIO, READ_ONCE(inst->dirty_ratio)))
		return -EMSGSIZE;
	return regionfs_put_stats(skb, inst->stats, READ_ONCE(inst->nr_outstanding), 0, 0) ?:
	       regionfs_put_waits(skb, inst->waits);
}

/* The region's path within @buf, no leading '/'; NULL when it is unlinked or too long. */
char *regionfs_region_path(struct regionfs_region *region, char *buf, int len)
{
	struct inode *inode = regionfs_region_inode(region);
	struct dentry *dentry;
	char *path = NULL;

	if (!inode)
		return NULL;
	dentry = d_find_any_alias(inode);
	if (dentry && !d_unhashed(dentry))
		path = dentry_path_raw(dentry, buf, len);
	dput(dentry);
	regionfs_region_iput(region, inode);
	return IS_ERR_OR_NULL(path) ? NULL : path + 1;
}

static int regionfs_put_path(struct sk_buff *skb, struct regionfs_region *region)
{
	char *buf = kmalloc(REGIONFS_PATH_ROOM, GFP_KERNEL), *path;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	path = regionfs_region_path(region, buf, REGIONFS_PATH_ROOM);
	if (path)
		err = nla_put_string(skb, REGIONFS_A_PATH, path);
	kfree(buf);
	return err;
}

static int regionfs_put_source(struct sk_buff *skb, struct regionfs_region *region)
{
	int err;

	spin_lock(&region->meta_lock);
	err = nla_put_string(skb, REGIONFS_A_SOURCE, region->source) ||
	      regionfs_put_u64(skb, REGIONFS_A_EPOCH, region->epoch) ||
	      regionfs_put_u64(skb, REGIONFS_A_LINEAGE, region->lineage) ||
	      nla_put_u32(skb, REGIONFS_A_GENERATION, region->gen);
	spin_unlock(&region->meta_lock);
	return err ? -EMSGSIZE : 0;
}

static int regionfs_put_inode(struct sk_buff *skb, struct regionfs_region *region, struct inode *inode)
{
	u64 rate = regionfs_rate(region);

	if (regionfs_put_u64(skb, REGIONFS_A_SIZE, i_size_read(inode)) ||
	    nla_put_u32(skb, REGIONFS_A_MODE, inode->i_mode & 07777) ||
	    nla_put_u32(skb, REGIONFS_A_UID, from_kuid(&init_user_ns, inode->i_uid)) ||
	    nla_put_u32(skb, REGIONFS_A_GID, from_kgid(&init_user_ns, inode->i_gid)) ||
	    nla_put_u32(skb, REGIONFS_A_NLINK, inode->i_nlink) ||
	    nla_put_s64(skb, REGIONFS_A_MTIME, regionfs_inode_mtime_ns(inode), REGIONFS_A_PAD) ||
	    nla_put_u32(skb, REGIONFS_A_WRITERS, atomic_read(&region->open_writers)) ||
	    (rate && regionfs_put_u64(skb, REGIONFS_A_WRITE_RATE, rate)))
		return -EMSGSIZE;
	return regionfs_put_stats(skb, region->stats, 0, inode->i_mapping->nrpages, regionfs_dirty_bytes(region)) ?:
	       regionfs_put_waits(skb, region->waits);
}

int regionfs_put_region(struct sk_buff *skb, struct regionfs_region *region)
{
	struct inode *inode = regionfs_region_inode(region);
	int err = -ENOENT;

	if (!inode)
		return -ENOENT;
	if (nla_put_string(skb, REGIONFS_A_INSTANCE, region->inst->name) ||
	    regionfs_put_u64(skb, REGIONFS_A_REGION, region->id) ||
	    nla_put_u32(skb, REGIONFS_A_FLAGS, READ_ONCE(region->flags) & 0xffff) ||
	    nla_put_u32(skb, REGIONFS_A_TIMEOUT, READ_ONCE(region->timeout_ms)) ||
	    nla_put_u32(skb, REGIONFS_A_OPENS, atomic_read(&region->opens)))
		err = -EMSGSIZE;
	else
		err = regionfs_put_path(skb, region);
	if (!err)
		err = regionfs_put_source(skb, region);
	if (!err)
		err = regionfs_put_inode(skb, region, inode);
	regionfs_region_iput(region, inode);
	return err;
}

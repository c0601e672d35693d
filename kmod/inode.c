// SPDX-License-Identifier: GPL-2.0
/* Inodes: made, and their attributes. */
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include "region.h"

/*
 * A new inode; with @region a file's, which the inode takes over (see regionfs_region_publish()), else a directory's. NULL: no
 * memory, and @region is still the caller's.
 */
struct inode *regionfs_inode_new(struct super_block *sb, const struct inode *dir, umode_t mode,
				 struct regionfs_region *region)
{
	struct regionfs_instance *inst = sb->s_fs_info;
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode_init_owner(regionfs_nop_idmap, inode, dir, mode);
	regionfs_inode_init_times(inode);
	if (!region) {
		inode->i_ino = dir ? atomic64_inc_return(&inst->next_region) + 1 : 1;
		inode->i_op = &regionfs_dir_iops;
		inode->i_fop = &regionfs_dir_fops;
		inc_nlink(inode);
		return inode;
	}
	inode->i_ino = region->id + 1;
	inode->i_op = &regionfs_file_iops;
	inode->i_fop = &regionfs_file_fops;
	inode->i_mapping->a_ops = &regionfs_aops;
	regionfs_mapping_set_orders(inode->i_mapping, REGIONFS_MAX_ORDER);
	if (regionfs_region_publish(region, inode)) {
		iput(inode);
		return NULL;
	}
	insert_inode_hash(inode);	/* or background write-back never queues it */
	return inode;
}

static int regionfs_setattr_size(struct inode *inode, struct regionfs_region *region, loff_t size)
{
	int err = regionfs_region_may(region, REGIONFS_WANT_WRITE | REGIONFS_WANT_SIZE);

	if (err)
		return err == -EAGAIN ? -EBUSY : err;
	if (regionfs_region_test(region, REGIONFS_R_FIXED_SIZE))
		return -EPERM;
	err = regionfs_region_enter(region, REGIONFS_WANT_WRITE | REGIONFS_WANT_SIZE);
	if (err)
		return err == -EAGAIN ? -EBUSY : err;
	err = regionfs_truncate(inode, size);
	regionfs_region_exit(region, REGIONFS_WANT_WRITE | REGIONFS_WANT_SIZE);
	return err;
}

/* Never waits for the helper. -EBUSY on a frozen or locked region. */
static int regionfs_setattr(struct regionfs_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct regionfs_region *region = regionfs_region_of(inode);
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	if (regionfs_region_test(region, REGIONFS_R_FROZEN) || regionfs_region_test(region, REGIONFS_R_LOCKED))
		return -EBUSY;
	if (attr->ia_valid & ATTR_SIZE && attr->ia_size != i_size_read(inode)) {
		err = regionfs_setattr_size(inode, region, attr->ia_size);
		if (err)
			return err;
		regionfs_inode_touch(inode);
	}
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	if (attr->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME_SET | ATTR_MTIME_SET))
		regionfs_event(region->inst, region, REGIONFS_EVENT_CHANGED);
	return 0;
}

static int regionfs_getattr(struct regionfs_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
			    unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	regionfs_fillattr(idmap, mask, inode, stat);
	stat->blocks = DIV_ROUND_UP(i_size_read(inode), 512);
	stat->blksize = PAGE_SIZE;
	if (mask & STATX_DIOALIGN) {
		stat->result_mask |= STATX_DIOALIGN;
		stat->dio_mem_align = 4;
		stat->dio_offset_align = 512;
	}
	return 0;
}

const struct inode_operations regionfs_file_iops = {
	.setattr	= regionfs_setattr,
	.getattr	= regionfs_getattr,
};

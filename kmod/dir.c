// SPDX-License-Identifier: GPL-2.0
/*
 * The tree of regions lives in the dentry cache, as ramfs's does: each dentry is pinned while it is linked. There are no
 * links, symbolic links or devices.
 */
#include <linux/namei.h>
#include <linux/slab.h>
#include "request.h"

static void regionfs_dir_enter(struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	d_instantiate(dentry, inode);
	dget(dentry);		/* dropped by unlink, or at the end of the superblock */
	regionfs_inode_touch(dir);
}

static int regionfs_create(struct regionfs_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl)
{
	struct regionfs_instance *inst = dir->i_sb->s_fs_info;
	struct regionfs_region *region = regionfs_region_alloc(inst, "");
	struct inode *inode;

	if (IS_ERR(region))
		return PTR_ERR(region);
	inode = regionfs_inode_new(dir->i_sb, dir, S_IFREG | mode, region);
	if (!inode) {
		regionfs_region_put(region);
		return -ENOMEM;
	}
	regionfs_dir_enter(dir, dentry, inode);
	regionfs_event(inst, region, REGIONFS_EVENT_CREATED);
	return 0;
}

static int regionfs_mkdir(struct regionfs_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct inode *inode = regionfs_inode_new(dir->i_sb, dir, S_IFDIR | mode, NULL);

	if (!inode)
		return -ENOMEM;
	inc_nlink(dir);
	regionfs_dir_enter(dir, dentry, inode);
	return 0;
}

/* A region that is being frozen, locked or handed over keeps its name. */
static bool regionfs_dir_held(const struct inode *inode)
{
	const struct regionfs_region *region = inode && S_ISREG(inode->i_mode) ? regionfs_region_of(inode) : NULL;

	return region && (regionfs_region_test(region, REGIONFS_R_FROZEN) ||
			  regionfs_region_test(region, REGIONFS_R_LOCKED));
}

/*
 * Its last name is to go, inode lock held. The helper hears of it when the inode goes, where nobody could be told any more that there is no memory for that. So
 * there has to be some before. -ENOMEM.
 */
static int regionfs_dir_unlinking(struct inode *inode)
{
	struct regionfs_region *region = regionfs_region_of(inode);

	if (!region->destroy)
		region->destroy = regionfs_request_alloc(region, REGIONFS_OP_DESTROY, GFP_KERNEL);
	return region->destroy ? 0 : -ENOMEM;
}

/* Its last name has gone. */
static void regionfs_dir_unlinked(struct inode *inode)
{
	struct regionfs_region *region = regionfs_region_of(inode);

	regionfs_rate_set(region, 0);
	regionfs_event(region->inst, region, REGIONFS_EVENT_UNLINKED);
}

static int regionfs_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	int err;

	if (regionfs_dir_held(inode))
		return -EBUSY;
	err = regionfs_dir_unlinking(inode);
	if (err)
		return err;
	err = simple_unlink(dir, dentry);
	if (!err)
		regionfs_dir_unlinked(inode);
	return err;
}

static int regionfs_rename(struct regionfs_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
			   struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)
{
	struct inode *inode = d_inode(old_dentry), *victim = d_inode(new_dentry);
	bool unlinks = victim && !(flags & RENAME_EXCHANGE) && S_ISREG(victim->i_mode);
	struct regionfs_region *region;
	int err;

	if (regionfs_dir_held(inode) || regionfs_dir_held(victim))
		return -EBUSY;
	err = unlinks ? regionfs_dir_unlinking(victim) : 0;
	if (!err)
		err = simple_rename(idmap, old_dir, old_dentry, new_dir, new_dentry, flags);
	if (err)
		return err;
	if (unlinks)
		regionfs_dir_unlinked(victim);
	/* The dentry moves only after we return: the new one has the name. */
	region = S_ISREG(inode->i_mode) ? regionfs_region_of(inode) : NULL;
	regionfs_event_named(old_dir->i_sb->s_fs_info, region, REGIONFS_EVENT_RENAMED, new_dentry);
	return 0;
}

const struct inode_operations regionfs_dir_iops = {
	.create		= regionfs_create,
	.lookup		= simple_lookup,
	.unlink		= regionfs_unlink,
	.mkdir		= regionfs_mkdir,
	.rmdir		= simple_rmdir,
	.rename		= regionfs_rename,
	.getattr	= simple_getattr,
};

const struct file_operations regionfs_dir_fops = {
	.open		= dcache_dir_open,
	.release	= dcache_dir_close,
	.llseek		= dcache_dir_lseek,
	.read		= generic_read_dir,
	.iterate_shared	= dcache_readdir,
	.fsync		= noop_fsync,
};

/*
 * One step down: the child of @parent called @name (inode lock held), made as a directory if it is missing. Counted dentry.
 */
static struct dentry *regionfs_dir_step(struct dentry *parent, const char *name, int len)
{
	struct inode *dir = d_inode(parent);
	struct dentry *child = lookup_one_len(name, parent, len);
	int err = 0;

	if (IS_ERR(child))
		return child;
	if (d_really_is_negative(child))
		err = regionfs_mkdir(regionfs_nop_idmap, dir, child, S_IFDIR | 0755);
	else if (!d_is_dir(child))
		err = -ENOTDIR;
	if (!err)
		return child;
	dput(child);
	return ERR_PTR(err);
}

/* @name does not exist in @parent yet; inode lock held. Counted dentry of the region's new file. */
static struct dentry *regionfs_dir_leaf(struct dentry *parent, const char *name, umode_t mode, kuid_t uid, kgid_t gid,
					struct regionfs_region *region)
{
	struct dentry *child = lookup_one_len(name, parent, strlen(name));
	struct inode *inode;

	if (IS_ERR(child))
		return child;
	if (d_really_is_positive(child)) {
		dput(child);
		return ERR_PTR(-EEXIST);
	}
	inode = regionfs_inode_new(parent->d_sb, d_inode(parent), S_IFREG | mode, region);
	if (!inode) {
		dput(child);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_uid = uid;
	inode->i_gid = gid;
	regionfs_dir_enter(d_inode(parent), child, inode);
	return child;
}

/*
 * Enters @region at @path, for the control plane; missing directories are made. Returns a counted dentry; the region
 * then belongs to its inode. The superblock is pinned by the caller. -EEXIST, -ENOTDIR, -EACCES ("." and the like), -ENAMETOOLONG, -ENOMEM.
 */
struct dentry *regionfs_dir_make(struct super_block *sb, const char *path, umode_t mode, kuid_t uid, kgid_t gid,
				 struct regionfs_region *region)
{
	struct dentry *at = dget(sb->s_root), *next;
	const char *slash;

	for (;;) {
		inode_lock_nested(d_inode(at), I_MUTEX_PARENT);
		slash = strchr(path, '/');
		next = slash ? regionfs_dir_step(at, path, slash - path) :
			       regionfs_dir_leaf(at, path, mode, uid, gid, region);
		inode_unlock(d_inode(at));
		dput(at);
		if (!slash || IS_ERR(next))
			return next;
		at = next;
		path = slash + 1;
	}
}

/* The region at @path, counted, or NULL. The superblock is pinned by the caller. */
struct regionfs_region *regionfs_dir_find(struct super_block *sb, const char *path)
{
	struct dentry *at = dget(sb->s_root), *next;
	struct regionfs_region *region = NULL;
	const char *end;

	do {
		end = strchrnul(path, '/');
		next = d_is_dir(at) ? lookup_one_len_unlocked(path, at, end - path) : ERR_PTR(-ENOTDIR);
		dput(at);
		if (IS_ERR(next))
			return NULL;
		at = next;
		path = end + 1;
	} while (*end && d_really_is_positive(at));
	if (d_is_reg(at))
		region = regionfs_region_get(regionfs_region_of(d_inode(at)));
	dput(at);
	return region;
}

/* Unlinks @region's file, as unlink(2) does. -ENOENT, -EBUSY, -ENOMEM. */
int regionfs_dir_unlink(struct regionfs_region *region)
{
	struct inode *inode = regionfs_region_inode(region);
	struct dentry *dentry, *parent;
	int err = -ENOENT;

	if (!inode)
		return -ENOENT;
	dentry = d_find_any_alias(inode);
	if (!dentry)
		goto put;
	parent = dget_parent(dentry);
	inode_lock_nested(d_inode(parent), I_MUTEX_PARENT);
	inode_lock(inode);
	if (!d_unhashed(dentry) && dentry->d_parent == parent)
		err = regionfs_unlink(d_inode(parent), dentry);
	inode_unlock(inode);
	if (!err)
		d_delete(dentry);
	inode_unlock(d_inode(parent));
	dput(parent);
	dput(dentry);
put:
	regionfs_region_iput(region, inode);
	return err;
}

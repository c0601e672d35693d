// SPDX-License-Identifier: GPL-2.0
/* The superblock: mounting, statfs, eviction. `mount -t regionfs NAME DIR` is one more mount of instance NAME. */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "request.h"

struct regionfs_context {
	struct regionfs_instance *inst;	/* counted; given for the internal mount */
	bool release;
};

enum { Opt_release };

static const struct fs_parameter_spec regionfs_params[] = {
	fsparam_flag("release", Opt_release),
	{}
};

static int regionfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct regionfs_context *ctx = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, regionfs_params, param, &result);

	if (opt == Opt_release)
		ctx->release = true;
	return opt < 0 ? opt : 0;
}

/* Nobody else has the inode any more. */
static void regionfs_evict_destroy(struct regionfs_region *region, bool unlinked)
{
	struct regionfs_request *req = region->destroy;

	region->destroy = NULL;
	if (!req)
		return;
	if (unlinked)
		regionfs_request_submit(req);
	else
		regionfs_request_put(req);
}

/* A linked region's inode is pinned by its dentry, so only unlinked ones come here before the superblock goes. */
static void regionfs_evict_inode(struct inode *inode)
{
	struct regionfs_region *region = regionfs_region_of(inode);

	if (region) {
		spin_lock(&region->inst->lock);
		region->closing++;	/* for good */
		spin_unlock(&region->inst->lock);
		regionfs_detach_range(region, 0, U64_MAX);
	}
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!region)
		return;
	regionfs_region_unpublish(region);
	regionfs_evict_destroy(region, !inode->i_nlink && !region->inst->discard);
	inode->i_private = NULL;
	regionfs_region_put(region);
}

/* There is no limit of our own: as much is free as a number can say without frightening anyone. */
static int regionfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct regionfs_instance *inst = dentry->d_sb->s_fs_info;
	u64 used = DIV_ROUND_UP(atomic64_read(&inst->bytes), PAGE_SIZE);
	u64 room = 1ULL << (50 - PAGE_SHIFT);

	buf->f_type = REGIONFS_MAGIC;
	buf->f_bsize = PAGE_SIZE;
	buf->f_blocks = used + room;
	buf->f_bfree = room;
	buf->f_bavail = room;
	buf->f_files = atomic64_read(&inst->nr_regions);
	buf->f_namelen = NAME_MAX;
	buf->f_fsid = u64_to_fsid(inst->id);
	return 0;
}

static int regionfs_show_options(struct seq_file *m, struct dentry *root)
{
	struct regionfs_instance *inst = root->d_sb->s_fs_info;

	if (inst->release)
		seq_puts(m, ",release");
	return 0;
}

static const struct super_operations regionfs_super_ops = {
	.evict_inode	= regionfs_evict_inode,
	.statfs		= regionfs_statfs,
	.sync_fs	= regionfs_sync_fs,
	.show_options	= regionfs_show_options,
};

static int regionfs_super_bdi(struct super_block *sb, struct regionfs_instance *inst)
{
	int err = regionfs_set_bdi_name(sb, inst->name, inst->id);

	if (err)
		return err;
	regionfs_window_init(sb->s_bdi);
	sb->s_bdi->capabilities |= BDI_CAP_STRICTLIMIT;
	return bdi_set_max_ratio(sb->s_bdi, inst->dirty_ratio);
}

static int regionfs_fill_super(struct super_block *sb)
{
	struct regionfs_instance *inst = sb->s_fs_info;
	struct inode *root;
	int err;

	sb->s_magic = REGIONFS_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_op = &regionfs_super_ops;
	err = regionfs_super_bdi(sb, inst);
	if (err)
		return err;
	root = regionfs_inode_new(sb, NULL, S_IFDIR | 0755, NULL);
	if (!root)
		return -ENOMEM;
	root->i_uid = GLOBAL_ROOT_UID;
	root->i_gid = GLOBAL_ROOT_GID;
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	inst->sb = sb;
	regionfs_instance_get(inst);	/* dropped by regionfs_instance_gone() */
	sb->s_flags |= SB_ACTIVE;
	return 0;
}

static int regionfs_test_super(struct super_block *sb, struct fs_context *fc)
{
	return sb->s_fs_info == fc->s_fs_info;
}

/* Only the instance's own mount makes a superblock; the others find it, or come too late. */
static int regionfs_get_super(struct fs_context *fc, struct regionfs_instance *inst, bool internal)
{
	struct super_block *sb;
	int err = 0;

	fc->s_fs_info = inst;
	fc->sb_flags &= ~SB_RDONLY;	/* that is a matter of each mount */
	sb = sget_fc(fc, regionfs_test_super, set_anon_super_fc);
	fc->s_fs_info = NULL;
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (!sb->s_root)
		err = internal ? regionfs_fill_super(sb) : -EBUSY;
	else if (!regionfs_instance_mountable(inst))
		err = -EBUSY;
	if (err) {
		deactivate_locked_super(sb);
		return err;
	}
	fc->root = dget(sb->s_root);
	return 0;
}

static int regionfs_get_tree(struct fs_context *fc)
{
	struct regionfs_context *ctx = fc->fs_private;
	struct regionfs_instance *inst;
	int err;

	if (ctx->inst)
		return regionfs_get_super(fc, ctx->inst, true);
	if (!fc->source || !*fc->source || strchr(fc->source, '/'))
		return invalf(fc, "name an instance: mount -t regionfs NAME DIR");
	if (fc->user_ns != &init_user_ns)
		return -EPERM;
	inst = regionfs_instance_open(fc->net_ns, fc->source, false, false);
	if (inst == ERR_PTR(-ENOENT))
		errorf(fc, "there is no instance %s in this network namespace: start regiond, or use mount.regionfs", fc->source);
	if (IS_ERR(inst))
		return PTR_ERR(inst);
	err = regionfs_get_super(fc, inst, false);
	if (!err && ctx->release)
		regionfs_instance_release_mount(inst);
	regionfs_instance_put(inst);
	return err;
}

/*
 * Read-only is a matter of each mount, which the VFS sees to: the superblock is that of all of them, and one that is read-only would not be synced any
 * more, with what is dirty in it.
 */
static int regionfs_reconfigure(struct fs_context *fc)
{
	fc->sb_flags &= ~SB_RDONLY;
	return 0;
}

static void regionfs_free_fc(struct fs_context *fc)
{
	struct regionfs_context *ctx = fc->fs_private;

	if (ctx && ctx->inst)
		regionfs_instance_put(ctx->inst);
	kfree(ctx);
}

static const struct fs_context_operations regionfs_context_ops = {
	.parse_param	= regionfs_parse_param,
	.get_tree	= regionfs_get_tree,
	.reconfigure	= regionfs_reconfigure,
	.free		= regionfs_free_fc,
};

static int regionfs_init_fs_context(struct fs_context *fc)
{
	struct regionfs_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	fc->fs_private = ctx;
	fc->ops = &regionfs_context_ops;
	return 0;
}

/*
 * The instance's own mount, of a new superblock. regionfs_instances_lock held. Where the superblock could be made and the mount could not, it goes with *@failed,
 * whose end is the caller's, without that lock: the end of a superblock takes s_umount, under which mounts take the lock.
 */
struct vfsmount *regionfs_super_mount(struct regionfs_instance *inst, struct fs_context **failed)
{
	struct fs_context *fc = fs_context_for_mount(&regionfs_fs_type, SB_KERNMOUNT);
	struct regionfs_context *ctx;
	struct vfsmount *mnt;

	if (IS_ERR(fc))
		return ERR_CAST(fc);
	ctx = fc->fs_private;
	ctx->inst = regionfs_instance_get(inst);
	mnt = fc_mount(fc);
	if (IS_ERR(mnt))
		*failed = fc;
	else
		put_fs_context(fc);
	return mnt;
}

static void regionfs_kill_sb(struct super_block *sb)
{
	struct regionfs_instance *inst = sb->s_fs_info;
	bool filled = sb->s_root;
	u64 lost = 0;

	if (filled) {
		if (!inst->discard) {
			sync_filesystem(sb);	/* s_umount is held; bounded by the take-back limit */
			lost = regionfs_instance_dirty(inst);
		}
		regionfs_instance_dying(inst);
		inst->discard = true;
	}
	if (lost)
		pr_warn("regionfs: %s: %llu dirty bytes could not be written and are lost\n", inst->name, lost);
	kill_litter_super(sb);
	if (filled)
		regionfs_instance_gone(inst);

}

struct file_system_type regionfs_fs_type = {
	.owner			= THIS_MODULE,
	.name			= "regionfs",
	.init_fs_context	= regionfs_init_fs_context,
	.parameters		= regionfs_params,
	.kill_sb		= regionfs_kill_sb,
};
MODULE_ALIAS_FS("regionfs");

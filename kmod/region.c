// SPDX-License-Identifier: GPL-2.0
/* Regions: made, found, counted. See region.h for their lifetime. */
#include <linux/slab.h>
#include "region.h"

/* -ENOMEM. The caller's reference becomes the inode's in regionfs_region_publish(). */
struct regionfs_region *regionfs_region_alloc(struct regionfs_instance *inst, const char *source)
{
	struct regionfs_region *region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);

	if (!region)
		return ERR_PTR(-ENOMEM);
	region->source = kstrdup(source, GFP_KERNEL_ACCOUNT);
	if (!region->source) {
		kfree(region);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&region->refs, 1);
	spin_lock_init(&region->meta_lock);
	INIT_LIST_HEAD(&region->reads);
	INIT_LIST_HEAD(&region->ordered);
	INIT_LIST_HEAD(&region->blocked);
	INIT_LIST_HEAD(&region->local_node);
	regionfs_rate_init(region);
	region->ranges = RB_ROOT_CACHED;
	init_waitqueue_head(&region->wait);
	xa_init(&region->dirty);
	atomic64_set(&region->change_seq, 1);
	region->id = atomic64_inc_return(&inst->next_region);
	region->inst = regionfs_instance_get(inst);
	if (!*source)
		set_bit(REGIONFS_R_DEFAULT_SOURCE, &region->flags);
	return region;
}

/* Makes it known under its id, with its inode, which takes over the caller's reference. -ENOMEM. */
int regionfs_region_publish(struct regionfs_region *region, struct inode *inode)
{
	struct regionfs_instance *inst = region->inst;
	int err = xa_err(xa_store(&inst->regions, region->id, region, GFP_KERNEL_ACCOUNT));

	if (err)
		return err;
	inode->i_private = region;
	i_size_write(inode, region->new_size);
	spin_lock(&inst->lock);
	region->inode = inode;
	spin_unlock(&inst->lock);
	atomic64_inc(&inst->nr_regions);
	atomic64_add(i_size_read(inode), &inst->bytes);
	return 0;
}

/* The inode is being evicted: nobody finds the region any more. */
void regionfs_region_unpublish(struct regionfs_region *region)
{
	struct regionfs_instance *inst = region->inst;

	atomic64_sub(i_size_read(region->inode), &inst->bytes);
	atomic64_dec(&inst->nr_regions);
	xa_erase(&inst->regions, region->id);
	spin_lock(&inst->lock);
	region->inode = NULL;
	spin_unlock(&inst->lock);
	regionfs_local_drop(region);
}

struct regionfs_region *regionfs_region_get(struct regionfs_region *region)
{
	refcount_inc(&region->refs);
	return region;
}

void regionfs_region_put(struct regionfs_region *region)
{
	struct regionfs_instance *inst = region->inst;

	if (!refcount_dec_and_test(&region->refs))
		return;
	regionfs_rate_destroy(region);
	regionfs_dirty_destroy(region);
	kfree(region->source);
	kfree_rcu(region, rcu);
	regionfs_instance_put(inst);
}

/* Counted, or NULL. */
struct regionfs_region *regionfs_region_find(struct regionfs_instance *inst, u64 id)
{
	struct regionfs_region *region;

	rcu_read_lock();
	region = id <= ULONG_MAX ? xa_load(&inst->regions, id) : NULL;
	if (region && !refcount_inc_not_zero(&region->refs))
		region = NULL;
	rcu_read_unlock();
	return region;
}

/* The region with the lowest id that is at least *@id, counted, or NULL; sets *@id to its id. */
struct regionfs_region *regionfs_region_next(struct regionfs_instance *inst, unsigned long *id)
{
	struct regionfs_region *region;

	rcu_read_lock();
	do {
		region = xa_find(&inst->regions, id, ULONG_MAX, XA_PRESENT);
	} while (region && !refcount_inc_not_zero(&region->refs) && ++*id);
	rcu_read_unlock();
	return region;
}

/*
 * The region's inode with a reference, or NULL when it is being evicted. The superblock stays until
 * regionfs_region_iput(). Files, which hold it anyway, need neither.
 */
struct inode *regionfs_region_inode(struct regionfs_region *region)
{
	struct regionfs_instance *inst = region->inst;
	struct inode *inode = NULL;

	spin_lock(&inst->lock);
	if (!inst->dying && region->inode)
		inode = igrab(region->inode);
	if (inode)
		inst->pins++;
	spin_unlock(&inst->lock);
	return inode;
}

/* @inode may be NULL. */
void regionfs_region_iput(struct regionfs_region *region, struct inode *inode)
{
	if (!inode)
		return;
	iput(inode);
	regionfs_instance_unpin(region->inst);
}

/* Each open file is told of @error once. */
void regionfs_region_error(struct regionfs_region *region, int error)
{
	struct inode *inode = regionfs_region_inode(region);

	if (!inode)
		return;
	mapping_set_error(inode->i_mapping, error);
	regionfs_region_iput(region, inode);
}

/* -ENOMEM. */
int regionfs_region_set_source(struct regionfs_region *region, const char *source)
{
	char *new = kstrdup(source, GFP_KERNEL_ACCOUNT), *old;
	bool other;

	if (!new)
		return -ENOMEM;
	spin_lock(&region->meta_lock);
	old = region->source;
	other = strcmp(old, new);
	region->source = new;	/* from here on anyone's to free */
	spin_unlock(&region->meta_lock);
	if (other)
		regionfs_local_drop(region);
	if (*source)
		clear_bit(REGIONFS_R_DEFAULT_SOURCE, &region->flags);
	kfree(old);
	return 0;
}

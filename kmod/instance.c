// SPDX-License-Identifier: GPL-2.0
/*
 * Instances: found by name within a network namespace, made, stopped.
 *
 * An instance does not keep its network namespace alive. When that goes away first, the instance moves to the initial
 * one, so that what is dirty can still be saved; should its name be taken there, its id is appended.
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/writeback.h>
#include "request.h"

DEFINE_MUTEX(regionfs_instances_lock);
static LIST_HEAD(regionfs_instances);
struct workqueue_struct *regionfs_wq;		/* short works, on which others depend */
struct workqueue_struct *regionfs_op_wq;	/* those that wait */
struct workqueue_struct *regionfs_close_wq;	/* those that close others' files, which may hang */
struct workqueue_struct *regionfs_ahead_wq;	/* local-ahead.c: works of regionfs_op_wq wait for their folios */

struct regionfs_instance *regionfs_instance_get(struct regionfs_instance *inst)
{
	refcount_inc(&inst->refs);
	return inst;
}

static void regionfs_instance_free(struct regionfs_instance *inst)
{
	xa_destroy(&inst->regions);
	mempool_destroy(inst->requests);
	mempool_destroy(inst->parts);
	kfree(inst);
}

/* The last reference may be dropped by one of the works themselves. */
static void regionfs_instance_free_work(struct work_struct *work)
{
	struct regionfs_instance *inst = container_of(work, struct regionfs_instance, free);

	cancel_delayed_work_sync(&inst->takeback);
	cancel_work_sync(&inst->kick);
	cancel_work_sync(&inst->late);
	cancel_work_sync(&inst->redirty);	/* its list is empty: what stands there holds the instance */
	regionfs_instance_free(inst);
}

void regionfs_instance_put(struct regionfs_instance *inst)
{
	if (refcount_dec_and_test(&inst->refs))
		queue_work(regionfs_wq, &inst->free);
}

/* Keeps the superblock for someone who has no file open in it; NULL when it is going away. */
struct super_block *regionfs_instance_pin(struct regionfs_instance *inst)
{
	struct super_block *sb;

	spin_lock(&inst->lock);
	sb = inst->dying ? NULL : inst->sb;
	if (sb)
		inst->pins++;
	spin_unlock(&inst->lock);
	return sb;
}

void regionfs_instance_unpin(struct regionfs_instance *inst)
{
	bool last;

	spin_lock(&inst->lock);
	last = !--inst->pins && (inst->dying || inst->stops);
	spin_unlock(&inst->lock);
	if (last)
		wake_up_all(&inst->wait);
}

/* Operations that wait for something give up. */
static void regionfs_instance_hurry(struct regionfs_instance *inst)
{
	struct regionfs_region *region;
	unsigned long id = 0;

	spin_lock(&inst->lock);
	inst->dying = true;
	spin_unlock(&inst->lock);
	wake_up_all(&inst->wait);
	for (; (region = regionfs_region_next(inst, &id)); id++) {
		wake_up_all(&region->wait);
		regionfs_region_put(region);
	}
}

/* From ->kill_sb: waits for the pins. */
void regionfs_instance_dying(struct regionfs_instance *inst)
{
	regionfs_instance_hurry(inst);
	wait_event(inst->wait, !READ_ONCE(inst->pins));
}

/* A new helper: what became dirty without one is written soon, not at the flusher's leisure. */
static void regionfs_kick_work(struct work_struct *work)
{
	struct regionfs_instance *inst = container_of(work, struct regionfs_instance, kick);
	struct regionfs_region *region;
	unsigned long id = 0;
	struct inode *inode;

	for (; (region = regionfs_region_next(inst, &id)); id++) {
		inode = regionfs_region_inode(region);
		if (inode && mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY))
			filemap_flush(inode->i_mapping);
		regionfs_region_iput(region, inode);
		regionfs_region_put(region);
	}
}

static void regionfs_late_work(struct work_struct *work)
{
	struct regionfs_instance *inst = container_of(work, struct regionfs_instance, late);
	struct regionfs_region *region;
	unsigned long id = 0;

	for (; (region = regionfs_region_next(inst, &id)); id++) {
		if (regionfs_region_test(region, REGIONFS_R_LATE_DIRTY) &&
		    regionfs_region_test(region, REGIONFS_R_FROZEN) &&
		    !regionfs_region_test(region, REGIONFS_R_OP_RUNNING) &&
		    !test_and_set_bit(REGIONFS_R_LATE_TOLD, &region->flags))
			regionfs_event(inst, region, REGIONFS_EVENT_LATE_DIRTY);
		regionfs_region_put(region);
	}
}

static struct regionfs_instance *regionfs_instance_alloc(struct net *net, const char *name)
{
	struct regionfs_instance *inst = kzalloc(sizeof(*inst), GFP_KERNEL);

	if (!inst)
		return NULL;
	inst->requests = regionfs_request_pool();
	inst->parts = mempool_create_kmalloc_pool(16, sizeof(struct regionfs_part));
	if (!inst->requests || !inst->parts) {
		mempool_destroy(inst->requests);
		mempool_destroy(inst->parts);
		kfree(inst);
		return NULL;
	}
	refcount_set(&inst->refs, 1);
	INIT_LIST_HEAD(&inst->node);
	strscpy(inst->name, name, sizeof(inst->name));
	inst->net = net;
	inst->id = get_random_u64();
	spin_lock_init(&inst->lock);
	INIT_LIST_HEAD(&inst->urgent);
	INIT_LIST_HEAD(&inst->pending);
	INIT_LIST_HEAD(&inst->outstanding);
	INIT_LIST_HEAD(&inst->locals);
	INIT_LIST_HEAD(&inst->redirty_list);
	init_waitqueue_head(&inst->wait);
	init_waitqueue_head(&inst->busy_wait);
	INIT_DELAYED_WORK(&inst->takeback, regionfs_takeback_work);
	INIT_WORK(&inst->kick, regionfs_kick_work);
	INIT_WORK(&inst->late, regionfs_late_work);
	INIT_WORK(&inst->redirty, regionfs_redirty_work);
	INIT_WORK(&inst->free, regionfs_instance_free_work);
	xa_init(&inst->regions);
	inst->lost_at = jiffies;
	inst->takeback_ms = REGIONFS_TAKEBACK_MS;
	inst->dirty_ratio = REGIONFS_DIRTY_RATIO;
	inst->max_request = REGIONFS_REQUEST_DEFAULT;
	return inst;
}

/* regionfs_instances_lock held. */
static struct regionfs_instance *regionfs_instance_lookup(struct net *net, const char *name)
{
	struct regionfs_instance *inst;

	list_for_each_entry(inst, &regionfs_instances, node)
		if (inst->net == net && !strcmp(inst->name, name))
			return inst;
	return NULL;
}

/* Counted, or NULL. */
struct regionfs_instance *regionfs_instance_find(struct net *net, const char *name)
{
	struct regionfs_instance *inst;

	mutex_lock(&regionfs_instances_lock);
	inst = regionfs_instance_lookup(net, name);
	if (inst)
		regionfs_instance_get(inst);
	mutex_unlock(&regionfs_instances_lock);
	return inst;
}

/* For dumps: the instance of @net with the lowest id above @after, counted, or NULL. */
struct regionfs_instance *regionfs_instance_next(struct net *net, u64 after)
{
	struct regionfs_instance *inst, *best = NULL;

	mutex_lock(&regionfs_instances_lock);
	list_for_each_entry(inst, &regionfs_instances, node)
		if (inst->net == net && inst->id > after && (!best || inst->id < best->id))
			best = inst;
	if (best)
		regionfs_instance_get(best);
	mutex_unlock(&regionfs_instances_lock);
	return best;
}

/* regionfs_instances_lock held. Makes the instance and its internal mount; the superblock has the first reference. @failed: see regionfs_super_mount(). */
static struct regionfs_instance *regionfs_instance_create(struct net *net, const char *name, struct fs_context **failed)
{
	struct regionfs_instance *inst;
	struct vfsmount *mnt;

	if (!*name || strlen(name) > REGIONFS_NAME_MAX || strchr(name, '/'))
		return ERR_PTR(-EINVAL);
	inst = regionfs_instance_alloc(net, name);
	if (!inst)
		return ERR_PTR(-ENOMEM);
	mnt = regionfs_super_mount(inst, failed);
	if (!IS_ERR(mnt)) {
		inst->mnt = mnt;
		list_add_tail(&inst->node, &regionfs_instances);
	}
	regionfs_instance_put(inst);	/* the superblock has one, if there is a superblock */
	return IS_ERR(mnt) ? ERR_CAST(mnt) : inst;
}

/* Finds or, with @create, makes one. -ENOENT, -EEXIST (with @exclusive), -EBUSY (it is being stopped), -EINVAL, -ENOMEM. */
struct regionfs_instance *regionfs_instance_open(struct net *net, const char *name, bool create, bool exclusive)
{
	struct fs_context *failed = NULL;
	struct regionfs_instance *inst;
	bool new = false;

	mutex_lock(&regionfs_instances_lock);
	inst = regionfs_instance_lookup(net, name);
	if (inst && (exclusive || inst->stopping)) {
		inst = ERR_PTR(exclusive ? -EEXIST : -EBUSY);
	} else if (!inst && !create) {
		inst = ERR_PTR(-ENOENT);
	} else if (!inst) {
		inst = regionfs_instance_create(net, name, &failed);
		new = true;
	}
	if (!IS_ERR(inst))
		regionfs_instance_get(inst);
	mutex_unlock(&regionfs_instances_lock);
	if (failed)
		put_fs_context(failed);
	if (new && !IS_ERR(inst))
		regionfs_event(inst, NULL, REGIONFS_EVENT_INSTANCE_NEW);
	return inst;
}

/* Mounts of users; open files of detached mounts count as one. */
unsigned int regionfs_instance_mounts(struct regionfs_instance *inst)
{
	unsigned int mounts = 0;

	mutex_lock(&regionfs_instances_lock);
	if (inst->sb)
		mounts = atomic_read(&inst->sb->s_active) - (inst->mnt ? 1 : 0);
	mutex_unlock(&regionfs_instances_lock);
	return mounts;
}

/*
 * May a mount that has just taken a superblock reference stay? Called with it, so that a stop that comes later sees the
 * mount. Not when a stop or the last unmount was faster.
 */
bool regionfs_instance_mountable(struct regionfs_instance *inst)
{
	bool yes;

	mutex_lock(&regionfs_instances_lock);
	yes = !list_empty(&inst->node) && !inst->stopping && (inst->mnt || inst->release);
	mutex_unlock(&regionfs_instances_lock);
	return yes;
}

/* The instance is to end with its last mount, of which the caller holds one. */
void regionfs_instance_release_mount(struct regionfs_instance *inst)
{
	struct vfsmount *mnt;

	mutex_lock(&regionfs_instances_lock);
	mnt = inst->mnt;
	inst->mnt = NULL;
	inst->release = true;
	mutex_unlock(&regionfs_instances_lock);
	mntput(mnt);
}

/* At least so many bytes are dirty. */
u64 regionfs_instance_dirty(struct regionfs_instance *inst)
{
	struct regionfs_region *region;
	unsigned long id = 0;
	u64 sum = 0;

	for (; (region = regionfs_region_next(inst, &id)); id++) {
		if (!regionfs_region_test(region, REGIONFS_R_MOVED))
			sum += regionfs_dirty_bytes(region);
		regionfs_region_put(region);
	}
	return sum;
}

static int regionfs_instance_flush(struct regionfs_instance *inst, unsigned long deadline)
{
	struct regionfs_region *region;
	unsigned long id = 0;
	int err = 0;

	if (!READ_ONCE(inst->chan))
		return -EBUSY;
	for (; !err && (region = regionfs_region_next(inst, &id)); id++) {
		if (!regionfs_region_test(region, REGIONFS_R_MOVED))
			err = regionfs_sync(region, deadline);
		regionfs_region_put(region);
	}
	return err == -ENOENT ? 0 : err;
}

/* regionfs_instances_lock held. Why it cannot be stopped now, or NULL. */
static const char *regionfs_instance_in_use(struct regionfs_instance *inst, bool helper_calls)
{
	if (inst->stopping || !inst->mnt)
		return "the instance is already ending";
	if (atomic_read(&inst->sb->s_active) > 1)
		return "the instance is still mounted: unmount it first";
	if (READ_ONCE(inst->chan) && !helper_calls)
		return "a helper is attached to the instance: stop it through the helper (regionctl instance stop), or end the helper";
	return NULL;
}

/*
 * Until nobody has a pin, at some instant; false past @deadline (jiffies). With @discard nobody is to do anything for the bytes any more: what runs gives up,
 * or an operation that waits for a helper until a deadline of days would keep the instance for as long. Then no one else looks at ->dying, for there is no mount.
 */
static bool regionfs_instance_wait_pins(struct regionfs_instance *inst, bool discard, unsigned long deadline)
{
	long left;

	spin_lock(&inst->lock);
	inst->stops++;
	spin_unlock(&inst->lock);
	if (discard)
		regionfs_instance_hurry(inst);
	left = wait_event_killable_timeout(inst->wait, !READ_ONCE(inst->pins), regionfs_time_left(deadline));
	spin_lock(&inst->lock);
	inst->stops--;
	inst->dying = false;	/* only ->kill_sb sets it else, and the instance's own mount keeps that away */
	spin_unlock(&inst->lock);
	return left > 0;
}

/* From here on nobody mounts it or attaches to it. What runs on its regions ends first, until @deadline. -EBUSY with a sentence in *@why. */
static int regionfs_instance_stop_begin(struct regionfs_instance *inst, bool helper_calls, bool discard, unsigned long deadline,
					const char **why)
{
	mutex_lock(&regionfs_instances_lock);
	*why = regionfs_instance_in_use(inst, helper_calls);
	inst->stopping |= !*why;
	mutex_unlock(&regionfs_instances_lock);
	if (*why)
		return -EBUSY;
	if (regionfs_instance_wait_pins(inst, discard, deadline))
		return 0;
	*why = "an operation is still running on a region of the instance: try again later";
	mutex_lock(&regionfs_instances_lock);
	inst->stopping = !inst->mnt;
	mutex_unlock(&regionfs_instances_lock);
	return -EBUSY;
}

/*
 * Ends the instance: writes what is dirty until @deadline (jiffies), or with @discard drops it (*@lost bytes). -EBUSY with a
 * sentence in *@why: nothing has changed.
 */
int regionfs_instance_stop(struct regionfs_instance *inst, bool helper_calls, bool discard, unsigned long deadline,
			   u64 *lost, const char **why)
{
	struct vfsmount *mnt = NULL;
	int err = regionfs_instance_stop_begin(inst, helper_calls, discard, deadline, why);

	if (err)
		return err;
	*lost = regionfs_instance_dirty(inst);
	if (*lost && !discard) {
		err = regionfs_instance_flush(inst, deadline);
		*lost = regionfs_instance_dirty(inst);
	}
	mutex_lock(&regionfs_instances_lock);
	if (!inst->mnt) {
		*why = "the instance is already ending";
	} else if (*lost && !discard) {
		*why = "bytes are dirty and could not be written: start the helper, or discard them";
	} else if (atomic_read(&inst->sb->s_active) > 1) {
		*why = "the instance was mounted meanwhile";
	} else {
		inst->discard = true;
		mnt = inst->mnt;
		inst->mnt = NULL;
	}
	inst->stopping = mnt;	/* for good, or not at all */
	mutex_unlock(&regionfs_instances_lock);
	if (!mnt)
		return err ?: -EBUSY;
	mntput(mnt);
	return 0;
}

/* From ->kill_sb, after the inodes are gone: the name is free again. Drops the superblock's reference. */
void regionfs_instance_gone(struct regionfs_instance *inst)
{
	if (!list_empty(&inst->node)) {	/* else its own mount failed, and nobody has heard of it */
		regionfs_event(inst, NULL, REGIONFS_EVENT_INSTANCE_GONE);
		mutex_lock(&regionfs_instances_lock);
		list_del_init(&inst->node);
		mutex_unlock(&regionfs_instances_lock);
	}
	WRITE_ONCE(inst->net, &init_net);	/* a helper that is still attached may outlive the other */
	spin_lock(&inst->lock);
	inst->sb = NULL;
	inst->gone = true;
	spin_unlock(&inst->lock);
	regionfs_request_purge(inst);
	wake_up_all(&inst->wait);
	regionfs_instance_put(inst);
}

int regionfs_instance_set_ratio(struct regionfs_instance *inst, u32 percent)
{
	int err = -ENODEV;

	mutex_lock(&regionfs_instances_lock);
	if (inst->sb)
		err = bdi_set_max_ratio(inst->sb->s_bdi, percent);
	if (!err)
		inst->dirty_ratio = percent;
	mutex_unlock(&regionfs_instances_lock);
	return err;
}

/* See the top. */
static void __net_exit regionfs_net_pre_exit(struct net *net)
{
	struct regionfs_instance *inst;
	char tail[20];

	mutex_lock(&regionfs_instances_lock);
	list_for_each_entry(inst, &regionfs_instances, node) {
		if (inst->net != net)
			continue;
		if (regionfs_instance_lookup(&init_net, inst->name)) {
			snprintf(tail, sizeof(tail), ".%llx", inst->id);
			inst->name[REGIONFS_NAME_MAX - strlen(tail)] = '\0';
			strlcat(inst->name, tail, sizeof(inst->name));
		}
		WRITE_ONCE(inst->net, &init_net);
		pr_info("regionfs: instance %s moved to the initial network namespace, as its own is gone\n", inst->name);
	}
	mutex_unlock(&regionfs_instances_lock);
}

static struct pernet_operations regionfs_net_ops = {
	.pre_exit = regionfs_net_pre_exit,	/* before the grace period that regionfs_event() relies on */
};

int __init regionfs_instances_init(void)
{
	int err = -ENOMEM;

	regionfs_wq = alloc_workqueue("regionfs", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!regionfs_wq)
		return err;
	regionfs_op_wq = alloc_workqueue("regionfs-op", WQ_UNBOUND, 0);
	if (!regionfs_op_wq)
		goto wq;
	regionfs_close_wq = alloc_workqueue("regionfs-close", WQ_UNBOUND, 0);
	if (!regionfs_close_wq)
		goto op_wq;
	regionfs_ahead_wq = alloc_workqueue("regionfs-ahead", WQ_UNBOUND | WQ_MEM_RECLAIM, num_possible_cpus());
	if (!regionfs_ahead_wq)
		goto close_wq;
	err = register_pernet_subsys(&regionfs_net_ops);
	if (!err)
		return 0;
	destroy_workqueue(regionfs_ahead_wq);
close_wq:
	destroy_workqueue(regionfs_close_wq);
op_wq:
	destroy_workqueue(regionfs_op_wq);
wq:
	destroy_workqueue(regionfs_wq);
	return err;
}

void regionfs_instances_exit(void)
{
	unregister_pernet_subsys(&regionfs_net_ops);
	destroy_workqueue(regionfs_ahead_wq);
	destroy_workqueue(regionfs_close_wq);
	destroy_workqueue(regionfs_op_wq);
	destroy_workqueue(regionfs_wq);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share: the instance, and who calls whom.
 *
 * Lock order, outermost first:
 *
 *   regionfs_instances_lock (mutex)     the list of instances
 *   inode->i_rwsem                      taken killably by write, fallocate
 *   mmap_lock / VMA lock                (a fault; write() copies with faults disabled)
 *   mapping->invalidate_lock            shared by faults and reads, exclusive by truncate
 *   folio lock                          held for a request's sake no longer than the take-back limit
 *   instance->lock (spinlock)           every request, tag and outstanding list of the instance; short
 *   region->meta_lock (spinlock)        source string, epoch, lineage
 *   region->rate_lock (spinlock)        the line of slowed writers; a timer takes it
 *   wait queues, xarrays                leaves
 *
 * No lock is held while waiting for the helper, but the folio lock of the folio that is being filled,
 * and PG_writeback of what is being written; both are given up by regionfs_request_detach().
 */
#ifndef REGIONFS_INTERNAL_H
#define REGIONFS_INTERNAL_H

#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mount.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <linux/regionfs.h>

#include "compat.h"

/* A read must be tried again after waiting without locks: never seen by user space. */
#define REGIONFS_RETRY		1533

/* Folios are kept at or below 1 MiB, so that nothing is mapped by a PMD. */
#define REGIONFS_MAX_ORDER	min_t(unsigned int, 20 - PAGE_SHIFT, MAX_PAGECACHE_ORDER)

/* Deadlines are in jiffies; 0 is none, and so is never given for @ticks from now. */
static inline unsigned long regionfs_deadline(unsigned long ticks)
{
	return (jiffies + ticks) ?: 1;
}

static inline long regionfs_time_left(unsigned long deadline)
{
	return deadline ? max_t(long, deadline - jiffies, 1) : MAX_SCHEDULE_TIMEOUT;
}

static inline bool regionfs_past(unsigned long deadline)
{
	return deadline && time_after_eq(jiffies, deadline);
}

#define REGIONFS_TAKEBACK_MS	10000
#define REGIONFS_TAKEBACK_MAX_MS (60 * 60 * 1000)
#define REGIONFS_DIRTY_RATIO	20
#define REGIONFS_DEADLINE_MS	30000

struct regionfs_channel;
struct regionfs_region;
struct regionfs_request;

/*
 * One world: a name, a superblock, at most one live helper.
 *
 * Lifetime: created by a mount, an attach or netlink. @mnt, an internal mount of its own, keeps the superblock
 * until regionfs_instance_stop(); with release it is dropped as soon as a user's mount stands, and the instance ends
 * with the last of those. References are counted: one for the superblock, one for each channel, op and lookup.
 */
struct regionfs_instance {
	refcount_t refs;
	struct list_head node;		/* regionfs_instances_lock */
	char name[REGIONFS_NAME_MAX + 1];
	struct net *net;		/* regionfs_instances_lock; not counted, see instance.c */
	u64 id;				/* random, constant */
	struct super_block *sb;		/* constant once visible; NULL when it is gone */
	struct vfsmount *mnt;		/* regionfs_instances_lock: the internal mount */
	bool stopping;			/* regionfs_instances_lock */
	unsigned int stops;		/* lock: those that wait until nobody has a pin */
	bool dying;			/* lock: no new pins, and who has one gives up; for good, or while a stop waits that discards */
	unsigned int pins;		/* lock: who uses the superblock without a file of it */
	bool gone;			/* lock: the superblock is; what cannot be sent is ended */
	bool discard;			/* set before the superblock is shut down: drop what is dirty */
	bool release;			/* regionfs_instances_lock: end with the last mount */

	spinlock_t lock;
	struct regionfs_channel *chan;	/* lock: the attached, living helper's */
	unsigned long lost_at;		/* lock: jiffies, since when there is no helper */
	u32 attach_gen;			/* lock: grows with each attach */
	u64 last_request;		/* lock: id given last */
	struct list_head urgent;	/* lock: queued requests for which a program waits, by id; these go first */
	unsigned int urgent_run;	/* lock: how many of these went in a row */
	struct list_head pending;	/* lock: the other queued requests, by id */
	struct list_head outstanding;	/* lock: every request that holds folios or pages, by ->started */
	struct list_head locals;	/* lock: regions that are read from a file; see local.c */
	unsigned int nr_outstanding;	/* lock */
	u64 reading;			/* lock: bytes of the READs among them */
	unsigned int nr_delayed;	/* lock: pending ones that must not be sent yet */

	wait_queue_head_t wait;		/* helper came or went, a region was thawed, unlocked ... */
	wait_queue_head_t busy_wait;	/* a copy between folios and the helper's memory has ended */
	struct delayed_work takeback;	/* runs while there is something outstanding */
	struct work_struct kick;	/* write-back, soon after an attach */
	struct list_head redirty_list;	/* lock: direct READs that are done, but for their pages to be dirtied */
	struct work_struct redirty;
	struct work_struct late;	/* tells of pages that were dirtied while frozen */
	struct work_struct free;

	struct xarray regions;		/* id -> region; its own lock */
	atomic64_t next_region;
	atomic64_t nr_regions;
	atomic64_t bytes;		/* sum of the sizes, for statfs */
	atomic64_t stats[__REGIONFS_STAT_MAX];
	atomic64_t waits[REGIONFS_WAITS_BUCKETS];
	u32 takeback_ms;
	unsigned long slow;		/* lock: jiffies; how long WRITEs may take where the helper has shown that they do; 0: not known */
	u32 dirty_ratio;
	u32 max_request;		/* bytes; of the attached or last helper */
	mempool_t *requests;		/* reserves, so that write-back always gets on */
	mempool_t *parts;
};

/* instance.c */
extern struct mutex regionfs_instances_lock;
struct regionfs_instance *regionfs_instance_get(struct regionfs_instance *inst);
void regionfs_instance_put(struct regionfs_instance *inst);
struct super_block *regionfs_instance_pin(struct regionfs_instance *inst);
void regionfs_instance_unpin(struct regionfs_instance *inst);
void regionfs_instance_dying(struct regionfs_instance *inst);
struct regionfs_instance *regionfs_instance_find(struct net *net, const char *name);
struct regionfs_instance *regionfs_instance_open(struct net *net, const char *name, bool create, bool exclusive);
struct regionfs_instance *regionfs_instance_next(struct net *net, u64 after);
int regionfs_instance_stop(struct regionfs_instance *inst, bool helper_calls, bool discard, unsigned long deadline,
			   u64 *lost, const char **why);
bool regionfs_instance_mountable(struct regionfs_instance *inst);
void regionfs_instance_release_mount(struct regionfs_instance *inst);
u64 regionfs_instance_dirty(struct regionfs_instance *inst);
unsigned int regionfs_instance_mounts(struct regionfs_instance *inst);
void regionfs_instance_gone(struct regionfs_instance *inst);
int regionfs_instance_set_ratio(struct regionfs_instance *inst, u32 percent);
extern struct workqueue_struct *regionfs_wq, *regionfs_op_wq, *regionfs_close_wq, *regionfs_ahead_wq;
int regionfs_instances_init(void);
void regionfs_instances_exit(void);

/* super.c */
extern struct file_system_type regionfs_fs_type;
struct vfsmount *regionfs_super_mount(struct regionfs_instance *inst, struct fs_context **failed);

/* inode.c, dir.c */
struct inode *regionfs_inode_new(struct super_block *sb, const struct inode *dir, umode_t mode,
				 struct regionfs_region *region);
struct dentry *regionfs_dir_make(struct super_block *sb, const char *path, umode_t mode, kuid_t uid, kgid_t gid,
				 struct regionfs_region *region);
struct regionfs_region *regionfs_dir_find(struct super_block *sb, const char *path);
int regionfs_dir_unlink(struct regionfs_region *region);
extern const struct inode_operations regionfs_dir_iops;
extern const struct file_operations regionfs_dir_fops;
extern const struct inode_operations regionfs_file_iops;
extern const struct file_operations regionfs_file_fops;
extern const struct address_space_operations regionfs_aops;
extern const struct vm_operations_struct regionfs_vm_ops;

/* fill.c, write.c, direct.c */
int regionfs_read_folio(struct file *file, struct folio *folio);
void regionfs_readahead(struct readahead_control *rac);
int regionfs_fill_page(struct file *file, struct regionfs_region *region, pgoff_t index);
ssize_t regionfs_write_fits(struct inode *inode, loff_t pos, size_t count);
bool regionfs_write_at_limit(struct kiocb *iocb);
ssize_t regionfs_write_iter(struct kiocb *iocb, struct iov_iter *from);
int regionfs_zero_tail(struct inode *inode, loff_t size);
int regionfs_zero_bytes(struct file *file, loff_t pos, loff_t end);
ssize_t regionfs_direct_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t regionfs_direct_write(struct kiocb *iocb, struct iov_iter *from);

/* truncate.c */
int regionfs_truncate(struct inode *inode, loff_t size);
int regionfs_cut_source(struct regionfs_region *region, loff_t size);
int regionfs_set_size(struct regionfs_region *region, struct inode *inode, loff_t size);
long regionfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len);
int regionfs_invalidate(struct regionfs_region *region, loff_t start, loff_t end, bool discard, unsigned long deadline);
int regionfs_invalidate_written(struct regionfs_region *region, loff_t start, loff_t end, bool discard, unsigned long deadline);
u64 regionfs_drop_all(struct regionfs_region *region);

/* writeback.c, sync.c */
int regionfs_writepages(struct address_space *mapping, struct writeback_control *wbc);
int regionfs_write_until(struct address_space *mapping, loff_t start, loff_t end, unsigned long deadline);
int regionfs_folio_wait(struct regionfs_region *region, struct folio *folio, unsigned long deadline);
int regionfs_flush(struct regionfs_region *region, loff_t start, loff_t end, unsigned long deadline);
int regionfs_write_out(struct regionfs_region *region, loff_t start, loff_t end, unsigned long deadline);
int regionfs_sync(struct regionfs_region *region, unsigned long deadline);
int regionfs_fsync(struct file *file, loff_t start, loff_t end, int datasync);
int regionfs_sync_fs(struct super_block *sb, int wait);
u64 regionfs_dirty_bytes(struct regionfs_region *region);

/* channel.c, store.c */
u32 regionfs_channel_pid(struct regionfs_instance *inst, u32 *gen);
bool regionfs_channel_is_caller(struct regionfs_instance *inst);
int regionfs_channel_init(void);
void regionfs_channel_exit(void);
int regionfs_store(struct regionfs_instance *inst, u64 addr, u32 max_request);
int regionfs_token(struct regionfs_instance *inst, u64 addr);

/* local-file.c; what a LOCAL has named: nothing of it changes */
struct regionfs_local_file {
	refcount_t refs;
	u32 gen;		/* the attach generation of the helper that has named it */
	bool tmpfs;
	struct file *file;
	struct file *map;	/* NULL: all of the file counts */
	struct work_struct close;
};
struct regionfs_local_file *regionfs_local_file_new(const struct regionfs_local *l, u32 gen);
struct regionfs_local_file *regionfs_local_file_get(struct regionfs_local_file *local);
void regionfs_local_file_put(struct regionfs_local_file *local);
bool regionfs_local_file_begin(const struct regionfs_local_file *local, loff_t pos, size_t len, u64 *seq);
bool regionfs_local_file_end(const struct regionfs_local_file *local, u64 seq);

/* local.c */
int regionfs_local(struct regionfs_channel *chan, u64 addr);
bool regionfs_local_fill(struct regionfs_region *region, struct folio *folio, loff_t size);
void regionfs_local_unlock(struct regionfs_region *region, struct folio *folio);
bool regionfs_local_read(struct regionfs_region *region, struct folio *folio, loff_t size);
size_t regionfs_local_direct(struct regionfs_region *region, loff_t pos, struct iov_iter *to);
void regionfs_local_drop(struct regionfs_region *region);
void regionfs_local_drop_all(struct regionfs_instance *inst, u32 gen);
/* local-ahead.c */
bool regionfs_local_ahead(struct regionfs_region *region, struct readahead_control *rac);

/* netlink.c */
int regionfs_netlink_init(void);
void regionfs_netlink_exit(void);

/* event.c */
void regionfs_event(struct regionfs_instance *inst, struct regionfs_region *region, enum regionfs_event event);
void regionfs_event_named(struct regionfs_instance *inst, struct regionfs_region *region, enum regionfs_event event,
			  struct dentry *dentry);

#endif /* REGIONFS_INTERNAL_H */

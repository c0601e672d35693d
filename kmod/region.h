/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A region: one file's identity, state and outstanding requests. It outlives its inode, because a
 * request that was taken back from a helper is still in that helper's hands.
 */
#ifndef REGIONFS_REGION_H
#define REGIONFS_REGION_H

#include "internal.h"

/* Bits of region->flags; the low ones are REGIONFS_REGION_* of the contract. */
enum {
	REGIONFS_R_READ_ONLY,
	REGIONFS_R_FIXED_SIZE,
	REGIONFS_R_FROZEN,
	REGIONFS_R_LOCKED,
	REGIONFS_R_MOVED,
	REGIONFS_R_DEFAULT_SOURCE,
	REGIONFS_R_OP_RUNNING = 16,	/* a freeze or lock is on its way */
	REGIONFS_R_LATE_DIRTY,		/* told of a page dirtied while frozen */
	REGIONFS_R_LATE_TOLD,		/* and the event is on its way, by inst->late */
	REGIONFS_R_BARRED,		/* ->barring is not 0 */
};

#define REGIONFS_RATE_PAID	16

/* A writer's turn, on its stack; see rate.c. */
struct regionfs_turn {
	struct list_head node;		/* rate_lock: region->rate_line */
	struct task_struct *task;
	u64 since;			/* rate_lock: ns; not called before */
	bool passed;			/* rate_lock: did not come when called, and has not run since */
	loff_t pos;			/* where it wants to write */
	size_t len;			/* how much; once it is paid for, what may be written */
	u64 rate;			/* at which that was charged; 0: it was not */
	long left;			/* jiffies to sleep */
	int err;
};

/* What was learnt of polling for a region: see poll.c. */
struct regionfs_poll {
	int rest;			/* not 0: it doesn't pay; so many waits until it is tried again */
	int penalty;			/* what rest was set to last */
	int credit;
};

/*
 * Lifetime: one reference for the inode, one for each request, lookup and op. The inode holds the region until it is
 * evicted; then ->inode is NULL.
 */
struct regionfs_region {
	refcount_t refs;
	u64 id;				/* constant */
	struct regionfs_instance *inst;	/* constant, counted */
	struct inode *inode;		/* inst->lock; NULL after eviction; igrab() to use */
	unsigned long flags;		/* atomic bits REGIONFS_R_* */

	spinlock_t meta_lock;
	char *source;			/* meta_lock; never NULL */
	u64 epoch;			/* meta_lock for writing */
	u64 lineage;			/* meta_lock for writing */
	u32 gen;			/* meta_lock for writing */
	u32 timeout_ms;			/* 0: wait for ever */
	u64 new_size;			/* only until it is published */

	/*
	 * Who is inside: counted up before the flags are looked at, so that freeze and lock first set their flag and then wait
	 * for zero.
	 */
	atomic_t readers;
	atomic_t writers;
	atomic_t opens;
	atomic_t open_writers;

	struct list_head reads;		/* inst->lock: READs that hold folios or pages */
	struct list_head ordered;	/* inst->lock: WRITE, DISCARD, RESIZE, DESTROY, by id */
	struct rb_root_cached ranges;	/* inst->lock: the same, by range */
	struct list_head blocked;	/* inst->lock: wait for an older one that they overlap, by id */
	unsigned int nr_meta;		/* inst->lock: DISCARD and RESIZE among them */
	unsigned int nr_shells;		/* inst->lock: WRITEs taken back, and not answered yet */
	unsigned int barring;		/* inst->lock: so many keep writers out for a moment */
	unsigned int closing;		/* inst->lock: a truncate or the like detaches everything new */
	u64 retry_seq;			/* inst->lock: grows when a read was sent away with REGIONFS_RETRY */
	atomic64_t takeback_seq;	/* grows when written bytes are to become dirty again, and once they are */
	atomic64_t answered;		/* grows with each change that the helper has answered */
	atomic64_t synced;		/* up to which of these a SYNC was answered; never more than ->answered */
	struct regionfs_request *destroy;	/* the inode's lock: from when its last name goes, to be sent when its inode does */
	unsigned long retry_after;	/* jiffies; background write-back rests until then after an error; 0: not */
	wait_queue_head_t wait;		/* a request ended, a folio was filled, the last reader or writer left */

	pgoff_t map_next;		/* nothing: a hint where the next fault comes, if pages are touched one after the other */
	unsigned long map_many;		/* nothing: pages that the last fault has mapped, a hint as well */
	unsigned long read_took;	/* nothing: jiffies that the last long READ took, a hint for ahead.c */

	struct regionfs_local_file *local;	/* inst->lock; counted; see local.c */
	bool local_whole;		/* inst->lock for writing: it has no map */
	bool local_last;		/* nothing: the last fill was from there, a hint for ahead.c */
	struct list_head local_node;	/* inst->lock: inst->locals while there is one */

	spinlock_t rate_lock;
	u64 rate;			/* rate_lock for writing; see rate.c */
	u32 rate_gen;			/* rate_lock for writing: the attach generation of the helper that set it */
	u64 rate_due;			/* rate_lock: ns; when the next writer may go */
	struct list_head rate_line;	/* rate_lock: who waits for that */
	struct timer_list rate_timer;	/* pending while somebody is in line who is not passed by */
	unsigned long rate_paid[REGIONFS_RATE_PAID];

	struct xarray dirty;		/* see dirty.c */
	atomic64_t change_seq;
	u64 changed_all;		/* see dirty.c */
	atomic64_t stats[__REGIONFS_STAT_MAX];
	atomic64_t waits[REGIONFS_WAITS_BUCKETS];
	struct regionfs_poll poll;	/* hints, without a lock */
	struct rcu_head rcu;
};

static inline struct regionfs_region *regionfs_region_of(const struct inode *inode)
{
	return inode->i_private;
}

static inline bool regionfs_region_test(const struct regionfs_region *region, int bit)
{
	return test_bit(bit, &region->flags);
}

/* What is waited for at region->wait may have come. Costs little where nobody waits. */
static inline void regionfs_region_wake(struct regionfs_region *region)
{
	if (wq_has_sleeper(&region->wait))
		wake_up_all(&region->wait);
}

/* Does a LOCAL file have its bytes, or had it those that were read last? A hint. */
static inline bool regionfs_region_is_local(const struct regionfs_region *region)
{
	return READ_ONCE(region->local_whole) || READ_ONCE(region->local_last);
}

struct regionfs_region *regionfs_region_alloc(struct regionfs_instance *inst, const char *source);
int regionfs_region_publish(struct regionfs_region *region, struct inode *inode);
void regionfs_region_unpublish(struct regionfs_region *region);
struct regionfs_region *regionfs_region_get(struct regionfs_region *region);
void regionfs_region_put(struct regionfs_region *region);
struct regionfs_region *regionfs_region_find(struct regionfs_instance *inst, u64 id);
struct regionfs_region *regionfs_region_next(struct regionfs_instance *inst, unsigned long *id);
struct inode *regionfs_region_inode(struct regionfs_region *region);
void regionfs_region_iput(struct regionfs_region *region, struct inode *inode);
void regionfs_region_error(struct regionfs_region *region, int error);
int regionfs_region_set_source(struct regionfs_region *region, const char *source);

/* state.c: what one may do now, and waiting until one may. */
#define REGIONFS_WANT_WRITE	1	/* to change bytes or size */
#define REGIONFS_WANT_HELPER	2	/* there must be a helper */
#define REGIONFS_WANT_INTERNAL	4	/* for our own sake: in spite of freeze and lock */
#define REGIONFS_WANT_SIZE	8	/* with WRITE: a truncate, which never waits; in spite of REGIONFS_R_BARRED */

int regionfs_region_enter(struct regionfs_region *region, unsigned int want);
void regionfs_region_exit(struct regionfs_region *region, unsigned int want);
int regionfs_region_may(struct regionfs_region *region, unsigned int want);
int regionfs_region_wait(struct regionfs_region *region, unsigned int want, unsigned int task_state);
bool regionfs_region_given_up(struct regionfs_region *region);
bool regionfs_region_is_helper(struct regionfs_region *region);
int regionfs_region_freeze(struct regionfs_region *region, unsigned long deadline, bool force, u64 *pinned, u64 *first);
int regionfs_region_bar(struct regionfs_region *region, unsigned long deadline);
void regionfs_region_admit(struct regionfs_region *region);
void regionfs_region_thaw(struct regionfs_region *region);
int regionfs_region_lock(struct regionfs_region *region, unsigned long deadline);
int regionfs_region_unlock(struct regionfs_region *region, const struct regionfs_range *ranges, unsigned int nr);
int regionfs_region_set_read_only(struct regionfs_region *region, bool on);
int regionfs_region_moved_begin(struct regionfs_region *region, u64 epoch);
int regionfs_region_moved(struct regionfs_region *region, u64 epoch, u64 *lost);

static inline void regionfs_stat_add(struct regionfs_region *region, enum regionfs_stat stat, u64 n)
{
	atomic64_add(n, &region->stats[stat]);
	atomic64_add(n, &region->inst->stats[stat]);
}

/* rate.c */
void regionfs_rate_init(struct regionfs_region *region);
void regionfs_rate_destroy(struct regionfs_region *region);
u64 regionfs_rate(struct regionfs_region *region);
bool regionfs_rate_now(struct regionfs_region *region, size_t len);
void regionfs_rate_owe(struct regionfs_region *region, size_t len);
void regionfs_rate_refund(struct regionfs_region *region, const struct regionfs_turn *turn, size_t written);
int regionfs_rate_wait(struct regionfs_region *region, struct regionfs_turn *turn, unsigned int task_state);
void regionfs_rate_wake(struct regionfs_region *region);
void regionfs_rate_note(struct regionfs_region *region);
bool regionfs_rate_paid(struct regionfs_region *region);
bool regionfs_rate_noted(struct regionfs_region *region);
int regionfs_rate_set(struct regionfs_region *region, u64 rate);

/* waits.c; returns how long, in ns */
u64 regionfs_waited(struct regionfs_region *region, u64 since);

/* poll.c */
bool regionfs_poll_pays(const struct regionfs_region *region);
bool regionfs_poll_worth(const struct regionfs_region *region);
bool regionfs_poll_more(u64 since);
bool regionfs_poll_over(u64 since);
void regionfs_poll_learn(struct regionfs_region *region, u64 ns, bool tried);

/* Looks for a moment for what is waited for since @since, where that is worth it. True unless something came between. */
#define regionfs_poll_until(region, since, cond) ({				\
	bool __tried = regionfs_poll_worth(region);				\
										\
	while (__tried && !(cond) && regionfs_poll_more(since))			\
		;								\
	__tried && ((cond) || regionfs_poll_over(since));			\
})

/* ahead.c */
void regionfs_window_init(struct backing_dev_info *bdi);
void regionfs_window_pace(struct regionfs_region *region, u32 len, unsigned long took);
void regionfs_window_ask(struct file *file, struct regionfs_region *region, pgoff_t index, pgoff_t end);
void regionfs_window_set(struct file *file, struct regionfs_region *region, bool goes_on);
bool regionfs_window_in(const struct file_ra_state *ra, pgoff_t index);
void regionfs_window_wait(struct file *file, struct regionfs_region *region, struct folio *folio);
pgoff_t regionfs_window_read(struct file *file, struct regionfs_region *region, pgoff_t index);
void regionfs_window_next(struct file *file, struct regionfs_region *region, struct folio *folio);

/* Pages: so long may a window be at most. Where the page cache's own may not, it is several. */
#define REGIONFS_WINDOW		(SZ_8M >> PAGE_SHIFT)
#define REGIONFS_WINDOW_SEVERAL	(REGIONFS_WINDOW_ONE < REGIONFS_WINDOW)

/* dirty.c */
#define REGIONFS_BLOCK_SHIFT	9	/* pages per block of the dirty map: no folio is larger */
#define REGIONFS_BLOCK_PAGES	(1UL << REGIONFS_BLOCK_SHIFT)

int regionfs_dirty_reserve(struct regionfs_region *region, pgoff_t index, unsigned long nr);
void regionfs_dirty_set(struct regionfs_region *region, pgoff_t index, unsigned long nr);
bool regionfs_dirty_next(struct regionfs_region *region, pgoff_t *index);
void regionfs_dirty_clear(struct regionfs_region *region, pgoff_t index, pgoff_t end);
void regionfs_dirty_copy(struct regionfs_region *region, struct folio *folio, unsigned long *bits);
bool regionfs_dirty_test(struct regionfs_region *region, pgoff_t index);
bool regionfs_dirty_any(struct regionfs_region *region, struct folio *folio);
unsigned long regionfs_dirty_count(struct regionfs_region *region, struct folio *folio);
void regionfs_dirty_destroy(struct regionfs_region *region);
void regionfs_changed(struct regionfs_region *region, u64 pos, u64 len);
void regionfs_changed_all(struct regionfs_region *region);
u64 regionfs_change_token(struct regionfs_region *region);
bool regionfs_changed_since(struct regionfs_region *region, pgoff_t index, u64 token);

#endif /* REGIONFS_REGION_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A request: something asked of the helper.
 *
 * States (inst->lock):
 *
 *   NEW -> BLOCKED -> QUEUED -> HANDING -> SENT -> DONE
 *
 * BLOCKED behind an older request of an overlapping range; QUEUED on inst->urgent or ->pending; HANDING: a tag was chosen, the
 * helper's thread is about to copy; SENT: in the helper's hands. While busy, folios are being copied from
 * or to; that never sleeps, so whoever wants to detach waits for it.
 *
 * Detaching takes the folios away from a request, at any other time: READ's are unlocked as they are, WRITE's are
 * dirty again. A SENT request stays as a shell, so that its tag and its range are known; COMMIT ends it.
 */
#ifndef REGIONFS_REQUEST_H
#define REGIONFS_REQUEST_H

#include <linux/completion.h>
#include <linux/rbtree.h>
#include "region.h"

enum regionfs_request_state {
	REGIONFS_S_NEW,
	REGIONFS_S_BLOCKED,
	REGIONFS_S_QUEUED,
	REGIONFS_S_HANDING,
	REGIONFS_S_SENT,
	REGIONFS_S_DONE,
};

/* A folio that takes more than one request: ended by the last of them. */
struct regionfs_part {
	atomic_t left;
	int error;		/* the worst that happened: see payload.c */
};

/* A run of bytes within one folio, or within one page of a direct I/O. */
struct regionfs_seg {
	struct page *page;
	u32 offset;		/* from the page's start, past its end within a large folio */
	u32 len;
	struct regionfs_part *part;
};

#define REGIONFS_INLINE_SEGS 4

struct regionfs_request {
	struct list_head queue;		/* inst->urgent, inst->pending or region->blocked */
	struct list_head in_region;	/* region->reads or ->ordered */
	struct list_head in_inst;	/* inst->outstanding */
	struct list_head victim;	/* private list of a detacher */
	struct rb_node rb;		/* region->ranges, by pages */
	u64 rb_first, rb_last, rb_subtree;

	refcount_t refs;
	struct regionfs_region *region;	/* counted */
	u64 id;				/* 0 until submitted */
	u64 pos, len;			/* bytes */
	u64 arg;
	u64 epoch;			/* the region's when it was submitted */
	unsigned long started;		/* jiffies: submitted, then handed over */
	unsigned long not_before;	/* jiffies, 0: at once; a failed DISCARD or RESIZE is tried again later */
	u8 op;				/* enum regionfs_op */
	u8 state;			/* enum regionfs_request_state */
	u16 flags;			/* REGIONFS_REQ_* */
	bool busy;			/* inst->lock */
	bool detached;			/* inst->lock: has no folios any more */
	bool in_tree;			/* inst->lock */
	bool shell;			/* inst->lock: a detached WRITE that the helper still holds */
	bool pinned;			/* direct I/O: pages are pinned, not got */
	bool dirty_pages;		/* direct READ into pages that must be dirtied */
	u32 attach_gen;			/* of the helper it was given to */

	int error;			/* valid once done; -REGIONFS_RETRY when detached */
	struct completion done;

	u32 nr_segs, max_segs;
	struct regionfs_seg *segs;
	struct regionfs_seg inline_segs[REGIONFS_INLINE_SEGS];
};

struct regionfs_request *regionfs_request_alloc(struct regionfs_region *region, u8 op, gfp_t gfp);
struct regionfs_request *regionfs_request_get(struct regionfs_request *req);
void regionfs_request_put(struct regionfs_request *req);
int regionfs_request_add(struct regionfs_request *req, struct page *page, u32 offset, u32 len,
			 struct regionfs_part *part);
void regionfs_request_submit(struct regionfs_request *req);
void regionfs_request_submit_read(struct regionfs_request *req, loff_t size);
int regionfs_request_wait(struct regionfs_request *req);
int regionfs_request_wait_until(struct regionfs_request *req, unsigned long deadline);
int regionfs_request_meta(struct regionfs_region *region, u8 op, u64 pos, u64 len, u64 arg);
void regionfs_request_end(struct regionfs_request *req, int error);
void regionfs_request_queue(struct regionfs_request *req);
void regionfs_request_forget(struct regionfs_instance *inst, struct regionfs_request *req);
void regionfs_request_requeue(struct regionfs_instance *inst, struct regionfs_request *req);
bool regionfs_request_retry(struct regionfs_instance *inst, struct regionfs_request *req, int error);
void regionfs_detach_range(struct regionfs_region *region, u64 start, u64 end);
void regionfs_detach_reads(struct regionfs_region *region);
void regionfs_detach_locked(struct regionfs_request *req, struct list_head *victims);
void regionfs_detach_finish(struct list_head *victims);
void regionfs_request_drop_meta(struct regionfs_region *region);
void regionfs_request_abandon(struct regionfs_request *req);
void regionfs_request_purge(struct regionfs_instance *inst);
void regionfs_takeback_work(struct work_struct *work);
mempool_t *regionfs_request_pool(void);
int regionfs_request_init(void);
void regionfs_request_exit(void);

static inline bool regionfs_op_has_payload(u8 op)
{
	return op == REGIONFS_OP_READ || op == REGIONFS_OP_WRITE;
}

static inline bool regionfs_op_is_meta(u8 op)
{
	return op == REGIONFS_OP_DISCARD || op == REGIONFS_OP_RESIZE;
}

/* order.c, all under inst->lock, but for the last, which takes it */
bool regionfs_order_add(struct regionfs_request *req);
void regionfs_order_del(struct regionfs_request *req);
bool regionfs_order_pending(struct regionfs_region *region, pgoff_t first, pgoff_t last);
bool regionfs_order_closed(struct regionfs_region *region, pgoff_t first, pgoff_t last);

/* channel.c: pairs pending requests with parked tags; called with inst->lock held, returns with it released. */
void regionfs_dispatch_unlock(struct regionfs_instance *inst) __releases(&inst->lock);

/* payload.c */
int regionfs_payload_to_user(struct regionfs_request *req, u64 addr);
int regionfs_payload_from_user(struct regionfs_request *req, u64 addr);
void regionfs_redirty_work(struct work_struct *work);
void regionfs_payload_finish(struct regionfs_request *req, int error);

/* fill.c and writeback.c share this: collects neighbouring pieces into requests. */
struct regionfs_builder {
	struct regionfs_region *region;
	struct regionfs_request *req;
	loff_t size;		/* READ: where the file ends */
	unsigned long deadline;	/* WRITE: jiffies, 0: none */
	u32 max;		/* bytes per request */
	u8 op;
	u16 flags;
	gfp_t gfp;
	struct regionfs_request **watch;	/* NULL, or where each request is noted, counted, for a caller that waits for it */
	u32 nr_watch;
};

/* Of a small folio that is not uptodate: the helper has said that its bytes cannot be had. */
static inline bool regionfs_read_has_failed(struct folio *folio)
{
	return !folio_test_large(folio) && folio_test_checked(folio);
}

/* fill.c */
struct regionfs_request *regionfs_read_start(struct address_space *mapping, struct folio *folio);
void regionfs_read_ahead(struct inode *inode, struct folio **folio, unsigned int nr);

int regionfs_builder_add(struct regionfs_builder *b, struct folio *folio, size_t offset, size_t len,
			 struct regionfs_part *part);
void regionfs_builder_flush(struct regionfs_builder *b);

#endif /* REGIONFS_REQUEST_H */

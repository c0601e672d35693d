/* SPDX-License-Identifier: GPL-2.0 */
#ifndef REGIONFS_CHANNEL_H
#define REGIONFS_CHANNEL_H

#include <linux/pid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "request.h"

/* States of a tag, under inst->lock. */
enum regionfs_tag_state {
	REGIONFS_T_IDLE,	/* no command; FETCH parks it */
	REGIONFS_T_PARKED,	/* ->cmd waits for a request */
	REGIONFS_T_HANDING,	/* ->cmd is about to be completed by its owner */
	REGIONFS_T_SENT,	/* ->req is in the helper's hands */
};

struct regionfs_tag {
	struct regionfs_channel *chan;	/* constant */
	struct list_head parked;	/* inst->lock: on its queue while PARKED */
	struct io_uring_cmd *cmd;	/* inst->lock: PARKED and HANDING */
	struct regionfs_request *req;	/* inst->lock: HANDING (may be NULL) and SENT */
	u64 addr;			/* its buffer, set by FETCH */
	u16 index;			/* constant */
	u8 state;			/* inst->lock */
};

struct regionfs_queue {
	struct list_head parked;	/* inst->lock */
	struct task_struct *owner;	/* inst->lock; counted, set once */
};

/*
 * An open /dev/regionfs. It lives as long as the file, which every command in flight pins. After attach it
 * is one helper's side of the data plane; once dead it never serves again.
 */
struct regionfs_channel {
	struct mutex attach_lock;
	struct regionfs_instance *inst;	/* attach_lock to set, once; counted; read with acquire */
	struct pid *tgid;		/* the helper's thread group; constant after attach, counted */
	wait_queue_entry_t tgid_wait;	/* while attached: for its end */
	struct work_struct ended;
	u64 desc_addr;			/* constant after attach, as what follows */
	u64 features;
	u32 attach_gen;
	u32 max_request;
	u16 nr_queues, depth;
	struct regionfs_queue *queues;
	struct regionfs_tag *tags;
	bool dead;			/* inst->lock */
};

/* attach.c */
int regionfs_attach(struct regionfs_channel *chan, u64 addr);
void regionfs_attach_init(struct regionfs_channel *chan);
void regionfs_attach_release(struct regionfs_channel *chan);

/* channel.c */
void regionfs_channel_abort(struct regionfs_channel *chan);

#endif /* REGIONFS_CHANNEL_H */

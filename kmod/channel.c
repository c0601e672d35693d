// SPDX-License-Identifier: GPL-2.0
/*
 * The data plane: /dev/regionfs and its io_uring commands. Requests are paired with parked tags under inst->lock;
 * the copying is done by the tag's owner, in task work or inline in FETCH and COMMIT, never by anyone else.
 *
 * Death: the file's last close, its ->flush by the helper's thread group (which on kernels before 6.7 is what ends
 * parked commands, or the ring would wait for them for ever), ring teardown through cancellation, or the end of that thread group, where
 * no descriptor of its was left to be closed (attach.c). Then parked
 * commands end with -ECANCELED; requests with folios are detached (their readers and write-back try again with the
 * next helper); the others are queued again.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "channel.h"
#include "trace.h"

#define REGIONFS_COPY_TRIES 16
#define REGIONFS_SLOW_MAX (600UL * HZ)
#define REGIONFS_URGENT_RUN 15	/* urgent requests in a row, while others wait */

static struct regionfs_tag **regionfs_cmd_tag(struct io_uring_cmd *cmd)
{
	return (struct regionfs_tag **)cmd->pdu;
}

static struct regionfs_queue *regionfs_tag_queue(struct regionfs_tag *tag)
{
	return &tag->chan->queues[tag->index / tag->chan->depth];
}

/* inst->lock held. A tag of this CPU's queue if it has one, so that wake-ups stay near. */
static struct regionfs_tag *regionfs_parked_tag(struct regionfs_channel *chan)
{
	unsigned int i, start = raw_smp_processor_id();
	struct regionfs_queue *queue;

	for (i = 0; i < chan->nr_queues; i++) {
		queue = &chan->queues[(start + i) % chan->nr_queues];
		if (!list_empty(&queue->parked))
			return list_first_entry(&queue->parked, struct regionfs_tag, parked);
	}
	return NULL;
}

/* inst->lock held. The oldest that may be sent now. */
static struct regionfs_request *regionfs_first_pending(struct regionfs_instance *inst)
{
	struct regionfs_request *req;

	list_for_each_entry(req, &inst->pending, queue)
		if (!req->not_before || time_after_eq(jiffies, req->not_before))
			return req;
	return NULL;
}

/*
 * inst->lock held. A program that waits does not wait for write-back and readahead; but these get their turn now and then, however
 * many programs wait.
 */
static struct regionfs_request *regionfs_next_queued(struct regionfs_instance *inst)
{
	struct regionfs_request *urgent = list_first_entry_or_null(&inst->urgent, struct regionfs_request, queue), *req;

	if (urgent && inst->urgent_run++ < REGIONFS_URGENT_RUN)
		return urgent;
	inst->urgent_run = 0;
	req = regionfs_first_pending(inst);
	return req ?: urgent;
}

/* inst->lock held. It becomes @tag's. The take-back limit is for the helper: time spent in the queue does not count. */
static bool regionfs_tag_take(struct regionfs_instance *inst, struct regionfs_tag *tag)
{
	struct regionfs_request *req = regionfs_next_queued(inst);

	if (!req)
		return false;
	list_del_init(&req->queue);
	if (req->not_before)
		inst->nr_delayed--;
	req->not_before = 0;
	req->state = REGIONFS_S_HANDING;
	req->started = jiffies;
	if (!list_empty(&req->in_inst) && !list_is_last(&req->in_inst, &inst->outstanding))
		list_move_tail(&req->in_inst, &inst->outstanding);
	req->attach_gen = tag->chan->attach_gen;
	tag->req = req;
	tag->state = REGIONFS_T_HANDING;
	return true;
}

/* inst->lock held. Is there a helper, and something for it? */
static bool regionfs_may_pair(const struct regionfs_instance *inst)
{
	return inst->chan && !(list_empty(&inst->pending) && list_empty(&inst->urgent));
}

static struct io_uring_cmd *regionfs_pair(struct regionfs_instance *inst)
{
	struct regionfs_tag *tag;

	if (!regionfs_may_pair(inst))
		return NULL;
	tag = regionfs_parked_tag(inst->chan);
	if (!tag || !regionfs_tag_take(inst, tag))
		return NULL;
	list_del_init(&tag->parked);
	return tag->cmd;
}

/* inst->lock held, not busy. What a dead helper had in hand: what has folios gives them back, the rest is for the next one. */
static void regionfs_request_reclaim(struct regionfs_instance *inst, struct regionfs_request *req,
				     struct list_head *victims)
{
	if (!regionfs_op_has_payload(req->op)) {
		regionfs_request_requeue(inst, req);
		return;
	}
	regionfs_detach_locked(req, victims);
	regionfs_request_forget(inst, req);
	regionfs_request_put(req);
}

/* inst->lock held. Nobody but its owner ends a command that is HANDING, so the lock can be dropped. */
static bool regionfs_tag_dead(struct regionfs_tag *tag, struct list_head *victims)
{
	struct regionfs_instance *inst = tag->chan->inst;
	struct regionfs_request *req = tag->req;

	if (!tag->chan->dead)
		return false;
	tag->state = REGIONFS_T_IDLE;
	tag->cmd = NULL;
	tag->req = NULL;
	if (req)
		regionfs_request_reclaim(inst, req, victims);
	return true;
}

/* Gives a request back that @tag could not take, for another one. */
static void regionfs_tag_return(struct regionfs_tag *tag)
{
	struct regionfs_instance *inst = tag->chan->inst;
	struct regionfs_request *req;
	LIST_HEAD(victims);

	spin_lock(&inst->lock);
	if (!regionfs_tag_dead(tag, &victims)) {
		req = tag->req;
		tag->state = REGIONFS_T_IDLE;
		tag->cmd = NULL;
		tag->req = NULL;
		if (req && req->detached) {
			regionfs_request_forget(inst, req);
			regionfs_request_put(req);
		} else if (req) {
			regionfs_request_requeue(inst, req);
		}
	}
	regionfs_dispatch_unlock(inst);
	regionfs_detach_finish(&victims);
	regionfs_request_purge(inst);
}

static void regionfs_describe(struct regionfs_request *req, struct regionfs_io_desc *desc)
{
	struct regionfs_region *region = req->region;
	bool polled = req->op == REGIONFS_OP_READ && req->flags & REGIONFS_REQ_DEMAND && regionfs_poll_pays(region);

	*desc = (struct regionfs_io_desc){
		.id = req->id, .region = region->id, .offset = req->pos, .length = req->len, .arg = req->arg,
		.epoch = req->epoch, .region_gen = READ_ONCE(region->gen),
		.attach_gen = req->attach_gen, .op = req->op, .flags = req->flags | (polled ? REGIONFS_REQ_POLLED : 0),
	};
}

static int regionfs_hand_copy(struct regionfs_tag *tag, struct regionfs_request *req)
{
	void __user *to = u64_to_user_ptr(tag->chan->desc_addr + tag->index * sizeof(struct regionfs_io_desc));
	struct regionfs_io_desc desc;
	unsigned long left;

	regionfs_describe(req, &desc);
	pagefault_disable();
	left = copy_to_user(to, &desc, sizeof(desc));
	pagefault_enable();
	if (left)
		return -EFAULT;
	return req->op == REGIONFS_OP_WRITE ? regionfs_payload_to_user(req, tag->addr) : 0;
}

static int regionfs_hand_fault_in(struct regionfs_tag *tag, u64 len)
{
	u64 desc = tag->chan->desc_addr + tag->index * sizeof(struct regionfs_io_desc);

	if (fault_in_writeable(u64_to_user_ptr(desc), sizeof(struct regionfs_io_desc)) ||
	    fault_in_writeable(u64_to_user_ptr(tag->addr), len))
		return -EFAULT;
	return 0;
}

/* inst->lock held. Detachers, who look at busy without it, go on. */
static void regionfs_copy_end(struct regionfs_instance *inst, struct regionfs_request *req)
{
	WRITE_ONCE(req->busy, false);
	if (wq_has_sleeper(&inst->busy_wait))
		wake_up_all(&inst->busy_wait);
}

/* inst->lock held on entry and return; copies with the lock dropped. */
static int regionfs_hand_busy(struct regionfs_tag *tag, struct regionfs_request *req)
	__must_hold(&tag->chan->inst->lock)
{
	struct regionfs_instance *inst = tag->chan->inst;
	int err;

	req->busy = true;
	spin_unlock(&inst->lock);
	err = regionfs_hand_copy(tag, req);
	spin_lock(&inst->lock);
	regionfs_copy_end(inst, req);
	return err;
}

/* inst->lock held. 0: @tag has a request to copy; -EIOCBQUEUED: it was parked; -ECANCELED: the channel is dead. */
static int regionfs_tag_ready(struct regionfs_tag *tag, struct list_head *victims)
{
	struct regionfs_instance *inst = tag->chan->inst;

	if (regionfs_tag_dead(tag, victims))
		return -ECANCELED;
	if (tag->req && tag->req->detached) {
		regionfs_request_forget(inst, tag->req);
		regionfs_request_put(tag->req);
		tag->req = NULL;
	}
	if (tag->req || regionfs_tag_take(inst, tag))
		return 0;
	tag->state = REGIONFS_T_PARKED;
	list_add(&tag->parked, &regionfs_tag_queue(tag)->parked);
	return -EIOCBQUEUED;
}

/*
 * By the tag's owner, with the tag HANDING: gives it a request. 0 when the command is to be completed, -EIOCBQUEUED when it
 * was parked, else an error to complete it with.
 */
static int regionfs_tag_hand(struct regionfs_tag *tag)
{
	struct regionfs_instance *inst = tag->chan->inst;
	unsigned int tries = 0;
	LIST_HEAD(victims);
	u64 len = 0;
	int err;

	for (;;) {
		spin_lock(&inst->lock);
		err = regionfs_tag_ready(tag, &victims);
		if (err)
			break;
		len = tag->req->op == REGIONFS_OP_WRITE ? tag->req->len : 0;
		err = regionfs_hand_busy(tag, tag->req);
		if (!err && !tag->chan->dead) {
			trace_regionfs_request_hand(tag->req, tag->index, false);
			tag->req->state = REGIONFS_S_SENT;
			tag->state = REGIONFS_T_SENT;
			tag->cmd = NULL;
			break;
		}
		spin_unlock(&inst->lock);
		if (err && (++tries > REGIONFS_COPY_TRIES || regionfs_hand_fault_in(tag, len))) {
			regionfs_tag_return(tag);
			return -EFAULT;
		}
	}
	regionfs_dispatch_unlock(inst);
	if (err == -ECANCELED) {
		regionfs_detach_finish(&victims);
		regionfs_request_purge(inst);
	}
	return err;
}

/* Task work: in the thread that parked the tag, unless that is going away. */
static void regionfs_tag_work(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct regionfs_tag *tag = *regionfs_cmd_tag(cmd);
	int err = -ECANCELED;

	if (current != regionfs_tag_queue(tag)->owner || (current->flags & (PF_EXITING | PF_KTHREAD)) || !current->mm)
		regionfs_tag_return(tag);
	else
		err = regionfs_tag_hand(tag);
	if (err != -EIOCBQUEUED)
		io_uring_cmd_done(cmd, err, 0, issue_flags);
}

/* Not a part of the below, which mostly has nothing to do, and need not clear this array for that. */
static noinline void regionfs_dispatch(struct regionfs_instance *inst) __releases(&inst->lock)
{
	struct io_uring_cmd *cmds[16];
	unsigned int i, n;

	do {
		for (n = 0; n < ARRAY_SIZE(cmds); n++) {
			cmds[n] = regionfs_pair(inst);
			if (!cmds[n])
				break;
		}
		spin_unlock(&inst->lock);
		for (i = 0; i < n; i++)
			io_uring_cmd_complete_in_task(cmds[i], regionfs_tag_work);
		if (n == ARRAY_SIZE(cmds))
			spin_lock(&inst->lock);
	} while (n == ARRAY_SIZE(cmds));
}

void regionfs_dispatch_unlock(struct regionfs_instance *inst) __releases(&inst->lock)
{
	if (regionfs_may_pair(inst))
		regionfs_dispatch(inst);
	else
		spin_unlock(&inst->lock);
}

/* inst->lock held. What a dead helper's tag leaves behind; its parked command is collected in @parked. */
static void regionfs_abort_tag(struct regionfs_tag *tag, struct list_head *parked, struct list_head *victims)
{
	struct regionfs_instance *inst = tag->chan->inst;
	struct regionfs_request *req = tag->req;

	if (tag->state == REGIONFS_T_PARKED) {
		tag->state = REGIONFS_T_IDLE;
		list_move_tail(&tag->parked, parked);
	} else if (tag->state == REGIONFS_T_SENT && !req->busy) {
		tag->state = REGIONFS_T_IDLE;
		tag->req = NULL;
		regionfs_request_reclaim(inst, req, victims);
	}
}

/* inst->lock held. Is @tag's request what the helper says it answers? */
static int regionfs_commit_check(struct regionfs_tag *tag, u32 cookie)
{
	if (tag->chan->dead)
		return -ECANCELED;
	if (tag->state != REGIONFS_T_SENT)
		return -EINVAL;
	if (regionfs_tag_queue(tag)->owner != current)
		return -EPERM;
	return (u32)tag->req->id == cookie ? 0 : -ESTALE;
}

/* inst->lock held on entry and return. Copies a READ's bytes in; -EFAULT when it has to be tried again. */
static int regionfs_commit_copy(struct regionfs_instance *inst, struct regionfs_request *req, u64 addr)
	__must_hold(&inst->lock)
{
	int err;

	req->busy = true;
	spin_unlock(&inst->lock);
	err = regionfs_payload_from_user(req, addr);
	spin_lock(&inst->lock);
	regionfs_copy_end(inst, req);
	return err;
}

/*
 * inst->lock held. A READ or WRITE was done. A WRITE that had been taken back by then shows that the source is slow, not that the helper hangs: the
 * next ones get twice that time, or the same bytes would be written again for ever. Where they need less, it goes down again.
 */
static void regionfs_commit_pace(struct regionfs_instance *inst, const struct regionfs_request *req)
{
	unsigned long took = jiffies - req->started;

	if (req->op == REGIONFS_OP_READ)
		regionfs_window_pace(req->region, req->len, took);
	if (req->op != REGIONFS_OP_WRITE)
		return;
	if (req->detached)
		inst->slow = max(inst->slow, min(2 * took, REGIONFS_SLOW_MAX));
	else if (took < inst->slow / 4)
		inst->slow -= DIV_ROUND_UP(inst->slow, 8);
}

/*
 * What was read of the source before @req was done there is old. Before @req is off the lists: until then a STORE in its way is refused for that,
 * and from then on for this.
 */
static void regionfs_commit_changed(struct regionfs_request *req)
{
	if (req->op == REGIONFS_OP_WRITE)
		regionfs_changed(req->region, req->pos, req->len);
	else if (req->op == REGIONFS_OP_DISCARD || req->op == REGIONFS_OP_RESIZE)
		regionfs_changed_all(req->region);
}

/* inst->lock held; released. The helper has answered @tag's request with @error. */
static void regionfs_commit_end(struct regionfs_tag *tag, int error) __releases(&tag->chan->inst->lock)
{
	struct regionfs_instance *inst = tag->chan->inst;
	struct regionfs_request *req = tag->req;
	bool shell = req->detached;

	trace_regionfs_request_commit(req, error, shell);
	if (!error)
		regionfs_commit_pace(inst, req);
	tag->req = NULL;
	tag->state = REGIONFS_T_IDLE;
	if (error && !shell && regionfs_request_retry(inst, req, error)) {
		struct regionfs_region *region = regionfs_region_get(req->region);

		regionfs_dispatch_unlock(inst);
		regionfs_region_error(region, error);
		regionfs_region_put(region);
		return;
	}
	if (error && !shell && req->op == REGIONFS_OP_RESIZE) {
		spin_unlock(&inst->lock);	/* it is on no tag and not pending: nobody else ends it */
		regionfs_region_error(req->region, error);
		spin_lock(&inst->lock);
	}
	if (!error && req->op != REGIONFS_OP_READ && req->op != REGIONFS_OP_SYNC)
		atomic64_inc(&req->region->answered);	/* before anyone can see that it is off the lists */
	regionfs_commit_changed(req);
	regionfs_request_forget(inst, req);
	regionfs_dispatch_unlock(inst);
	if (!shell) {
		regionfs_request_end(req, error);
		return;
	}
	regionfs_stat_add(req->region, REGIONFS_STAT_LATE_COMMITS, 1);
	regionfs_request_put(req);
}

/*
 * Errors that make sense to a program; the helper may say what it likes. Those that ask for another try mean something else to whoever waits within the
 * kernel: past a deadline, not without sleeping, a signal.
 */
static int regionfs_commit_error(s16 error)
{
	if (!error)
		return 0;
	if (error == -EBUSY || error == -EAGAIN || error == -EINTR)
		return -EIO;
	return error < 0 && error > -MAX_ERRNO && error != -REGIONFS_RETRY && error > -512 ? error : -EIO;
}

/*
 * inst->lock held; released. The channel died while the answer was being copied, and its abort left the tag to us: what it would
 * have done.
 */
static void regionfs_commit_dead(struct regionfs_tag *tag) __releases(&tag->chan->inst->lock)
{
	struct regionfs_instance *inst = tag->chan->inst;
	LIST_HEAD(victims);
	LIST_HEAD(parked);

	regionfs_abort_tag(tag, &parked, &victims);	/* SENT or IDLE, so nothing is parked */
	regionfs_dispatch_unlock(inst);
	regionfs_detach_finish(&victims);
	regionfs_request_purge(inst);
}

/* The answer is nowhere. The tag keeps its request, unless the channel died while the copy kept its abort away. */
static int regionfs_commit_fault(struct regionfs_tag *tag)
{
	struct regionfs_instance *inst = tag->chan->inst;

	spin_lock(&inst->lock);
	if (tag->chan->dead) {
		regionfs_commit_dead(tag);
		return -ECANCELED;
	}
	spin_unlock(&inst->lock);
	return -EFAULT;
}

static int regionfs_commit(struct regionfs_tag *tag, u64 addr, u32 cookie, s16 error)
{
	struct regionfs_instance *inst = tag->chan->inst;
	unsigned int tries = 0;
	u64 len;
	int err;

	if (addr && !(tag->chan->features & REGIONFS_F_ANY_ADDR))
		addr = tag->addr;
	for (;;) {
		spin_lock(&inst->lock);
		err = regionfs_commit_check(tag, cookie);
		if (err == -ECANCELED && regionfs_tag_queue(tag)->owner == current) {
			regionfs_commit_dead(tag);
			return err;
		}
		if (err) {
			spin_unlock(&inst->lock);
			return err;
		}
		if (error || tag->req->detached || tag->req->op != REGIONFS_OP_READ)
			break;
		len = tag->req->len;
		if (!regionfs_commit_copy(inst, tag->req, addr))
			break;
		spin_unlock(&inst->lock);
		if (++tries > REGIONFS_COPY_TRIES || fault_in_readable(u64_to_user_ptr(addr), len))
			return regionfs_commit_fault(tag);
	}
	regionfs_commit_end(tag, regionfs_commit_error(error));
	return 0;
}

/* Parks the tag with @cmd; the caller's thread becomes its queue's owner if it has none. @addr is 0 where the buffer stays. */
static int regionfs_fetch_begin(struct regionfs_tag *tag, struct io_uring_cmd *cmd, u64 addr)
{
	struct regionfs_queue *queue = regionfs_tag_queue(tag);
	struct regionfs_instance *inst = tag->chan->inst;
	int err = 0;

	spin_lock(&inst->lock);
	if (!queue->owner)
		queue->owner = get_task_struct(current);
	if (tag->chan->dead)
		err = -ECANCELED;
	else if (queue->owner != current)
		err = -EPERM;
	else if (tag->state != REGIONFS_T_IDLE)
		err = -EBUSY;
	if (!err) {
		tag->state = REGIONFS_T_HANDING;
		tag->cmd = cmd;
		tag->req = NULL;
		if (addr)
			tag->addr = addr;	/* only now: a stranger's is no concern of the tag's */
	}
	spin_unlock(&inst->lock);
	return err;
}

/* A marked command must end in io_uring_cmd_done(). */
static int regionfs_fetch(struct regionfs_tag *tag, struct io_uring_cmd *cmd, u64 addr, unsigned int issue_flags)
{
	int err = regionfs_fetch_begin(tag, cmd, addr);

	if (err)
		return err;
	*regionfs_cmd_tag(cmd) = tag;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	err = regionfs_tag_hand(tag);
	if (err != -EIOCBQUEUED)
		io_uring_cmd_done(cmd, err, 0, issue_flags);
	return -EIOCBQUEUED;
}

/* The ring or the task goes away: end the command if it is parked. If it is HANDING, task work ends it. */
static int regionfs_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct regionfs_tag *tag = *regionfs_cmd_tag(cmd);
	struct regionfs_instance *inst = tag->chan->inst;
	bool parked;

	spin_lock(&inst->lock);
	parked = tag->state == REGIONFS_T_PARKED && tag->cmd == cmd;
	if (parked) {
		list_del_init(&tag->parked);
		tag->state = REGIONFS_T_IDLE;
		tag->cmd = NULL;
	}
	spin_unlock(&inst->lock);
	if (parked)
		io_uring_cmd_done(cmd, -ECANCELED, 0, issue_flags);
	return 0;
}

/* inst->lock held. What was not sent yet must not keep folios locked either. */
static void regionfs_abort_unsent(struct regionfs_instance *inst, struct list_head *victims)
{
	struct regionfs_request *req, *next;

	list_for_each_entry_safe(req, next, &inst->outstanding, in_inst)
		if (req->state == REGIONFS_S_BLOCKED || req->state == REGIONFS_S_QUEUED)
			regionfs_detach_locked(req, victims);
}

static void regionfs_abort_parked(struct list_head *parked)
{
	struct regionfs_tag *tag, *next;
	struct io_uring_cmd *cmd;

	list_for_each_entry_safe(tag, next, parked, parked) {
		list_del_init(&tag->parked);
		cmd = tag->cmd;
		tag->cmd = NULL;
		io_uring_cmd_done(cmd, -ECANCELED, 0, IO_URING_F_UNLOCKED);
	}
}

/* The helper is gone, or going: once. */
void regionfs_channel_abort(struct regionfs_channel *chan)
{
	struct regionfs_instance *inst = smp_load_acquire(&chan->inst);	/* pairs with regionfs_attach_publish() */
	LIST_HEAD(parked);
	LIST_HEAD(victims);
	u32 i;

	if (!inst)
		return;
	spin_lock(&inst->lock);
	if (chan->dead) {
		spin_unlock(&inst->lock);
		return;
	}
	chan->dead = true;
	for (i = 0; i < (u32)chan->nr_queues * chan->depth; i++)
		regionfs_abort_tag(&chan->tags[i], &parked, &victims);
	if (inst->chan == chan) {
		inst->chan = NULL;
		inst->lost_at = jiffies;
		regionfs_abort_unsent(inst, &victims);
	}
	spin_unlock(&inst->lock);
	regionfs_local_drop_all(inst, chan->attach_gen);
	regionfs_abort_parked(&parked);
	regionfs_detach_finish(&victims);
	regionfs_request_purge(inst);
	wake_up_all(&inst->wait);
	regionfs_event(inst, NULL, REGIONFS_EVENT_LOST);
}

static int regionfs_tag_cmd(struct regionfs_channel *chan, struct io_uring_cmd *cmd, unsigned int issue_flags,
			    const struct regionfs_io_cmd *c)
{
	struct regionfs_tag *tag;
	int err;

	if (c->tag >= (u32)chan->nr_queues * chan->depth)
		return -EINVAL;
	tag = &chan->tags[c->tag];
	if (cmd->cmd_op == REGIONFS_IO_FETCH) {
		if (!c->addr || c->cookie || c->error)
			return -EINVAL;
		return regionfs_fetch(tag, cmd, c->addr, issue_flags);
	}
	err = regionfs_commit(tag, c->addr, c->cookie, c->error);
	if (err || cmd->cmd_op == REGIONFS_IO_COMMIT)
		return err;
	return regionfs_fetch(tag, cmd, 0, issue_flags);
}

/* sqe->cmd is shared with user space: each field is read once. */
static void regionfs_read_cmd(struct io_uring_cmd *cmd, struct regionfs_io_cmd *c)
{
	const struct regionfs_io_cmd *from = regionfs_uring_payload(cmd);

	c->addr = READ_ONCE(from->addr);
	c->cookie = READ_ONCE(from->cookie);
	c->error = READ_ONCE(from->error);
	c->tag = READ_ONCE(from->tag);
}

static int regionfs_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct regionfs_channel *chan = cmd->file->private_data;
	struct regionfs_instance *inst;
	struct regionfs_io_cmd c;

	if (REGIONFS_URING_CANCEL && (issue_flags & REGIONFS_URING_CANCEL))
		return regionfs_cancel(cmd, issue_flags);
	if (current->flags & PF_IO_WORKER)
		return -EOPNOTSUPP;
	regionfs_read_cmd(cmd, &c);
	if (cmd->cmd_op == REGIONFS_IO_ATTACH)
		return regionfs_attach(chan, c.addr);
	inst = smp_load_acquire(&chan->inst);	/* pairs with regionfs_attach_publish() */
	if (!inst)
		return -ENOTCONN;
	switch (cmd->cmd_op) {
	case REGIONFS_IO_FETCH:
	case REGIONFS_IO_COMMIT_AND_FETCH:
	case REGIONFS_IO_COMMIT:
		return regionfs_tag_cmd(chan, cmd, issue_flags, &c);
	case REGIONFS_IO_STORE:
	case REGIONFS_IO_TOKEN:
		if (!(chan->features & REGIONFS_F_STORE) || READ_ONCE(chan->dead))
			return -EOPNOTSUPP;
		return cmd->cmd_op == REGIONFS_IO_STORE ? regionfs_store(inst, c.addr, chan->max_request) :
							  regionfs_token(inst, c.addr);
	case REGIONFS_IO_LOCAL:
		return chan->features & REGIONFS_F_LOCAL_STORE ? regionfs_local(chan, c.addr) : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

static int regionfs_device_open(struct inode *inode, struct file *file)
{
	struct regionfs_channel *chan;

	if (!ns_capable(&init_user_ns, CAP_SYS_ADMIN))
		return -EPERM;
	chan = kzalloc(sizeof(*chan), GFP_KERNEL_ACCOUNT);
	if (!chan)
		return -ENOMEM;
	regionfs_attach_init(chan);
	file->private_data = chan;
	return 0;
}

/* current->mm may be gone already: the thread group tells whose close it is. */
static int regionfs_device_flush(struct file *file, fl_owner_t id)
{
	struct regionfs_channel *chan = file->private_data;

	/* pairs with regionfs_attach_publish() */
	if (smp_load_acquire(&chan->inst) && chan->tgid == task_tgid(current))
		regionfs_channel_abort(chan);
	return 0;
}

static int regionfs_device_release(struct inode *inode, struct file *file)
{
	struct regionfs_channel *chan = file->private_data;
	unsigned int i;

	regionfs_channel_abort(chan);
	for (i = 0; i < chan->nr_queues && chan->queues; i++)
		if (chan->queues[i].owner)
			put_task_struct(chan->queues[i].owner);
	regionfs_attach_release(chan);
	kvfree(chan->queues);
	kvfree(chan->tags);
	kfree(chan);
	return 0;
}

static const struct file_operations regionfs_device_fops = {
	.owner		= THIS_MODULE,
	.open		= regionfs_device_open,
	.flush		= regionfs_device_flush,
	.release	= regionfs_device_release,
	.uring_cmd	= regionfs_uring_cmd,
};

static struct miscdevice regionfs_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "regionfs",
	.fops	= &regionfs_device_fops,
	.mode	= 0600,
};

int __init regionfs_channel_init(void)
{
	return misc_register(&regionfs_device);
}

void regionfs_channel_exit(void)
{
	misc_deregister(&regionfs_device);
}

/* The pid of the attached helper as the caller's namespace sees it, 0 when there is none. */
u32 regionfs_channel_pid(struct regionfs_instance *inst, u32 *gen)
{
	u32 pid = 0;

	*gen = 0;
	spin_lock(&inst->lock);
	if (inst->chan) {
		pid = pid_vnr(inst->chan->tgid);
		*gen = inst->chan->attach_gen;
	}
	spin_unlock(&inst->lock);
	return pid;
}

/*
 * Is the caller of the attached helper's thread group? Under inst->lock, which ends an attach too: never of one that is dead. The channel counts the
 * struct pid, so its number may come again, but not the struct; and a child that was forked has another one.
 */
bool regionfs_channel_is_caller(struct regionfs_instance *inst)
{
	bool yes;

	spin_lock(&inst->lock);
	yes = inst->chan && inst->chan->tgid == task_tgid(current);
	spin_unlock(&inst->lock);
	return yes;
}

// SPDX-License-Identifier: GPL-2.0
/* ATTACH: an open /dev/regionfs becomes one helper's side of an instance. */
#include <linux/nsproxy.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "channel.h"

static bool regionfs_attach_ended(struct pid *tgid)
{
	struct task_struct *leader;
	bool ended;

	rcu_read_lock();
	leader = pid_task(tgid, PIDTYPE_TGID);
	ended = !leader || (READ_ONCE(leader->exit_state) && thread_group_empty(leader));
	rcu_read_unlock();
	return ended;
}

/* Abort puts no file itself: a kernel thread leaves that to a work of others. So regionfs_attach_release(), which waits for this, is never called by it. */
static void regionfs_attach_work(struct work_struct *work)
{
	struct regionfs_channel *chan = container_of(work, struct regionfs_channel, ended);

	if (regionfs_attach_ended(chan->tgid))
		regionfs_channel_abort(chan);
}

/* With interrupts off, and locks held that are below ours. Threads may come here, too, that are not the last one. */
static int regionfs_attach_wake(wait_queue_entry_t *wait, unsigned int mode, int flags, void *key)
{
	queue_work(regionfs_wq, &container_of(wait, struct regionfs_channel, tgid_wait)->ended);
	return 0;
}

/*
 * The helper's end is noticed by the close of its descriptors, but for one that has none: what it attached by is registered with its ring, or belongs
 * to a table of descriptors that another process shares. Before 6.7 nothing would end its parked commands then, which hold the file.
 */
void regionfs_attach_init(struct regionfs_channel *chan)
{
	mutex_init(&chan->attach_lock);
	init_waitqueue_func_entry(&chan->tgid_wait, regionfs_attach_wake);
	INIT_WORK(&chan->ended, regionfs_attach_work);
}

/* The file is gone. */
void regionfs_attach_release(struct regionfs_channel *chan)
{
	if (!chan->inst)
		return;
	remove_wait_queue(&chan->tgid->wait_pidfd, &chan->tgid_wait);
	cancel_work_sync(&chan->ended);
	put_pid(chan->tgid);
	regionfs_instance_put(chan->inst);
}

static int regionfs_attach_check(const struct regionfs_attach *a)
{
	if (a->size != sizeof(*a) || a->abi != REGIONFS_ABI)
		return -EPROTO;
	if (a->flags & ~REGIONFS_ATTACH_CREATE)
		return -EOPNOTSUPP;
	if (memchr_inv(a->reserved, 0, sizeof(a->reserved)) || a->name[sizeof(a->name) - 1] || !a->name[0])
		return -EINVAL;
	if (!a->nr_queues || a->nr_queues > REGIONFS_QUEUES_MAX || !a->depth || a->depth > REGIONFS_DEPTH_MAX)
		return -EINVAL;
	if (!a->desc_addr || a->desc_addr % sizeof(struct regionfs_io_desc))
		return -EINVAL;
	if (a->max_request && (a->max_request < REGIONFS_REQUEST_MIN || a->max_request > REGIONFS_REQUEST_MAX ||
			       !is_power_of_2(a->max_request)))
		return -EINVAL;
	return 0;
}

/* -ENOMEM: one of both may be there. */
static int regionfs_attach_tags(struct regionfs_channel *chan, const struct regionfs_attach *a)
{
	u32 i, nr = (u32)a->nr_queues * a->depth;

	chan->queues = kvcalloc(a->nr_queues, sizeof(*chan->queues), GFP_KERNEL_ACCOUNT);
	chan->tags = kvcalloc(nr, sizeof(*chan->tags), GFP_KERNEL_ACCOUNT);
	if (!chan->queues || !chan->tags)
		return -ENOMEM;
	for (i = 0; i < a->nr_queues; i++)
		INIT_LIST_HEAD(&chan->queues[i].parked);
	for (i = 0; i < nr; i++) {
		chan->tags[i].chan = chan;
		chan->tags[i].index = i;
		INIT_LIST_HEAD(&chan->tags[i].parked);
	}
	chan->nr_queues = a->nr_queues;
	chan->depth = a->depth;
	chan->desc_addr = a->desc_addr;
	chan->max_request = a->max_request ?: REGIONFS_REQUEST_DEFAULT;
	chan->features = (a->features & (REGIONFS_F_ANY_ADDR | REGIONFS_F_STORE | REGIONFS_F_LOCAL_STORE | REGIONFS_F_LOCAL_MAP)) | REGIONFS_F_RECOVER;
	return 0;
}

static int regionfs_attach_publish(struct regionfs_channel *chan, struct regionfs_instance *inst)
{
	int err = 0;

	chan->tgid = get_pid(task_tgid(current));
	spin_lock(&inst->lock);
	if (inst->chan || inst->dying || inst->gone) {
		err = -EBUSY;
	} else {
		chan->attach_gen = ++inst->attach_gen;
		inst->slow = 0;
		inst->max_request = chan->max_request;
		inst->chan = chan;
		smp_store_release(&chan->inst, inst);	/* after all that the commands read */
	}
	spin_unlock(&inst->lock);
	if (err) {
		put_pid(chan->tgid);
		return err;
	}
	add_wait_queue(&chan->tgid->wait_pidfd, &chan->tgid_wait);	/* it is current's, and lives */
	wake_up_all(&inst->wait);
	regionfs_event(inst, NULL, REGIONFS_EVENT_ATTACHED);
	queue_work(regionfs_wq, &inst->kick);
	return 0;
}

static int regionfs_attach_do(struct regionfs_channel *chan, struct regionfs_attach *a)
{
	struct regionfs_instance *inst;
	int err;

	inst = regionfs_instance_open(current->nsproxy->net_ns, a->name, a->flags & REGIONFS_ATTACH_CREATE, false);
	if (IS_ERR(inst))
		return PTR_ERR(inst);
	err = regionfs_attach_tags(chan, a) ?: regionfs_attach_publish(chan, inst);
	if (err)
		goto free;
	a->features = chan->features;
	a->max_request = chan->max_request;
	a->attach_gen = chan->attach_gen;
	a->instance_id = inst->id;
	return 0;
free:
	kvfree(chan->queues);
	kvfree(chan->tags);
	chan->queues = NULL;
	chan->tags = NULL;
	regionfs_instance_put(inst);
	return err;
}

/* Binds an open device to an instance, once. See the contract for errors. */
int regionfs_attach(struct regionfs_channel *chan, u64 addr)
{
	struct regionfs_attach a;
	int err;

	if (copy_from_user(&a, u64_to_user_ptr(addr), sizeof(a)))
		return -EFAULT;
	err = regionfs_attach_check(&a);
	if (err)
		return err;
	mutex_lock(&chan->attach_lock);
	err = chan->inst ? -EISCONN : regionfs_attach_do(chan, &a);
	mutex_unlock(&chan->attach_lock);
	if (!err && copy_to_user(u64_to_user_ptr(addr), &a, sizeof(a)))
		return -EFAULT;
	return err;
}

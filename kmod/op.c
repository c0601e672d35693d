// SPDX-License-Identifier: GPL-2.0
/*
 * Long netlink commands: freeze, lock, invalidate, write back, moved, stop. Each is a work of its own with a deadline; its end is told to the
 * caller, if that still listens, in a DONE message with the request's sequence number. So none of them holds the
 * netlink locks of others while it waits.
 */
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "netlink.h"

struct regionfs_long_op {
	struct work_struct work;
	struct regionfs_instance *inst;	/* counted */
	struct regionfs_region *region;	/* counted, or NULL */
	struct net *net;		/* counted */
	u32 portid, seq;
	u8 cmd;
	bool discard, force, sync, helper_calls;
	u64 offset, length, epoch;
	unsigned long deadline;		/* jiffies */

	u64 count, first;		/* what it gives */
	const char *why;
};

static loff_t regionfs_op_end_offset(const struct regionfs_long_op *op)
{
	return op->length && op->length < LLONG_MAX - op->offset ? op->offset + op->length : LLONG_MAX;
}

static int regionfs_op_writeback(struct regionfs_long_op *op)
{
	loff_t end = regionfs_op_end_offset(op);

	if (op->sync)
		return regionfs_sync(op->region, op->deadline);
	return regionfs_write_out(op->region, op->offset, end == LLONG_MAX ? end : end - 1, op->deadline);
}

static int regionfs_op_run(struct regionfs_long_op *op)
{
	switch (op->cmd) {
	case REGIONFS_CMD_FREEZE:
		return regionfs_region_freeze(op->region, op->deadline, op->force, &op->count, &op->first);
	case REGIONFS_CMD_LOCK:
		return regionfs_region_lock(op->region, op->deadline);
	case REGIONFS_CMD_INVALIDATE:
		return regionfs_invalidate_written(op->region, op->offset, regionfs_op_end_offset(op), op->discard, op->deadline);
	case REGIONFS_CMD_WRITEBACK:
		return regionfs_op_writeback(op);
	case REGIONFS_CMD_MOVED:
		return regionfs_region_moved(op->region, op->epoch, &op->count);
	case REGIONFS_CMD_INSTANCE_STOP:
		return regionfs_instance_stop(op->inst, op->helper_calls, op->discard, op->deadline, &op->count, &op->why);
	default:
		return -EOPNOTSUPP;
	}
}

static const char *regionfs_op_why(const struct regionfs_long_op *op, int err)
{
	if (op->why)
		return op->why;
	if (err == -EBUSY && op->cmd == REGIONFS_CMD_FREEZE && op->count)
		return "pages are pinned by a device or a direct I/O";
	switch (err) {
	case -EBUSY:
		return "it was not done within the deadline";
	case -ECANCELED:
		return "it was undone before it was done";
	case -ENODEV:
		return "the instance is ending";
	case -ENOENT:
		return "the region is gone";
	case -EINVAL:
		return "the range is empty, or not within a file";
	default:
		return "bytes could not be written";
	}
}

static int regionfs_op_fill(struct regionfs_long_op *op, struct sk_buff *skb, int err)
{
	void *head = genlmsg_put(skb, op->portid, op->seq, &regionfs_family, 0, REGIONFS_CMD_DONE);

	if (!head || nla_put_s32(skb, REGIONFS_A_ERROR, err) ||
	    (err && nla_put_string(skb, REGIONFS_A_MESSAGE, regionfs_op_why(op, err))) ||
	    nla_put_u64_64bit(skb, REGIONFS_A_COUNT, op->count, REGIONFS_A_PAD) ||
	    nla_put_u64_64bit(skb, REGIONFS_A_OFFSET, op->first, REGIONFS_A_PAD))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

static void regionfs_op_reply(struct regionfs_long_op *op, int err)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL | __GFP_NOFAIL);

	if (regionfs_op_fill(op, skb, err))
		nlmsg_free(skb);
	else
		genlmsg_unicast(op->net, skb, op->portid);
}

static void regionfs_op_free(struct regionfs_long_op *op)
{
	if (op->region)
		regionfs_region_put(op->region);
	regionfs_instance_put(op->inst);
	put_net(op->net);
	kfree(op);
}

static void regionfs_op_work(struct work_struct *work)
{
	struct regionfs_long_op *op = container_of(work, struct regionfs_long_op, work);

	regionfs_op_reply(op, regionfs_op_run(op));
	regionfs_op_free(op);
}

static void regionfs_op_init(struct regionfs_long_op *op, struct regionfs_nl *nl)
{
	struct nlattr **a = nl->info->attrs;
	u32 ms = a[REGIONFS_A_DEADLINE] ? nla_get_u32(a[REGIONFS_A_DEADLINE]) : REGIONFS_DEADLINE_MS;

	INIT_WORK(&op->work, regionfs_op_work);
	op->inst = regionfs_instance_get(nl->inst);
	op->region = nl->region ? regionfs_region_get(nl->region) : NULL;
	op->net = get_net(genl_info_net(nl->info));
	op->portid = nl->info->snd_portid;
	op->seq = nl->info->snd_seq;
	op->cmd = nl->info->genlhdr->cmd;
	op->discard = nla_get_flag(a[REGIONFS_A_DISCARD]);
	op->force = nla_get_flag(a[REGIONFS_A_FORCE]);
	op->sync = nla_get_flag(a[REGIONFS_A_SYNC]);
	op->offset = a[REGIONFS_A_OFFSET] ? nla_get_u64(a[REGIONFS_A_OFFSET]) : 0;
	op->epoch = a[REGIONFS_A_EPOCH] ? nla_get_u64(a[REGIONFS_A_EPOCH]) : 0;
	op->length = a[REGIONFS_A_LENGTH] ? nla_get_u64(a[REGIONFS_A_LENGTH]) : 0;
	op->deadline = regionfs_deadline(msecs_to_jiffies(ms));
	op->helper_calls = regionfs_channel_is_caller(nl->inst);
}

int regionfs_nl_op(struct sk_buff *skb, struct genl_info *info)
{
	bool stop = info->genlhdr->cmd == REGIONFS_CMD_INSTANCE_STOP;
	struct regionfs_long_op *op;
	struct regionfs_nl nl;
	int err = regionfs_nl_begin(&nl, skb, info, stop ? REGIONFS_NL_INSTANCE : REGIONFS_NL_REGION);

	if (err)
		return err;
	if (info->attrs[REGIONFS_A_OFFSET] && nla_get_u64(info->attrs[REGIONFS_A_OFFSET]) >= LLONG_MAX) {
		err = regionfs_nl_refuse(info, -EINVAL, "the offset does not lie within a file");
		goto end;
	}
	op = kzalloc(sizeof(*op), GFP_KERNEL);
	if (!op) {
		err = -ENOMEM;
		goto end;
	}
	regionfs_op_init(op, &nl);
	if (op->cmd == REGIONFS_CMD_MOVED && regionfs_region_moved_begin(op->region, op->epoch)) {
		err = regionfs_nl_refuse(info, -EINVAL, "the epoch must be newer than the region's");
		regionfs_op_free(op);
		goto end;
	}
	queue_work(regionfs_op_wq, &op->work);
end:
	regionfs_nl_end(&nl);
	return err;
}

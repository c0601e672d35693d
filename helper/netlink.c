// SPDX-License-Identifier: GPL-2.0
/*
 * netlink: calls to the regionfs family and its events. The only user of libnl.
 *
 * Calls and events have a socket each, so that a flood of events never costs an answer.
 */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"

#define CALLS_MAX	64		/* sent and not answered; the rest waits here */
#define RECEIVE_BUFFER	(4 << 20)
#define READS_PER_TURN	64

struct netlink {
	struct loop *loop;
	char *instance;
	struct nl_sock *calls;
	struct nl_sock *events;
	struct loop_op calls_ready;
	struct loop_op events_ready;
	int family;
	uint32_t seq;
	unsigned int nr_sent;
	struct list sent;
	struct list waiting;
	struct loop_task failed;	/* calls that could not be sent end from the loop */
	struct list broken;
	bool failing;
	bool closed;
	void (*event)(void *arg, const struct netlink_attrs *attrs);
	void (*gap)(void *arg);
	void *arg;
};

/* ---- attributes ---- */

enum kind { U32, U64, STRING };

static const struct field {
	uint16_t attr;
	uint8_t kind;
	uint16_t offset;
} fields[] = {
#define FIELD(attr, kind, name) { REGIONFS_A_##attr, kind, offsetof(struct netlink_attrs, name) }
	FIELD(INSTANCE, STRING, instance),
	FIELD(INSTANCE_ID, U64, instance_id),
	FIELD(REGION, U64, region),
	FIELD(PATH, STRING, path),
	FIELD(SOURCE, STRING, source),
	FIELD(SIZE, U64, size),
	FIELD(MODE, U32, mode),
	FIELD(UID, U32, uid),
	FIELD(GID, U32, gid),
	FIELD(EPOCH, U64, epoch),
	FIELD(LINEAGE, U64, lineage),
	FIELD(FLAGS, U32, flags),
	FIELD(FLAGS_MASK, U32, flags_mask),
	FIELD(TIMEOUT, U32, timeout),
	FIELD(TAKEBACK, U32, takeback),
	FIELD(DIRTY_RATIO, U32, dirty_ratio),
	FIELD(OFFSET, U64, offset),
	FIELD(LENGTH, U64, length),
	FIELD(DEADLINE, U32, deadline),
	FIELD(EVENT, U32, event),
	FIELD(ERROR, U32, error),
	FIELD(MESSAGE, STRING, message),
	FIELD(COUNT, U64, count),
	FIELD(ATTACHED, U32, attached),
	FIELD(PID, U32, pid),
	FIELD(OPENS, U32, opens),
	FIELD(WRITERS, U32, writers),
	FIELD(GENERATION, U32, generation),
	FIELD(MOUNTS, U32, mounts),
	FIELD(REGIONS, U64, regions),
	FIELD(NLINK, U32, nlink),
	FIELD(MTIME, U64, mtime),
	FIELD(WRITE_RATE, U64, write_rate),
#undef FIELD
};

#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const uint16_t flag_attrs[] = { REGIONFS_A_DISCARD, REGIONFS_A_FORCE, REGIONFS_A_SYNC };

static int put_field(struct nl_msg *msg, const struct field *field, const struct netlink_attrs *attrs)
{
	const char *at = (const char *)attrs + field->offset;

	switch (field->kind) {
	case U32:
		return nla_put_u32(msg, field->attr, *(const uint32_t *)at);
	case U64:
		return nla_put_u64(msg, field->attr, *(const uint64_t *)at);
	default:
		return nla_put_string(msg, field->attr, *(const char *const *)at);
	}
}

static int put_attrs(struct nl_msg *msg, const struct netlink_attrs *attrs)
{
	int err = 0;

	for (size_t i = 0; i < NR_FIELDS && !err; i++)
		if (attrs->have & NETLINK_BIT(fields[i].attr))
			err = put_field(msg, &fields[i], attrs);
	for (size_t i = 0; i < sizeof(flag_attrs) / sizeof(flag_attrs[0]) && !err; i++)
		if (attrs->have & NETLINK_BIT(flag_attrs[i]))
			err = nla_put_flag(msg, flag_attrs[i]);
	if (!err && (attrs->have & NETLINK_BIT(REGIONFS_A_RANGES)))
		err = nla_put(msg, REGIONFS_A_RANGES, (int)(attrs->nr_ranges * sizeof(*attrs->ranges)), attrs->ranges);
	return err;
}

static bool get_field(const struct field *field, struct nlattr *nla, struct netlink_attrs *attrs)
{
	char *at = (char *)attrs + field->offset;
	int len = nla_len(nla);

	if (field->kind == U32 && len == 4)
		*(uint32_t *)at = nla_get_u32(nla);
	else if (field->kind == U64 && len == 8)
		*(uint64_t *)at = nla_get_u64(nla);
	else if (field->kind == STRING && len > 0 && !((char *)nla_data(nla))[len - 1])
		*(char **)at = nla_get_string(nla);
	else
		return false;
	return true;
}

static void get_stats(struct nlattr *nest, struct netlink_attrs *attrs)
{
	struct nlattr *nla;
	int left;

	nla_for_each_nested(nla, nest, left)
		if (nla_type(nla) <= REGIONFS_STAT_MAX && nla_len(nla) == 8)
			attrs->stats[nla_type(nla)] = nla_get_u64(nla);
}

/* A kernel that counts in more buckets than are known here: the last has all above. */
static void get_waits(struct nlattr *nla, struct netlink_attrs *attrs)
{
	size_t n = (size_t)nla_len(nla) / sizeof(uint64_t), last = REGIONFS_WAITS_BUCKETS - 1;
	uint64_t value;

	for (size_t i = 0; i < n; i++) {
		memcpy(&value, (const char *)nla_data(nla) + i * sizeof(value), sizeof(value));
		attrs->waits[i < last ? i : last] += value;
	}
}

static void get_attrs(struct nlmsghdr *header, struct netlink_attrs *attrs)
{
	struct nlattr *table[REGIONFS_A_MAX + 1];

	memset(attrs, 0, sizeof(*attrs));
	if (genlmsg_parse(header, 0, table, REGIONFS_A_MAX, NULL))
		return;
	for (size_t i = 0; i < NR_FIELDS; i++)
		if (table[fields[i].attr] && get_field(&fields[i], table[fields[i].attr], attrs))
			attrs->have |= NETLINK_BIT(fields[i].attr);
	for (size_t i = 0; i < sizeof(flag_attrs) / sizeof(flag_attrs[0]); i++)
		if (table[flag_attrs[i]])
			attrs->have |= NETLINK_BIT(flag_attrs[i]);
	if (table[REGIONFS_A_STATS]) {
		attrs->have |= NETLINK_BIT(REGIONFS_A_STATS);
		get_stats(table[REGIONFS_A_STATS], attrs);
	}
	if (table[REGIONFS_A_WAITS]) {
		attrs->have |= NETLINK_BIT(REGIONFS_A_WAITS);
		get_waits(table[REGIONFS_A_WAITS], attrs);
	}
}

/* ---- calls ---- */

static bool is_long(uint8_t cmd)
{
	switch (cmd) {
	case REGIONFS_CMD_INSTANCE_STOP:
	case REGIONFS_CMD_FREEZE:
	case REGIONFS_CMD_LOCK:
	case REGIONFS_CMD_INVALIDATE:
	case REGIONFS_CMD_WRITEBACK:
	case REGIONFS_CMD_MOVED:
		return true;
	default:
		return false;
	}
}

static struct nl_msg *call_message(struct netlink *nl, struct netlink_call *call)
{
	struct nl_msg *msg = nlmsg_alloc_size(16384 + call->attrs.nr_ranges * sizeof(struct regionfs_range));
	int flags = NLM_F_REQUEST | (call->dump ? NLM_F_DUMP : NLM_F_ACK);

	if (!msg)
		return NULL;
	if (!genlmsg_put(msg, NL_AUTO_PORT, call->seq, nl->family, 0, flags, call->cmd, REGIONFS_GENL_VERSION))
		goto fail;
	if (!netlink_has(&call->attrs, INSTANCE) && nl->instance &&
	    nla_put_string(msg, REGIONFS_A_INSTANCE, nl->instance))
		goto fail;
	if (!put_attrs(msg, &call->attrs))
		return msg;
fail:
	nlmsg_free(msg);
	return NULL;
}

static void start_calls(struct netlink *nl);

static void end_call(struct netlink *nl, struct netlink_call *call)
{
	list_del(&call->list);
	if (!call->answered)
		nl->nr_sent--;
	call->done(call, call->error, call->why);
	start_calls(nl);
}

static void fail_calls(struct loop_task *task)
{
	struct netlink *nl = container_of(task, struct netlink, failed);
	struct list *entry;

	nl->failing = false;
	while ((entry = list_pop(&nl->broken))) {
		struct netlink_call *call = list_entry(entry, struct netlink_call, list);

		call->done(call, call->error, call->why);
	}
}

/* It could not be sent: ends from the loop, as all do. */
static void break_call(struct netlink *nl, struct netlink_call *call, int error)
{
	call->error = error;
	snprintf(call->why, sizeof(call->why), "the message to the kernel could not be sent: %s", strerror(-error));
	list_add(&nl->broken, &call->list);
	if (nl->failing)
		return;
	nl->failing = true;
	nl->failed.run = fail_calls;
	loop_post(nl->loop, &nl->failed);
}

static void send_call(struct netlink *nl, struct netlink_call *call)
{
	struct nl_msg *msg;
	int err = -ENOMEM;

	call->seq = ++nl->seq ? nl->seq : ++nl->seq;
	call->asked_ns = loop_now_ns();
	call->error = 0;
	call->answered = false;
	call->long_running = is_long(call->cmd);
	call->why[0] = '\0';
	msg = call_message(nl, call);
	if (msg) {
		err = nl_send(nl->calls, msg);
		nlmsg_free(msg);
	}
	if (err < 0) {
		break_call(nl, call, err == -ENOMEM ? -ENOMEM : -EIO);
		return;
	}
	list_add(&nl->sent, &call->list);
	nl->nr_sent++;
}

static void start_calls(struct netlink *nl)
{
	while (nl->nr_sent < CALLS_MAX && !nl->closed && !list_empty(&nl->waiting))
		send_call(nl, list_entry(list_pop(&nl->waiting), struct netlink_call, list));
}

void netlink_call(struct netlink *nl, struct netlink_call *call)
{
	list_add(&nl->waiting, &call->list);
	start_calls(nl);
}

/* ---- what comes back ---- */

static struct netlink_call *find_call(struct netlink *nl, uint32_t seq)
{
	struct list *entry;

	list_for_each(entry, &nl->sent) {
		struct netlink_call *call = list_entry(entry, struct netlink_call, list);

		if (call->seq == seq)
			return call;
	}
	return NULL;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct netlink_call *call = find_call(arg, header->nlmsg_seq);
	struct netlink_attrs attrs;

	if (!call || !genlmsg_valid_hdr(header, 0))
		return NL_OK;
	get_attrs(header, &attrs);
	attrs.asked_ns = call->asked_ns;
	if (call->item)
		call->item(call, &attrs);
	if (genlmsg_hdr(header)->cmd != REGIONFS_CMD_DONE)
		return NL_OK;
	call->error = attrs.error;
	snprintf(call->why, sizeof(call->why), "%s", attrs.message ? attrs.message : "");
	end_call(arg, call);
	return NL_OK;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct netlink *nl = arg;
	struct netlink_call *call = find_call(nl, nlmsg_hdr(msg)->nlmsg_seq);

	if (call && !call->long_running) {
		end_call(arg, call);
	} else if (call && !call->answered) {
		/* it has only started, and others need not wait for its end */
		call->answered = true;
		nl->nr_sent--;
		start_calls(nl);
	}
	return NL_OK;
}

/* The sentence that follows the error in an acknowledgement. */
static void get_sentence(struct netlink_call *call, struct nlmsghdr *header, size_t skip)
{
	struct nlattr *table[NLMSGERR_ATTR_MAX + 1];
	const char *text;

	if (header->nlmsg_len < NLMSG_HDRLEN + skip ||
	    nla_parse(table, NLMSGERR_ATTR_MAX, (struct nlattr *)((char *)header + NLMSG_HDRLEN + NLMSG_ALIGN(skip)),
		      (int)(header->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(skip)), NULL) ||
	    !table[NLMSGERR_ATTR_MSG])
		return;
	text = nla_data(table[NLMSGERR_ATTR_MSG]);
	snprintf(call->why, sizeof(call->why), "%.*s", (int)strnlen(text, (size_t)nla_len(table[NLMSGERR_ATTR_MSG])), text);
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct netlink_call *call = find_call(arg, header->nlmsg_seq);

	if (!call)
		return NL_OK;
	if (header->nlmsg_len >= NLMSG_HDRLEN + sizeof(int))
		call->error = *(int *)nlmsg_data(header);
	if (call->error && (header->nlmsg_flags & NLM_F_ACK_TLVS))
		get_sentence(call, header, sizeof(int));
	end_call(arg, call);
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *arg)
{
	struct nlmsghdr *header = (struct nlmsghdr *)((char *)error - NLMSG_HDRLEN);
	struct netlink_call *call = find_call(arg, error->msg.nlmsg_seq);
	size_t skip = sizeof(*error);

	(void)from;
	if (!call)
		return NL_SKIP;
	call->error = error->error;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		skip += error->msg.nlmsg_len - NLMSG_HDRLEN;
	if (header->nlmsg_flags & NLM_F_ACK_TLVS)
		get_sentence(call, header, skip);
	end_call(arg, call);
	return NL_SKIP;
}

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct netlink *nl = arg;
	struct netlink_attrs attrs;

	if (!genlmsg_valid_hdr(header, 0) || genlmsg_hdr(header)->cmd != REGIONFS_CMD_EVENT)
		return NL_OK;
	get_attrs(header, &attrs);
	if (nl->event)
		nl->event(nl->arg, &attrs);
	return NL_OK;
}

/* Answers were lost: nobody can tell whose. */
static void lost_answers(struct netlink *nl)
{
	struct list lost;

	list_init(&lost);
	list_splice(&lost, &nl->sent);
	while (!list_empty(&lost)) {
		struct netlink_call *call = list_entry(lost.next, struct netlink_call, list);

		call->error = -ENOBUFS;
		snprintf(call->why, sizeof(call->why), "the kernel's answer was lost, since its queue was full");
		end_call(nl, call);
	}
}

/* true: there may be more */
static bool receive(struct nl_sock *sock)
{
	int err = 0;

	for (int i = 0; i < READS_PER_TURN && err >= 0; i++)
		err = nl_recvmsgs_default(sock);
	return err == -NLE_NOMEM;
}

static void calls_ready(struct loop_op *op, int res)
{
	struct netlink *nl = container_of(op, struct netlink, calls_ready);

	if (res == -ECANCELED || nl->closed)
		return;
	if (receive(nl->calls))
		lost_answers(nl);
	loop_poll(nl->loop, op, nl_socket_get_fd(nl->calls), POLLIN);
}

static void events_ready(struct loop_op *op, int res)
{
	struct netlink *nl = container_of(op, struct netlink, events_ready);

	if (res == -ECANCELED || nl->closed)
		return;
	if (receive(nl->events) && nl->gap)
		nl->gap(nl->arg);
	loop_poll(nl->loop, op, nl_socket_get_fd(nl->events), POLLIN);
}

/* ---- life ---- */

static int to_errno(int nle)
{
	switch (-nle) {
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int open_socket(struct nl_sock **out)
{
	struct nl_sock *sock = nl_socket_alloc();
	int err, one = 1;

	*out = sock;
	if (!sock)
		return -ENOMEM;
	err = genl_connect(sock);
	if (err)
		return to_errno(err);
	nl_socket_disable_seq_check(sock);
	nl_socket_set_nonblocking(sock);
	nl_socket_set_msg_buf_size(sock, 65536);
	setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUFFORCE, &(int){ RECEIVE_BUFFER }, sizeof(int));
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

/* By a socket of its own that may block: the answer is there at once. */
static int resolve(struct netlink *nl)
{
	struct nl_sock *sock = nl_socket_alloc();
	int err, group = 0;

	if (!sock)
		return -ENOMEM;
	err = genl_connect(sock);
	if (!err)
		err = nl->family = genl_ctrl_resolve(sock, REGIONFS_GENL_NAME);
	if (err >= 0)
		err = group = genl_ctrl_resolve_grp(sock, REGIONFS_GENL_NAME, REGIONFS_GENL_MCGRP_EVENTS);
	nl_socket_free(sock);
	if (err < 0)
		return to_errno(err);
	err = nl_socket_add_membership(nl->events, group);
	return err ? to_errno(err) : 0;
}

static void listen_calls(struct netlink *nl)
{
	nl_socket_modify_cb(nl->calls, NL_CB_VALID, NL_CB_CUSTOM, on_message, nl);
	nl_socket_modify_cb(nl->calls, NL_CB_ACK, NL_CB_CUSTOM, on_ack, nl);
	nl_socket_modify_cb(nl->calls, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, nl);
	nl_socket_modify_err_cb(nl->calls, NL_CB_CUSTOM, on_error, nl);
	nl_socket_modify_cb(nl->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, nl);
	nl->calls_ready.done = calls_ready;
	nl->events_ready.done = events_ready;
	loop_poll(nl->loop, &nl->calls_ready, nl_socket_get_fd(nl->calls), POLLIN);
	loop_poll(nl->loop, &nl->events_ready, nl_socket_get_fd(nl->events), POLLIN);
}

static void netlink_free(struct netlink *nl)
{
	if (nl->calls)
		nl_socket_free(nl->calls);
	if (nl->events)
		nl_socket_free(nl->events);
	free(nl->instance);
	free(nl);
}

int netlink_open(struct netlink **out, struct loop *loop, const char *instance,
		 void (*event)(void *arg, const struct netlink_attrs *attrs), void (*gap)(void *arg), void *arg)
{
	struct netlink *nl = calloc(1, sizeof(*nl));
	int err;

	if (!nl)
		return -ENOMEM;
	nl->loop = loop;
	nl->event = event;
	nl->gap = gap;
	nl->arg = arg;
	list_init(&nl->sent);
	list_init(&nl->waiting);
	list_init(&nl->broken);
	nl->instance = instance ? strdup(instance) : NULL;
	err = instance && !nl->instance ? -ENOMEM : open_socket(&nl->calls);
	if (!err)
		err = open_socket(&nl->events);
	if (!err)
		err = resolve(nl);
	if (err) {
		netlink_free(nl);
		return err;
	}
	listen_calls(nl);
	*out = nl;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	struct list all;

	nl->closed = true;
	list_init(&all);
	list_splice(&all, &nl->sent);
	list_splice(&all, &nl->waiting);
	list_splice(&all, &nl->broken);
	while (!list_empty(&all)) {
		struct netlink_call *call = list_entry(list_pop(&all), struct netlink_call, list);

		call->done(call, -ECANCELED, "regiond is stopping");
	}
	netlink_free(nl);
}

const char *netlink_event_name(uint32_t event)
{
	static const char *const names[] = {
		[REGIONFS_EVENT_CREATED] = "created",
		[REGIONFS_EVENT_RESIZED] = "resized",
		[REGIONFS_EVENT_CHANGED] = "changed",
		[REGIONFS_EVENT_RENAMED] = "renamed",
		[REGIONFS_EVENT_UNLINKED] = "unlinked",
		[REGIONFS_EVENT_OPENED] = "opened",
		[REGIONFS_EVENT_CLOSED] = "closed",
		[REGIONFS_EVENT_FROZEN] = "frozen",
		[REGIONFS_EVENT_THAWED] = "thawed",
		[REGIONFS_EVENT_LOCKED] = "locked",
		[REGIONFS_EVENT_UNLOCKED] = "unlocked",
		[REGIONFS_EVENT_MOVED] = "moved",
		[REGIONFS_EVENT_LATE_DIRTY] = "late-dirty",
		[REGIONFS_EVENT_ATTACHED] = "attached",
		[REGIONFS_EVENT_LOST] = "lost",
		[REGIONFS_EVENT_INSTANCE_NEW] = "instance-new",
		[REGIONFS_EVENT_INSTANCE_GONE] = "instance-gone",
		[REGIONFS_EVENT_WRITERS] = "writers",
	};

	return event < sizeof(names) / sizeof(names[0]) ? names[event] : NULL;
}

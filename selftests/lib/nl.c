// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/genetlink.h>

#include "nl.h"
#include "proc.h"

#define NL_ANSWER_MS	60000

static void *nlq_data(struct nlq *q)
{
	return q->buf + NLMSG_HDRLEN;
}

static void nlq_header(struct nlq *q, struct nl *nl, uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *h = (void *)q->buf;
	struct genlmsghdr *g = nlq_data(q);

	memset(q->buf, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = ++nl->seq;
	g->cmd = cmd;
	g->version = REGIONFS_GENL_VERSION;
	q->len = NLMSG_HDRLEN + GENL_HDRLEN;
}

void nlq_start(struct nlq *q, struct nl *nl, uint8_t cmd, uint16_t flags)
{
	nlq_header(q, nl, nl->family, cmd, flags);
}

void nlq_bin(struct nlq *q, uint16_t attr, const void *data, uint32_t len)
{
	struct nlattr *a = (void *)(q->buf + q->len);

	if (q->len + NLA_HDRLEN + NLA_ALIGN(len) > sizeof(q->buf))
		return;
	a->nla_type = attr;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	memset((char *)a + a->nla_len, 0, NLA_ALIGN(a->nla_len) - a->nla_len);
	q->len += NLA_ALIGN(a->nla_len);
}

void nlq_str(struct nlq *q, uint16_t attr, const char *s)
{
	nlq_bin(q, attr, s, strlen(s) + 1);
}

void nlq_u32(struct nlq *q, uint16_t attr, uint32_t v)
{
	nlq_bin(q, attr, &v, sizeof(v));
}

void nlq_u64(struct nlq *q, uint16_t attr, uint64_t v)
{
	nlq_bin(q, attr, &v, sizeof(v));
}

void nlq_flag(struct nlq *q, uint16_t attr)
{
	nlq_bin(q, attr, NULL, 0);
}

static void nl_parse(struct nlattr **table, int max, void *data, int len)
{
	struct nlattr *a = data;

	memset(table, 0, sizeof(*table) * (max + 1));
	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		int type = a->nla_type & NLA_TYPE_MASK;
		int step = NLA_ALIGN(a->nla_len);

		if (type <= max)
			table[type] = a;
		len -= step;
		a = (void *)((char *)a + step);
	}
}

static void *nla_at(const struct nlattr *a)
{
	return (char *)a + NLA_HDRLEN;
}

static void nlr_take(struct nlr *r, const struct nlmsghdr *h)
{
	uint32_t len = h->nlmsg_len;
	struct genlmsghdr *g = (void *)(r->buf + NLMSG_HDRLEN);

	memset(r->a, 0, sizeof(r->a));
	if (len < NLMSG_HDRLEN + GENL_HDRLEN || len > sizeof(r->buf))
		return;
	memcpy(r->buf, h, len);
	r->cmd = g->cmd;
	nl_parse(r->a, REGIONFS_A_MAX, r->buf + NLMSG_HDRLEN + GENL_HDRLEN,
		 len - NLMSG_HDRLEN - GENL_HDRLEN);
}

/* The sentence that came with an ack. */
static void nl_take_ack(struct nl *nl, const struct nlmsghdr *h)
{
	struct nlmsgerr *e = (void *)((char *)h + NLMSG_HDRLEN);
	struct nlattr *table[NLMSGERR_ATTR_OFFS + 1];
	uint32_t skip = NLMSG_HDRLEN + sizeof(*e);

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (h->nlmsg_len <= skip)
		return;
	nl_parse(table, NLMSGERR_ATTR_OFFS, (char *)h + skip, h->nlmsg_len - skip);
	if (table[NLMSGERR_ATTR_MSG])
		snprintf(nl->message, sizeof(nl->message), "%s",
			 (char *)nla_at(table[NLMSGERR_ATTR_MSG]));
	if (table[NLMSGERR_ATTR_OFFS])
		memcpy(&nl->bad_attr, nla_at(table[NLMSGERR_ATTR_OFFS]), 4);
}

static int nl_send(struct nl *nl, struct nlq *q)
{
	struct nlmsghdr *h = (void *)q->buf;
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };

	h->nlmsg_len = q->len;
	nl->message[0] = 0;
	nl->bad_attr = 0;
	if (sendto(nl->fd, q->buf, q->len, 0, (void *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}


static ssize_t nl_receive(struct nl *nl, char *buf, size_t room, long long until)
{
	struct pollfd p = { .fd = nl->fd, .events = POLLIN };

	for (;;) {
		long long left = until - now_ms();
		ssize_t n;

		if (poll(&p, 1, left > 0 ? left : 0) == 0)
			return -ETIMEDOUT;
		n = recv(nl->fd, buf, room, MSG_DONTWAIT);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return n >= 0 ? n : -errno;
	}
}

/* One question's wait for its ack or the end of its dump; a DONE may come before the ack. */
struct nl_wait {
	struct nl *nl;
	struct nlr *r;
	uint32_t seq;
	bool dump, done_seen;
	long count;
	void (*each)(struct nlr *r, void *arg);
	void *arg;
};

/* Gives 1 when it is over, with the result in *result. */
static int nl_one(struct nl_wait *w, struct nlmsghdr *h, long *result)
{
	struct genlmsghdr *g = (void *)((char *)h + NLMSG_HDRLEN);

	if (h->nlmsg_seq != w->seq)
		return 0;
	if (h->nlmsg_type == NLMSG_ERROR) {
		nl_take_ack(w->nl, h);
		*result = ((struct nlmsgerr *)((char *)h + NLMSG_HDRLEN))->error;
		return !w->dump || *result;
	}
	if (h->nlmsg_type == NLMSG_DONE) {
		int error = h->nlmsg_len >= NLMSG_HDRLEN + 4 ? *(int *)g : 0;

		*result = error < 0 ? error : w->count;
		return 1;
	}
	if (w->r)
		nlr_take(w->r, h);
	if (g->cmd == REGIONFS_CMD_DONE)
		w->done_seen = true;
	w->count++;
	if (w->each)
		w->each(w->r, w->arg);
	return 0;
}

static long nl_until_ack(struct nl_wait *w)
{
	static char buf[NL_ROOM] __attribute__((aligned(8)));
	long long until = now_ms() + NL_ANSWER_MS;
	long result = 0;
	bool over = false;

	while (!over) {
		ssize_t n = nl_receive(w->nl, buf, sizeof(buf), until);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0)
			return n;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			over |= nl_one(w, h, &result);
	}
	return result;
}

int nl_call(struct nl *nl, struct nlq *q, struct nlr *r)
{
	struct nl_wait w = { .nl = nl, .r = r, .seq = nl->seq };
	int ret;

	if (r)
		memset(r->a, 0, sizeof(r->a));
	ret = nl_send(nl, q);
	return ret ?: nl_until_ack(&w);
}

static int nl_done_error(struct nl *nl, struct nlr *r)
{
	if (r->a[REGIONFS_A_MESSAGE])
		snprintf(nl->message, sizeof(nl->message), "%s", nlr_str(r, REGIONFS_A_MESSAGE));
	return (int)nlr_u32(r, REGIONFS_A_ERROR);
}

int nl_done(struct nl *nl, uint32_t seq, struct nlr *r, int ms)
{
	static char buf[NL_ROOM] __attribute__((aligned(8)));
	long long until = now_ms() + ms;

	for (;;) {
		ssize_t n = nl_receive(nl, buf, sizeof(buf), until);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0)
			return n;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != seq || h->nlmsg_type != nl->family)
				continue;
			nlr_take(r, h);
			if (r->cmd == REGIONFS_CMD_DONE)
				return nl_done_error(nl, r);
		}
	}
}

int nl_call_long(struct nl *nl, struct nlq *q, struct nlr *r)
{
	static struct nlr own;
	struct nl_wait w = { .nl = nl, .r = r ?: &own, .seq = nl->seq };
	int ret;

	memset(w.r->a, 0, sizeof(w.r->a));
	ret = nl_send(nl, q) ?: nl_until_ack(&w);
	if (ret)
		return ret;
	if (w.done_seen)
		return nl_done_error(nl, w.r);
	return nl_done(nl, w.seq, w.r, NL_ANSWER_MS);
}

long nl_dump(struct nl *nl, struct nlq *q, void (*each)(struct nlr *r, void *arg), void *arg)
{
	static struct nlr r;
	struct nl_wait w = {
		.nl = nl, .r = &r, .seq = nl->seq, .dump = true, .each = each, .arg = arg,
	};
	int ret;

	((struct nlmsghdr *)q->buf)->nlmsg_flags |= NLM_F_DUMP;
	ret = nl_send(nl, q);
	return ret ?: nl_until_ack(&w);
}

int nl_event(struct nl *nl, struct nlr *r, int ms)
{
	static char buf[NL_ROOM] __attribute__((aligned(8)));
	long long until = now_ms() + ms;

	for (;;) {
		ssize_t n = nl_receive(nl, buf, sizeof(buf), until);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0)
			return n;
		if (!NLMSG_OK(h, n) || h->nlmsg_type != nl->family)
			continue;
		nlr_take(r, h);
		if (r->cmd == REGIONFS_CMD_EVENT)
			return nlr_u32(r, REGIONFS_A_EVENT);
	}
}

uint32_t nlr_u32(const struct nlr *r, int attr)
{
	uint32_t v = 0;

	if (r->a[attr] && r->a[attr]->nla_len >= NLA_HDRLEN + sizeof(v))
		memcpy(&v, nla_at(r->a[attr]), sizeof(v));
	return v;
}

uint64_t nlr_u64(const struct nlr *r, int attr)
{
	uint64_t v = 0;

	if (r->a[attr] && r->a[attr]->nla_len >= NLA_HDRLEN + sizeof(v))
		memcpy(&v, nla_at(r->a[attr]), sizeof(v));
	return v;
}

const char *nlr_str(const struct nlr *r, int attr)
{
	return r->a[attr] ? nla_at(r->a[attr]) : "";
}

uint64_t nlr_stat(const struct nlr *r, int stat)
{
	struct nlattr *table[REGIONFS_STAT_MAX + 1];
	struct nlattr *nest = r->a[REGIONFS_A_STATS];
	uint64_t v = 0;

	if (!nest)
		return 0;
	nl_parse(table, REGIONFS_STAT_MAX, nla_at(nest), nest->nla_len - NLA_HDRLEN);
	if (table[stat] && table[stat]->nla_len >= NLA_HDRLEN + sizeof(v))
		memcpy(&v, nla_at(table[stat]), sizeof(v));
	return v;
}

/* The family's number, and its group's, from the answer of the controller. */
static int nl_take_family(struct nl *nl, struct nlr *r)
{
	struct nlattr *table[CTRL_ATTR_MAX + 1], *group[CTRL_ATTR_MCAST_GRP_MAX + 1], *list;
	struct nlmsghdr *h = (void *)r->buf;

	nl_parse(table, CTRL_ATTR_MAX, r->buf + NLMSG_HDRLEN + GENL_HDRLEN,
		 h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN);
	if (!table[CTRL_ATTR_FAMILY_ID])
		return -ENOENT;
	nl->family = *(uint16_t *)nla_at(table[CTRL_ATTR_FAMILY_ID]);
	list = table[CTRL_ATTR_MCAST_GROUPS];
	if (!list)
		return 0;
	list = nla_at(list);
	nl_parse(group, CTRL_ATTR_MCAST_GRP_MAX, nla_at(list), list->nla_len - NLA_HDRLEN);
	if (group[CTRL_ATTR_MCAST_GRP_ID])
		nl->group = *(uint32_t *)nla_at(group[CTRL_ATTR_MCAST_GRP_ID]);
	return 0;
}

int nl_open(struct nl *nl)
{
	static struct nlq q;
	static struct nlr r;
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int one = 1, size = 4 << 20, ret;

	memset(nl, 0, sizeof(*nl));
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (nl->fd < 0 || bind(nl->fd, (void *)&self, sizeof(self)) < 0)
		return -errno;
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	nlq_header(&q, nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	nlq_str(&q, CTRL_ATTR_FAMILY_NAME, REGIONFS_GENL_NAME);
	ret = nl_call(nl, &q, &r);
	return ret ?: nl_take_family(nl, &r);
}

void nl_close(struct nl *nl)
{
	if (nl->fd > 0)
		close(nl->fd);
	nl->fd = -1;
}

int nl_subscribe(struct nl *nl)
{
	if (setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nl->group, sizeof(nl->group)))
		return -errno;
	return 0;
}

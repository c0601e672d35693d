// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink messages by their grammar: each command with the attributes that it knows, of values that make sense mostly, and then, one time in three,
 * spoilt. What is spoilt in one place is right in the others, so that it gets as far as that place.
 *
 * The good instance is only told what is refused. Take-back limits are short, since waits in the VFS may last as long.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/genetlink.h>

#include "fuzz.h"
#include "nl.h"

#define SEQS	256

enum need { N_NOTHING, N_INSTANCE, N_REGION, N_PATH };

static const struct grammar {
	uint8_t cmd, weight, need;
	uint8_t attr[12];
} grammar[] = {
	{ REGIONFS_CMD_INSTANCE_NEW, 2, N_INSTANCE, { REGIONFS_A_TAKEBACK, REGIONFS_A_DIRTY_RATIO } },
	{ REGIONFS_CMD_INSTANCE_GET, 2, N_INSTANCE, { 0 } },
	{ REGIONFS_CMD_INSTANCE_SET, 2, N_INSTANCE, { REGIONFS_A_TAKEBACK, REGIONFS_A_DIRTY_RATIO } },
	{ REGIONFS_CMD_INSTANCE_STOP, 1, N_INSTANCE, { REGIONFS_A_DISCARD, REGIONFS_A_DEADLINE } },
	{ REGIONFS_CMD_REGION_ADD, 8, N_PATH,
	  { REGIONFS_A_SOURCE, REGIONFS_A_SIZE, REGIONFS_A_MODE, REGIONFS_A_UID, REGIONFS_A_GID, REGIONFS_A_EPOCH, REGIONFS_A_LINEAGE, REGIONFS_A_FLAGS,
	    REGIONFS_A_FLAGS_MASK, REGIONFS_A_TIMEOUT } },
	{ REGIONFS_CMD_REGION_DEL, 4, N_REGION, { REGIONFS_A_DISCARD } },
	{ REGIONFS_CMD_REGION_GET, 8, N_REGION, { 0 } },
	{ REGIONFS_CMD_REGION_SET, 12, N_REGION,
	  { REGIONFS_A_SOURCE, REGIONFS_A_SIZE, REGIONFS_A_MODE, REGIONFS_A_UID, REGIONFS_A_GID, REGIONFS_A_EPOCH, REGIONFS_A_LINEAGE, REGIONFS_A_FLAGS,
	    REGIONFS_A_FLAGS_MASK, REGIONFS_A_TIMEOUT } },
	{ REGIONFS_CMD_FREEZE, 4, N_REGION, { REGIONFS_A_DEADLINE, REGIONFS_A_FORCE } },
	{ REGIONFS_CMD_THAW, 8, N_REGION, { 0 } },
	{ REGIONFS_CMD_LOCK, 4, N_REGION, { REGIONFS_A_DEADLINE } },
	{ REGIONFS_CMD_UNLOCK, 10, N_REGION, { REGIONFS_A_RANGES } },
	{ REGIONFS_CMD_INVALIDATE, 6, N_REGION, { REGIONFS_A_OFFSET, REGIONFS_A_LENGTH, REGIONFS_A_DISCARD, REGIONFS_A_DEADLINE } },
	{ REGIONFS_CMD_WRITEBACK, 6, N_REGION, { REGIONFS_A_OFFSET, REGIONFS_A_LENGTH, REGIONFS_A_SYNC, REGIONFS_A_DEADLINE } },
	{ REGIONFS_CMD_MOVED, 1, N_REGION, { REGIONFS_A_EPOCH, REGIONFS_A_DEADLINE } },
	{ REGIONFS_CMD_TRACK, 1, N_REGION, { 0 } },
	{ REGIONFS_CMD_WRITE_RATE, 6, N_REGION, { REGIONFS_A_WRITE_RATE } },
	{ REGIONFS_CMD_EVENT, 1, N_REGION, { REGIONFS_A_EVENT } },
	{ REGIONFS_CMD_UNSPEC, 1, N_REGION, { REGIONFS_A_STATS } },
};

struct attacker {
	struct nl nl;
	struct nlq q;
	uint8_t cmd_of[SEQS];		/* by sequence number */
	unsigned int prey;		/* FUZZ_PREYS: the good one */
	char answer[NL_ROOM] __attribute__((aligned(8)));
};

static struct attacker a;

/* ---- values ---- */

static void put_ranges(bool wild)
{
	struct regionfs_range r[64];
	unsigned int n = fuzz_one_in(8) ? 64 : fuzz_below(4);

	for (unsigned int i = 0; i < n; i++)
		r[i] = (struct regionfs_range){ wild ? fuzz_odd() : fuzz_below(1024) * 4096, wild ? fuzz_odd() : fuzz_size() };
	nlq_bin(&a.q, REGIONFS_A_RANGES, r, n * sizeof(r[0]) + (wild && fuzz_one_in(2) ? fuzz_below(16) : 0));
}

static void put_string(uint16_t attr, bool wild)
{
	static char text[5000];
	unsigned int len = wild ? fuzz_below(sizeof(text)) : fuzz_one_in(16) ? 4095 : fuzz_below(20);

	memset(text, 'a' + fuzz_below(3), sizeof(text));
	if (attr == REGIONFS_A_PATH && fuzz_one_in(2))
		for (unsigned int i = 1; i < len; i += 1 + fuzz_below(300))
			text[i] = '/';
	if (wild && fuzz_one_in(2))
		nlq_bin(&a.q, attr, text, len);		/* without an end */
	else
		nlq_bin(&a.q, attr, text, (text[len] = 0, len + 1));
}

static uint32_t value32(uint16_t attr, bool wild)
{
	if (wild)
		return fuzz_odd();
	switch (attr) {
	case REGIONFS_A_MODE:
		return fuzz_one_in(4) ? fuzz_below(010000) : 0644;
	case REGIONFS_A_FLAGS:
	case REGIONFS_A_FLAGS_MASK:
		return fuzz_of((uint32_t[]){ 0, 0, 0, 0, 0, 1, 2, 1, 2, 8 });
	case REGIONFS_A_TIMEOUT:
		return fuzz_one_in(8) ? 0 : 1 + fuzz_below(300);
	case REGIONFS_A_TAKEBACK:
		return 100 + fuzz_below(1000);
	case REGIONFS_A_DIRTY_RATIO:
		return 1 + fuzz_below(100);
	case REGIONFS_A_DEADLINE:
		return fuzz_one_in(16) ? 3000 : 1 + fuzz_below(400);
	default:
		return fuzz_below(3);
	}
}

static uint64_t value64(uint16_t attr, bool wild)
{
	if (wild)
		return fuzz_odd();
	switch (attr) {
	case REGIONFS_A_SIZE:
	case REGIONFS_A_LENGTH:
		return fuzz_size();
	case REGIONFS_A_OFFSET:
		return fuzz_below(2048) * fuzz_of((unsigned int[]){ 4096, 4096, 1000 });
	case REGIONFS_A_WRITE_RATE:
		return fuzz_one_in(2) ? 0 : fuzz_of((uint64_t[]){ 1, 4096, 1 << 20, 8 << 20, 1ull << 32, ~0ull, 1ull << 63 });
	case REGIONFS_A_EPOCH:
		return fuzz_one_in(64) ? fuzz_odd() : fuzz_below(4);
	default:
		return fuzz_below(4);
	}
}

/* A wild value is of the right length mostly. A wild take-back limit is one that is refused, or it would hold all up. */
static void put_attr(uint16_t attr, bool wild)
{
	switch (attr) {
	case REGIONFS_A_DISCARD:
	case REGIONFS_A_FORCE:
	case REGIONFS_A_SYNC:
		nlq_bin(&a.q, attr, "12345678", wild ? fuzz_below(9) : 0);
		return;
	case REGIONFS_A_RANGES:
		put_ranges(wild);
		return;
	case REGIONFS_A_SOURCE:
	case REGIONFS_A_PATH:
	case REGIONFS_A_INSTANCE:
		put_string(attr, wild);
		return;
	case REGIONFS_A_TAKEBACK:
		nlq_u32(&a.q, attr, wild ? fuzz_of((uint32_t[]){ 0, 99, 3600001, ~0u }) : value32(attr, false));
		return;
	case REGIONFS_A_MODE:
	case REGIONFS_A_UID:
	case REGIONFS_A_GID:
	case REGIONFS_A_FLAGS:
	case REGIONFS_A_FLAGS_MASK:
	case REGIONFS_A_TIMEOUT:
	case REGIONFS_A_DIRTY_RATIO:
	case REGIONFS_A_DEADLINE:
		nlq_u32(&a.q, attr, value32(attr, wild));
		return;
	default:
		nlq_u64(&a.q, attr, value64(attr, wild));
	}
}

/* Anything at all, of any length, as any attribute; nested where it is not, or with its bits in disorder. */
static void put_garbage(void)
{
	uint16_t attr = fuzz_below(REGIONFS_A_MAX + 3) | fuzz_of((uint16_t[]){ 0, 0, NLA_F_NESTED, NLA_F_NET_BYTEORDER });
	uint8_t junk[600];

	for (unsigned int i = 0; i < sizeof(junk); i++)
		junk[i] = fuzz_next();
	if (attr == REGIONFS_A_TAKEBACK)
		attr++;
	nlq_bin(&a.q, attr, junk, fuzz_one_in(2) ? fuzz_of((unsigned int[]){ 0, 1, 3, 4, 5, 7, 8, 9, 16 }) : fuzz_below(sizeof(junk)));
}

/* ---- messages ---- */

static const struct grammar *choose(void)
{
	unsigned int sum = 0, at;

	for (unsigned int i = 0; i < sizeof(grammar) / sizeof(grammar[0]); i++)
		sum += grammar[i].weight;
	at = fuzz_below(sum);
	for (unsigned int i = 0;; at -= grammar[i++].weight)
		if (at < grammar[i].weight)
			return &grammar[i];
}

/* The good one is asked for what it may tell, and told what is refused, or speaks of no region of its own. */
static const struct grammar *choose_harmless(void)
{
	const struct grammar *g;

	do {
		g = choose();
	} while (g->cmd == REGIONFS_CMD_INSTANCE_SET || g->cmd == REGIONFS_CMD_REGION_ADD);
	return g;
}

static void name_region(const struct grammar *g)
{
	if (a.prey == FUZZ_PREYS && g->need >= N_REGION)
		nlq_u64(&a.q, REGIONFS_A_REGION, 1000 + fuzz_below(1000));
	else if (g->need == N_PATH || (g->need == N_REGION && fuzz_one_in(2)))
		nlq_str(&a.q, REGIONFS_A_PATH, fuzz_rel());
	else if (g->need == N_REGION)
		nlq_u64(&a.q, REGIONFS_A_REGION, fuzz_id(a.prey));
	if (g->need == N_PATH && !fuzz_one_in(8))
		nlq_str(&a.q, REGIONFS_A_SOURCE, "fuzz:");
}

static void put_attrs(const struct grammar *g, bool spoil)
{
	unsigned int wild = spoil ? fuzz_below(4) : ~0u;

	for (unsigned int i = 0; i < sizeof(g->attr) && g->attr[i]; i++) {
		/* one that is as good as always needed */
		if (!fuzz_one_in(3) && g->attr[i] != REGIONFS_A_DEADLINE && g->attr[i] != REGIONFS_A_WRITE_RATE && g->cmd != REGIONFS_CMD_MOVED)
			continue;
		if (spoil && fuzz_one_in(8))
			continue;
		put_attr(g->attr[i], wild-- == 0);
		if (spoil && fuzz_one_in(16))
			put_attr(g->attr[i], fuzz_one_in(2));
	}
	/* nothing waits for longer than that, unless it was told to */
	if (g->cmd >= REGIONFS_CMD_FREEZE && g->cmd <= REGIONFS_CMD_MOVED && !spoil)
		nlq_u32(&a.q, REGIONFS_A_DEADLINE, value32(REGIONFS_A_DEADLINE, false));
}

static void spoil_bytes(void)
{
	switch (fuzz_below(8)) {
	case 0:
		a.q.len = NLMSG_HDRLEN + fuzz_below(a.q.len - NLMSG_HDRLEN + 1);
		break;
	case 1:
		a.q.buf[NLMSG_HDRLEN + fuzz_below(a.q.len - NLMSG_HDRLEN)] = fuzz_next();
		break;
	case 2:
		((struct nlmsghdr *)a.q.buf)->nlmsg_flags ^= 1 << fuzz_below(12);
		break;
	case 3:
		((struct genlmsghdr *)(a.q.buf + NLMSG_HDRLEN))->version = fuzz_next();
		break;
	default:
		put_garbage();
	}
}

static void message(void)
{
	const struct grammar *g;
	bool spoil = fuzz_one_in(3), good = fuzz_one_in(20);

	a.prey = good ? FUZZ_PREYS : fuzz_prey();
	g = good ? choose_harmless() : choose();
	nlq_start(&a.q, &a.nl, fuzz_one_in(100) ? fuzz_next() : g->cmd,
		  (g->cmd == REGIONFS_CMD_INSTANCE_GET || g->cmd == REGIONFS_CMD_REGION_GET) && fuzz_one_in(2) ? NLM_F_DUMP : 0);
	/* who spoils what goes to the good one may come to mean a region that it has */
	spoil &= !good;
	if (g->need != N_NOTHING && !(spoil && fuzz_one_in(16)))
		nlq_str(&a.q, REGIONFS_A_INSTANCE, good ? fuzz_world->good : fuzz_name(a.prey));
	if (!(spoil && fuzz_one_in(16)))
		name_region(g);
	put_attrs(g, spoil);
	if (spoil && fuzz_one_in(2))
		spoil_bytes();
}

/* ---- what comes back ---- */

static int kind_of(uint32_t seq)
{
	uint8_t cmd = a.cmd_of[seq % SEQS];

	return cmd <= REGIONFS_CMD_MAX ? cmd : REGIONFS_CMD_MAX + 1;
}

static void take_attrs(const struct nlmsghdr *h, int kind)
{
	const struct genlmsghdr *g = NLMSG_DATA(h);
	int len = h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, step;
	const struct nlattr *at = (void *)((char *)g + GENL_HDRLEN);

	for (; len >= NLA_HDRLEN && at->nla_len >= NLA_HDRLEN; len -= step, at = (void *)((char *)at + step)) {
		uint64_t value = 0;

		step = NLA_ALIGN(at->nla_len);
		memcpy(&value, at + 1, at->nla_len - NLA_HDRLEN < 8 ? at->nla_len - NLA_HDRLEN : 8);
		if (at->nla_type == REGIONFS_A_REGION && a.prey < FUZZ_PREYS)
			fuzz_note_id(a.prey, value);
		if (at->nla_type == REGIONFS_A_ERROR && g->cmd == REGIONFS_CMD_DONE)
			fuzz_count(FUZZ_NL_DONE + kind, (int)value);
	}
}

static void take(ssize_t n)
{
	struct nlmsghdr *h = (void *)a.answer;

	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		int kind = kind_of(h->nlmsg_seq);

		if (h->nlmsg_type == NLMSG_ERROR)
			fuzz_count(FUZZ_NL + kind, ((struct nlmsgerr *)NLMSG_DATA(h))->error);
		else if (h->nlmsg_type == NLMSG_DONE)
			fuzz_count(FUZZ_NL + kind, 0);
		else if (h->nlmsg_type == a.nl.family && h->nlmsg_seq)
			take_attrs(h, kind);
	}
}

/* A dump goes on as it is read: now and then it is left in the middle. */
static void listen_to(void)
{
	ssize_t n;

	for (int i = fuzz_one_in(8) ? fuzz_below(2) : 50; i > 0; i--) {
		n = recv(a.nl.fd, a.answer, fuzz_one_in(16) ? fuzz_below(4096) : sizeof(a.answer), MSG_DONTWAIT);
		if (n <= 0)
			return;
		take(n);
	}
}

static void say(void)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct nlmsghdr *h = (void *)a.q.buf;

	a.cmd_of[h->nlmsg_seq % SEQS] = ((struct genlmsghdr *)NLMSG_DATA(h))->cmd;
	h->nlmsg_len = fuzz_one_in(200) ? fuzz_below(a.q.len + 40) : a.q.len;
	sendto(a.nl.fd, a.q.buf, a.q.len, 0, (void *)&to, sizeof(to));
}

static void nothing(int sig)
{
	(void)sig;
}

/* One in eight lives in a network namespace of its own, where the names are free: its instances come to the others when it ends. */
int fuzz_netlink(void *arg)
{
	struct sigaction act = { .sa_handler = nothing };

	fuzz_seed((uintptr_t)arg);
	sigaction(SIGALRM, &act, NULL);
	if (fuzz_one_in(8) && unshare(CLONE_NEWNET))
		return 1;
	while (!nl_open(&a.nl)) {
		if (fuzz_one_in(2))
			nl_subscribe(&a.nl);
		for (int i = 0; i < 300; i++) {
			if (fuzz_one_in(8))
				ualarm(1 + fuzz_below(20000), 0);
			message();
			say();
			listen_to();
			/* the programs and helpers are to get on as well */
			usleep(fuzz_below(fuzz_one_in(4) ? 30000 : 3000));
		}
		nl_close(&a.nl);
	}
	return 1;
}

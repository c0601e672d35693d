/* SPDX-License-Identifier: GPL-2.0 */
/* A small generic netlink client for the "regionfs" family: one question at a time. */
#ifndef SELFTESTS_NL_H
#define SELFTESTS_NL_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/netlink.h>
#include <linux/regionfs.h>

#define NL_ROOM		(64 << 10)

struct nl {
	int fd;
	uint16_t family;
	uint32_t group;		/* the multicast group of events */
	uint32_t seq;		/* of the last question */
	char message[256];	/* the extended ack of the last refusal, or "" */
	uint32_t bad_attr;	/* offset of the attribute that it names, or 0 */
};

/* A question under construction. */
struct nlq {
	uint32_t len;
	char buf[NL_ROOM] __attribute__((aligned(8)));
};

/* An answer: attributes by number, NULL where absent. */
struct nlr {
	uint8_t cmd;
	struct nlattr *a[REGIONFS_A_MAX + 1];
	char buf[NL_ROOM] __attribute__((aligned(8)));
};

int nl_open(struct nl *nl);	/* 0 or -errno; -ENOENT: the family is not there */
void nl_close(struct nl *nl);
int nl_subscribe(struct nl *nl);	/* to the events */

void nlq_start(struct nlq *q, struct nl *nl, uint8_t cmd, uint16_t flags);
void nlq_bin(struct nlq *q, uint16_t attr, const void *data, uint32_t len);
void nlq_str(struct nlq *q, uint16_t attr, const char *s);
void nlq_u32(struct nlq *q, uint16_t attr, uint32_t v);
void nlq_u64(struct nlq *q, uint16_t attr, uint64_t v);
void nlq_flag(struct nlq *q, uint16_t attr);

/* Asks, waits for the ack, keeps the answer (r may be NULL). 0 or -errno; -ETIMEDOUT after a minute. */
int nl_call(struct nl *nl, struct nlq *q, struct nlr *r);
/* As nl_call, then waits for DONE with that sequence number; gives its A_ERROR. */
int nl_call_long(struct nl *nl, struct nlq *q, struct nlr *r);
/* Waits ms for a DONE of the question with this sequence number. */
int nl_done(struct nl *nl, uint32_t seq, struct nlr *r, int ms);
/* Asks for a dump; calls each for every entry. Gives the number of entries, or -errno. */
long nl_dump(struct nl *nl, struct nlq *q, void (*each)(struct nlr *r, void *arg), void *arg);
/* Waits ms for the next event; gives enum regionfs_event, or -ETIMEDOUT. */
int nl_event(struct nl *nl, struct nlr *r, int ms);

uint32_t nlr_u32(const struct nlr *r, int attr);
uint64_t nlr_u64(const struct nlr *r, int attr);
const char *nlr_str(const struct nlr *r, int attr);
uint64_t nlr_stat(const struct nlr *r, int stat);	/* of A_STATS; 0 when absent */

#endif

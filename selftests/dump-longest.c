// SPDX-License-Identifier: GPL-2.0
/* A region whose path and source are as long as they may be is told in a dump, also to a socket on which nothing was ever read. */
#include <sys/socket.h>
#include <linux/genetlink.h>

#include "lib/env.h"

static struct env e;
static char path[REGIONFS_PATH_MAX + 1], source[REGIONFS_SOURCE_MAX + 1];

static void longest(void)
{
	memset(path, 'p', REGIONFS_PATH_MAX);
	for (unsigned int i = 200; i < REGIONFS_PATH_MAX - 1; i += 201)
		path[i] = '/';
	memset(source, 's', REGIONFS_SOURCE_MAX);
}

/* The type of the first answer, or what is said by its error. */
static int first_answer(int fd)
{
	static char buf[64 << 10] __attribute__((aligned(8)));
	struct nlmsghdr *h = (void *)buf;
	ssize_t n;

	nlq_start(&e.q, &e.nl, REGIONFS_CMD_REGION_GET, NLM_F_DUMP);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, e.name);
	((struct nlmsghdr *)e.q.buf)->nlmsg_len = e.q.len;
	must(send(fd, e.q.buf, e.q.len, 0) == (ssize_t)e.q.len);
	n = recv(fd, buf, sizeof(buf), 0);
	must(NLMSG_OK(h, n));
	return h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR ? *(int *)NLMSG_DATA(h) : h->nlmsg_type;
}

int main(void)
{
	int fd;

	tap_start(60);
	env_start_bare(&e, "longest");
	longest();
	env_ask(&e, REGIONFS_CMD_REGION_ADD, 0);
	nlq_str(&e.q, REGIONFS_A_PATH, path);
	nlq_str(&e.q, REGIONFS_A_SOURCE, source);
	is(env_call(&e), 0, "a region with the longest path and source");
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	must(fd >= 0);
	is(first_answer(fd), e.nl.family, "a new socket's dump tells of it");
	is(env_simple(&e, REGIONFS_CMD_REGION_GET, 1), 0, "so does a question for it");
	ok(!strcmp(nlr_str(&e.r, REGIONFS_A_PATH), path) && !strcmp(nlr_str(&e.r, REGIONFS_A_SOURCE), source), "and nothing is cut");
	return tap_done();
}
